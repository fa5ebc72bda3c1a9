package streaming

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// lives counts how often each socket was connected and disconnected.
type lives struct {
	mu           sync.Mutex
	connected    map[*Socket]int
	disconnected map[*Socket]int
	early        int
}

func newLives() *lives {
	return &lives{connected: make(map[*Socket]int), disconnected: make(map[*Socket]int)}
}

func (l *lives) Register(_ *Namespace, h *Handlers) error {
	h.OnConnect(func(s *Socket) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.connected[s]++
	})
	h.OnDisconnect(func(s *Socket, _ Reason) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.connected[s] != 1 {
			l.early++
		}
		l.disconnected[s]++
	})
	return nil
}

// check waits until all who have connected have disconnected, and makes sure
// that each did so once and that nothing of them is left.
func (l *lives) check(t *testing.T, s *testServer) {
	t.Helper()
	s.empty()
	eventually(t, "the disconnect of each socket", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.disconnected) >= len(l.connected)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for socket, n := range l.connected {
		if n != 1 || l.disconnected[socket] != 1 {
			t.Errorf("a socket was connected %d times and disconnected %d times", n, l.disconnected[socket])
		}
	}
	if len(l.disconnected) != len(l.connected) || l.early > 0 {
		t.Errorf("%d sockets connected, %d disconnected, %d before they were connected", len(l.connected), len(l.disconnected), l.early)
	}
	for _, n := range s.Namespaces() {
		n.rooms.checkEmpty(t)
	}
}

// slowAuthorize lets some in at once, some a little later, and some not.
func slowAuthorize() handlers {
	return func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(ctx context.Context, s *Socket) error {
			if rand.IntN(3) == 0 {
				return nil
			}
			timer := time.NewTimer(rand.N(2 * time.Millisecond))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				if rand.IntN(2) == 0 {
					return ctx.Err()
				}
			}
			if rand.IntN(10) == 0 {
				return &ConnectError{Message: "no"}
			}
			s.Admit("early")
			return nil
		})
		h.OnConnect(func(s *Socket) {
			s.Admit("room", "another")
			_ = s.Namespace().To("room").EmitArgs("welcome", mustArgs(s.ID()))
		})
	}
}

// hesitate lets others run for a random, short while.
func hesitate() {
	for range rand.IntN(40) {
		runtime.Gosched()
	}
}

// vanishOnWebSocket connects and goes away at a random moment of it.
func vanishOnWebSocket(raw *rawclient.Client) {
	query := rawclient.Query(rawclient.WebSocket, "")
	opening := [][]byte{rawclient.Text("40"), rawclient.Text(`42["unknown"]`)}
	switch step := rand.IntN(5); step {
	case 0, 1, 2:
		// CONNECT comes with the handshake, or a part of it.
		frame := opening[0]
		if step == 1 {
			frame = frame[:1+rand.IntN(len(frame)-1)]
		}
		conn, err := raw.Dial(context.Background(), query, frame)
		if err != nil {
			return
		}
		hesitate()
		if step == 2 {
			_, _ = conn.ReadText()
		}
		_ = conn.Reset()
	default:
		conn, err := raw.Dial(context.Background(), query)
		if err != nil {
			return
		}
		_, _ = conn.ReadText()
		_ = conn.Write(opening[0])
		if step == 3 {
			// It stays until it has been answered.
			_, _ = conn.ReadText()
			_ = conn.Write(opening[1])
		}
		hesitate()
		if rand.IntN(2) == 0 {
			_ = conn.WriteText("41")
		}
		_ = conn.Close()
	}
}

