package streaming

import "github.com/caddy-socketio/socketio-stream/streaming/packet"

// Adapter knows which sockets of one namespace are in which rooms, and brings
// broadcasts to them. All methods may be called from any goroutine and do not
// wait for a client.
type Adapter interface {
	// Add makes a socket receive what is for everyone. It does nothing for a
	// socket that was removed before.
	Add(s *Socket)
	// Remove takes a socket out of everything, for good. It returns the rooms
	// it was in.
	Remove(s *Socket) (rooms []string)
	// Join puts a socket into rooms.
	Join(s *Socket, rooms ...string)
	// Leave takes a socket out of rooms.
	Leave(s *Socket, rooms ...string)
	// Rooms lists the rooms a socket is in, without that of its own ID.
	Rooms(s *Socket) []string
	// Sockets lists the sockets that a target means.
	Sockets(t Target) []*Socket
	// Count is the number of sockets in a room.
	Count(room string) int
	// Broadcast sends a packet to the sockets that a target means when it is
	// called: one that was there before receives it, one that comes later
	// does not.
	Broadcast(p *packet.Packet, t Target)
	Inspector
}
