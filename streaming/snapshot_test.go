package streaming

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// restorable is an event set whose sockets can be restored.
var restorable = handlers(func(_ *Namespace, h *Handlers) { h.OnRestore(nil) })

// outliving are options of a server whose clients can be recovered after it has ended.
func outliving() Options {
	o := recovering()
	o.Recovery.Outlives = true
	return o
}

// read returns the snapshot as another process reads it.
func read(t testing.TB, s *Snapshot) *Snapshot {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		t.Fatal(err)
	}
	again := new(Snapshot)
	if err := gob.NewDecoder(&b).Decode(again); err != nil {
		t.Fatal(err)
	}
	return again
}

// leave ends the server and returns its last snapshot, as another process reads it.
func (s *testServer) leave() (last *Snapshot) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.ShutdownAndKeep(ctx, engineio.Farewell{}, func(taken *Snapshot) { last = read(s.t, taken) }); err != nil {
		s.t.Fatal(err)
	}
	if last == nil {
		s.t.Fatal("no last snapshot")
	}
	return last
}

// successor is the server of the process that comes next.
func successor(t testing.TB, from *Snapshot, wantSockets int, sets ...EventSet) *testServer {
	t.Helper()
	s := newTestServer(t, outliving(), sets...)
	restored, err := s.Restore(from)
	if err != nil || restored.Sockets != wantSockets {
		t.Fatalf("%d sockets restored, want %d: %v", restored.Sockets, wantSockets, err)
	}
	return s
}

// TestClientsAreRecoveredAfterARestart holds that a client has its ID, its rooms and what it has missed, in
// order, from a server that goes on with the last snapshot of another one: one that was connected then and
// one that was away, with and without an offset, and a second time.
func TestClientsAreRecoveredAfterARestart(t *testing.T) {
	first := newTestServer(t, outliving(), restorable)
	c, away, silent := first.recoverableClient(), first.recoverableClient(), first.recoverableClient()
	n := first.Of("/")
	_ = first.Find(c.sid).Join("room")
	_ = first.Find(away.sid).Join("room", "left")
	_ = n.To("room").Emit("a", []byte{1})
	c.next()
	c.next()
	away.next()
	away.next()
	_ = n.To("room").Emit("b", 2)
	c.expectEvents(`["b",2]`)
	away.expectEvents(`["b",2]`)
	first.cut(away)
	first.Find(away.sid).Leave("left")
	_ = n.To("left").Emit("not for it")
	_ = n.To("room").Emit("c", 3)
	_ = first.Find(away.sid).Emit("d")
	c.expectEvents(`["c",3]`)
	last := first.leave()
	if !last.Clean || last.Sockets() != 3 {
		t.Fatalf("%+v", last)
	}

	second := successor(t, last, 3, restorable)
	n = second.Of("/")
	if n.Count("room") != 2 || n.Count("left") != 0 || second.Metrics().Recovery.Waiting != 3 {
		t.Errorf("%d and %d in the rooms, %+v", n.Count("room"), n.Count("left"), second.Metrics().Recovery)
	}
	_ = n.To("room").Except("nobody").Emit("e")
	second.back(away, true)
	away.expectEvents(`["c",3]`, `["d"]`, `["e"]`)
	second.back(c, true)
	c.expectEvents(`["e"]`)
	second.back(silent, true)
	_ = n.Emit("f")
	for _, client := range []*recoverableClient{away, c, silent} {
		client.expectEvents(`["f"]`)
	}
	second.cut(c)
	_ = n.To("room").Emit("g")
	third := successor(t, second.leave(), 3, restorable)
	third.back(c, true)
	c.expectEvents(`["g"]`)
	third.back(silent, true)
	third.cut(c)
	_ = third.Of("/").Emit("h")
	third.back(c, true)
	c.expectEvents(`["h"]`)
	silent.expectEvents(`["h"]`)
	eventually(t, "all to be counted", func() bool { return third.Metrics().Recovery.Recovered == 3 })
	if m := third.Metrics().Recovery; m.Snapshots.Clean != 3 || m.Snapshots.Crashed != 0 {
		t.Errorf("%+v", m)
	}
	c.testClient.close()
	silent.testClient.close()
}

// TestAfterACrash holds that a client is recovered from the last snapshot that a server has taken before it
// crashed, and that one is not which has got something after that, or has come after that.
func TestAfterACrash(t *testing.T) {
	first := newTestServer(t, outliving(), restorable)
	c, ahead := first.recoverableClient(), first.recoverableClient()
	n := first.Of("/")
	_ = n.Emit("a")
	c.expectEvents(`["a"]`)
	ahead.expectEvents(`["a"]`)
	first.cut(c)
	_ = n.Emit("b")
	ahead.expectEvents(`["b"]`)
	taken := read(t, first.Snapshot())
	_ = first.Find(ahead.sid).Emit("lost")
	ahead.expectEvents(`["lost"]`)
	late := first.recoverableClient()

	second := successor(t, taken, 2, restorable)
	_ = second.Of("/").Emit("c")
	second.back(c, true)
	c.expectEvents(`["b"]`, `["c"]`)
	id := ahead.sid
	second.back(ahead, false)
	second.expectFailed(recovery.AfterSnapshot, 1)
	eventually(t, "the old socket to end", func() bool { return second.Find(id) == nil })
	second.back(late, false)
	second.expectFailed(recovery.UnknownPID, 1)
	if m := second.Metrics().Recovery.Snapshots; m.Crashed != 2 || m.Clean != 0 {
		t.Errorf("%+v", m)
	}
	for _, client := range []*recoverableClient{c, ahead, late} {
		client.testClient.close()
	}
}

