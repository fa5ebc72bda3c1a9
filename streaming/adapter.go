package streaming

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Target is who is meant: by a broadcast, by a call to many, or by what is to
// be done with many.
type Target struct {
	// Rooms are the rooms to reach; none means everyone in the namespace. A
	// socket in several of them is meant once. The ID of a socket is a room
	// that holds just that socket.
	Rooms []string
	// Except are rooms whose members are not meant.
	Except []string
	// MayJoin, when not empty, is a room: those whose clients may not join it are not
	// meant, see [Socket.MayJoin]. An [Adapter] must tell others of it.
	MayJoin string
	// Sender, when not nil, is not meant. It is a socket of this process, so
	// that an [Adapter] need not tell others of it.
	Sender *Socket
}

// Adapter is the remote half of a namespace: it carries what concerns the
// sockets of other processes. What concerns those of this process has been done
// before it is called. A server that has no others beside it has no adapter.
//
// All methods may be called from any goroutine, also at the same time. Those
// without a context must not wait for other processes. What is handed over must
// not be changed, and what fails is the adapter's own to log. A panic is logged
// and harms nobody.
type Adapter interface {
	// Broadcast sends an event to the sockets that are meant elsewhere, to each
	// in the order of the calls. One call follows the other, in the order in
	// which the sockets of this process have got the events. Broadcast must not
	// broadcast in the same namespace of this process itself. What others need of
	// the packet are its event, arguments and flags.
	Broadcast(p *packet.Packet, t Target)
	// Call sends an event to the sockets that are meant elsewhere, and has
	// reply called with the answer of each, from any goroutine: before or after
	// it returns how many were asked, until ctx ends. It waits for that number,
	// but not for the answers. ctx ends once nobody wants any more of them. The
	// number in the packet means nothing elsewhere. Calls are in no order with
	// broadcasts.
	Call(ctx context.Context, p *packet.Packet, t Target, reply func(Reply)) (expected int, err error)
	// Join makes the sockets that are meant elsewhere join rooms.
	Join(t Target, rooms []string)
	// Leave makes the sockets that are meant elsewhere leave rooms.
	Leave(t Target, rooms []string)
	// Disconnect disconnects the sockets that are meant elsewhere, see
	// [Socket.Disconnect].
	Disconnect(t Target, closeConnection bool)
	// Sockets tells of the sockets that are meant elsewhere. With an error it
	// may return some of them.
	Sockets(ctx context.Context, t Target) ([]SocketState, error)
	// Tell brings an event to the same namespace of the other processes, for
	// their event sets and not for their clients, see [Handlers.OnTell].
	Tell(event string, args packet.Args)
	// Close ends the adapter. It is called once, when the namespace has been
	// removed or the server has ended, and the handlers of their sockets have.
	// What is under way may still be; nothing is called after it.
	Close() error
}

// Healthy is what an [Adapter] may be besides: one that can tell whether it reaches
// other processes.
type Healthy interface {
	// Health says why other processes are not reached, or is nil. It must not wait.
	Health() error
}

// RoomWatcher is what an [Adapter] may be besides: one that is to know which rooms have members in this
// process.
type RoomWatcher interface {
	// RoomChanged is called when a room of that name has got its first member, or has lost its last one.
	// Locks of rooms are held meanwhile: it must not wait, and must call no method of [Local].
	RoomChanged(room string)
}

// Clustered is what an [Adapter] may be besides: one whose servers are told apart by names.
type Clustered interface {
	// Node is the name of this server. No other server of the cluster has it.
	Node() string
	// RequestTimeout is how long an answer of another server is waited for.
	RequestTimeout() time.Duration
}

// Local is what an [Adapter] may do in this process for others that ask it to:
// the same verbs, for the sockets of this process alone. Its methods may be
// called from any goroutine, and do not wait for a client.
type Local struct{ namespace *Namespace }

// Namespace is the name of the namespace. It begins with a slash.
func (l Local) Namespace() string { return l.namespace.name }

// Logger is that of the server.
func (l Local) Logger() *slog.Logger { return l.namespace.server.logger }

