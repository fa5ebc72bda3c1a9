package streaming

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// waiting is how many tasks are in the socket's inbox.
func (s *Socket) waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inbox.tasks)
}

// journal notes what happens to one socket, in order. The handler of "wait"
// holds everything up until the gate is open.
type journal struct {
	mu      sync.Mutex
	lines   []string
	sockets chan *Socket
	waits   chan struct{}
	gate    chan struct{}
	gone    chan struct{}
}

func newJournal() *journal {
	return &journal{sockets: make(chan *Socket, 1), waits: make(chan struct{}, 1), gate: make(chan struct{}), gone: make(chan struct{}, 2)}
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) Register(_ *Namespace, h *Handlers) error {
	h.OnConnect(func(s *Socket) {
		s.Admit("red", "blue")
		j.note("connect")
		j.sockets <- s
	})
	h.OnDisconnect(func(s *Socket, r Reason) {
		j.note("disconnect: " + string(r))
		rooms := s.Rooms()
		slices.Sort(rooms)
		j.note(fmt.Sprint(rooms))
		j.gone <- struct{}{}
	})
	if err := h.On("wait", func(*Event) {
		j.waits <- struct{}{}
		<-j.gate
	}); err != nil {
		return err
	}
	return h.On("note", func(e *Event) { j.note(string(e.Args.At(0))) })
}

// check opens the gate, waits for the disconnect, and compares.
func (j *journal) check(t *testing.T, want ...string) {
	t.Helper()
	close(j.gate)
	receive(t, "the disconnect", j.gone)
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.lines, want) {
		t.Errorf("got %q, want %q", j.lines, want)
	}
}

// Events that came before the client went away are handled, in order, before
// OnDisconnect, which still sees the rooms.
func TestEventsBeforeTheCloseAreHandled(t *testing.T) {
	for _, test := range []struct {
		name   string
		leave  func(*testClient)
		reason Reason
	}{
		{"client leaves the namespace", func(c *testClient) { c.send("1") }, ReasonClientDisconnect},
		{"client closes", func(c *testClient) { c.close() }, engineio.ReasonTransportClose},
		{"client breaks the protocol", func(c *testClient) { _ = c.trySend("7") }, engineio.ReasonParseError},
	} {
		for _, transport := range bothTransports {
			t.Run(test.name+"/"+string(transport), func(t *testing.T) {
				j := newJournal()
				s := newTestServer(t, Options{}, j)
				c, _ := s.connected(transport)
				socket := receive(t, "a socket", j.sockets)
				want := []string{"connect"}
				packets := []any{`2["wait"]`}
				for i := range 50 {
					packets = append(packets, fmt.Sprintf(`2["note",%d]`, i))
					want = append(want, fmt.Sprint(i))
				}
				c.send(packets...)
				test.leave(c)
				eventually(t, "the socket to be gone", func() bool { return !socket.Connected() })
				// It is gone already: this changes nothing.
				s.Of("/").To("red").Disconnect(true)
				socket.Disconnect(false)
				socket.Disconnect(true)
				j.check(t, append(want, "disconnect: "+string(test.reason), "[blue red]")...)
			})
		}
	}
}

// After the server has disconnected a socket, no event of its client is
// handled any more.
func TestEventsAfterServerDisconnectAreDropped(t *testing.T) {
	for _, closeConnection := range []bool{false, true} {
		t.Run(fmt.Sprint(closeConnection), func(t *testing.T) {
			j := newJournal()
			s := newTestServer(t, Options{}, j)
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "a socket", j.sockets)
			c.send(`2["wait"]`)
			receive(t, "the first event", j.waits)
			c.send(`2["note",1]`, `2["note",2]`)
			eventually(t, "the events to wait", func() bool { return socket.waiting() == 2 })
			answered := make(chan error, 1)
			if err := socket.EmitWithAck("question", packet.Args{}, patience, func(_ packet.Args, err error) { answered <- err }); err != nil {
				t.Fatal(err)
			}
			socket.Disconnect(closeConnection)
			j.check(t, "connect", "disconnect: "+string(ReasonServerDisconnect), "[blue red]")
			if err := receive(t, "the answer", answered); err != ErrDisconnected {
				t.Errorf("answer %v", err)
			}
		})
	}
}

// The server closes: what came before is handled, and the reason says why.
func TestServerClose(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			j := newJournal()
			s := newTestServer(t, Options{}, j)
			c, _ := s.connected(transport)
			socket := receive(t, "a socket", j.sockets)
			c.send(`2["wait"]`, `2["note",1]`)
			eventually(t, "the event to wait", func() bool { return socket.waiting() == 1 })
			_ = socket.EmitArgs("last", packet.Args{})
			s.Close()
			if rest := c.expectEnd(); len(rest) != 1 || rest[0].text != `2["last"]` {
				t.Errorf("before the end came %v", rest)
			}
			if _, err := dialClient(s, transport); err == nil {
				t.Error("a closed server takes new clients")
			}
			j.check(t, "connect", "1", "disconnect: "+string(engineio.ReasonShutdown), "[blue red]")
			s.empty()
		})
	}
}

