package streaming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestClusterBroadcast(t *testing.T) {
	c := newClusterTest(t)
	red := []string{"0-websocket", "1-polling", "2-websocket"}
	for _, name := range red {
		c.sockets[name].Admit("red")
	}
	c.sockets["1-polling"].Admit("blue")
	c.sockets["2-polling"].Admit("blue")
	without := func(names []string, gone ...string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(gone, name) })
	}
	n, sender := c.servers[0].Of("/"), c.sockets["0-websocket"]
	c.servers[1].auth.give(c.sockets["1-polling"], &Identity{ID: "ada", Rooms: LimitTo("a*")}, nil)
	for _, test := range []struct {
		name string
		to   Broadcast
		want []string
	}{
		{"everyone", n.Everyone(), c.names},
		{"all but the sender", sender.Broadcast(), without(c.names, "0-websocket")},
		{"a room", n.To("red"), red},
		{"a room without the sender", sender.To("red"), without(red, "0-websocket")},
		{"two rooms, each once", n.To("red", "blue"), append(slices.Clone(red), "2-polling")},
		{"a room without another", n.To("red").Except("blue"), without(red, "1-polling")},
		{"all without a room", n.Everyone().Except("red"), without(c.names, red...)},
		{"one of another server", n.To(c.sockets["2-polling"].ID()), []string{"2-polling"}},
		{"who may join", n.Everyone().MayJoin("b"), without(c.names, "1-polling")},
		{"who may join, all of them", n.Everyone().MayJoin("a1"), c.names},
		{"who may join of a room", n.To("red").MayJoin("b"), without(red, "1-polling")},
		{"nobody", n.To("green"), nil},
	} {
		if err := test.to.EmitArgs("news", mustArgs(test.name)); err != nil {
			t.Fatal(err)
		}
		c.expect(t, test.name, test.want, fmt.Sprintf(`2["news",%q]`, test.name))
	}
	if err := sender.Broadcast().EmitArgs("binary", attachments("one", "two")); err != nil {
		t.Fatal(err)
	}
	c.expect(t, "binary", without(c.names, "0-websocket"),
		`52-["binary",`+placeholder0+`,{"_placeholder":true,"num":1}]`, []byte("one"), []byte("two"))
	if err := n.EmitArgs("connect", packet.Args{}); !errors.Is(err, packet.ErrReservedEvent) {
		t.Errorf("a reserved event: %v", err)
	}
	c.expect(t, "a reserved event", nil)
}

// attachments are binary arguments.
func attachments(texts ...string) packet.Args {
	var b packet.ArgsBuilder
	for _, text := range texts {
		b.Add(b.Binary([]byte(text)))
	}
	args, _ := b.Args()
	return args
}

// TestClusterKeepsNamespacesApart also holds that a namespace that other servers
// do not have is no matter.
func TestClusterKeepsNamespacesApart(t *testing.T) {
	c := newClusterTest(t)
	other := c.servers[0].Of("/other")
	client := c.clients["0-websocket"]
	client.connect("/other")
	_ = other.EmitArgs("news", packet.Args{})
	client.expect(`2/other,["news"]`)
	c.expect(t, "news of another namespace", nil)
}

func TestClusterKeepsFlags(t *testing.T) {
	c := newClusterTest(t)
	there := c.cluster.of(1, "/")[0]
	everyone := c.servers[0].Of("/").Everyone()
	for _, flags := range []packet.Flags{0, packet.Volatile, packet.NoCompress, packet.Volatile | packet.NoCompress} {
		_ = everyone.EmitArgs("news", packet.Args{}, flags)
		if got := receive(t, "the flags", there.flags); got != flags {
			t.Errorf("flags %b, want %b", got, flags)
		}
	}
}

// callOf has a call under way.
func callOf(ctx context.Context, b Broadcast) <-chan callResult {
	done := make(chan callResult, 1)
	go func() {
		replies, err := b.Call(ctx, "question", mustArgs("all"))
		done <- callResult{replies, err}
	}()
	return done
}

type callResult struct {
	replies []Reply
	err     error
}

