package streaming

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestShutdownWaitsForHandlers holds that a server has not ended before all handlers
// have: whatever is left to be done is cut off by the end of the process.
func TestShutdownWaitsForHandlers(t *testing.T) {
	for _, test := range []struct {
		name string
		// set makes a handler that waits for the gate and then calls done.
		set func(begun func(), gate <-chan struct{}, done func()) EventSet
		// come has the handler run. ends is true when the handler runs because of the end.
		come func(s *testServer, c *testClient)
		ends bool
	}{
		{"of a disconnect", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(*Socket, Reason) { begun(); <-gate; done() })
			})
		}, func(_ *testServer, c *testClient) { c.connect("/") }, true},
		{"of an event", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return on("wait", func(*Event) { begun(); <-gate; done() })
		}, func(_ *testServer, c *testClient) { c.connect("/"); c.send(`2["wait"]`) }, false},
		{"of an event that waits for its turn", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return handlers(func(_ *Namespace, h *Handlers) {
				_ = h.On("wait", func(*Event) { begun(); <-gate })
				_ = h.On("last", func(*Event) { done() })
			})
		}, func(s *testServer, c *testClient) {
			socket := s.Find(c.connect("/"))
			c.send(`2["wait"]`, `2["last"]`)
			eventually(t, "the event to wait", func() bool { return socket.waiting() == 1 })
		}, false},
		{"of a connect", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return handlers(func(_ *Namespace, h *Handlers) {
				h.OnAuthorize(func(context.Context, *Socket) error { begun(); <-gate; done(); return nil })
			})
		}, func(_ *testServer, c *testClient) { c.send("0") }, false},
		{"of a namespace that was removed", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(*Socket, Reason) { begun(); <-gate; done() })
			})
		}, func(s *testServer, c *testClient) { c.connect("/"); s.Remove("/") }, false},
		{"by Do, after the disconnect", func(begun func(), gate <-chan struct{}, done func()) EventSet {
			return handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(s *Socket, _ Reason) { s.Do(func() { begun(); <-gate; done() }) })
			})
		}, func(_ *testServer, c *testClient) { c.connect("/") }, true},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				begun, gate := make(chan struct{}, 1), make(chan struct{})
				var done atomic.Bool
				s := newTestServer(t, Options{}, test.set(func() { begun <- struct{}{} }, gate, func() { done.Store(true) }))
				c := s.dial(transport)
				test.come(s, c)
				if !test.ends {
					receive(t, "the handler to run", begun)
				}
				ended := make(chan error, 1)
				go func() { ended <- s.Shutdown(t.Context(), engineio.Farewell{}) }()
				if test.ends {
					receive(t, "the handler to run", begun)
				}
				eventually(t, "the connections to be gone", func() bool { return s.Connections() == 0 })
				short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				if err := s.Shutdown(short, engineio.Farewell{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "handlers of 1 sockets") {
					t.Errorf("while a handler is running: %v", err)
				}
				if len(ended) > 0 {
					t.Error("Shutdown has not waited")
				}
				close(gate)
				if err := receive(t, "the end", ended); err != nil || !done.Load() {
					t.Errorf("Shutdown has returned %v, and the handlers have ended: %t", err, done.Load())
				}
			})
		}
	}
}

// TestDoAfterTheEndIsWaitedFor has something done for a socket that ended long ago.
func TestDoAfterTheEndIsWaitedFor(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "the socket", sockets)
	c.close()
	eventually(t, "the socket to be through", func() bool { return s.inboxes.Load() == 0 })
	gate := make(chan struct{})
	socket.Do(func() { <-gate })
	if n := s.inboxes.Load(); n != 1 {
		t.Errorf("%d sockets are waited for", n)
	}
	close(gate)
	eventually(t, "the socket to be through", func() bool { return s.inboxes.Load() == 0 })
}
