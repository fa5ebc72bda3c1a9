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
			for range receivers {
				w := &hijackable{httptest.NewRecorder(), sink{taken: &taken, ended: make(chan struct{}), once: new(sync.Once)}}
				s.ServeHTTP(w, websocketRequest(b, rawclient.Query(rawclient.WebSocket, "")))
			}
			sessions := make([]*Session, 0, receivers)
			for _, r := range s.recorders {
				sessions = append(sessions, r.session)
			}
			await := func(bytes int64) {
				for taken.Load() < bytes {
					runtime.Gosched()
				}
			}
			var opening int64
			eventually(b, "the open packets to be written", func() bool {
				was := opening
				opening = taken.Load()
				queued := 0
				for _, session := range sessions {
					queued += session.QueuedBytes()
				}
				return queued == 0 && was == opening && opening > 0
			})
			size := int64(newMessage().Size()) * receivers
			b.ReportAllocs()
			b.ResetTimer()
			for n := int64(1); b.Loop(); n++ {
				Broadcast(newMessage(), sessions, func(s *Session) *Session { return s }, nil)
				await(opening + n*size)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/delivery")
		})
	}
}
