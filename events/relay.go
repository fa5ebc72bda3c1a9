package events

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Relay passes events on to everyone else in the namespace, just as they came.
// An acknowledgement, if asked for, is {success: true}.
type Relay struct {
	// Events are the names of the events. At least one.
	Events []string
}

// Register implements streaming.EventSet.
func (r *Relay) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	for _, event := range r.Events {
		if err := h.On(event, relay); err != nil {
			return err
		}
	}
	return nil
}

func relay(e *streaming.Event) {
	_ = e.Socket.Broadcast().Emit(e.Name, e.Args)
	succeed(e)
}

// success is the acknowledgement of an event that was accepted.
type success struct {
	Success bool        `json:"success"`
	Stream  *streamInfo `json:"stream,omitempty"`
}

// succeed acknowledges an event, if its sender asked for that.
func succeed(e *streaming.Event) { acknowledge(e, success{Success: true}) }

func acknowledge(e *streaming.Event, answer success) {
	if e.Ack.Wanted() {
		e.Ack.Reply(encode(answer))
	}
}

// encode makes arguments of values that encoding/json cannot fail on.
func encode(values ...any) packet.Args {
	args, err := packet.NewArgs(values...)
	if err != nil {
		panic(err)
	}
	return args
}
