package streaming

import (
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Broadcast says who is to receive something. It is a value: each method
// returns a changed copy, so one may be kept and used from any goroutine.
type Broadcast struct {
	namespace *Namespace
	rooms     []string
	except    []string
	// sender, when not nil, does not receive.
	sender *Socket
	flags  packet.Flags
}

// Target is who receives a broadcast, for an [Adapter].
type Target struct {
	// Rooms are the rooms to reach; none means everyone in the namespace. A
	// socket in several of them receives once. The ID of a socket is a room
	// that holds just that socket.
	Rooms []string
	// Except are rooms whose members do not receive.
	Except []string
	// Sender, when not nil, does not receive.
	Sender *Socket
}

func (b Broadcast) target() Target {
	return Target{Rooms: b.rooms, Except: b.except, Sender: b.sender}
}

// To adds rooms whose members receive.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.rooms = append(slices.Clip(b.rooms), rooms...)
	return b
}

// Except adds rooms whose members do not receive.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.except = append(slices.Clip(b.except), rooms...)
	return b
}

// Volatile makes the event one that is better lost than late.
func (b Broadcast) Volatile() Broadcast {
	b.flags |= packet.Volatile
	return b
}

// Compress says whether the event is worth compressing. Default: true.
func (b Broadcast) Compress(worthIt bool) Broadcast {
	b.flags &^= packet.NoCompress
	if !worthIt {
		b.flags |= packet.NoCompress
	}
	return b
}

// Emit sends an event to all receivers that are there when it is called. It
// does not wait for any of them. An error means that the name is reserved.
func (b Broadcast) Emit(event string, args packet.Args) error {
	if err := packet.CheckEvent(event); err != nil {
		return err
	}
	b.namespace.counts.broadcast(b.sender)
	b.namespace.server.taps.toMany(&b, event, args)
	b.namespace.adapter.Broadcast(&packet.Packet{
		Type: packet.TypeEvent, Namespace: b.namespace.name, Event: event, Args: args, Flags: b.flags,
	}, b.target())
	return nil
}

// Sockets returns the receivers.
func (b Broadcast) Sockets() []*Socket { return b.namespace.adapter.Sockets(b.target()) }

// Join makes all receivers join rooms, whatever their clients may join.
func (b Broadcast) Join(rooms ...string) {
	for _, s := range b.Sockets() {
		s.Admit(rooms...)
	}
}

// Leave makes all receivers leave rooms.
func (b Broadcast) Leave(rooms ...string) {
	for _, s := range b.Sockets() {
		s.Leave(rooms...)
	}
}

// Disconnect disconnects all receivers, see [Socket.Disconnect].
func (b Broadcast) Disconnect(closeConnection bool) {
	for _, s := range b.Sockets() {
		s.Disconnect(closeConnection)
	}
}
