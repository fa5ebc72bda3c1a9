package engineio

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// TestStuckClientsHoldUpNobody hands sessions over while all workers are about
// to be stuck: the others are served without waiting for the write timeout.
func TestStuckClientsHoldUpNobody(t *testing.T) {
	// With one processor no worker runs before both sessions are handed over.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		_, stuck := s.connectPipe(t)
		conn, recorder := s.connectPipe(t)
		// Nothing is left to do for the workers.
		time.Sleep(time.Second)
		watch := startWatch()
		stuck.session.Send(text("nobody reads this"))
		recorder.session.Send(text("x"))
		expect(t, "packet", need(conn.ReadText())(t), "4x")
		if waited := time.Since(time.Time(watch)); waited > time.Second {
			t.Errorf("a stuck client held up its neighbour for %v", waited)
		}
	})
}

// TestFlushWorkersGrowWhenStuck sends to many clients that do not read, and to
// one that does.
func TestFlushWorkersGrowWhenStuck(t *testing.T) {
	const stuck = 50
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		var recorders []*recorder
		for range stuck {
			_, recorder := s.connectPipe(t)
			recorders = append(recorders, recorder)
		}
		conn, neighbour := s.connectPipe(t)
		// No worker is busy with an open packet any more.
		time.Sleep(time.Second)
		var b burst
		for _, r := range recorders {
			b.send(r.session, text("nobody reads this"))
		}
		b.send(neighbour.session, text("x"))
		watch := startWatch()
		b.flush()
		expect(t, "packet", need(conn.ReadText())(t), "4x")
		if waited := time.Since(time.Time(watch)); waited > time.Second {
			t.Errorf("stuck clients held up their neighbour for %v", waited)
		}
		workers := func() int {
			s.flusher.mu.Lock()
			defer s.flusher.mu.Unlock()
			return s.flusher.workers
		}
		if n := workers(); n < stuck || n > 4*stuck {
			t.Errorf("%d workers for %d stuck clients", n, stuck)
		}
		// They end with their clients, and the workers with them.
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := workers(); n > runtime.GOMAXPROCS(0) {
			t.Errorf("%d workers are left", n)
		}
		expect(t, "open sessions", s.Sessions(), 1)
	})
}

// TestWriteTimeoutEndsStuckClient stops reading.
func TestWriteTimeoutEndsStuckClient(t *testing.T) {
	for _, idle := range []time.Duration{0, 3 * time.Second, 7 * time.Second, 12 * time.Second} {
		t.Run(fmt.Sprintf("idle for %v", idle), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{WriteTimeout: 10 * time.Second, PingInterval: time.Hour})
				conn, recorder := s.connectPipe(t)
				recorder.session.Send(text("x"))
				need(conn.ReadText())(t)
				time.Sleep(idle)
				watch := startWatch()
				recorder.session.Send(text("nobody reads this"))
				<-recorder.over
				waited := time.Since(time.Time(watch))
				if waited < 10*time.Second || waited > 15*time.Second {
					t.Errorf("ended after %v", waited)
				}
				recorder.waitClosed(t, ReasonStuckClient)
			})
		})
	}
}

// TestWriteTimeoutEndsStuckPoll answers a poll that the client does not read.
func TestWriteTimeoutEndsStuckPoll(t *testing.T) {
	s := newServerOn(t, Options{WriteTimeout: 100 * time.Millisecond, SendBuffer: 64 << 20}, smallBuffers)
	p, recorder := s.poller(t)
	recorder.session.Send(text(strings.Repeat("x", 32<<20)))
	conn := need(net.Dial("tcp", s.http.Listener.Addr().String()))(t)
	defer func() { _ = conn.Close() }()
	_, err := fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: example.com\r\n\r\n", p.Query(rawclient.Polling))
	must(t, err)
	recorder.waitClosed(t, ReasonStuckClient)
	eventually(t, "the request to end", func() bool { return s.serving.Load() == 0 })
}

// smallBuffers makes the system keep little of what a client does not read.
func smallBuffers(l net.Listener) net.Listener { return smallBufferListener{l} }

type smallBufferListener struct{ net.Listener }

