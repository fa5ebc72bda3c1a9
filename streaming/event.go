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

// ConnectError refuses a client that wants to connect to a namespace. It is
// sent as the CONNECT_ERROR packet, and shows as "connect_error" there.
type ConnectError struct {
	// Message is the error's message.
	Message string
	// Data, when not nil, is the error's data: any JSON value.
	Data json.RawMessage
}

func (e *ConnectError) Error() string { return e.Message }
