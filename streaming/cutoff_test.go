package streaming

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// idle connects a client on long-polling that does not poll any more.
func (s *testServer) idle(sockets <-chan *Socket) *Socket {
	s.t.Helper()
	raw := rawclient.New(s.url)
	s.t.Cleanup(raw.Close)
	p, err := raw.Handshake(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := p.Post(s.t.Context(), "40"); err != nil {
		s.t.Fatal(err)
	}
	return receive(s.t, "a socket", sockets)
}

// fill sends to a client that takes nothing, until its queue has no room for any event.
func (s *testServer) fill(socket *Socket) {
	s.t.Helper()
	before, limit := socket.Backlog()
	if err := socket.Emit("x"); err != nil {
		s.t.Fatal(err)
	}
	waiting, _ := socket.Backlog()
	for each := waiting - before; waiting+each <= limit; waiting, _ = socket.Backlog() {
		if err := socket.Emit("x"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestWhoeverHearsOfACutOffMayBroadcast has a broadcast end a client whose queue is full.
// Who waits for an answer of that client broadcasts when it hears of the end: also where
// the first broadcast holds something meanwhile.
func TestWhoeverHearsOfACutOffMayBroadcast(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		before  func(*Socket)
	}{
		{"the turn to broadcast to other processes", Options{Adapter: new(cluster).adapter(0)}, func(*Socket) {}},
		// A client that has just connected is in its namespace, and a broadcast may be the
		// first to greet it. That takes room in its queue as well.
		{"order locks, for the greeting", Options{}, func(s *Socket) { s.greeted.Store(notGreeted) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			sockets := make(chan *Socket, 2)
			test.options.Engine = engineio.Options{SendBuffer: 20_000}
			s := newTestServer(t, test.options, onConnect(sockets))
			n := s.Of("/")
			socket := s.idle(sockets)
			reader, _ := s.connected(engineio.WebSocket)
			question := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: "question"}
			Local{n}.Call(t.Context(), question, Target{Rooms: []string{socket.ID()}}, func(Reply) { _ = n.Emit("silent") })
			s.fill(socket)
			test.before(socket)
			done := make(chan error, 1)
			go func() { done <- n.Emit("news", strings.Repeat("x", 1000)) }()
			if err := receive(t, "the end of the broadcast", done); err != nil {
				t.Error(err)
			}
			if m := reader.next(); !strings.HasPrefix(m.text, `2["news",`) {
				t.Errorf("got %v", m)
			}
			reader.expect(`2["silent"]`)
			eventually(t, "the client to be gone", func() bool { return !socket.Connected() })
		})
	}
}