// texts are the replies in an order that does not depend on who was faster.
func (r callResult) texts() string {
	var list []string
	for _, reply := range r.replies {
		list = append(list, fmt.Sprintf("%s=%s %v", reply.SocketID, listOf(reply.Args), reply.Err))
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

func TestClusterCall(t *testing.T) {
	c := newClusterTest(t)
	done := callOf(t.Context(), c.sockets["0-websocket"].Broadcast())
	var want []string
	for _, name := range c.names[1:] {
		client, id := c.clients[name], c.sockets[name].ID()
		question := client.next()
		if name == "2-websocket" {
			client.vanish()
			want = append(want, fmt.Sprintf("%s= %v", id, ErrDisconnected))
			continue
		}
		client.send(fmt.Sprintf(`61-%s[%q,%s]`, ackID(t, question), name, placeholder0), []byte(name))
		want = append(want, fmt.Sprintf("%s=%q,%s <nil>", id, name, placeholder0))
	}
	slices.Sort(want)
	got := receive(t, "the replies", done)
	if got.err != nil || got.texts() != strings.Join(want, "\n") {
		t.Errorf("%v, replies\n%s\nwant\n%s", got.err, got.texts(), strings.Join(want, "\n"))
	}
	for _, reply := range got.replies {
		if reply.Err == nil && (len(reply.Args.Attachments()) != 1 || !strings.Contains(reply.SocketID+listOf(reply.Args), string(reply.Args.Attachments()[0]))) {
			t.Errorf("attachments %q of %s", reply.Args.Attachments(), listOf(reply.Args))
		}
	}
	if got := receive(t, "the replies of nobody", callOf(t.Context(), c.servers[1].Of("/").To("nobody"))); got.err != nil || got.replies != nil {
		t.Errorf("nobody answered %+v", got)
	}
}

// TestClusterCallEndsWithItsContext holds that those who do not answer are in
// the replies, of whatever process they are.
func TestClusterCallEndsWithItsContext(t *testing.T) {
	c := newClusterTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := callOf(ctx, c.servers[0].Of("/").Everyone())
	asked := make(map[string]string)
	for _, name := range c.names {
		asked[name] = ackID(t, c.clients[name].next())
	}
	for _, name := range []string{"0-polling", "1-websocket"} {
		c.clients[name].send(`3` + asked[name] + `["yes"]`)
		eventually(t, "the answer", func() bool { return c.sockets[name].expecting() == 0 })
	}
	cancel()
	got := receive(t, "the end of the call", done)
	if !errors.Is(got.err, context.Canceled) || len(got.replies) != len(c.names) {
		t.Fatalf("%d replies, %v", len(got.replies), got.err)
	}
	answered := 0
	for _, reply := range got.replies {
		if reply.Err == nil && listOf(reply.Args) == `"yes"` {
			answered++
		} else if !errors.Is(reply.Err, context.Canceled) {
			t.Errorf("reply %+v", reply)
		}
	}
	if answered != 2 {
		t.Errorf("%d have answered", answered)
	}
	for _, name := range c.names {
		eventually(t, "nobody to owe an answer", func() bool { return c.sockets[name].expecting() == 0 })
		c.clients[name].send(`3` + asked[name] + `["too late"]`)
		c.clients[name].expectAlive()
	}
}

func TestClusterJoinLeaveDisconnect(t *testing.T) {
	c := newClusterTest(t)
	n, sender := c.servers[0].Of("/"), c.sockets["0-websocket"]
	members := func(room string) string {
		var names []string
		for _, name := range c.names {
			if slices.Contains(c.sockets[name].Rooms(), room) {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	sender.Broadcast().Join("red", "blue")
	if got := members("red"); got != strings.Join(c.names[1:], " ") {
		t.Errorf("red are %s", got)
	}
	n.To(c.sockets["1-polling"].ID(), sender.ID()).Leave("red")
	n.Everyone().Except("red").Leave("blue")
	want := slices.DeleteFunc(slices.Clone(c.names[1:]), func(name string) bool { return name == "1-polling" })
	if got := members("blue"); got != strings.Join(want, " ") {
		t.Errorf("blue are %s, want %v", got, want)
	}
	n.To("blue").Disconnect(false)
	for _, name := range want {
		c.clients[name].expect("1")
		c.clients[name].expectAlive()
	}
	n.To(c.sockets["1-polling"].ID()).Disconnect(true)
	c.clients["1-polling"].expectEnd()
	sender.Broadcast().Disconnect(true)
	c.clients["0-websocket"].expectAlive()
}

func TestClusterSockets(t *testing.T) {
	c := newClusterTest(t)
	c.sockets["2-polling"].Admit("b", "a")
	n, sender := c.servers[0].Of("/"), c.sockets["0-websocket"]
	var want []string
	for _, name := range c.names[1:] {
		want = append(want, c.sockets[name].ID())
	}
	states, err := sender.Broadcast().FetchSockets(t.Context())
	var got []string
	for _, state := range states {
		got = append(got, state.ID)
		if state.Namespace != "/" || state.Handshake.RemoteAddr != "127.0.0.1" {
			t.Errorf("state %+v", state)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, sockets %q, want %q", err, got, want)
	}
	if got := sender.Broadcast().Sockets(); len(got) != 1 || got[0] != c.sockets["0-polling"] {
		t.Errorf("%d sockets here", len(got))
	}
	states, err = n.To("a").FetchSockets(t.Context())
	if err != nil || len(states) != 1 || states[0].ID != c.sockets["2-polling"].ID() || strings.Join(states[0].Rooms, " ") != "a b" {
		t.Errorf("%v, in the room %+v", err, states)
	}
}

// told makes an event set that hands over what it is told.
func told(event string, to chan<- string) EventSet {
	return handlers(func(n *Namespace, h *Handlers) {
		_ = h.OnTell(event, func(args packet.Args) { to <- n.Name() + " " + listOf(args) })
	})
}

func TestClusterTell(t *testing.T) {
	heard := make(chan string, 10)
	c := newClusterTest(t, told("figures", heard))
	if _, err := c.servers[1].Use("/other", told("figures", heard)); err != nil {
		t.Fatal(err)
	}
	n := c.servers[0].Of("/")
	n.Tell("nothing that anyone knows", packet.Args{})
	n.Tell("figures", mustArgs(1, "two"))
	for range 2 {
		if got := receive(t, "what is told", heard); got != `/ 1,"two"` {
			t.Errorf("told %s", got)
		}
	}
	c.servers[0].Of("/other").Tell("figures", packet.Args{})
	if got := receive(t, "what is told elsewhere", heard); got != "/other " {
		t.Errorf("told %s", got)
	}
	if len(heard) != 0 {
		t.Errorf("also told %s", <-heard)
	}
	c.expect(t, "what is told", nil)
	if err := n.Use(handlers(func(_ *Namespace, h *Handlers) {
		_ = h.OnTell("figures", func(packet.Args) { panic("deliberate") })
		if err := h.OnTell("figures", func(packet.Args) {}); err == nil {
			t.Error("two may be told the same")
		}
	})); err != nil {
		t.Fatal(err)
	}
	c.servers[1].Of("/").Tell("figures", packet.Args{})
	if got := c.servers[0].logs.all("panic in an adapter"); len(got) != 1 || got[0].attrs["during"] != "telling figures" {
		t.Errorf("logged %+v", got)
	}
}

// TestBrokenAdapterHarmsNobody holds that the clients of this process get what
// is theirs, whatever the adapter does.
func TestBrokenAdapterHarmsNobody(t *testing.T) {
	for _, panics := range []bool{false, true} {
		t.Run(fmt.Sprintf("panics %t", panics), func(t *testing.T) {
			broken := &brokenAdapter{panics: panics}
			s, one, two, oneID := newBrokenTest(t, broken, relayTo("message"))
			n := s.Of("/")
			one.send(`2["message",1]`)
			two.expect(`2["message",1]`)
			n.To(oneID).Join("red")
			n.Everyone().Except("red").Join("blue")
			n.Everyone().Leave("blue")
			if n.Count("red") != 1 || n.Count("blue") != 0 {
				t.Errorf("%d in red, %d in blue", n.Count("red"), n.Count("blue"))
			}
			n.Tell("figures", packet.Args{})
			states, err := n.Everyone().FetchSockets(t.Context())
			if len(states) != 2 || !errors.Is(err, errAdapter) && !panics || !errors.Is(err, errAdapterPanic) && panics {
				t.Errorf("%d sockets, %v", len(states), err)
			}
			done := callOf(t.Context(), n.To("red"))
			one.send(`3` + ackID(t, one.next()) + `["yes"]`)
			got := receive(t, "the replies", done)
			if got.texts() != oneID+`="yes" <nil>` || !errors.Is(got.err, errAdapter) && !panics || !errors.Is(got.err, errAdapterPanic) && panics {
				t.Errorf("replies %s, %v", got.texts(), got.err)
			}
			n.To("red").Disconnect(true)
			one.expectEnd()
			two.expectAlive()
			if s.Remove("/") != 1 {
				t.Error("another was there, or none")
			}
			eventually(t, "the adapter to be closed", func() bool { return broken.closed.Load() == 1 })
			logged := s.logs.all("panic in an adapter")
			for _, line := range logged {
				if !strings.Contains(line.attrs["stack"], "_test.go") || line.attrs["namespace"] != "/" {
					t.Errorf("logged %+v", line)
				}
			}
			if panics != (len(logged) > 0) {
				t.Errorf("logged %+v", logged)
			}
			if !panics {
				eventually(t, "the error of closing", func() bool { return len(s.logs.all("closing an adapter failed")) == 1 })
			}
		})
	}
}

// hungAdapter does not come back from what may wait, whatever ctx says, before
// it is let go.
type hungAdapter struct {
	brokenAdapter
	let chan struct{}
}

func (h *hungAdapter) Call(context.Context, *packet.Packet, Target, func(Reply)) (int, error) {
	<-h.let
	return 1, nil
}

func (h *hungAdapter) Sockets(context.Context, Target) ([]SocketState, error) {
	<-h.let
	return nil, nil
}

func TestNobodyWaitsForAnAdapterLongerThanTheyWant(t *testing.T) {
	hung := &hungAdapter{let: make(chan struct{})}
	defer close(hung.let)
	s := newTestServer(t, Options{Adapter: func(Local) (Adapter, error) { return hung, nil }})
	client, id := s.connected(engineio.WebSocket)
	ctx, cancel := context.WithCancel(t.Context())
	done := callOf(ctx, s.Of("/").Everyone())
	client.send(`3` + ackID(t, client.next()) + `["yes"]`)
	eventually(t, "the answer", func() bool { return s.Find(id).expecting() == 0 })
	cancel()
	got := receive(t, "the end of the call", done)
	if !errors.Is(got.err, context.Canceled) || got.texts() != id+`="yes" <nil>` {
		t.Errorf("replies %s, %v", got.texts(), got.err)
	}
	states, err := s.Of("/").Everyone().FetchSockets(ctx)
	if !errors.Is(err, context.Canceled) || len(states) != 1 {
		t.Errorf("%d sockets, %v", len(states), err)
	}
}

// slowAdapter has not done with a broadcast before it is let go.
type slowAdapter struct {
	brokenAdapter
	let chan struct{}
}

func (s *slowAdapter) Broadcast(*packet.Packet, Target) { <-s.let }

func TestLocalClientsComeFirst(t *testing.T) {
	slow := &slowAdapter{let: make(chan struct{})}
	s := newTestServer(t, Options{Adapter: func(Local) (Adapter, error) { return slow, nil }})
	client, _ := s.connected(engineio.WebSocket)
	done := make(chan error, 1)
	go func() { done <- s.Of("/").EmitArgs("news", packet.Args{}) }()
	client.expect(`2["news"]`)
	close(slow.let)
	if err := receive(t, "the end of the broadcast", done); err != nil {
		t.Error(err)
	}
}

// TestLocalTakesOnlyEventsOfItsNamespace holds that an adapter that mixes
// something up does not spoil what clients get.
func TestLocalTakesOnlyEventsOfItsNamespace(t *testing.T) {
	c := newClusterTest(t)
	local := c.cluster.of(0, "/")[0].local
	for _, p := range []*packet.Packet{
		{Type: packet.TypeEvent, Namespace: "/other", Event: "news"},
		{Type: packet.TypeDisconnect, Namespace: "/"},
		{},
	} {
		local.Broadcast(p, Target{})
		if n := local.Call(t.Context(), p, Target{}, func(Reply) { t.Error("a reply") }); n != 0 {
			t.Errorf("%d were asked", n)
		}
	}
	c.expect(t, "what is no event", nil)
	if logged := c.servers[0].logs.all("packet from an adapter that is no event of its namespace"); len(logged) != 6 {
		t.Errorf("logged %+v", logged)
	}
}
