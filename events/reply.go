package events

import "github.com/caddy-socketio/socketio-stream/streaming"

// Success is the acknowledgement of an event that was accepted.
type Success struct {
	Success bool `json:"success"`
}

// Relay passes an event on to everyone else in the namespace, just as it came,
// and acknowledges it with {success: true}.
func Relay(e *streaming.Event) {
	_ = e.Socket.Broadcast().EmitArgs(e.Name, e.Args)
	Succeed(e)
}

// Succeed acknowledges an event with {success: true}, if its sender asked for
// that.
func Succeed(e *streaming.Event) { _ = e.Ack.ReplyWith(Success{Success: true}) }
