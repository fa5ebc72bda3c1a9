package events

import "github.com/caddy-socketio/socketio-stream/streaming"

// Figures are all that the event sets of this package tell of a namespace.
// Whoever shows them has to know them beforehand: a set that tells something
// new adds it here.
var Figures = []streaming.Figure{
	streamsFigure, streamsStartedFigure, replayBytesFigure,
	sessionsFigure, emptySessionsFigure, sessionClientsFigure, historyBytesFigure,
	sessionContentsFigure, sessionChunksFigure, sessionBytesFigure,
}

// The figures of Streaming.
var (
	streamsFigure        = streaming.Figure{Name: "streams", Help: "Streams that are on air."}
	streamsStartedFigure = streaming.Figure{Name: "streams_started_total", Help: "Streams that were started.", Counter: true}
	replayBytesFigure    = streaming.Figure{Name: "stream_replay_bytes", Help: "Bytes kept of streams for those who join late."}
)

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
		return float64(t.replayBytes)
	})
}
