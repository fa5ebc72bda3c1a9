package presence

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// network brings servers of this process together, each as if it were a process of its own. Each hears what
// another one tells in order, on a goroutine of its own, unless the network is told to spoil that.
type network struct {
	// spoil, when not nil, says how often a message arrives, and how long it takes.
	spoil func() (times int, late time.Duration)

	mu      sync.Mutex
	members []*adapter
}

// adapter is the only namespace of a server.
type adapter struct {
	network *network
	name    string
	local   streaming.Local
	inbox   chan packet.Args
	cut     atomic.Bool
	closed  chan struct{}
}

func (n *network) tell(from *adapter, event string, args packet.Args) {
	if event != "socketio_stream:presence" {
		panic("told " + event)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.members {
		if a == from || from.cut.Load() || a.cut.Load() {
			continue
		}
		times, late := 1, time.Duration(0)
		if n.spoil != nil {
			times, late = n.spoil()
		}
		for range times {
			if late == 0 {
				a.inbox <- args
				continue
			}
			time.AfterFunc(late, func() {
				select {
				case a.inbox <- args:
				case <-a.closed:
				}
			})
		}
	}
}

// server is a server of the network.
type server struct {
	*streaming.Server
	*Peers
	adapter *adapter
	// seen is what its watcher was told, and lost how many rows have ended with their servers.
	mu   sync.Mutex
	seen map[string]string
	lost int
}

func (n *network) server(t testing.TB, name string) *server {
	t.Helper()
	s := &server{seen: make(map[string]string)}
	s.Server = streaming.New(streaming.Options{Adapter: func(local streaming.Local) (streaming.Adapter, error) {
		s.adapter = &adapter{network: n, name: name, local: local, inbox: make(chan packet.Args, 10_000), closed: make(chan struct{})}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.members = append(n.members, s.adapter)
		go s.adapter.hear()
		return s.adapter, nil
	}}, slog.New(slog.DiscardHandler))
	ns, err := s.Use("/", set{})
	if err != nil {
		t.Fatal(err)
	}
	s.Peers = Of(ns)
	s.Watch("", func(c Change) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := c.Node + " " + c.Key
		if s.seen[key] != string(c.Old) {
			t.Errorf("%s is told that %s was %q, and knew it as %q", name, key, c.Old, s.seen[key])
		}
		if c.New == nil {
			delete(s.seen, key)
		} else {
			s.seen[key] = string(c.New)
		}
		if c.Lost {
			s.lost++
		}
	})
	return s
}

// kill has a server end without a word.
func (s *server) kill() {
	s.adapter.cut.Store(true)
	s.Close()
}

// known is what a server has been told of the rows of others.
func (s *server) known() (seen map[string]string, lost int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen = make(map[string]string)
	for key, value := range s.seen {
		seen[key] = value
	}
	return seen, s.lost
}

func (s *server) listed() string {
	text := ""
	for _, node := range s.Nodes() {
		text += node.Name + " "
	}
	return text
}

// set has a namespace take part.
type set struct{}

func (set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	if Register(n, h) != Register(n, h) {
		return fmt.Errorf("a second event set gets others")
	}
	return nil
}

func (a *adapter) hear() {
	for {
		select {
		case args := <-a.inbox:
			if !a.cut.Load() {
				a.local.Tell(event, args)
			}
		case <-a.closed:
			return
		}
	}
}

func (a *adapter) Tell(event string, args packet.Args)        { a.network.tell(a, event, args) }
func (a *adapter) Node() string                               { return a.name }
func (a *adapter) RequestTimeout() time.Duration              { return 20 * time.Second }
func (a *adapter) Broadcast(*packet.Packet, streaming.Target) {}
func (a *adapter) Join(streaming.Target, []string)            {}
func (a *adapter) Leave(streaming.Target, []string)           {}
func (a *adapter) Disconnect(streaming.Target, bool)          {}

func (a *adapter) Call(context.Context, *packet.Packet, streaming.Target, func(streaming.Reply)) (int, error) {
	return 0, nil
}

func (a *adapter) Sockets(context.Context, streaming.Target) ([]streaming.SocketState, error) {
	return nil, nil
}

func (a *adapter) Close() error {
	a.network.mu.Lock()
	defer a.network.mu.Unlock()
	a.cut.Store(true)
	close(a.closed)
	return nil
}

// spoiled loses, doubles and delays some messages.
func spoiled(random *rand.Rand) func() (int, time.Duration) {
	return func() (times int, late time.Duration) {
		times = 1
		switch random.IntN(10) {
		case 0:
			times = 0
		case 1:
			times = 2
		case 2:
			late = time.Duration(random.IntN(3000)) * time.Millisecond
		}
		return times, late
	}
}
