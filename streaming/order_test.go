package streaming

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// events has a client read until the event "end", and returns the arguments of the
// events before it.
func (c *testClient) events() (list []string) {
	for {
		m := c.next()
		switch number, args, ok := strings.Cut(strings.TrimSuffix(m.text, `]`), `["set",`); {
		case m.text == `2["end"]`:
			return list
		case ok && strings.HasPrefix(number, "2"):
			list = append(list, args)
		default:
			c.t.Fatalf("got %v", m)
		}
	}
}

// agree holds that what two clients have both got, they have got in one order.
func agree(t *testing.T, names []string, got map[string][]string) {
	t.Helper()
	place := make(map[string]map[string]int)
	for _, name := range names {
		place[name] = make(map[string]int)
		for i, event := range got[name] {
			if _, twice := place[name][event]; twice {
				t.Fatalf("%s got %s twice", name, event)
			}
			place[name][event] = i
		}
	}
	for i, one := range names {
		for _, other := range names[i+1:] {
			last, before := -1, ""
			for _, event := range got[one] {
				at, both := place[other][event]
				if !both {
					continue
				}
				if at < last {
					t.Fatalf("%s got %s after %s, %s the other way round", one, event, before, other)
				}
				last, before = at, event
			}
		}
	}
}

// TestAllMembersSeeOneOrder has two senders at a time, who begin at the same moment.
func TestAllMembersSeeOneOrder(t *testing.T) {
	const receivers, rounds = 200, 300
	s := newTestServer(t, Options{})
	got := make(map[string][]string)
	clients := make(map[string]*testClient)
	var names []string
	for i := range receivers {
		name := fmt.Sprint(i)
		names = append(names, name)
		clients[name], _ = s.connected(engineio.WebSocket)
	}
	n := s.Of("/")
	for round := range rounds {
		var sending sync.WaitGroup
		var ready atomic.Int32
		for _, sender := range []string{"a", "b"} {
			args := mustArgs(fmt.Sprint(sender, round))
			sending.Go(func() {
				for ready.Add(1); ready.Load() < 2; {
					// Only those who run meet.
				}
				_ = n.EmitArgs("set", args)
			})
		}
		sending.Wait()
	}
	_ = n.Emit("end")
	for _, name := range names {
		if got[name] = clients[name].events(); len(got[name]) != 2*rounds {
			t.Errorf("%s got %d events", name, len(got[name]))
		}
	}
	agree(t, names, got)
}

// TestOneOrderAcrossRooms has many senders, each with a way of its own to send, to
// rooms that members join and leave meanwhile. Any two members have what both have
// got in one order, and what came of one sender in the order of that.
func TestOneOrderAcrossRooms(t *testing.T) {
	const senders, each, movers = 64, 40, 6
	members := make(map[string][]string)
	for i := range 24 {
		rooms := []string{fmt.Sprint("own", i), fmt.Sprint("board", i%5)}
		if i%3 == 0 {
			rooms = append(rooms, fmt.Sprint("board", (i+1)%5))
		}
		if i%4 == 0 {
			rooms = append(rooms, "lobby")
		}
		if i >= 24-movers {
			rooms = nil
		}
		members[fmt.Sprintf("member%02d", i)] = rooms
	}
	r := newRoomsTest(t, members)
	n := r.s.Of("/")
	var everyone []*Socket
	for _, name := range r.names {
		everyone = append(everyone, r.sockets[name])
	}
	local := Local{n}
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	send := func(random *rand.Rand, sender, i int) {
		args := mustArgs(fmt.Sprint(sender, "-", i))
		board := func() string { return fmt.Sprint("board", random.IntN(5)) }
		any := func() *Socket { return everyone[random.IntN(len(everyone))] }
		p := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: "set", Args: args}
		switch (sender + i) % 12 {
		case 0:
			_ = n.EmitArgs("set", args)
		case 1:
			_ = any().Broadcast().EmitArgs("set", args)
		case 2:
			_ = n.Everyone().Except(board()).EmitArgs("set", args)
		case 3, 4:
			_ = n.To(board(), board()).EmitArgs("set", args)
		case 5:
			_ = any().To("lobby").EmitArgs("set", args)
		case 6:
			_ = n.To(any().ID(), any().ID()).EmitArgs("set", args)
		case 7:
			_ = n.To(board(), any().ID()).EmitArgs("set", args)
		case 8:
			local.Broadcast(p, Target{Rooms: []string{board()}})
		case 9:
			local.Call(ctx, p, Target{Rooms: []string{board(), "lobby"}}, func(Reply) {})
		case 10:
			// Call waits, so that what this sender sends next is not in order with it.
			to := n.To(board())
			calls.Go(func() { _, _ = to.Call(ctx, "set", mustArgs(fmt.Sprint(sender, "-call-", i))) })
		default:
			_ = n.To(fmt.Sprint("own", random.IntN(24))).EmitArgs("set", args)
		}
	}
	stop := make(chan struct{})
	var moving, sending sync.WaitGroup
	for _, mover := range everyone[24-movers:] {
		moving.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				mover.Admit("own"+mover.ID(), fmt.Sprint("board", i%5))
				mover.Admit("lobby")
				mover.Leave(fmt.Sprint("board", (i+2)%5), "own"+mover.ID())
				mover.Leave("lobby")
			}
		})
	}
	for sender := range senders {
		sending.Go(func() {
			random := rand.New(rand.NewPCG(uint64(sender), 1))
			for i := range each {
				send(random, sender, i)
			}
		})
	}
	sending.Wait()
	cancel()
	calls.Wait()
	close(stop)
	moving.Wait()
	_ = n.Emit("end")
	got := make(map[string][]string)
	for _, name := range r.names {
		got[name] = r.clients[name].events()
		if len(got[name]) < senders*each/12 {
			t.Errorf("%s got %d events", name, len(got[name]))
		}
		last := make(map[string]int)
		for _, event := range got[name] {
			var sender, i int
			if _, err := fmt.Sscanf(event, `"%d-%d"`, &sender, &i); err != nil {
				continue
			}
			if before, ok := last[fmt.Sprint(sender)]; ok && before > i {
				t.Errorf("%s got %d of sender %d after %d", name, i, sender, before)
			}
			last[fmt.Sprint(sender)] = i
		}
	}
	agree(t, r.names, got)
	n.rooms.checkHomes(t)
}

