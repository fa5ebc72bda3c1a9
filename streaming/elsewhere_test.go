package streaming

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestAdapterIsClosedOnce(t *testing.T) {
	for name, end := range map[string]func(*testServer){
		"close": func(s *testServer) { s.Close() },
		"shutdown": func(s *testServer) {
			if err := s.Shutdown(context.Background(), engineio.Farewell{}); err != nil {
				t.Error(err)
			}
		},
		"drain":  func(s *testServer) { _ = s.Shutdown(context.Background(), engineio.Farewell{Served: true}) },
		"remove": func(s *testServer) { s.Remove("/"); s.Remove("/other") },
	} {
		t.Run(name, func(t *testing.T) {
			c := new(cluster)
			s := newTestServer(t, Options{Adapter: c.adapter(0)})
			other := s.Of("/other")
			if _, err := s.Use("/other"); err != nil {
				t.Fatal(err)
			}
			if len(c.of(0, "/other")) != 1 || c.of(0, "/other")[0].closed.Load() != 0 {
				t.Fatal("it is not there before the end")
			}
			end(s)
			s.Remove("/")
			s.Close()
			if err := other.EmitArgs("news", packet.Args{}); err != nil {
				t.Error(err)
			}
			late := s.Of("/late")
			_ = late.EmitArgs("news", packet.Args{})
			if err := s.Shutdown(context.Background(), engineio.Farewell{}); err != nil {
				t.Error(err)
			}
			for _, a := range c.members {
				if n := a.closed.Load(); n != 1 {
					t.Errorf("%s was closed %d times", a.local.Namespace(), n)
				}
			}
		})
	}
}

// TestAdapterThatCannotBeMade holds that whoever can be told is told.
func TestAdapterThatCannotBeMade(t *testing.T) {
	for name, create := range map[string]func(Local) (Adapter, error){
		"fails":  func(Local) (Adapter, error) { return nil, errAdapter },
		"panics": func(Local) (Adapter, error) { panic("deliberate") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t, Options{Adapter: create}, relayTo("message"))
			if lines := s.logs.all("namespace without an adapter"); len(lines) != 1 || lines[0].attrs["namespace"] != "/" {
				t.Errorf("logged %+v", lines)
			}
			if n, err := s.Use("/other"); err == nil || n != nil || s.Lookup("/other") != nil {
				t.Errorf("made %v, %v", n, err)
			}
			one, _ := s.connected(engineio.WebSocket)
			two, _ := s.connected(engineio.Polling)
			one.send(`2["message",1]`)
			two.expect(`2["message",1]`)
		})
	}
	c := new(cluster)
	s := newTestServer(t, Options{Adapter: c.adapter(0)})
	if _, err := s.Use("/other", failingSet{errAdapter}); err == nil {
		t.Error("a set that fails was used")
	}
	if got := c.of(0, "/other"); len(got) != 1 || got[0].closed.Load() != 1 {
		t.Errorf("the adapter of a namespace that did not come to be was not closed")
	}
	s.SetOptions(Options{})
	s.Of("/alone")
	if len(c.of(0, "/alone")) != 0 {
		t.Error("a namespace has the adapter of options that hold no more")
	}
}

// TestGoodbyesReachOthers holds that an adapter is there until the last handler
// has told other processes of what has ended.
func TestGoodbyesReachOthers(t *testing.T) {
	for name, end := range map[string]func(*testServer){
		"remove": func(s *testServer) { s.Remove("/") },
		"close":  func(s *testServer) { s.Close() },
		"shutdown": func(s *testServer) {
			if err := s.Shutdown(context.Background(), engineio.Farewell{}); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ends, goOn := make(chan struct{}, 10), make(chan struct{})
			c := newClusterTest(t, handlers(func(n *Namespace, h *Handlers) {
				h.OnDisconnect(func(s *Socket, _ Reason) {
					ends <- struct{}{}
					<-goOn
					_ = n.EmitArgs("gone", mustArgs(s.ID()))
				})
			}))
			ended := make(chan struct{})
			go func() {
				end(c.servers[0])
				close(ended)
			}()
			for range 2 {
				receive(t, "the handler", ends)
			}
			if name != "shutdown" {
				receive(t, "the end", ended)
			}
			if n := c.cluster.of(0, "/")[0].closed.Load(); n != 0 {
				t.Errorf("closed %d times before the handlers have ended", n)
			}
			close(goOn)
			receive(t, "the end", ended)
			gone := map[string]bool{}
			for range 2 {
				gone[c.clients["1-websocket"].next().text] = true
			}
			for _, socket := range []string{"0-websocket", "0-polling"} {
				if !gone[fmt.Sprintf(`2["gone",%q]`, c.sockets[socket].ID())] {
					t.Errorf("others have heard %v", gone)
				}
			}
			eventually(t, "the adapter to be closed", func() bool { return c.cluster.of(0, "/")[0].closed.Load() == 1 })
		})
	}
}

