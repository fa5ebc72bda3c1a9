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
	closed  atomic.Bool
	// sending is held while a broadcast is queued here and given to the adapter,
	// so that both have one order.
	sending sync.Mutex
	// done is closed once the adapter is.
	done chan struct{}
	// present is how many sockets have connected whose handlers have not ended,
	// leaving is true once the adapter is to be closed when there are none.
	present atomic.Int64
	leaving atomic.Bool
}

// errAdapterPanic is an adapter that has panicked. The log has more.
var errAdapterPanic = errors.New("the adapter has panicked")

// attach gives a namespace that nobody can find yet its adapter.
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
		n.remote = &remote{adapter: adapter, done: make(chan struct{})}
	}
	return nil
}

// came takes note of a socket that connects. It reports false when none may any
// more, since the adapter is closed or is about to be.
func (n *Namespace) came() bool {
	if n.remote == nil {
		return true
	}
	n.remote.present.Add(1)
	if n.remote.leaving.Load() {
		n.went()
		return false
	}
	return true
}

// went takes note of a socket whose last handler has ended.
func (n *Namespace) went() {
	if n.remote != nil && n.remote.present.Add(-1) == 0 && n.remote.leaving.Load() {
		n.detach()
	}
}

// takeLeave closes the adapter as soon as the sockets that there are have gone,
// and their handlers have said so to other processes. It does not wait.
func (n *Namespace) takeLeave() {
	if n.remote == nil {
		return
	}
	n.remote.leaving.Store(true)
	if n.remote.present.Load() == 0 {
		n.detach()
	}
}

// detach closes the adapter. Only the first call does anything.
func (n *Namespace) detach() {
	if n.remote == nil || n.remote.closed.Swap(true) {
		return
	}
	defer close(n.remote.done)
	n.guard("closing it", func() {
		if err := n.remote.adapter.Close(); err != nil {
			n.server.logger.Warn("closing an adapter failed", "namespace", n.name, "error", err)
		}
	})
}

// elsewhere does something with the adapter, if it is not closed. The caller
// has seen that there is one. It reports false when the adapter has panicked.
func (n *Namespace) elsewhere(during string, do func(Adapter)) (ok bool) {
	return n.remote.closed.Load() || n.guard(during, func() { do(n.remote.adapter) })
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
	if n.remote != nil {
		n.elsewhere("telling", func(a Adapter) { a.Tell(event, args) })
	}
}