// TestOthersSeeTheOrderOfThisProcess has several goroutines broadcast to clients of
// three processes: those of one that are not the senders' see the order that the
// senders' own see.
func TestOthersSeeTheOrderOfThisProcess(t *testing.T) {
	c := newClusterTest(t)
	n := c.servers[0].Of("/")
	var sending sync.WaitGroup
	for sender := range 8 {
		sending.Go(func() {
			for i := range 50 {
				_ = n.Emit("set", fmt.Sprint(sender, "-", i))
			}
		})
	}
	sending.Wait()
	_ = n.Emit("end")
	got := make(map[string][]string)
	for _, name := range c.names {
		if got[name] = c.clients[name].events(); len(got[name]) != 400 {
			t.Errorf("%s got %d events", name, len(got[name]))
		}
	}
	agree(t, c.names, got)
}

// TestWhoIsCutOffMayBroadcast has a broadcast end a client that does not read. What
// comes of that broadcasts to the same room: the handler of its disconnect, and whoever
// waits for an answer that it owes.
func TestWhoIsCutOffMayBroadcast(t *testing.T) {
	const sendBuffer = 100_000
	s := newTestServer(t, Options{Engine: engineio.Options{SendBuffer: sendBuffer}}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnConnect(func(s *Socket) { s.Admit("room") })
		h.OnDisconnect(func(s *Socket, r Reason) { _ = s.To("room").Emit("gone", r) })
	}))
	reader, readerID := s.connected(engineio.WebSocket)
	n := s.Of("/")
	eventually(t, "the reader to be in the room", func() bool { return n.Count("room") == 1 })
	raw := rawclient.New(s.url)
	defer raw.Close()
	stuck, err := raw.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Close() }()
	if err := stuck.WriteText("40"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both to be in the room", func() bool { return n.Count("room") == 2 })
	question := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: "question"}
	answers := make(chan error, 1)
	asked := Local{n}.Call(t.Context(), question, Target{Rooms: []string{"room"}, Except: []string{readerID}}, func(r Reply) {
		_ = n.To("room").Emit("silent", r.SocketID)
		answers <- r.Err
	})
	if asked != 1 {
		t.Fatalf("%d were asked", asked)
	}
	padding := strings.Repeat("x", 20_000)
	for i := 0; n.Count("room") == 2; i++ {
		_ = n.To("room").Emit("count", i, padding)
		eventually(t, "the reader to keep up", func() bool {
			socket := s.Find(readerID)
			return socket.client().session.QueuedBytes() < sendBuffer/2
		})
	}
	if err := receive(t, "the answer", answers); err == nil {
		t.Error("the client that does not read has answered")
	}
	var told []string
	for len(told) < 2 {
		if m := reader.next(); !strings.HasPrefix(m.text, `2["count",`) {
			name, _, _ := strings.Cut(m.text, ",")
			told = append(told, name)
		}
	}
	slices.Sort(told)
	if want := []string{`2["gone"`, `2["silent"`}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