func (l smallBufferListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(16 << 10)
	}
	return conn, err
}

// TestSlowClientIsCutOffAlone broadcasts while some clients do not read: what
// waits for one is bounded, and the others get everything, in order.
func TestSlowClientIsCutOffAlone(t *testing.T) {
	const (
		fast, slow = 6, 6
		count      = 200
		sendBuffer = 256 << 10
	)
	s := newServerOn(t, Options{SendBuffer: sendBuffer}, smallBuffers)
	var slowOnes, fastOnes []*recorder
	for range slow {
		conn, recorder := s.connect(t)
		_ = conn.Net.(*net.TCPConn).SetReadBuffer(16 << 10)
		slowOnes = append(slowOnes, recorder)
	}
	var reading sync.WaitGroup
	got := make([][]string, fast)
	for i := range fast {
		conn, recorder := s.connect(t)
		fastOnes = append(fastOnes, recorder)
		reading.Go(func() {
			for range count {
				packet, err := conn.ReadText()
				if err != nil {
					t.Errorf("fast client: %v", err)
					return
				}
				number, _, _ := strings.Cut(packet, " ")
				got[i] = append(got[i], number)
			}
		})
	}

	filling := strings.Repeat("x", 32<<10)
	most := 0
	for i := range count {
		m := text(strconv.Itoa(i) + " " + filling)
		all := slices.Concat(slowOnes, fastOnes)
		sendTo(m, all, func(r *recorder) *Session { return r.session })
		for _, r := range all {
			most = max(most, r.session.QueuedBytes())
		}
		// A sender that is faster than the fast clients would end those too.
		eventually(t, "the fast clients to keep up", func() bool {
			return !slices.ContainsFunc(fastOnes, func(r *recorder) bool { return r.session.QueuedBytes() > sendBuffer/2 })
		})
	}
	reading.Wait()
	for i := range fast {
		expectNumbered(t, "fast client", got[i], "4", count)
		expect(t, "reasons to close a fast client", len(fastOnes[i].closed()), 0)
	}
	for _, r := range slowOnes {
		r.waitClosed(t, ReasonSlowClient)
		expect(t, "bytes queued for a client that is cut off", r.session.pendingBytes(), 0)
	}
	if most > sendBuffer {
		t.Errorf("%d bytes were queued for one client, the limit is %d", most, sendBuffer)
	}
}

// pendingBytes is how many bytes no writer has taken yet.
func (s *Session) pendingBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.load.bytes
}

// TestBroadcastReachesAll sends to sessions of both transports, some of them over.
func TestBroadcastReachesAll(t *testing.T) {
	s := newServer(t, Options{})
	var conns []*rawclient.Conn
	var pollers []*rawclient.Poller
	var sessions []*Session
	for range burstSize + 10 {
		conn, recorder := s.connect(t)
		conns, sessions = append(conns, conn), append(sessions, recorder.session)
	}
	for range 10 {
		p, recorder := s.poller(t)
		pollers, sessions = append(pollers, p), append(sessions, recorder.session)
	}
	_, over := s.poller(t)
	over.session.Close(ReasonForcedClose)

	for round := range 3 {
		var b burst
		m := text(strconv.Itoa(round))
		for _, session := range sessions {
			if ok, _ := b.send(session, m); !ok {
				t.Error("a message was refused")
			}
		}
		if ok, _ := b.send(over.session, m); ok {
			t.Error("a session that is over took a message")
		}
		b.flush()
		b.flush()
	}
	for _, conn := range conns {
		for round := range 3 {
			expect(t, "packet", need(conn.ReadText())(t), "4"+strconv.Itoa(round))
		}
	}
	for _, p := range pollers {
		expect(t, "packets", strings.Join(need(p.Poll(t.Context()))(t), " "), "40 41 42")
	}
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	written [][]byte
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.written = append(c.written, slices.Clone(p))
	return len(p), nil
}

