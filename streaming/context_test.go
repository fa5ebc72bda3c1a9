package streaming

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// waiting makes an event set whose event "wait" ends with the event's context,
// and tells why.
func waiting(causes chan<- error) EventSet {
	return on("wait", func(e *Event) {
		e.Ack.Reply(mustArgs("waiting"))
		<-e.Context().Done()
		causes <- context.Cause(e.Context())
	})
}

// hasCause waits for the context of a socket to end, and looks at the cause.
func hasCause(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	receive(t, "the context to end", ctx.Done())
	if cause := context.Cause(ctx); !errors.Is(cause, want) || ctx.Err() == nil {
		t.Errorf("cause %v, want %v", cause, want)
	}
}

func TestContextEndsWhenTheSocketDisconnects(t *testing.T) {
	for name, leave := range map[string]func(c *testClient, socket *Socket){
		"the client leaves":      func(c *testClient, _ *Socket) { c.send("1") },
		"the client is gone":     func(c *testClient, _ *Socket) { c.close() },
		"the server disconnects": func(_ *testClient, socket *Socket) { socket.Disconnect(false) },
		"the server closes":      func(_ *testClient, socket *Socket) { socket.Disconnect(true) },
	} {
		t.Run(name, func(t *testing.T) {
			causes, sockets := make(chan error, 1), make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets), waiting(causes))
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "a socket", sockets)
			ctx := socket.Context()
			if err := ctx.Err(); err != nil || ctx != socket.Context() {
				t.Errorf("a socket that is there: %v", err)
			}
			c.send(`21["wait"]`)
			c.expect(`31["waiting"]`)
			leave(c, socket)
			if cause := receive(t, "the handler to end", causes); !errors.Is(cause, ErrDisconnected) {
				t.Errorf("cause %v", cause)
			}
			hasCause(t, ctx, ErrDisconnected)
		})
	}
}

// It has ended when the handlers of the disconnect run, also for who asks only
// then.
func TestContextHasEndedOnDisconnect(t *testing.T) {
	causes := make(chan error, 1)
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(s *Socket, _ Reason) { causes <- context.Cause(s.Context()) })
	}))
	c, _ := s.connected(engineio.WebSocket)
	c.send("1")
	if cause := receive(t, "the disconnect", causes); !errors.Is(cause, ErrDisconnected) {
		t.Errorf("cause %v", cause)
	}
}

// A handler that waits learns that the server ends, however it ends.
func TestContextEndsWithTheServer(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, s *Server) error{
		"shutdown": func(ctx context.Context, s *Server) error { return s.Shutdown(ctx, engineio.Farewell{}) },
		"drain":    func(ctx context.Context, s *Server) error { return s.Shutdown(ctx, engineio.Farewell{Served: true}) },
		"close":    func(_ context.Context, s *Server) error { s.Close(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			causes, sockets := make(chan error, 1), make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets), waiting(causes))
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "a socket", sockets)
			kept := socket.Context()
			c.send(`21["wait"]`)
			c.expect(`31["waiting"]`)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := end(ctx, s.Server); err != nil {
				t.Fatal(err)
			}
			if cause := receive(t, "the handler to end", causes); !errors.Is(cause, ErrServerClosed) {
				t.Errorf("cause %v", cause)
			}
			hasCause(t, kept, ErrServerClosed)
		})
	}
}

// A context that nobody has asked for before the end has ended as well.
func TestContextAfterTheServerHasEnded(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	s.Close()
	eventually(t, "the socket to be gone", func() bool { return !socket.Connected() })
	hasCause(t, socket.Context(), ErrServerClosed)
}

// The context of a check ends with the client, and is none that stays.
func TestContextOfACheckIsItsOwn(t *testing.T) {
	checks := make(chan context.Context, 1)
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets), handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(ctx context.Context, s *Socket) error {
			checks <- ctx
			return nil
		})
	}))
	s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	if ctx := receive(t, "a context", checks); ctx.Err() == nil || socket.Context().Err() != nil {
		t.Errorf("the check's: %v, the socket's: %v", ctx.Err(), socket.Context().Err())
	}
}

// Call takes the context of its event: a client that goes is waited for no more.
func TestCallEndsWithTheContextOfItsEvent(t *testing.T) {
	errs := make(chan error, 1)
	s := newTestServer(t, Options{}, on("ask", func(e *Event) {
		ctx, cancel := context.WithTimeout(e.Context(), time.Hour)
		defer cancel()
		_, err := e.Socket.Call(ctx, "question", e.Args)
		errs <- err
	}))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["ask"]`)
	c.next()
	c.close()
	if err := receive(t, "the call to end", errs); !errors.Is(err, ErrDisconnected) && !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
