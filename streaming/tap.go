package streaming

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Traffic is one event on its way in or out, for those who watch.
type Traffic struct {
	// Time is when the event came in, or was sent.
	Time time.Time
	// Out is true for what this server sends, however many receive it.
	Out       bool
	Namespace string
	// Event is the event's name, cut after 256 bytes.
	Event string
	// Bytes is the size of the arguments, attachments included.
	Bytes int
	// Socket is the ID of the socket that sent the event. When Out is true it
	// is the one that receives it, or, for a broadcast, the one that brought it
	// about and does not receive it; empty when there is none.
	Socket string
	// Broadcast is true for what is for many: the members of Rooms, or everyone
	// when there are none, without those of Except.
	Broadcast     bool
	Rooms, Except []string
	// Args are the arguments, if the tap asked for them and they are not larger
	// than 64 KiB; HasArgs tells.
	Args    packet.Args
	HasArgs bool
	// Lost is how many events the tap has missed just before this one.
	Lost int64
}

// TapOptions say what a tap is to see. Zero values are everything.
type TapOptions struct {
	// Namespace, Event and Socket leave out the events of others.
	Namespace, Event, Socket string
	// Incoming leaves out what the server sends.
	Incoming bool
	// Args makes the tap see the arguments as well.
	Args bool
	// By is who watches, such as an address: at most half of all may be of one. Those of "" have no
	// such bound.
	By string
}

// The bounds of a tap: how many may watch a server, and how many of them may be of one address, how
// many events wait for one of them, how many bytes of arguments among them, and how large those of
// one event may be.
const (
	maxTaps          = 32
	maxTapsOfOne     = maxTaps / 2
	tapQueue         = 1024
	maxTapBytes      = 4 << 20
	maxTapArgs       = 64 << 10
	maxTapName       = 256
	shortenedTapName = "…"
)

// Tap shows the events of a server as they come and go. It never holds them
// up: one who does not take them fast enough misses some.
type Tap struct {
	options TapOptions
	taps    *taps
	events  chan Traffic
	done    chan struct{}
	lost    atomic.Int64
	// waiting is how many bytes of arguments are in events.
	waiting atomic.Int64
}

// taps are the taps of a server. While there are none, an event costs one atomic
// load.
type taps struct {
	list   atomic.Pointer[[]*Tap]
	mu     sync.Mutex
	closed bool
}

// The errors of [Server.Tap].
var (
	ErrTooManyTaps  = errors.New("too many watch already")
	ErrTapsOfOne    = errors.New("too many watch already from there")
	ErrServerClosed = errors.New("the server is closed")
)

// Tap begins to watch the server's events. Close ends it. The error is
// ErrTooManyTaps, ErrTapsOfOne, or ErrServerClosed.
func (s *Server) Tap(options TapOptions) (*Tap, error) {
	s.taps.mu.Lock()
	defer s.taps.mu.Unlock()
	var list []*Tap
	if current := s.taps.list.Load(); current != nil {
		list = slices.Clone(*current)
	}
	switch {
	case s.taps.closed:
		return nil, ErrServerClosed
	case len(list) >= maxTaps:
		return nil, ErrTooManyTaps
	case options.By != "" && countTaps(list, options.By) >= maxTapsOfOne:
		return nil, ErrTapsOfOne
	}
	t := &Tap{options: options, taps: &s.taps, events: make(chan Traffic, tapQueue), done: make(chan struct{})}
	list = append(list, t)
	s.taps.list.Store(&list)
	return t, nil
}

// countTaps counts the taps by which one watches.
func countTaps(list []*Tap, by string) (count int) {
	for _, tap := range list {
		if tap.options.By == by {
			count++
		}
	}
	return count
}

// Events are the events. The channel is not closed; see Done.
func (t *Tap) Events() <-chan Traffic { return t.events }

// Done is closed when the tap, or the server, is closed.
func (t *Tap) Done() <-chan struct{} { return t.done }

// Taken must be called for each event that was taken.
func (t *Tap) Taken(e Traffic) {
	if e.HasArgs {
		t.waiting.Add(-int64(e.Args.Size()))
	}
}

// Lost is how many events were missed that no event has told of yet: those
// after the last one that was taken, if none waits. It tells of each once.
func (t *Tap) Lost() int64 { return t.lost.Swap(0) }

// Close ends the tap.
func (t *Tap) Close() {
	t.taps.mu.Lock()
	defer t.taps.mu.Unlock()
	current := t.taps.list.Load()
	if current == nil || !slices.Contains(*current, t) {
		return
	}
	close(t.done)
	list := slices.DeleteFunc(slices.Clone(*current), func(other *Tap) bool { return other == t })
	if len(list) == 0 {
		t.taps.list.Store(nil)
	} else {
		t.taps.list.Store(&list)
	}
}

// close ends all taps and lets none begin.
func (t *taps) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if current := t.list.Swap(nil); current != nil {
		for _, tap := range *current {
			close(tap.done)
		}
	}
}

// in shows an event that came.
func (t *taps) in(e *Event) {
	if t.list.Load() != nil {
		t.show(Traffic{Namespace: e.Socket.namespace.name, Event: e.Name, Socket: e.Socket.id}, e.Args)
	}
}

// toOne shows an event for one socket. Other packets are not shown.
func (t *taps) toOne(s *Socket, p *packet.Packet) {
	if p.Type == packet.TypeEvent && t.list.Load() != nil {
		t.show(Traffic{Out: true, Namespace: p.Namespace, Event: p.Event, Socket: s.id}, p.Args)
	}
}

// toMany shows a broadcast.
func (t *taps) toMany(namespace string, to Target, p *packet.Packet) {
	if t.list.Load() == nil {
		return
	}
	e := Traffic{Out: true, Namespace: namespace, Event: p.Event, Broadcast: true, Rooms: to.Rooms, Except: to.Except}
	if to.Sender != nil {
		e.Socket = to.Sender.id
	}
	t.show(e, p.Args)
}

// show hands an event to those who want to see it.
func (t *taps) show(e Traffic, args packet.Args) {
	current := t.list.Load()
	if current == nil {
		return
	}
	e.Time = time.Now()
	e.Bytes = args.Size()
	name := e.Event
	if len(name) > maxTapName {
		// The name may be as long as a message, and many may wait.
		e.Event = strings.ToValidUTF8(name[:maxTapName], "") + shortenedTapName
	}
	for _, tap := range *current {
		if tap.wants(&e, name) {
			tap.push(e, args)
		}
	}
}

func (t *Tap) wants(e *Traffic, name string) bool {
	o := &t.options
	return (o.Namespace == "" || o.Namespace == e.Namespace) && (o.Event == "" || o.Event == name) &&
		(o.Socket == "" || o.Socket == e.Socket) && !(o.Incoming && e.Out)
}

func (t *Tap) push(e Traffic, args packet.Args) {
	size := int64(e.Bytes)
	if t.options.Args && size <= maxTapArgs {
		if t.waiting.Add(size) > maxTapBytes {
			t.waiting.Add(-size)
			t.lost.Add(1)
			return
		}
		// The arguments of a client share the memory of its whole message. The tap must
		// not keep that.
		e.Args, e.HasArgs = args.Clone(), true
	}
	e.Lost = t.lost.Swap(0)
	select {
	case t.events <- e:
	default:
		t.lost.Add(e.Lost + 1)
		if e.HasArgs {
			t.waiting.Add(-size)
		}
	}
}
