package streaming

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// A socket that is retired is told, and its connection ends with it, unless it has another namespace.
func TestRetireEndsTheConnectionWithItsLastSocket(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			sockets := make(chan *Socket, 2)
			s := newTestServer(t, Options{}, onConnect(sockets))
			if err := s.Of("/other").Use(onConnect(sockets)); err != nil {
				t.Fatal(err)
			}
			c, _ := s.connected(transport)
			first := receive(t, "a socket", sockets)
			c.connect("/other")
			second := receive(t, "a socket", sockets)
			first.Retire()
			c.expect("1")
			c.expectAlive()
			second.Retire()
			second.Retire()
			c.expect("1/other,")
			c.expectEnd()
		})
	}
}

// holding is an event set that keeps the sockets for which it is true.
type holding struct{ held atomic.Bool }

func (h *holding) Register(_ *Namespace, handlers *Handlers) error {
	handlers.Holds(func(*Socket) bool { return h.held.Load() })
	return nil
}

// A socket that is in a room, or has something of an event set, is not retired.
func TestRetireLeavesASocketWhatItHas(t *testing.T) {
	sockets := make(chan *Socket, 1)
	sets := [2]holding{}
	s := newTestServer(t, Options{}, onConnect(sockets), &sets[0], &sets[1])
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	stays := func(while string) {
		t.Helper()
		socket.Retire()
		decided := make(chan struct{})
		socket.Do(func() { close(decided) })
		receive(t, "the decision", decided)
		c.expectAlive()
		if !socket.Connected() {
			t.Fatalf("retired while %s", while)
		}
	}
	for i := range sets {
		sets[i].held.Store(true)
		stays("an event set has something of it")
		sets[i].held.Store(false)
	}
	socket.Admit("room")
	stays("it is in a room")
	socket.Leave("room")
	socket.Retire()
	c.expect("1")
	c.expectEnd()
}

// Who answers a ping is there, on whatever transport, and is not waited for any longer.
func TestSilentTellsWhoDoesNotAnswer(t *testing.T) {
	sockets := make(chan *Socket, 4)
	s := newTestServer(t, Options{}, onConnect(sockets))
	for _, transport := range bothTransports {
		s.connected(transport)
	}
	live := []*Socket{receive(t, "a socket", sockets), receive(t, "a socket", sockets)}
	if silent := Silent(context.Background(), live, patience); len(silent) > 0 {
		t.Errorf("%d clients are silent that are there", len(silent))
	}
	raw := rawclient.New(s.url)
	defer raw.Close()
	conn, err := raw.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// Without this the connection may be collected, and so closed, while nobody uses it.
	defer func() { _ = conn.Close() }()
	if err := conn.WriteText("40"); err != nil {
		t.Fatal(err)
	}
	deaf := receive(t, "a socket", sockets)
	gone, _ := s.connected(engineio.Polling)
	ghost := receive(t, "a socket", sockets)
	gone.vanish()
	if silent := Silent(context.Background(), []*Socket{deaf, ghost}, 100*time.Millisecond); len(silent) != 2 {
		t.Errorf("%d clients are silent of two", len(silent))
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if silent := Silent(over, []*Socket{deaf}, patience); silent != nil {
		t.Error("somebody is silent although nobody waits")
	}
	for _, s := range []*Socket{deaf, ghost} {
		s.Drop()
		eventually(t, "the socket to end", func() bool { return !s.Connected() })
	}
	// Of one that has ended nothing is waited for, and those that are there have as long as they need.
	silent := Silent(context.Background(), append(live, deaf, ghost), patience)
	if len(silent) != 2 || silent[0] != deaf || silent[1] != ghost {
		t.Errorf("%d clients are silent of two that have ended", len(silent))
	}
}
