package streaming

import (
	"encoding/json"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Event is one event from a client.
type Event struct {
	// Socket is who sent it.
	Socket *Socket
	// Name is the event's name.
	Name string
	// Args are its arguments.
	Args packet.Args
	// Ack answers the client; nil when it did not ask for an answer.
	Ack *Ack
}

// Refuse tells the sender that its event was not accepted: the acknowledgement
// {success: false, error, code} if it asked for one and, unless the event is
// merely unknown, an "error" event {message, code}.
func (e *Event) Refuse(code, message string) {
	e.RefuseQuietly(code, message)
	if code != "unknown_event" {
		e.Socket.EmitError(code, message)
	}
}

// RefuseQuietly is Refuse without an "error" event.
func (e *Event) RefuseQuietly(code, message string) {
	e.Socket.namespace.counts.refusedEvents.Add(1)
	e.Ack.refuse(code, message)
}

// ConnectError refuses a client that wants to connect to a namespace. It is
// sent as the CONNECT_ERROR packet, and shows as "connect_error" there.
type ConnectError struct {
	// Message is the error's message.
	Message string
	// Data, when not nil, is the error's data: any JSON value.
	Data json.RawMessage
}

func (e *ConnectError) Error() string { return e.Message }