// TestQuestionsOutliveTheServer holds that a question without an answer comes again, whose answer nobody
// waits for any more, and one with an answer does not; and that its ID is not taken for that of another one.
func TestQuestionsOutliveTheServer(t *testing.T) {
	first := newTestServer(t, outliving(), restorable)
	c := first.recoverableClient()
	socket := first.Find(c.sid)
	answered := make(chan error, 1)
	_ = socket.EmitWithAck("answered", packet.Args{}, patience, func(_ packet.Args, err error) { answered <- err })
	_ = socket.EmitWithAck("lost", packet.Args{}, patience, func(packet.Args, error) {})
	c.expectEvents(`20["answered"]`, `21["lost"]`)
	c.send("30[]")
	if err := receive(t, "the answer", answered); err != nil {
		t.Error(err)
	}
	second := successor(t, first.leave(), 1, restorable)
	second.back(c, true)
	c.expectEvents(`21["lost"]`)
	replies := make(chan packet.Args, 1)
	_ = second.Find(c.sid).EmitWithAck("new", packet.Args{}, patience, func(args packet.Args, _ error) { replies <- args })
	c.expectEvents(fmt.Sprintf(`2%d["new"]`, 2+ackIDsAhead))
	c.send(`31["old"]`, fmt.Sprintf(`3%d["new"]`, 2+ackIDsAhead))
	if got := receive(t, "the answer", replies); listOf(got) != `"new"` {
		t.Error(listOf(got))
	}
	c.testClient.close()
}

// TestRestoredClientsAreAskedAgain holds that a restored socket is given to the same client alone, with the
// right to its rooms.
func TestRestoredClientsAreAskedAgain(t *testing.T) {
	const all, red = `"name":"ada","rooms":["red","blue"]`, `"name":"ada","rooms":["red"]`
	first := newTestServer(t, outliving(), authenticate(byName), restorable, handlers(func(_ *Namespace, h *Handlers) { h.OnRestore(nil) }))
	if first.Of("/").restores() {
		t.Fatal("an event set that does not say so is restored")
	}
	auth := handlers(func(n *Namespace, h *Handlers) {
		h.OnRestore(nil)
		_ = authenticate(byName).Register(n, h)
	})
	if err := first.Of("/").Use(auth); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		shows     string
		recovered bool
		reason    recovery.Reason
	}{
		{all, true, recovery.Recovered}, {red, false, recovery.LostRight}, {`"name":"bob"`, false, recovery.OtherIdentity},
	} {
		c := new(recoverableClient)
		first.comeIn(c, all)
		_ = first.Find(c.sid).Join("blue")
		second := successor(t, read(t, first.Snapshot()), 1, auth)
		if socket := second.Find(c.sid); socket.identityID() != "ada" || !socket.MayJoin("blue") || socket.MayJoin("green") {
			t.Errorf("%+v", socket.Identity())
		}
		c.testClient.close()
		again := &recoverableClient{sid: c.sid, pid: c.pid, offset: c.offset}
		second.comeIn(again, test.shows)
		if again.recovered != test.recovered {
			t.Errorf("%s: recovered %v", test.shows, again.recovered)
		}
		if !test.recovered {
			second.expectFailed(test.reason, 1)
		}
		again.testClient.close()
		first.Find(c.sid).Disconnect(true)
	}
}