// vanishOnPolling does the same with requests that are abandoned.
func vanishOnPolling(raw *rawclient.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p, err := raw.Handshake(ctx)
	if err != nil {
		return
	}
	var requests sync.WaitGroup
	polling := rand.IntN(3) > 0
	if polling {
		requests.Go(func() {
			for {
				if _, err := p.Poll(ctx); err != nil {
					return
				}
			}
		})
	}
	requests.Go(func() {
		switch rand.IntN(4) {
		case 0:
			_, _ = p.Post(ctx, "40")
		case 1:
			_, _ = p.Post(ctx, "40", `42["unknown"]`)
		case 2:
			_, _ = p.Post(ctx, "40", "1")
		case 3:
			body := strings.NewReader("40")
			request, _ := http.NewRequestWithContext(ctx, http.MethodPost, raw.Endpoint+"?"+p.Query(rawclient.Polling), body)
			// It promises more than it sends.
			request.ContentLength = 100
			if answer, err := raw.HTTP.Do(request); err == nil {
				_ = answer.Body.Close()
			}
		}
	})
	hesitate()
	cancel()
	requests.Wait()
}

// A client that vanishes while it connects leaves no ghost in its namespace,
// and OnDisconnect is told of it exactly once, if OnConnect was.
func TestClientVanishesWhileConnecting(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			const workers, each = 10, 50
			l := newLives()
			// On long-polling only the heartbeat notices some of them.
			options := Options{Engine: engineio.Options{PingInterval: 100 * time.Millisecond, PingTimeout: 200 * time.Millisecond}}
			s := newTestServer(t, options, slowAuthorize(), l)
			var clients sync.WaitGroup
			for range workers {
				clients.Go(func() {
					raw := rawclient.New(s.url)
					defer raw.Close()
					for range each {
						if transport == engineio.WebSocket {
							vanishOnWebSocket(raw)
						} else {
							vanishOnPolling(raw)
						}
					}
				})
			}
			clients.Wait()
			l.check(t, s)
			if len(l.connected) == 0 {
				t.Error("nobody ever connected")
			}
		})
	}
}

// OnDisconnect runs exactly once for a socket, however many reasons to
// disconnect it come together: its client goes, the server disconnects it, it
// does not read what it is sent, the server closes.
func TestDisconnectIsToldOnceWhenEverythingRaces(t *testing.T) {
	const rounds, each = 25, 20
	for range rounds {
		l := newLives()
		s := newTestServer(t, Options{Engine: engineio.Options{SendBuffer: 2000}}, l, relayTo("message"))
		clients := make([]*testClient, each)
		for i := range clients {
			clients[i], _ = s.connected(bothTransports[i%2])
		}
		eventually(t, "all to be connected", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.connected) == each
		})
		sockets := s.Of("/").Everyone().Sockets()
		begin := make(chan struct{})
		var racing sync.WaitGroup
		race := func(do func()) {
			racing.Go(func() {
				<-begin
				hesitate()
				do()
			})
		}
		flood := mustArgs(strings.Repeat("x", 1500))
		for i := range each {
			if i%2 == 0 {
				race(clients[i].vanish)
			} else {
				race(func() { _ = clients[i].trySend("1") })
			}
			race(func() { sockets[i].Disconnect(i%3 == 0) })
			race(func() {
				for range 3 {
					_ = sockets[i].EmitArgs("flood", flood)
				}
			})
		}
		race(func() { _ = s.Of("/").EmitArgs("flood", flood) })
		race(s.Close)
		close(begin)
		racing.Wait()
		l.check(t, s)
		if n := len(l.connected); n != each {
			t.Errorf("%d connected", n)
		}
	}
}

// Servers that close while clients connect leave nothing behind either.
func TestServerClosesWhileClientsConnect(t *testing.T) {
	const rounds, each = 20, 10
	for range rounds {
		l := newLives()
		s := newTestServer(t, Options{}, slowAuthorize(), l)
		var clients sync.WaitGroup
		var connected atomic.Int32
		for i := range each {
			clients.Go(func() {
				c, err := dialClient(s, bothTransports[i%2])
				if err != nil {
					return
				}
				if _, err := c.tryConnect("/"); err == nil {
					connected.Add(1)
				}
				c.close()
			})
		}
		hesitate()
		s.Close()
		clients.Wait()
		l.check(t, s)
	}
}
