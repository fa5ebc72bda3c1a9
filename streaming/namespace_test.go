package streaming

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// tally is what a set of handlers keeps.
type tally struct {
	created *Namespace
	events  atomic.Int64
}

func counting(version int64, seen *[2]atomic.Int64) handlers {
	return func(n *Namespace, h *Handlers) {
		state := State(n, func(n *Namespace) *tally { return &tally{created: n} })
		_ = h.On("count", func(*Event) {
			state.events.Add(1)
			seen[version].Add(1)
		})
	}
}

// Use replaces the handlers while events flow: each event is handled once, by
// the old or the new ones, and what they keep survives.
func TestUseSwapsHandlersWhileEventsFlow(t *testing.T) {
	const clients, swaps = 4, 100
	var seen [2]atomic.Int64
	s := newTestServer(t, Options{}, counting(0, &seen))
	n := s.Of("/")
	state := State(n, func(*Namespace) *tally { t.Error("there is no state"); return nil })
	var senders []*testClient
	for i := range clients {
		c, _ := s.connected(bothTransports[i%2])
		senders = append(senders, c)
	}
	var sending sync.WaitGroup
	var sent atomic.Int64
	stop := make(chan struct{})
	for _, c := range senders {
		sending.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.trySend(`2["count"]`); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for swap := range int64(swaps) {
		version := (swap + 1) % 2
		before := seen[version].Load()
		if err := n.Use(counting(version, &seen)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "an event to be handled by the new handlers", func() bool { return seen[version].Load() > before })
	}
	close(stop)
	sending.Wait()
	eventually(t, "all to be handled", func() bool { return state.events.Load() == sent.Load() })
	if total := seen[0].Load() + seen[1].Load(); total != sent.Load() {
		t.Errorf("handled %d and %d of %d", seen[0].Load(), seen[1].Load(), sent.Load())
	}
	if state != State(n, func(*Namespace) *tally { return nil }) || state.created != n {
		t.Error("the state was not kept")
	}
	if State(s.Of("/other"), func(*Namespace) *tally { return new(tally) }) == state {
		t.Error("two namespaces have one state")
	}
}

func TestUseThatFailsChangesNothing(t *testing.T) {
	s := newTestServer(t, Options{}, on("ask", func(e *Event) { e.Ack.Reply(mustArgs("old")) }))
	n := s.Of("/")
	failure := errors.New("deliberate")
	if err := n.Use(on("ask", func(*Event) {}), failingSet{failure}); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	twice := handlers(func(_ *Namespace, h *Handlers) {
		if err := h.On("ask", func(*Event) {}); err != nil {
			t.Error(err)
		}
		if err := h.On("ask", func(*Event) {}); err == nil {
			t.Error("an event has two handlers")
		}
		if err := h.On("", func(*Event) {}); err == nil {
			t.Error("an event without a name has a handler")
		}
	})
	if err := n.Use(twice, failingSet{failure}); err == nil {
		t.Error("no error")
	}
	c, _ := s.connected(engineio.WebSocket)
	c.send(`27["ask"]`)
	c.expect(`37["old"]`)
	if err := n.Use(refusingUnknown()); err != nil {
		t.Fatal(err)
	}
	c.send(`28["ask"]`)
	c.expect(`38[{"success":false,"error":"unknown event","code":"unknown_event"}]`)
}

type failingSet struct{ err error }

func (f failingSet) Register(*Namespace, *Handlers) error { return f.err }

// A namespace that is removed disconnects its sockets; their connections and
// the other namespaces live, and nobody can connect to it any more.
func TestRemoveNamespace(t *testing.T) {
	gone := make(chan Reason, 10)
	s := newTestServer(t, Options{})
	if err := s.Of("/old").Use(handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, r Reason) { gone <- r })
	})); err != nil {
		t.Fatal(err)
	}
	s.Of("/old/other")
	var clients []*testClient
	for _, transport := range bothTransports {
		c, _ := s.connected(transport)
		c.connect("/old")
		c.connect("/old/other")
		clients = append(clients, c)
	}
	s.Remove("/old")
	s.Remove("/never there")
	for _, c := range clients {
		c.expect("1/old,")
		if reason := receive(t, "the disconnect", gone); reason != ReasonNamespaceRemoved {
			t.Errorf("reason %s", reason)
		}
		c.send("0/old,")
		c.expect(`4/old,{"message":"Invalid namespace"}`)
		c.expectAlive()
	}
	var names []string
	for _, n := range s.Namespaces() {
		names = append(names, n.Name())
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"/", "/old/other"}) {
		t.Errorf("namespaces %v", names)
	}
	// The name may be used again.
	s.Of("/old")
	clients[0].connect("/old")
}

// Who is about to connect to a namespace when it is removed does not become a
// member of what nobody can reach any more.
func TestRemoveNamespaceWhileConnecting(t *testing.T) {
	asked := make(chan struct{})
	decide := make(chan struct{})
	s := newTestServer(t, Options{})
	n := s.Of("/old")
	var connected, disconnected atomic.Int32
	if err := n.Use(handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(context.Context, *Socket) error {
			asked <- struct{}{}
			<-decide
			return nil
		})
		h.OnConnect(func(*Socket) { connected.Add(1) })
		h.OnDisconnect(func(*Socket, Reason) { disconnected.Add(1) })
	})); err != nil {
		t.Fatal(err)
	}
	c, _ := s.connected(engineio.WebSocket)
	c.send("0/old,")
	receive(t, "the authorization", asked)
	s.Remove("/old")
	close(decide)
	for m := c.next(); m.text != "1/old," && m.text != `4/old,{"message":"Invalid namespace"}`; m = c.next() {
		t.Logf("got %v", m)
	}
	eventually(t, "the namespace to be empty", func() bool { return len(n.Everyone().Sockets()) == 0 && connected.Load() == disconnected.Load() })
	c.expectAlive()
}

// The same when everything happens at once.
func TestRemoveNamespaceWhileManyConnect(t *testing.T) {
	const clients, rounds = 8, 20
	s := newTestServer(t, Options{})
	var removed []*Namespace
	l := newLives()
	var connecting sync.WaitGroup
	stop := make(chan struct{})
	for i := range clients {
		connecting.Go(func() {
			c, err := dialClient(s, bothTransports[i%2])
			if err != nil {
				t.Error(err)
				return
			}
			defer c.close()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.trySend("0/room,"); err != nil {
					t.Error(err)
					return
				}
				// It is refused, or connected and then disconnected.
				for {
					m, err := c.read()
					if err != nil {
						t.Error(err)
						return
					}
					if m.text == "1/room," || m.text == `4/room,{"message":"Invalid namespace"}` {
						break
					}
				}
			}
		})
	}
	for range rounds {
		n, err := s.Use("/room", l)
		if err != nil {
			t.Fatal(err)
		}
		removed = append(removed, n)
		before := len(l.snapshot())
		eventually(t, "someone to connect", func() bool { return len(l.snapshot()) > before })
		s.Remove("/room")
	}
	close(stop)
	connecting.Wait()
	l.check(t, s)
	for _, n := range removed {
		if n := len(n.Everyone().Sockets()); n != 0 {
			t.Errorf("%d sockets in a namespace that was removed", n)
		}
	}
}

// snapshot lists the sockets that have connected.
func (l *lives) snapshot() (sockets []*Socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.connected {
		sockets = append(sockets, s)
	}
	return sockets
}