// TestWhatIsNotRestored holds that nothing is restored of namespaces whose event sets do not say so, of
// sockets whose time is over, and of what is no image of a log; and that nothing is kept where nothing is
// to outlive the server.
func TestWhatIsNotRestored(t *testing.T) {
	gone := make(chan string, 10)
	first := newTestServer(t, outliving(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(s *Socket, _ Reason) { gone <- s.ID() })
	}))
	c := first.recoverableClient()
	if s := first.Snapshot(); s.Sockets() != 0 {
		t.Errorf("%+v", s)
	}
	if last := first.leave(); last.Sockets() != 0 {
		t.Errorf("%+v", last)
	}
	if got := receive(t, "the end", gone); got != c.sid {
		t.Error(got)
	}
	second := newTestServer(t, outliving(), restorable)
	c = second.recoverableClient()
	_ = second.Of("/").Emit("a")
	c.expectEvents(`["a"]`)
	for name, spoil := range map[string]func(s *Snapshot){
		"over":      func(s *Snapshot) { s.Taken = s.Taken.Add(-time.Minute) },
		"over away": func(s *Snapshot) { s.Namespaces[0].Sockets[0].Until = time.Now() },
		"no log":    func(s *Snapshot) { s.Namespaces[0].Log = nil },
		"no socket": func(s *Snapshot) { s.Namespaces[0].Sockets = nil },
		"no eras":   func(s *Snapshot) { s.Namespaces[0].Log.Eras = nil },
		"head":      func(s *Snapshot) { s.Namespaces[0].Log.Head = 7 },
		"room":      func(s *Snapshot) { s.Namespaces[0].Log.Entries[0].Rooms = []int{9} },
		"session":   func(s *Snapshot) { s.Namespaces[0].Log.Entries[0].Cause = -1 },
		"sessions":  func(s *Snapshot) { s.Namespaces[0].Log.Entries[0].Sessions = []int{2} },
		"place":     func(s *Snapshot) { s.Namespaces[0].Log.Entries[0].Place = 2 },
		"message":   func(s *Snapshot) { s.Namespaces[0].Log.Entries[0].Frames = []byte{0x81, 5, '4'} },
		"stay": func(s *Snapshot) {
			s.Namespaces[0].Log.Sessions[0].Stays = []recovery.StayImage{{Room: 1}}
		},
		"ID": func(s *Snapshot) { s.Namespaces[0].Log.Sessions[0].ID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			taken := read(t, second.Snapshot())
			spoil(taken)
			third := newTestServer(t, outliving(), restorable)
			if restored, _ := third.Restore(taken); restored.Sockets != 0 {
				t.Errorf("%+v", restored)
			}
			other := &recoverableClient{sid: c.sid, pid: c.pid, offset: c.offset}
			third.back(other, false)
			other.testClient.close()
		})
	}
	third := newTestServer(t, recovering(), restorable)
	other := third.recoverableClient()
	err := third.ShutdownAndKeep(t.Context(), engineio.Farewell{}, func(*Snapshot) { t.Error("it is kept") })
	if err != nil || third.SnapshotVersion() != 0 {
		t.Error(err, third.SnapshotVersion())
	}
	other.testClient.close()
}

// TestSnapshotsWhileMuchIsSent takes snapshots while a socket joins and leaves rooms and much is sent: each
// of them can be restored, and has its packets in order, up to its head.
func TestSnapshotsWhileMuchIsSent(t *testing.T) {
	o := outliving()
	o.Recovery.Window, o.Recovery.MaxPackets = time.Hour, 2000
	first := newTestServer(t, o, restorable)
	n := first.Of("/")
	c := first.recoverableClient()
	socket := first.Find(c.sid)
	first.cut(c)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 2 {
		senders.Go(func() {
			room := fmt.Sprint("room", i)
			for sent := 0; ; sent++ {
				select {
				case <-stop:
					return
				default:
				}
				socket.Admit(room)
				_ = n.To(room).Emit("a", sent)
				_ = n.Emit("b")
				socket.Leave(room)
			}
		})
	}
	for range 10 {
		taken := read(t, first.Snapshot())
		before := uint64(0)
		for _, e := range taken.Namespaces[0].Log.Entries {
			if e.Place <= before || e.Place > taken.Namespaces[0].Log.Head {
				t.Fatalf("place %d after %d, the head is %d", e.Place, before, taken.Namespaces[0].Log.Head)
			}
			before = e.Place
		}
		s := New(o, nil)
		if err := s.Of("/").Use(restorable); err != nil {
			t.Fatal(err)
		}
		if restored, err := s.Restore(taken); err != nil || restored.Sockets != 1 {
			t.Errorf("%+v, %v", restored, err)
		}
		s.Close()
	}
	close(stop)
	senders.Wait()
}

// BenchmarkSnapshot takes a snapshot of 10,000 sockets, in a room each of 100, for whom 10,000 packets of
// 200 bytes are kept, without writing it down.
func BenchmarkSnapshot(b *testing.B) {
	o := outliving()
	o.Recovery.MaxBytes = 1 << 30
	s := New(o, nil)
	defer s.Close()
	n := s.Of("/")
	if err := n.Use(restorable); err != nil {
		b.Fatal(err)
	}
	log := n.rooms.log.Load()
	for i := range 10_000 {
		socket := &Socket{id: newSocketID(), namespace: n}
		socket.kept = log.NewSession(socket.id)
		socket.kept.Of(i, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)) //nolint:gosec // an address
		if !n.restore(socket, &SocketSnapshot{}, &engineio.Handshake{RemoteAddr: "192.0.2.1"}, time.Now().Add(time.Hour)) {
			b.Fatal("no room")
		}
		socket.Admit(fmt.Sprint("room", i/100))
	}
	for i := range 10_000 {
		_ = n.To(fmt.Sprint("room", i%100)).Emit("event", string(make([]byte, 30)))
	}
	for b.Loop() {
		if taken := s.Snapshot(); taken.Sockets() != 10_000 || len(taken.Namespaces[0].Log.Entries) != 10_000 {
			b.Fatal(taken.Sockets())
		}
	}
}
