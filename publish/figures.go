package publish

import "github.com/caddy-socketio/socketio-stream/streaming"

// figurePublished counts the events of a namespace.
var figurePublished = streaming.Figure{
	Name: "published_events_total", Help: "Events that backends have sent by HTTP.", Counter: true,
}

func init() { streaming.RegisterFigures(figurePublished) }

// Figures is an event set without events. It has what is published to a namespace told before there is
// any.
type Figures struct{}

// Register implements streaming.EventSet.
func (Figures) Register(n *streaming.Namespace, _ *streaming.Handlers) error {
	n.Counter(figurePublished)
	return nil
}

// Interface guard.
var _ streaming.EventSet = Figures{}
