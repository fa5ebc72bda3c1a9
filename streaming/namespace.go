package streaming

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Namespace is a channel of its own that clients connect to over the same
// connection. See "Introduction" in the Socket.IO protocol.
type Namespace struct {
	name   string
	server *Server
	rooms  *rooms
	// remote holds nil, unless other processes have the namespace too.
	remote atomic.Pointer[remote]
	// present is how many sockets have connected whose handlers have not ended,
	// leaving is true once the adapter is to be closed when there are none.
	present  atomic.Int64
	leaving  atomic.Bool
	handlers atomic.Pointer[Handlers]
	counts   *namespaceCounts
	ackID    atomic.Uint64
	// bit stands for the name, see namespaceBits.
	bit uint64
	// removed is true once nobody is to connect any more.
	removed atomic.Bool
	// recheck is the last one, or nil, see Recheck.
	recheck atomic.Pointer[recheck]
	kicked  kicked

	stateMu sync.Mutex
	state   map[reflect.Type]any
}

// State returns what event sets of one kind keep for a namespace, and makes it
// at the first call. It outlives the sets: those that replace them find it.
func State[T any](n *Namespace, create func(*Namespace) *T) *T {
	n.stateMu.Lock()
	defer n.stateMu.Unlock()
	key := reflect.TypeFor[T]()
	if n.state == nil {
		n.state = make(map[reflect.Type]any)
	}
	if n.state[key] == nil {
		n.state[key] = create(n)
	}
	return n.state[key].(*T)
}

// Name begins with a slash.
func (n *Namespace) Name() string { return n.name }

// Logger is that of the server.
func (n *Namespace) Logger() *slog.Logger { return n.server.logger }

// Use replaces the handlers of the namespace by those of the event sets. What
// is running goes on with the old ones. An error is that of a set: it may
// mean that two sets handle one event. Nothing is changed then.
func (n *Namespace) Use(sets ...EventSet) error {
	var h Handlers
	for _, set := range sets {
		h.begin(set)
		if err := set.Register(n, &h); err != nil {
			return err
		}
	}
	n.handlers.Store(&h)
	return nil
}

// Everyone is a broadcast to all sockets of the namespace.
func (n *Namespace) Everyone() Broadcast { return Broadcast{namespace: n} }

// To is a broadcast to the members of rooms.
func (n *Namespace) To(rooms ...string) Broadcast { return n.Everyone().To(rooms...) }

// Emit sends an event to everyone, see [Broadcast.Emit].
func (n *Namespace) Emit(event string, values ...any) error {
	return n.Everyone().Emit(event, values...)
}

// EmitArgs sends an event to everyone, see [Broadcast.EmitArgs].
func (n *Namespace) EmitArgs(event string, a packet.Args, flags ...packet.Flags) error {
	return n.Everyone().EmitArgs(event, a, flags...)
}

// Call sends an event to everyone and waits for the answers, see
// [Broadcast.Call].
func (n *Namespace) Call(ctx context.Context, event string, a packet.Args) ([]Reply, error) {
	return n.Everyone().Call(ctx, event, a)
}

// Count is the number of sockets in a room.
func (n *Namespace) Count(room string) int { return n.rooms.count(room) }

// OwnRooms returns the prefix by which a room belongs to an event set of the namespace, see
// [Handlers.OwnRooms], or "" if it does not.
func (n *Namespace) OwnRooms(room string) (prefix string) {
	for _, prefix := range n.handlers.Load().ownRooms {
		if strings.HasPrefix(room, prefix) {
			return prefix
		}
	}
	return ""
}

// nextAckID counts per namespace, so that one ID serves for a call to many.
func (n *Namespace) nextAckID() uint64 { return n.ackID.Add(1) - 1 }
