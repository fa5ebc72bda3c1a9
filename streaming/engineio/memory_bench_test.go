package engineio

import (
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// BenchmarkIdleSession measures the heap that a silent WebSocket session takes,
// besides its connection and its listener's.
func BenchmarkIdleSession(b *testing.B) {
	const sessions = 10_000
	for b.Loop() {
		s := newEngine(b, Options{})
		var taken atomic.Int64
		before := heapInUse()
		for range sessions {
			w := &hijackable{httptest.NewRecorder(), sink{taken: &taken, ended: make(chan struct{}), once: new(sync.Once)}}
			s.ServeHTTP(w, websocketRequest(b, rawclient.Query(rawclient.WebSocket, "")))
		}
		eventually(b, "the open packets to be written", func() bool {
			for _, r := range s.recorders {
				if r.session.QueuedBytes() > 0 {
					return false
				}
			}
			return true
		})
		b.ReportMetric(float64(heapInUse()-before)/sessions, "B/session")
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far from the limit
}
