package streaming

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// counted returns what is counted for a namespace that there is.
func (s *testServer) counted(namespace string) NamespaceMetrics {
	s.t.Helper()
	for _, n := range s.Metrics().Namespaces {
		if n.Name == namespace {
			return n
		}
	}
	s.t.Fatalf("nothing is counted for %s", namespace)
	return NamespaceMetrics{}
}

// met returns how often a limit was met.
func (s *testServer) met(limit engineio.Limit) int64 {
	return s.Metrics().Limited.Of(string(limit))
}

func TestMetricsOfEvents(t *testing.T) {
	sockets := make(chan *Socket, 2)
	s := newTestServer(t, Options{}, onConnect(sockets), relayTo("message"))
	one, _ := s.connected(engineio.WebSocket)
	first := receive(t, "a socket", sockets)
	two, _ := s.connected(engineio.Polling)
	receive(t, "a socket", sockets)

	one.send(`2["message","a"]`)
	two.expect(`2["message","a"]`)
	one.send(`2["nobody knows"]`)
	one.expectAlive()
	if err := first.EmitArgs("told", mustArgs()); err != nil {
		t.Fatal(err)
	}
	one.expect(`2["told"]`)
	_ = s.Of("/").EmitArgs("all", mustArgs())
	one.expect(`2["all"]`)
	two.expect(`2["all"]`)
	first.Admit("a", "b")

	// What nobody knows is refused when its turn comes.
	eventually(t, "the event that nobody knows to be refused", func() bool { return s.counted("/").RefusedEvents.Of(CodeUnknownEvent) > 0 })
	got := s.counted("/")
	if got.Sockets != 2 || got.Rooms != 2 || got.Connects != 2 || got.EventsIn != 2 || got.EventsOut != 3 || got.RefusedEvents.Of(CodeUnknownEvent) != 1 {
		t.Errorf("got %+v", got)
	}
	one.vanish()
	two.close()
	eventually(t, "the sockets to be counted off", func() bool {
		got := s.counted("/")
		return got.Sockets == 0 && got.Rooms == 0 && got.Connects == 2
	})
}

func TestMetricsOfAcks(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)

	// An answer that is too late counts for nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := socket.Call(ctx, "ask", mustArgs()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.send("3" + ackID(t, c.next()) + "[]")
	c.expectAlive()
	if got := s.counted("/").AckLatency; got.Count() != 0 {
		t.Errorf("answers are counted that were not waited for: %+v", got)
	}

	answers := make(chan packet.Args, 1)
	if err := socket.EmitWithAck("ask", mustArgs(), patience, func(args packet.Args, _ error) { answers <- args }); err != nil {
		t.Fatal(err)
	}
	c.send("3" + ackID(t, c.next()) + "[1]")
	receive(t, "an answer", answers)
	replies := make(chan []Reply, 1)
	go func() {
		all, _ := s.Of("/").Everyone().Call(t.Context(), "ask all", mustArgs())
		replies <- all
	}()
	c.send("3" + ackID(t, c.next()) + "[2]")
	receive(t, "an answer", replies)
	got := s.counted("/")
	if got.AckLatency.Count() != 2 || got.AckLatency.Sum <= 0 || got.AckLatency.Sum > 2*int64(patience/time.Nanosecond) {
		t.Errorf("got %+v", got.AckLatency)
	}
	if got.EventsOut != 3 {
		t.Errorf("%d events to clients, want 3", got.EventsOut)
	}
}

func TestMetricsOfRefusedClients(t *testing.T) {
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(context.Context, *Socket) error { return errors.New("nobody") })
	}))
	c := s.dial(engineio.WebSocket)
	for _, namespace := range []string{"/", "/nowhere"} {
		if _, err := c.tryConnect(namespace); err == nil {
			t.Errorf("%s lets everyone in", namespace)
		}
	}
	m := s.Metrics()
	if m.NotAuthorized != 1 || m.InvalidNamespaces != 1 {
		t.Errorf("%d not authorized, %d invalid", m.NotAuthorized, m.InvalidNamespaces)
	}
	if got := s.counted("/"); got.Connects != 0 || got.Sockets != 0 {
		t.Errorf("got %+v", got)
	}
	if len(m.Namespaces) != 1 {
		t.Errorf("what a client asked for is counted by name: %+v", m.Namespaces)
	}
}

// TestMetricsOutliveNamespaces holds that a namespace that is removed and comes
// back goes on where it was.
func TestMetricsOutliveNamespaces(t *testing.T) {
	started := Figure{Name: "started_total", Counter: true}
	set := handlers(func(n *Namespace, h *Handlers) {
		h.Gauge(Figure{Name: "open"}, func() float64 { return 7 })
		n.Counter(started).Add(0, 1)
	})
	s := newTestServer(t, Options{})
	for life := range 3 {
		n := s.Of("/again")
		// Each set in its turn counts with the same counter.
		for range 2 {
			if err := n.Use(set); err != nil {
				t.Fatal(err)
			}
		}
		_ = n.EmitArgs("event", packet.Args{})
		want := []FigureValue{{Figure{Name: "open"}, 7}, {started, float64(2 * (life + 1))}}
		if got := s.counted("/again"); got.EventsOut != int64(life+1) || !slices.Equal(got.Figures, want) {
			t.Errorf("life %d: got %+v", life, got)
		}
		s.Remove("/again")
		for _, n := range s.Metrics().Namespaces {
			if n.Name == "/again" {
				t.Error("a namespace that is gone is told")
			}
		}
	}
}

// TestFiguresThatGoWrong holds that a set that panics, or that uses a name
// again, takes nothing away from the others.
func TestFiguresThatGoWrong(t *testing.T) {
	s := newTestServer(t, Options{}, handlers(func(n *Namespace, h *Handlers) {
		h.Gauge(Figure{Name: "bad"}, func() float64 { panic("bad") })
		h.Gauge(Figure{Name: "twice"}, func() float64 { return 1 })
		h.Gauge(Figure{Name: "twice", Help: "again"}, func() float64 { return 2 })
		n.Counter(Figure{Name: "twice", Counter: true}).Add(0, 3)
	}))
	if got := s.counted("/").Figures; !slices.Equal(got, []FigureValue{{Figure{Name: "twice"}, 1}}) {
		t.Errorf("got %+v", got)
	}
	if lines := s.logs.all("panic while reading a figure"); len(lines) != 1 || lines[0].attrs["figure"] != "bad" {
		t.Errorf("logged %+v", lines)
	}
}