// Counter returns the counter of a figure, see [Namespace.Counter].
func (l Local) Counter(figure Figure) *measure.Counter { return l.namespace.Counter(figure) }

// Has reports whether a room has members in this process.
func (l Local) Has(room string) bool { return l.namespace.Count(room) > 0 }

// Rooms yields the rooms that have members in this process, in no order, without those of sockets' IDs.
// One that comes or goes meanwhile may be left out, or come twice.
func (l Local) Rooms() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range l.namespace.rooms.sizes() {
			if !yield(name) {
				return
			}
		}
	}
}

// Broadcast sends an event to the sockets that are meant. The packet must be an
// event of this namespace that asks for no answer, and must not be changed any
// more.
func (l Local) Broadcast(p *packet.Packet, t Target) {
	if !l.takes(p, false) {
		return
	}
	l.namespace.counts.broadcast(t.Sender)
	l.namespace.server.taps.toMany(l.namespace.name, t, p)
	l.namespace.deliver(p, t)
}

// Call sends an event to the sockets that are meant, and has reply called once
// for each: with its answer, or with an error, at the latest when ctx ends.
// That may be on the goroutine that reads from a client, so that reply must not
// wait. It returns how many were asked.
func (l Local) Call(ctx context.Context, p *packet.Packet, t Target, reply func(Reply)) (expected int) {
	if !l.takes(p, true) {
		return 0
	}
	n := l.namespace
	own := &packet.Packet{
		Type: packet.TypeEvent, Namespace: n.name, ID: n.nextAckID(), HasID: true, Event: p.Event, Args: p.Args, Flags: p.Flags,
	}
	n.counts.broadcast(t.Sender)
	n.server.taps.toMany(n.name, t, own)
	var (
		// left is how many answers are owed, less those that are asked.
		left atomic.Int64
		stop func() bool
	)
	asked := n.ask(own, t, func(r Reply) {
		reply(r)
		if left.Add(-1) == 0 {
			stop()
		}
	})
	stop = context.AfterFunc(ctx, func() { forgo(asked, own.ID, ctx.Err()) })
	if left.Add(int64(len(asked))) == 0 {
		stop()
	}
	return len(asked)
}

// Join makes the sockets that are meant join rooms, whatever their clients may
// join.
func (l Local) Join(t Target, rooms []string) {
	for _, s := range l.namespace.rooms.sockets(t) {
		s.Admit(rooms...)
	}
}

// Leave makes the sockets that are meant leave rooms.
func (l Local) Leave(t Target, rooms []string) {
	for _, s := range l.namespace.rooms.sockets(t) {
		s.Leave(rooms...)
	}
}

// Disconnect disconnects the sockets that are meant, see [Socket.Disconnect].
func (l Local) Disconnect(t Target, closeConnection bool) {
	for _, s := range l.namespace.rooms.sockets(t) {
		s.Disconnect(closeConnection)
	}
}

// Sockets tells of the sockets that are meant.
func (l Local) Sockets(t Target) []SocketState {
	sockets := l.namespace.rooms.sockets(t)
	states := make([]SocketState, 0, len(sockets))
	for _, s := range sockets {
		states = append(states, s.State())
	}
	return states
}

// Tell hands an event to the event sets of the namespace, see
// [Handlers.OnTell]. It returns once they have handled it.
func (l Local) Tell(event string, args packet.Args) {
	if handler := l.namespace.handlers.Load().told[event]; handler != nil {
		l.namespace.guard("telling "+event, func() { handler(args) })
	}
}

// takes reports whether a packet is one that clients of the namespace may get:
// with the number of a question only if it is going to get another.
func (l Local) takes(p *packet.Packet, question bool) bool {
	if p.Type == packet.TypeEvent && p.Namespace == l.namespace.name && (question || !p.HasID) {
		return true
	}
	l.namespace.server.logger.Error("packet from an adapter that is no event of its namespace",
		"namespace", l.namespace.name, "type", string(rune(p.Type)))
	return false
}
