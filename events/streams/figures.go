package streams

import "github.com/caddy-socketio/socketio-stream/streaming"

// What the set tells of a namespace.
var (
	streamsFigure     = streaming.Figure{Name: "streams", Help: "Streams that are on air."}
	startedFigure     = streaming.Figure{Name: "streams_started_total", Help: "Streams that were started.", Counter: true}
	replayBytesFigure = streaming.Figure{Name: "stream_replay_bytes", Help: "Bytes kept of streams for those who join late."}
)

func init() { streaming.RegisterFigures(streamsFigure, startedFigure, replayBytesFigure) }

// tell adds the figures of the namespace's streams to what it tells.
func (t *streams) tell(h *streaming.Handlers) {
	h.Gauge(streamsFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(len(t.byID))
	})
	h.Gauge(replayBytesFigure, func() float64 {
		t.mu.Lock()
		defer t.mu.Unlock()
		return float64(t.replays.Held())
	})
}
