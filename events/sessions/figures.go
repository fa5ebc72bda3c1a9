package sessions

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// What the set tells of a namespace.
var (
	sessionsFigure     = streaming.Figure{Name: "sessions", Help: "Sessions that there are, empty ones included."}
	emptyFigure        = streaming.Figure{Name: "sessions_empty", Help: "Empty sessions that are kept for a rejoin."}
	clientsFigure      = streaming.Figure{Name: "session_clients", Help: "Clients in sessions; one that is in two counts twice."}
	historyBytesFigure = streaming.Figure{Name: "session_history_bytes", Help: "Bytes kept of sessions for those who join late."}
	contentsFigure     = streaming.Figure{Name: "session_contents_total", Help: "Contents that were passed on in sessions.", Counter: true}
	chunksFigure       = streaming.Figure{Name: "session_chunks_total", Help: "Chunks that were passed on in sessions.", Counter: true}
	bytesFigure        = streaming.Figure{Name: "session_bytes_total", Help: "Bytes of the contents and chunks that were passed on in sessions.", Counter: true}
)

func init() {
	streaming.RegisterFigures(sessionsFigure, emptyFigure, clientsFigure, historyBytesFigure,
		contentsFigure, chunksFigure, bytesFigure)
}

// counts are what the sessions of a namespace count. What goes to many
// clients counts once.
type counts struct{ contents, chunks, bytes *measure.Counter }

func newCounts(n *streaming.Namespace) counts {
	return counts{
		contents: n.Counter(contentsFigure),
		chunks:   n.Counter(chunksFigure),
		bytes:    n.Counter(bytesFigure),
	}
}

// shared counts what a client has shared.
func (c *counts) shared(kind *measure.Counter, sender *streaming.Socket, args packet.Args) {
	key := sender.ID()[0]
	kind.Add(key, 1)
	c.bytes.Add(key, int64(args.Size()))
}

// tell adds the figures of the namespace's sessions to what it tells.
func (t *table) tell(h *streaming.Handlers) {
	h.Gauge(sessionsFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(len(t.byID))
	})
	h.Gauge(emptyFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(t.kept.Len())
	})
	h.Gauge(clientsFigure, func() float64 { return float64(t.clients.Load()) })
	h.Gauge(historyBytesFigure, func() float64 { return float64(t.history.size()) })
}
