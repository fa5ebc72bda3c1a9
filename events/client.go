package events

import (
	"weak"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// identity is what shares are counted by for a client that an authenticator has identified.
type identity struct{ method, id string }

// Client is who shares are counted for when a socket takes something: all connections of one identity
// are one client; without an identity each connection is one.
func Client(socket *streaming.Socket) share.Client {
	who := share.Client{ID: Connection(socket), Address: socket.Handshake().Address()}
	if known := socket.Identity(); known != nil {
		who.ID = identity{known.Method, known.ID}
	}
	return who
}

// Connection returns what tells connections apart, a comparable value that keeps nothing of them. A
// client that leaves a namespace and connects to it again has another socket, but is on the same
// connection.
func Connection(socket *streaming.Socket) any { return weak.Make(socket.Handshake()) }
