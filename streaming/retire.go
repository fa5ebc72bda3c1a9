package streaming

import "github.com/caddy-socketio/socketio-stream/streaming/engineio"

// Retire ends a socket whose client is back on another connection. The socket is disconnected by the
// server, so that a client that is still there does not come back by itself, and the connection is
// closed unless it has sockets of other namespaces.
func (s *Socket) Retire() {
	s.Disconnect(false)
	if s.client.isUnused() {
		s.client.session.Close(engineio.ReasonForcedClose)
	}
}

// isUnused reports whether the client has no socket.
func (c *client) isUnused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sockets) == 0
}