// TestShutdownDoesNotWaitForHandlersForever holds that an adapter is closed at
// the end of a shutdown, also when a handler goes on.
func TestShutdownDoesNotWaitForHandlersForever(t *testing.T) {
	c, goOn, hung := new(cluster), make(chan struct{}), make(chan struct{})
	s := newTestServer(t, Options{Adapter: c.adapter(0)}, handlers(func(n *Namespace, h *Handlers) {
		h.OnDisconnect(func(*Socket, Reason) {
			close(hung)
			<-goOn
			_ = n.EmitArgs("gone", packet.Args{})
		})
	}))
	defer close(goOn)
	s.connected(engineio.WebSocket)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		_ = s.Shutdown(ctx, engineio.Farewell{})
		close(ended)
	}()
	receive(t, "the handler", hung)
	cancel()
	receive(t, "the end of the shutdown", ended)
	if n := c.of(0, "/")[0].closed.Load(); n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// TestNobodyComesOnceTheAdapterIsClosed has a server go down while a client is being let
// in: none of its handlers may run when the adapter is closed, and the client is told
// nothing, so that it comes back by itself.
func TestNobodyComesOnceTheAdapterIsClosed(t *testing.T) {
	c := new(cluster)
	s := newTestServer(t, Options{Adapter: c.adapter(0)}, handlers(func(n *Namespace, h *Handlers) {
		h.OnAuthorize(func(context.Context, *Socket) error {
			n.takeLeave()
			return nil
		})
		h.OnConnect(func(*Socket) { t.Error("OnConnect was told") })
	}))
	client := s.dial(engineio.WebSocket)
	client.send("0")
	if rest := client.expectEnd(); len(rest) != 0 {
		t.Errorf("it got %v", rest)
	}
}

// TestAdaptersComeAndGoWithTheOptions holds that a server whose options have an adapter from some time
// on gives one to the namespaces that are there, with their sockets, and takes it away again.
func TestAdaptersComeAndGoWithTheOptions(t *testing.T) {
	c := new(cluster)
	one, two := newTestServer(t, Options{}), newTestServer(t, Options{Adapter: c.adapter(1)})
	here, _ := one.connected(engineio.WebSocket)
	there, _ := two.connected(engineio.WebSocket)
	n := one.Of("/")
	_ = n.Emit("alone")
	here.expect(`2["alone"]`)
	for i := range 2 {
		one.SetOptions(Options{Adapter: c.adapter(0)})
		_ = n.Emit("together", i)
		for _, client := range []*testClient{here, there} {
			client.expect(fmt.Sprintf(`2["together",%d]`, i))
		}
		one.SetOptions(Options{Adapter: c.adapter(0)})
		if made := c.of(0, "/"); len(made) != i+1 || made[i].closed.Load() != 0 {
			t.Errorf("%d adapters were made, the last one is closed %d times", len(made), made[len(made)-1].closed.Load())
		}
		one.SetOptions(Options{})
		if closed := c.of(0, "/")[i].closed.Load(); closed != 1 {
			t.Errorf("the adapter is closed %d times", closed)
		}
		_ = n.Emit("alone again", i)
		here.expect(fmt.Sprintf(`2["alone again",%d]`, i))
	}
	_ = two.Of("/").Emit("end")
	there.expect(`2["end"]`)
}

// ailing is an adapter that says how it is.
type ailing struct {
	brokenAdapter
	err error
}

func (a *ailing) Health() error { return a.err }

// TestHealthOfAdaptersIsTold holds that a server says why one of its adapters does not reach others, and
// that a figure tells it.
func TestHealthOfAdaptersIsTold(t *testing.T) {
	adapter := new(ailing)
	s := New(Options{Adapter: func(Local) (Adapter, error) { return adapter, nil }}, nil)
	defer s.Close()
	s.Of("/")
	figure := func() float64 {
		for _, value := range s.Metrics().Namespaces[0].Figures {
			if value.Figure == clusterUp {
				return value.Value
			}
		}
		return -1
	}
	if err := s.Health(); err != nil || figure() != 1 {
		t.Errorf("%v, %v", err, figure())
	}
	adapter.err = errAdapter
	if err := s.Health(); !errors.Is(err, errAdapter) || figure() != 0 {
		t.Errorf("%v, %v", err, figure())
	}
	s.SetOptions(Options{})
	if err := s.Health(); err != nil || figure() != -1 {
		t.Errorf("%v, %v", err, figure())
	}
}
