package streaming

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestKickDuringABacklog kicks a client out of one of its namespaces while most of what a
// POST of it has brought waits, since the client has sent more than it may. Nothing of
// that is handled in the namespace any more, all of it is in the other one, and the client
// is not blamed for what it could not know.
func TestKickDuringABacklog(t *testing.T) {
	const events = 60
	var root, chat atomic.Int64
	counting := func(n *atomic.Int64) EventSet { return on("count", func(*Event) { n.Add(1) }) }
	rate := &engineio.Rate{Amount: 100, Per: time.Second, Burst: 10}
	s := newTestServer(t, Options{Limits: Limits{Events: rate}}, counting(&root))
	if _, err := s.Use("/chat", counting(&chat), echo()); err != nil {
		t.Fatal(err)
	}
	c, id := s.connected(engineio.Polling)
	c.connect("/chat")
	socket := s.Find(id)
	var packets []any
	for range events {
		packets = append(packets, `2["count"]`, `2/chat,["count"]`)
	}
	c.send(packets...)
	eventually(t, "some to be handled", func() bool { return root.Load() > 0 })
	socket.Kick(false)
	eventually(t, "the handlers of the socket to end", func() bool {
		socket.mu.Lock()
		defer socket.mu.Unlock()
		return !socket.inbox.running
	})
	handled := root.Load()
	if handled >= events {
		t.Fatal("there was no backlog")
	}
	c.expect(`2["error",{"message":"disconnected by an operator","code":"kicked"}]`, "1")
	c.expectChat()
	if got := chat.Load(); got != events {
		t.Errorf("%d of %d events were handled in the other namespace", got, events)
	}
	if got := root.Load(); got != handled {
		t.Errorf("%d events were handled after the kick", got-handled)
	}
	c.expectAlive()
}

// TestKickOfTheConnectionDuringABacklog holds that the client is told in both namespaces,
// and that nothing of its backlog is kept.
func TestKickOfTheConnectionDuringABacklog(t *testing.T) {
	s, c, root := serveChat(t, engineio.Polling, Options{Limits: Limits{Events: rarely(5)}})
	packets := []any{}
	for range 200 {
		packets = append(packets, `2["none"]`)
	}
	c.send(packets...)
	eventually(t, "a backlog", func() bool { return s.Metrics().Engine.KeptBytes > 0 })
	root.Kick(true)
	const why = `["error",{"message":"disconnected by an operator","code":"kicked"}]`
	var told []string
	for _, m := range c.expectEnd() {
		told = append(told, m.text)
	}
	if got, want := strings.Join(told, " "), "2"+why+" 1 2/chat,"+why+" 1/chat,"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	eventually(t, "nothing to be kept", func() bool { return s.Metrics().Engine.KeptBytes == 0 })
}

// TestNamespaceIsRemovedUnderManySenders removes a namespace and makes it again while many
// broadcast in it, to everyone and to rooms, and members come and go. Nobody is stuck, and
// what two members have both got of a namespace they have got in one order.
func TestNamespaceIsRemovedUnderManySenders(t *testing.T) {
	const senders, receivers, rounds = 32, 12, 15
	s := newTestServer(t, Options{})
	room := func(i int) string { return fmt.Sprint("room", i%3) }
	use := func() *Namespace {
		n, err := s.Use("/chat", handlers(func(_ *Namespace, h *Handlers) {
			h.OnConnect(func(s *Socket) { s.Admit(room(len(s.ID())+int(s.ID()[0])), "all") })
		}))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var now atomic.Pointer[Namespace]
	now.Store(use())
	clients := make([]*testClient, receivers)
	for i := range clients {
		clients[i], _ = s.connected(bothTransports[i%2])
	}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	for sender := range senders {
		sending.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				n := now.Load()
				to := n.Everyone()
				if i%3 > 0 {
					to = n.To(room(i), room(i+1))
				}
				_ = to.Emit("set", fmt.Sprint(sender, "-", i))
				// No faster than the clients read.
				time.Sleep(time.Millisecond)
			}
		})
	}
	for round := range rounds {
		for _, c := range clients {
			c.connect("/chat")
		}
		n := now.Load()
		eventually(t, "all to be members", func() bool { return n.Count("all") == receivers })
		if removed := s.Remove("/chat"); removed != receivers {
			t.Fatalf("round %d: %d were removed", round, removed)
		}
		got, names := make(map[string][]string), []string{}
		for i, c := range clients {
			name := fmt.Sprint(i)
			names = append(names, name)
			for m := c.next(); m.text != "1/chat,"; m = c.next() {
				if event, ok := strings.CutPrefix(m.text, `2/chat,["set",`); ok {
					got[name] = append(got[name], event)
				}
			}
		}
		agree(t, names, got)
		n.rooms.checkEmpty(t)
		now.Store(use())
	}
	close(stop)
	sending.Wait()
}
