package streaming

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const internalError = `2["error",{"message":"internal error","code":"internal_error"}]`

// expectPanics waits for so many logged panics, during these events.
func (s *testServer) expectPanics(during ...string) {
	s.t.Helper()
	eventually(s.t, "the panic to be logged", func() bool { return len(s.logs.panics(s.t)) == len(during) })
	for i, record := range s.logs.panics(s.t) {
		if record.attrs["event"] != during[i] || record.attrs["namespace"] != "/" || record.attrs["panic"] != "deliberate" {
			s.t.Errorf("logged %+v", record)
		}
	}
}

// panicking panics where the client says so in its auth payload.
func panicking() handlers {
	at := func(s *Socket, place string) {
		if where, _ := s.AuthObject().Text("panic"); where == place {
			panic("deliberate")
		}
	}
	return func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(_ context.Context, s *Socket) error { at(s, "authorize"); return nil })
		h.OnConnect(func(s *Socket) { at(s, "connect") })
		h.OnDisconnect(func(s *Socket, _ Reason) { at(s, "disconnect") })
		_ = h.On("panic", func(*Event) { panic("deliberate") })
		_ = h.On("fine", func(e *Event) { e.Ack.Reply(mustArgs("fine")) })
		_ = h.On("nil", func(e *Event) { _ = e.Args.At(0)[0] })
	}
}

// A panic in a handler of an event: that socket gets an error, the event is
// refused, and everything else lives.
func TestPanicInEventHandler(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{}, panicking())
			witness, _ := s.connected(transport)
			c, _ := s.connected(transport)
			c.send(`2["panic"]`, `27["panic",{}]`, `28["fine"]`)
			c.expect(internalError, `37[{"success":false,"error":"internal error","code":"internal_error"}]`, internalError, `38["fine"]`)
			s.expectPanics("panic", "panic")
			c.send(`2["nil"]`)
			c.expect(internalError)
			c.expectAlive()
			witness.send(`29["fine"]`)
			witness.expect(`39["fine"]`)
		})
	}
}

func TestPanicInOnConnect(t *testing.T) {
	s := newTestServer(t, Options{}, panicking())
	witness, _ := s.connected(engineio.WebSocket)
	c := s.dial(engineio.WebSocket)
	c.send(`0{"panic":"connect"}`)
	c.next()
	c.expect(internalError)
	s.expectPanics("connect")
	c.send(`28["fine"]`)
	c.expect(`38["fine"]`)
	if n := len(s.Of("/").Everyone().Sockets()); n != 2 {
		t.Errorf("%d sockets", n)
	}
	witness.expectAlive()
}

// A client whose authorization panics is refused, and told no details.
func TestPanicInOnAuthorize(t *testing.T) {
	s := newTestServer(t, Options{}, panicking())
	witness, _ := s.connected(engineio.WebSocket)
	c := s.dial(engineio.WebSocket)
	c.send(`0{"panic":"authorize"}`)
	c.expect(`4{"message":"internal error"}`)
	s.expectPanics("connect")
	if n := len(s.Of("/").Everyone().Sockets()); n != 1 {
		t.Errorf("%d sockets", n)
	}
	c.connect("/")
	witness.expectAlive()
}

// A panic in one OnDisconnect handler keeps no other from running.
func TestPanicInOnDisconnect(t *testing.T) {
	gone := make(chan Reason, 1)
	s := newTestServer(t, Options{}, panicking(), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, r Reason) { gone <- r })
	}))
	witness, _ := s.connected(engineio.WebSocket)
	c := s.dial(engineio.WebSocket)
	c.send(`0{"panic":"disconnect"}`)
	c.next()
	c.send("1")
	if reason := receive(t, "the disconnect", gone); reason != ReasonClientDisconnect {
		t.Errorf("reason %s", reason)
	}
	s.expectPanics("disconnect")
	// It is out, and is not told of the panic.
	c.expectAlive()
	witness.expectAlive()
	if n := len(s.Of("/").Everyone().Sockets()); n != 1 {
		t.Errorf("%d sockets", n)
	}
}

func TestPanicInAckCallback(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets), panicking())
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	ask := func(timeout time.Duration) {
		t.Helper()
		if err := socket.EmitWithAck("question", packet.Args{}, timeout, func(packet.Args, error) { panic("deliberate") }); err != nil {
			t.Fatal(err)
		}
	}
	ask(patience)
	c.send(`3` + ackID(t, c.next()) + `[]`)
	c.expect(internalError)
	s.expectPanics("acknowledgement")

	// After a timeout.
	ask(20 * time.Millisecond)
	c.next()
	c.expect(internalError)
	s.expectPanics("acknowledgement", "acknowledgement")
	c.send(`28["fine"]`)
	c.expect(`38["fine"]`)

	// After the client has gone.
	ask(patience)
	c.vanish()
	s.expectPanics("acknowledgement", "acknowledgement", "acknowledgement")
	s.empty()
}

// A client that has left before its OnConnect handler panics is not refused
// what it asks for next.
func TestPanicInOnConnectAfterTheClientHasLeft(t *testing.T) {
	gone := make(chan struct{}, 2)
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnConnect(func(s *Socket) {
			if s.Auth() != nil {
				eventually(t, "the client to leave", func() bool { return !s.Connected() })
				panic("deliberate")
			}
		})
		h.OnDisconnect(func(*Socket, Reason) { gone <- struct{}{} })
	}))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"slow":true}`)
	c.next()
	c.send("1")
	receive(t, "the disconnect", gone)
	s.expectPanics("connect")
	c.connect("/")
	c.expectAlive()
}
