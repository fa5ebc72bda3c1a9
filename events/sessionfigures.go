package events

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The figures of Sessions.
var (
	sessionsFigure        = streaming.Figure{Name: "sessions", Help: "Sessions that there are, empty ones included."}
	emptySessionsFigure   = streaming.Figure{Name: "sessions_empty", Help: "Empty sessions that are kept for a rejoin."}
	sessionClientsFigure  = streaming.Figure{Name: "session_clients", Help: "Clients in sessions; one that is in two counts twice."}
	historyBytesFigure    = streaming.Figure{Name: "session_history_bytes", Help: "Bytes kept of sessions for those who join late."}
	sessionContentsFigure = streaming.Figure{Name: "session_contents_total", Help: "Contents that were passed on in sessions.", Counter: true}
	sessionChunksFigure   = streaming.Figure{Name: "session_chunks_total", Help: "Chunks that were passed on in sessions.", Counter: true}
	sessionBytesFigure    = streaming.Figure{Name: "session_bytes_total", Help: "Bytes of the contents and chunks that were passed on in sessions.", Counter: true}
)

// sessionCounts are what the sessions of a namespace count. What goes to many
// clients counts once.
type sessionCounts struct{ contents, chunks, bytes *measure.Counter }

func newSessionCounts(n *streaming.Namespace) sessionCounts {
	return sessionCounts{
		contents: n.Counter(sessionContentsFigure),
		chunks:   n.Counter(sessionChunksFigure),
		bytes:    n.Counter(sessionBytesFigure),
	}
}

// shared counts what a client has shared.
func (c *sessionCounts) shared(kind *measure.Counter, sender *streaming.Socket, args packet.Args) {
	key := sender.ID()[0]
	kind.Add(key, 1)
	c.bytes.Add(key, int64(args.Size()))
}

// tell adds the figures of the namespace's sessions to what it tells.
func (t *sessions) tell(h *streaming.Handlers) {
	h.Gauge(sessionsFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(len(t.byID))
	})
	h.Gauge(emptySessionsFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(t.kept.Len())
	})
	h.Gauge(sessionClientsFigure, func() float64 { return float64(t.clients.Load()) })
	h.Gauge(historyBytesFigure, func() float64 { return float64(t.historyBytes.Load()) })
}
