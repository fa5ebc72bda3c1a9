package streaming

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Broadcast says who is to receive something. It is a value: each method
// returns a changed copy, so one may be kept and used from any goroutine.
type Broadcast struct {
	namespace *Namespace
	rooms     []string
	except    []string
	mayJoin   string
	// sender, when not nil, does not receive.
	sender *Socket
	// here is true when the sockets of other processes are not meant.
	here bool
}

func (b Broadcast) target() Target {
	return Target{Rooms: b.rooms, Except: b.except, MayJoin: b.mayJoin, Sender: b.sender}
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

// MayJoin leaves out those whose clients may not join a room, whether they have
// joined it or not. What counts are the rights at the time of the broadcast.
func (b Broadcast) MayJoin(room string) Broadcast {
	b.mayJoin = room
	return b
}

// Here leaves out the sockets of other processes.
func (b Broadcast) Here() Broadcast {
	b.here = true
	return b
}

// remote returns who has the receivers of other processes, or nil where none are meant.
func (b Broadcast) remote() *remote {
	if b.here {
		return nil
	}
	return b.namespace.remote.Load()
}

// Emit sends an event to all receivers, with arguments that are made of values,
// see [packet.NewArgs]. The error is that of NewArgs or of EmitArgs.
func (b Broadcast) Emit(event string, values ...any) error {
	args, err := packet.NewArgs(values...)
	if err != nil {
		return err
	}
	return b.EmitArgs(event, args)
}

// EmitArgs sends an event to all receivers that are there when it is called: to
// those of this process first. It does not wait for any of them. Whoever sends
// at the same time, all receivers get what they have in common in one order: of
// any two broadcasts that both reach both of two sockets, both sockets get the
// same one first. An error is [packet.ErrReservedEvent].
func (b Broadcast) EmitArgs(event string, a packet.Args, flags ...packet.Flags) error {
	_, err := b.EmitCounted(event, a, flags...)
	return err
}

// EmitCounted is EmitArgs, and returns how many sockets of this process the event was for; a socket
// that sends to others is one of them.
func (b Broadcast) EmitCounted(event string, a packet.Args, flags ...packet.Flags) (receivers int, err error) {
	if err := packet.CheckEvent(event); err != nil {
		return 0, err
	}
	n, t := b.namespace, b.target()
	p := &packet.Packet{Type: packet.TypeEvent, Namespace: n.name, Event: event, Args: a, Flags: union(flags)}
	n.counts.broadcast(b.sender)
	n.server.taps.toMany(n.name, t, p)
	r := b.remote()
	if r == nil {
		return n.deliver(p, t), nil
	}
	r.sending.Lock()
	defer r.sending.Unlock()
	receivers = n.deliver(p, t)
	n.elsewhere("a broadcast", func(a Adapter) { a.Broadcast(p, t) })
	return receivers, nil
}

// union returns the flags of all that are given.
func union(flags []packet.Flags) (all packet.Flags) {
	for _, f := range flags {
		all |= f
	}
	return all
}

// deliver sends a packet to the sockets of this process that are meant, and returns how many they
// are, a sender among them.
func (n *Namespace) deliver(p *packet.Packet, t Target) (receivers int) {
	d := deliveries.Get().(*delivery)
	d.keepIn(n.rooms.log.Load(), p)
	if d.find(n.rooms, t) {
		if d.keeping == nil {
			receivers = broadcast(p.Message(), d)
		} else {
			receivers = broadcastKept(p, d, &d.audience)
		}
	}
	*d = delivery{}
	deliveries.Put(d)
	return receivers
}

// delivery is the audience of a packet that is not answered.
type delivery struct{ audience }

var deliveries = sync.Pool{New: func() any { return new(delivery) }}

// Session implements engineio.Audience.
func (d *delivery) Session(s *Socket) *engineio.Session {
	if s == d.target.Sender || d.target.MayJoin != "" && !s.MayJoin(d.target.MayJoin) || !s.greet() {
		return nil
	}
	return s.client().session
}

// Sockets returns the receivers that are connected to this process.
func (b Broadcast) Sockets() []*Socket { return b.namespace.rooms.sockets(b.target()) }

// FetchSockets tells of the receivers, of all processes. An error is that of
// ctx or of the [Adapter]; those that were found are returned in any case.
func (b Broadcast) FetchSockets(ctx context.Context) ([]SocketState, error) {
	n, t := b.namespace, b.target()
	states := Local{n}.Sockets(t)
	if b.remote() == nil {
		return states, nil
	}
	others, err := askElsewhere(ctx, n, "finding sockets", func(a Adapter) ([]SocketState, error) { return a.Sockets(ctx, t) })
	if err != nil {
		err = fmt.Errorf("finding the sockets of other processes: %w", err)
	}
	return append(states, others...), err
}

// Join makes all receivers join rooms, whatever their clients may join.
func (b Broadcast) Join(rooms ...string) {
	n, t := b.namespace, b.target()
	Local{n}.Join(t, rooms)
	if b.remote() != nil {
		n.elsewhere("joining rooms", func(a Adapter) { a.Join(t, rooms) })
	}
}

// Leave makes all receivers leave rooms.
func (b Broadcast) Leave(rooms ...string) {
	n, t := b.namespace, b.target()
	Local{n}.Leave(t, rooms)
	if b.remote() != nil {
		n.elsewhere("leaving rooms", func(a Adapter) { a.Leave(t, rooms) })
	}
}

// Disconnect disconnects all receivers, see [Socket.Disconnect].
func (b Broadcast) Disconnect(closeConnection bool) {
	n, t := b.namespace, b.target()
	Local{n}.Disconnect(t, closeConnection)
	if b.remote() != nil {
		n.elsewhere("disconnecting", func(a Adapter) { a.Disconnect(t, closeConnection) })
	}
}
