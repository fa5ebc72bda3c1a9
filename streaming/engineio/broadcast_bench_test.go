package engineio

import (
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// sink is a connection that takes everything and never says anything. It
// counts the bytes it has taken.
type sink struct {
	net.Conn
	taken *atomic.Int64
	ended chan struct{}
	once  *sync.Once
}

func (s sink) Write(p []byte) (int, error) {
	s.taken.Add(int64(len(p)))
	return len(p), nil
}

func (s sink) Read([]byte) (int, error) {
	<-s.ended
	return 0, net.ErrClosed
}

func (s sink) SetDeadline(time.Time) error      { return nil }
func (s sink) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline ends the connection: only a session that is over does this.
func (s sink) SetReadDeadline(time.Time) error { return s.Close() }

func (s sink) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// sinkSessions connects sessions that take everything.
func sinkSessions(t testing.TB, s *testServer, n int, taken *atomic.Int64) (sessions []*Session) {
	for range n {
		w := &hijackable{httptest.NewRecorder(), sink{taken: taken, ended: make(chan struct{}), once: new(sync.Once)}}
		s.ServeHTTP(w, websocketRequest(t, rawclient.Query(rawclient.WebSocket, "")))
	}
	for _, r := range s.recorders {
		sessions = append(sessions, r.session)
	}
	return sessions
}

// quiet reports whether nothing waits for any of these sessions.
func quiet(sessions []*Session) bool {
	for _, session := range sessions {
		if session.QueuedBytes() > 0 {
			return false
		}
	}
	return true
}

// BenchmarkBroadcast100000 sends one message to as many sessions as several goroutines
// share, and waits until all have been written to. It tells how long the broadcast
// itself has taken, which is how long others that reach the same clients wait.
func BenchmarkBroadcast100000(b *testing.B) {
	const receivers = 100_000
	s := newEngine(b, Options{})
	var taken atomic.Int64
	// They have no goroutine that reads: nothing else is about them.
	options := s.options.Load()
	sessions := make([]*Session, receivers)
	for i := range sessions {
		sessions[i] = &Session{server: s.Server, options: options, account: s.budget.account(), conn: sink{taken: &taken}}
		sessions[i].machine.writer = writerIdle
	}
	to := &testAudience[*Session]{lists: [][]*Session{sessions}, session: func(s *Session) *Session { return s }}
	m := text(strings.Repeat("x", 200))
	var queueing time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for n := int64(1); b.Loop(); n++ {
		begin := time.Now()
		Broadcast(m, to)
		queueing += time.Since(begin)
		for taken.Load() < n*int64(m.Size())*receivers {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/delivery")
	b.ReportMetric(float64(queueing.Nanoseconds())/float64(b.N)/receivers, "ns/queued")
}

// BenchmarkBroadcast1000 sends one message to 1,000 sessions and waits until
// all have been written to. What it allocates per operation is for 1,000
// deliveries.
func BenchmarkBroadcast1000(b *testing.B) {
	const receivers = 1000
	for name, newMessage := range map[string]func() *wire.Message{
		"one message": func() func() *wire.Message {
			m := text(strings.Repeat("x", 200))
			return func() *wire.Message { return m }
		}(),
		"new messages": func() *wire.Message { return text(strings.Repeat("x", 200)) },
	} {
		b.Run(name, func(b *testing.B) {
			s := newEngine(b, Options{})
			var taken atomic.Int64
			sessions := sinkSessions(b, s, receivers, &taken)
			await := func(bytes int64) {
				for taken.Load() < bytes {
					runtime.Gosched()
				}
			}
			var opening int64
			eventually(b, "the open packets to be written", func() bool {
				was := opening
				opening = taken.Load()
				return quiet(sessions) && was == opening && opening > 0
			})
			size := int64(newMessage().Size()) * receivers
			to := &testAudience[*Session]{lists: [][]*Session{sessions}, session: func(s *Session) *Session { return s }}
			b.ReportAllocs()
			b.ResetTimer()
			for n := int64(1); b.Loop(); n++ {
				Broadcast(newMessage(), to)
				await(opening + n*size)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/delivery")
		})
	}
}