// A socket that the server takes out of its namespace is told; its connection
// and its other namespaces live.
func TestDisconnectFalse(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			j := newJournal()
			s := newTestServer(t, Options{}, j)
			s.Of("/other")
			c, _ := s.connected(transport)
			c.connect("/other")
			socket := receive(t, "a socket", j.sockets)
			socket.Disconnect(false)
			socket.Disconnect(false)
			c.expect("1")
			j.check(t, "connect", "disconnect: "+string(ReasonServerDisconnect), "[blue red]")
			if err := socket.EmitArgs("hello", packet.Args{}); err != ErrDisconnected {
				t.Errorf("emit: %v", err)
			}
			_ = s.Of("/other").EmitArgs("hello", packet.Args{})
			c.expect(`2/other,["hello"]`)
			// It may come back.
			c.connect("/")
			receive(t, "a socket", j.sockets)
		})
	}
}

// The DISCONNECT packets, and all that was queued before them, reach the
// client before its connection is closed.
func TestDisconnectTrueReachesTheClientFirst(t *testing.T) {
	const times, workers = 300, 4
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{})
			for _, name := range []string{"/", "/other"} {
				if err := s.Of(name).Use(on("leave", func(e *Event) {
					_ = e.Socket.EmitArgs("last", packet.Args{})
					e.Socket.Disconnect(true)
				})); err != nil {
					t.Fatal(err)
				}
			}
			var clients sync.WaitGroup
			for range workers {
				clients.Go(func() {
					for i := range times / workers {
						if err := leaves(s, transport, i%2 == 0); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			s.empty()
		})
	}
}

// leaves connects a client to two namespaces, has it disconnected, and checks
// what it is told.
func leaves(s *testServer, transport engineio.Transport, fromOther bool) error {
	c, err := dialClient(s, transport)
	if err != nil {
		return err
	}
	defer c.close()
	for _, namespace := range []string{"/", "/other"} {
		if _, err := c.tryConnect(namespace); err != nil {
			return err
		}
	}
	leave, want := `2["leave"]`, []string{`2["last"]`, "1", "1/other,"}
	if fromOther {
		leave, want[0] = `2/other,["leave"]`, `2/other,["last"]`
	}
	if err := c.trySend(leave); err != nil {
		return err
	}
	for _, w := range want {
		if m, err := c.read(); err != nil || m.text != w {
			return fmt.Errorf("want %s, got %v, %w", w, m, err)
		}
	}
	if m, err := c.read(); err != errEnded {
		return fmt.Errorf("the connection was not closed: %v, %w", m, err)
	}
	return nil
}

// A client that stops reading is cut off once its queue is full, and it alone:
// the others of its room get everything, in order.
func TestClientThatStopsReadingIsCutOffAlone(t *testing.T) {
	const sendBuffer = 200_000
	reasons := make(chan Reason, 2)
	s := newTestServer(t, Options{Engine: engineio.Options{SendBuffer: sendBuffer}}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnConnect(func(s *Socket) { s.Admit("room") })
		h.OnDisconnect(func(_ *Socket, r Reason) { reasons <- r })
	}))
	reader, _ := s.connected(engineio.WebSocket)
	raw := rawclient.New(s.url)
	defer raw.Close()
	stuck, err := raw.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Close() }()
	if err := stuck.WriteText("40"); err != nil {
		t.Fatal(err)
	}
	n := s.Of("/")
	eventually(t, "both to be in the room", func() bool { return n.Count("room") == 2 })
	padding := strings.Repeat("x", 20_000)
	sent := 0
	for ; len(reasons) == 0 && sent < 100_000; sent++ {
		for _, socket := range n.To("room").Sockets() {
			if queued := socket.client().session.QueuedBytes(); queued > sendBuffer {
				t.Fatalf("%d bytes are queued", queued)
			}
		}
		_ = n.To("room").EmitArgs("count", mustArgs(sent, padding))
		// The one who reads keeps up.
		reader.expect(fmt.Sprintf(`2["count",%d,"%s"]`, sent, padding))
	}
	if reason := receive(t, "the cut-off", reasons); reason != engineio.ReasonSlowClient {
		t.Errorf("reason %s after %d events", reason, sent)
	}
	if n.Count("room") != 1 {
		t.Errorf("%d in the room", n.Count("room"))
	}
	reader.expectAlive()
}
