package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Node is one server of a cluster: its name, its adapters, and its connection to Redis, which may
// change. Use [NewNode]. It ends once Release was called and the last of its adapters is closed.
type Node struct {
	// uid is the name that others know it by, nonce what it knows itself by.
	uid, nonce string
	limiter    *logline.Limiter
	log        atomic.Pointer[slog.Logger]
	// live publishes, and hands on what it hears. It is nil before Use.
	live atomic.Pointer[link]
	// next takes the place of live as soon as it is up. It is changed under the lock.
	next atomic.Pointer[link]
	// adapters are those that are not closed.
	adapters atomic.Pointer[[]*adapter]

	mu sync.Mutex
	// released is true once nobody makes adapters any more, ended once the node has.
	released, ended bool
}

// closingTime is how long the end waits for what is queued to be published.
const closingTime = time.Second

// NewNode returns a node that is not connected to anything, see [Node.Use].
func NewNode() *Node {
	n := &Node{uid: newID(), nonce: newID()}
	n.limiter = logline.NewLimiter(func(kind string, more int64) {
		n.logger().Warn("more lines of the adapter redis were left out", "kind", kind, "lines", more)
	})
	n.log.Store(slog.New(slog.DiscardHandler))
	n.adapters.Store(new([]*adapter))
	return n
}

// newID returns a name that nobody else has.
func newID() string {
	var b [9]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (n *Node) logger() *slog.Logger { return n.log.Load() }

// line logs what others may make happen often. kind limits it.
func (n *Node) line(kind string, level slog.Level, text string, args ...any) {
	if n.limiter.Allow(kind) {
		n.logger().Log(context.Background(), level, text, args...)
	}
}

// all lists the adapters.
func (n *Node) all() []*adapter { return *n.adapters.Load() }

// channels lists what is subscribed for all adapters.
func (n *Node) channels(o *Options) (all channels) {
	for _, a := range n.all() {
		all.add(o.protocol.channels(a, o.Prefix))
	}
	if o.Python != "" {
		all.plain = append(all.plain, o.Python)
	}
	return all
}

// Use connects the node to Redis as the options say. Where it is connected otherwise, that stays in
// use until the new connection is up; nothing is missed or comes twice in between. The options have
// been checked. It does not wait for Redis.
func (n *Node) Use(o Options) error {
	o = o.withDefaults()
	n.mu.Lock()
	defer n.mu.Unlock()
	live, next := n.live.Load(), n.next.Load()
	switch {
	case n.ended, next != nil && next.options.Same == o.Same:
		return nil
	case next != nil:
		go next.close(0)
		n.next.Store(nil)
		if live.options.Same == o.Same {
			live.begin(nil)
			return nil
		}
	case live != nil && live.options.Same == o.Same:
		return nil
	}
	l, err := newLink(n, o)
	if err != nil {
		return err
	}
	if live == nil {
		l.begin(nil)
		n.live.Store(l)
	} else {
		l.queue.hold(true)
		n.next.Store(l)
	}
	l.start()
	return nil
}

// beaten is called when a link has heard itself, or another link of the node. That one says so by its
// mark when it is to take the place of the others: all of them hear it at the same place in the order
// of all that is published.
func (n *Node) beaten(l *link, mark string) {
	n.mu.Lock()
	switch {
	case mark == "" && l == n.next.Load():
		l.hurry(l.mark)
	case mark != "" && mark != l.mark:
		l.shut()
	case mark != "" && l == n.next.Load():
		before := n.live.Swap(l)
		n.next.Store(nil)
		n.mu.Unlock()
		n.swap(before, l)
		return
	}
	n.mu.Unlock()
}

// swap hands on what a link hears once all has been that the one before has heard.
func (n *Node) swap(before, l *link) {
	before.queue.close()
	if before.health() == nil {
		select {
		case <-before.over:
		case <-time.After(closingTime):
		}
	}
	before.shut()
	l.begin(before)
	l.run("changing the connection", func() {
		before.close(closingTime)
		l.queue.hold(false)
	})
}

// Health says why other servers are not reached, or is nil.
func (n *Node) Health() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.next.Load()
	if l == nil {
		l = n.live.Load()
	}
	if l == nil || n.ended {
		return nil
	}
	return l.health()
}

// publish queues a message, and counts it.
func (n *Node) publish(m message) (ok bool) {
	for {
		l := n.live.Load()
		if l == nil {
			return false
		}
		ok, closed := l.queue.add(m)
		switch {
		case ok:
			return true
		case closed && n.live.Load() != l:
			continue
		case !closed && l.health() == nil:
			n.line("full", slog.LevelError, "too much waits to be published to Redis, and messages are lost", "bytes", queueBytes)
		}
		l.lose([]message{m})
		return false
	}
}

// Adapter makes the adapter of a namespace. It is a value of [streaming.Options.Adapter].
func (n *Node) Adapter(local streaming.Local) (streaming.Adapter, error) {
	a := newAdapter(n, local)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log.Store(local.Logger())
	more := append(slices.Clip(n.all()), a)
	n.adapters.Store(&more)
	n.follow(a, true)
	return a, nil
}

// follow has the links hear one more namespace, or one less. The caller holds the lock.
func (n *Node) follow(a *adapter, on bool) {
	for _, l := range []*link{n.live.Load(), n.next.Load()} {
		if l != nil {
			l.follow(a, on)
		}
	}
}

// remove takes an adapter away that is closed.
func (n *Node) remove(a *adapter) {
	n.mu.Lock()
	fewer := slices.DeleteFunc(slices.Clone(n.all()), func(other *adapter) bool { return other == a })
	n.adapters.Store(&fewer)
	n.follow(a, false)
	n.mu.Unlock()
	n.end()
}

// Release says that no more adapters are made.
func (n *Node) Release() {
	n.mu.Lock()
	n.released = true
	n.mu.Unlock()
	n.end()
}

// end ends the node if nobody needs it any more.
func (n *Node) end() {
	n.mu.Lock()
	if !n.released || n.ended || len(n.all()) > 0 {
		n.mu.Unlock()
		return
	}
	n.ended = true
	live, next := n.live.Load(), n.next.Swap(nil)
	n.mu.Unlock()
	for _, l := range []*link{next, live} {
		if l != nil {
			l.close(closingTime)
		}
	}
	n.limiter.Flush()
}
