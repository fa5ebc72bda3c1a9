// Package clustertest brings servers of one process together for tests, each as if it were a process of its own.
package clustertest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Network is what servers hear each other by: each hears what another one does in order, on a goroutine of its
// own for each namespace. The zero value is ready for use.
type Network struct {
	// RequestTimeout is how long an answer is waited for. Default: 5 seconds.
	RequestTimeout time.Duration

	mu      sync.Mutex
	members []*adapter
	cut     map[string]bool
}

// adapter is one namespace of one server.
type adapter struct {
	network *Network
	node    string
	local   streaming.Local

	mu    sync.Mutex
	queue []func()
	busy  bool
}

// Adapter is for the options of a server of that name.
func (n *Network) Adapter(node string) func(streaming.Local) (streaming.Adapter, error) {
	return func(local streaming.Local) (streaming.Adapter, error) {
		a := &adapter{network: n, node: node, local: local}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.members = append(n.members, a)
		return a, nil
	}
}

// Cut has a server neither hear of others nor be heard from now on, or again.
func (n *Network) Cut(node string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut == nil {
		n.cut = make(map[string]bool)
	}
	n.cut[node] = cut
}

// others has the same namespace of the other servers do something.
func (a *adapter) others(do func(streaming.Local)) {
	a.network.mu.Lock()
	defer a.network.mu.Unlock()
	for _, b := range a.network.members {
		if b.node != a.node && b.local.Namespace() == a.local.Namespace() && !a.network.cut[a.node] && !a.network.cut[b.node] {
			b.later(func() { do(b.local) })
		}
	}
}

func (a *adapter) later(do func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queue = append(a.queue, do)
	if !a.busy {
		a.busy = true
		go a.work()
	}
}

func (a *adapter) work() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 {
		queue := a.queue
		a.queue = nil
		a.mu.Unlock()
		for _, do := range queue {
			do()
		}
		a.mu.Lock()
	}
	a.busy = false
}

// without is a target as others get it.
func without(t streaming.Target) streaming.Target {
	return streaming.Target{Rooms: t.Rooms, Except: t.Except, MayJoin: t.MayJoin}
}

func (a *adapter) Broadcast(p *packet.Packet, t streaming.Target) {
	a.others(func(l streaming.Local) {
		l.Broadcast(&packet.Packet{Type: p.Type, Namespace: p.Namespace, Event: p.Event, Args: p.Args, Flags: p.Flags}, without(t))
	})
}

func (a *adapter) Call(context.Context, *packet.Packet, streaming.Target, func(streaming.Reply)) (expected int, err error) {
	return 0, nil
}

func (a *adapter) Join(t streaming.Target, rooms []string) {
	a.others(func(l streaming.Local) { l.Join(without(t), rooms) })
}

func (a *adapter) Leave(t streaming.Target, rooms []string) {
	a.others(func(l streaming.Local) { l.Leave(without(t), rooms) })
}

func (a *adapter) Disconnect(t streaming.Target, closeConnection bool) {
	a.others(func(l streaming.Local) { l.Disconnect(without(t), closeConnection) })
}

func (a *adapter) Sockets(context.Context, streaming.Target) ([]streaming.SocketState, error) {
	return nil, nil
}

func (a *adapter) Tell(event string, args packet.Args) {
	a.others(func(l streaming.Local) { l.Tell(event, args) })
}

// Node implements streaming.Clustered.
func (a *adapter) Node() string { return a.node }

// RequestTimeout implements streaming.Clustered.
func (a *adapter) RequestTimeout() time.Duration {
	return cmp.Or(a.network.RequestTimeout, 5*time.Second)
}

// Health implements streaming.Healthy.
func (a *adapter) Health() error {
	a.network.mu.Lock()
	defer a.network.mu.Unlock()
	if a.network.cut[a.node] {
		return errors.New("it is cut off")
	}
	return nil
}

func (a *adapter) Close() error {
	a.network.mu.Lock()
	defer a.network.mu.Unlock()
	a.network.members = slices.DeleteFunc(a.network.members, func(b *adapter) bool { return a == b })
	return nil
}

// Interface guards.
var (
	_ streaming.Adapter   = (*adapter)(nil)
	_ streaming.Clustered = (*adapter)(nil)
	_ streaming.Healthy   = (*adapter)(nil)
)
