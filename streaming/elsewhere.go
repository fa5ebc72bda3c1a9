package streaming

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// remote is the adapter of a namespace. One that has none has no remote, which
// is all that a server by itself looks at.
type remote struct {
	adapter Adapter
	// closing is true once the adapter is about to be closed, closed once nothing is asked of it any more.
	closing, closed atomic.Bool
	// sending is held while a broadcast is queued here and given to the adapter,
	// so that both have one order.
	sending sync.Mutex
	// done is closed once the adapter is.
	done chan struct{}
}

// errAdapterPanic is an adapter that has panicked. The log has more.
var errAdapterPanic = errors.New("the adapter has panicked")

// setAdapter has namespaces that are made from now on get their adapters from
// create, and those that are there, if they have had none so far. nil takes those
// away that there are.
func (s *Server) setAdapter(create func(Local) (Adapter, error)) {
	s.mu.Lock()
	unchanged := (create == nil) == (s.adapter == nil) || s.ended
	s.adapter = create
	s.mu.Unlock()
	if unchanged {
		return
	}
	for _, n := range s.Namespaces() {
		if create == nil {
			n.detach()
			n.watchRooms(nil)
			n.remote.Store(nil)
		} else if err := n.attach(create); err != nil {
			s.logger.Error("namespace without an adapter", "namespace", n.name, "error", err)
		}
	}
}

// Health is nil as long as the adapters of all namespaces reach other processes,
// as far as they can tell, see [Healthy].
func (s *Server) Health() error {
	for _, n := range s.Namespaces() {
		if err := n.health(); err != nil {
			return err
		}
	}
	return nil
}

// errNoCluster is a namespace of this process alone.
var errNoCluster = errors.New("it has no cluster")

// Clustered returns what the adapter of the namespace tells of its cluster, or nil where there is none, or
// one that tells nothing. The error says why other processes are not reached, as far as that is known.
func (n *Namespace) Clustered() (Clustered, error) {
	r := n.remote.Load()
	if r == nil || r.closed.Load() {
		return nil, errNoCluster
	}
	c, ok := r.adapter.(Clustered)
	if !ok {
		return nil, errNoCluster
	}
	return c, n.health()
}

// health is nil also where there is no adapter, or one that cannot tell.
func (n *Namespace) health() error {
	r := n.remote.Load()
	if r == nil || r.closed.Load() {
		return nil
	}
	if h, ok := r.adapter.(Healthy); ok {
		return h.Health()
	}
	return nil
}

// attach gives a namespace its adapter.
func (n *Namespace) attach(create func(Local) (Adapter, error)) error {
	var (
		adapter Adapter
		err     error
	)
	if !n.guard("making it", func() { adapter, err = create(Local{n}) }) {
		err = errAdapterPanic
	}
	if err != nil {
		return fmt.Errorf("adapter of the namespace %s: %w", n.name, err)
	}
	if adapter != nil {
		n.watchRooms(adapter)
		n.remote.Store(&remote{adapter: adapter, done: make(chan struct{})})
	}
	return nil
}

// watchRooms has an adapter know which rooms have members, if it wants to.
func (n *Namespace) watchRooms(adapter Adapter) {
	watcher, ok := adapter.(RoomWatcher)
	if !ok {
		n.rooms.changed.Store(nil)
		return
	}
	changed := watcher.RoomChanged
	n.rooms.changed.Store(&changed)
}

// came takes note of a socket that connects. It reports false when none may any
// more, since the adapter is closed or is about to be.
func (n *Namespace) came() bool {
	n.present.Add(1)
	if n.leaving.Load() && n.remote.Load() != nil {
		n.went()
		return false
	}
	return true
}

// went takes note of a socket whose last handler has ended.
func (n *Namespace) went() {
	if n.present.Add(-1) == 0 && n.leaving.Load() {
		n.detach()
	}
}

// takeLeave closes the adapter as soon as the sockets that there are have gone,
// and their handlers have said so to other processes. It does not wait.
func (n *Namespace) takeLeave() {
	n.leaving.Store(true)
	if n.present.Load() == 0 {
		n.detach()
	}
}

// detach closes the adapter. Only the first call does anything.
func (n *Namespace) detach() {
	r := n.remote.Load()
	if r == nil || r.closing.Swap(true) {
		return
	}
	defer close(r.done)
	for _, leave := range n.handlers.Load().leave {
		n.guard("taking leave", leave)
	}
	r.closed.Store(true)
	n.guard("closing it", func() {
		if err := r.adapter.Close(); err != nil {
			n.server.logger.Warn("closing an adapter failed", "namespace", n.name, "error", err)
		}
	})
}

// elsewhere does something with the adapter, if there is one and it is not closed.
// It reports false when the adapter has panicked.
func (n *Namespace) elsewhere(during string, do func(Adapter)) (ok bool) {
	r := n.remote.Load()
	return r == nil || r.closed.Load() || n.guard(during, func() { do(r.adapter) })
}

// askElsewhere is elsewhere for what waits for other processes. It returns when
// ctx ends, whatever the adapter does.
func askElsewhere[T any](ctx context.Context, n *Namespace, during string, ask func(Adapter) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		var a answer
		if !n.elsewhere(during, func(adapter Adapter) { a.value, a.err = ask(adapter) }) {
			a.err = errAdapterPanic
		}
		answered <- a
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// guard has an adapter do something. It reports false when that has panicked.
func (n *Namespace) guard(during string, do func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			n.server.logger.Error("panic in an adapter",
				"namespace", n.name, "during", during, "panic", r, "stack", string(debug.Stack()))
		}
	}()
	do()
	return true
}

// Tell brings an event to the same namespace of the other processes, if there
// are any: to their event sets and not to clients, see [Handlers.OnTell]. It
// does not wait for them.
func (n *Namespace) Tell(event string, args packet.Args) {
	if n.remote.Load() != nil {
		n.elsewhere("telling", func(a Adapter) { a.Tell(event, args) })
	}
}
