// Package relay is the event set that passes events on as they come.
package relay

import (
	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Set passes events on to everyone else in the namespace, just as they came.
// An acknowledgement, if asked for, is {success: true}.
type Set struct {
	// Events are the names of the events. At least one.
	Events []string
}

// Register implements streaming.EventSet.
func (s *Set) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	h.RefuseUnknown()
	h.OnRestore(nil)
	for _, event := range s.Events {
		if err := h.On(event, events.Relay); err != nil {
			return err
		}
	}
	return nil
}