// TestPendingMessagesAreJoined writes many messages with few writes.
func TestPendingMessagesAreJoined(t *testing.T) {
	small, large := text(strings.Repeat("s", 1000)), text(strings.Repeat("l", flushChunk))
	tests := []struct {
		name     string
		messages []*wire.Message
		writes   int
	}{
		{"one", []*wire.Message{small}, 1},
		{"few", slices.Repeat([]*wire.Message{small}, 10), 1},
		{"many", slices.Repeat([]*wire.Message{small}, 130), 4},
		{"large", []*wire.Message{large}, 3},
		{"large between small", []*wire.Message{small, large, small, small}, 5},
		{"large at the end", []*wire.Message{small, small, large}, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := new(countingConn)
			written := need(new(Session).writeMessages(conn, test.messages, new(progress)))(t)
			expect(t, "bytes said to be written", written, len(slices.Concat(conn.written...)))
			expect(t, "writes", len(conn.written), test.writes)
			var want []byte
			for _, m := range test.messages {
				frames, _ := m.Frames(0)
				want = append(want, frames...)
			}
			expect(t, "same bytes", string(slices.Concat(conn.written...)), string(want))
		})
	}
}

// TestTurnsLeave has turns leave in an order of their own: each finds its place without a search.
func TestTurnsLeave(t *testing.T) {
	f := newFlusher(slog.New(slog.DiscardHandler))
	var turns []*flushTurn
	for range 100 {
		turns = append(turns, f.enter())
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	for left, turn := range turns {
		f.leaveLocked(turn)
		for i, other := range f.turns {
			if other.at != i || slices.Contains(turns[:left+1], other) {
				t.Fatalf("turn %d is not where it should be, or has left", i)
			}
		}
		expect(t, "turns that are left", len(f.turns), len(turns)-left-1)
	}
}

// BenchmarkTurnsLeave measures what it takes one of many turns to leave.
func BenchmarkTurnsLeave(b *testing.B) {
	for _, count := range []int{1000, 50_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			f := newFlusher(slog.New(slog.DiscardHandler))
			turns := make([]flushTurn, count)
			for b.Loop() {
				for i := range turns {
					f.enterLocked(&turns[i])
				}
				for i := range turns {
					f.leaveLocked(&turns[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/turn")
		})
	}
}

// plug is a connection that takes what is written first, and no more.
type plug struct {
	sink
	full bool
}

func (p *plug) Write(data []byte) (int, error) {
	if p.full {
		<-p.ended
		return 0, net.ErrClosed
	}
	p.full = true
	return len(data), nil
}

// BenchmarkStuckClients measures the memory that a client takes which is stuck with a message.
func BenchmarkStuckClients(b *testing.B) {
	const clients = 20_000
	for b.Loop() {
		s := newEngine(b, Options{WriteTimeout: time.Hour, PingInterval: time.Hour})
		var taken atomic.Int64
		for range clients {
			conn := &plug{sink: sink{taken: &taken, ended: make(chan struct{}), once: new(sync.Once)}}
			s.ServeHTTP(&hijackable{httptest.NewRecorder(), conn}, websocketRequest(b, rawclient.Query(rawclient.WebSocket, "")))
		}
		var sessions []*Session
		for _, r := range s.recorders {
			sessions = append(sessions, r.session)
		}
		eventually(b, "the open packets to be written", func() bool {
			return !slices.ContainsFunc(sessions, func(s *Session) bool { return s.QueuedBytes() > 0 })
		})
		memory := func() uint64 {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapInuse + m.StackInuse
		}
		before, goroutines := memory(), runtime.NumGoroutine()
		var hello burst
		m := text("hello")
		for _, session := range sessions {
			hello.send(session, m)
		}
		hello.flush()
		eventually(b, "all to be stuck", func() bool {
			s.flusher.mu.Lock()
			defer s.flusher.mu.Unlock()
			return s.flusher.taken >= 2*clients
		})
		b.ReportMetric(float64(memory()-before)/clients, "B/client")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/clients, "goroutines/client")
		began := time.Now()
		for _, session := range sessions {
			session.abort(ReasonStuckClient)
		}
		eventually(b, "the workers to leave", func() bool {
			s.flusher.mu.Lock()
			defer s.flusher.mu.Unlock()
			return s.flusher.workers <= runtime.GOMAXPROCS(0)
		})
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-leave")
	}
}
