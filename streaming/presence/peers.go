package presence

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const (
	// Beat is how often a server gives a sign of life.
	Beat = 3 * time.Second
	// Lease is how long after its last sign of life a server is known at most.
	Lease = 10 * time.Second
	// silence is after which time a server is gone: it is looked for with each beat.
	silence = Lease - Beat
	// settling is how long servers have to answer one that is new, or is back.
	settling = Beat / 8
)

// maxNodes is how many other servers a namespace may know.
const maxNodes = 1000

// The figures of a namespace.
var (
	figureNodes   = streaming.Figure{Name: "cluster_nodes", Help: "Other servers of the cluster that give signs of life."}
	figureRefused = streaming.Figure{Name: "cluster_presence_refused_total", Help: "Messages by which other servers tell of themselves that were out of order.", Counter: true}
)

func init() { streaming.RegisterFigures(figureNodes, figureRefused) }

// Peers are a namespace's view of the cluster. It has none where the adapter is not [streaming.Clustered].
type Peers struct {
	namespace *streaming.Namespace
	// run is when this began, in nanoseconds, and host the name of the machine.
	run     int64
	host    string
	refused *measure.Counter
	limiter *logline.Limiter

	mu sync.Mutex
	// name is that of this server, or empty as long as it has none.
	name  string
	nodes map[string]*node
	// answers are what is done for others that ask, by kind; answering is how many are being answered.
	answers   map[string]Answer
	answering int
	calls     map[string]*call
	// coming is the size of what has come of answers to the calls.
	coming int
	// ticking is true while the next beat is due, ticked when the last one was, greeted while others are reached
	// and were asked who is there, at greetedAt, left before it takes part and once leave was taken.
	ticking, greeted, left bool
	ticked, greetedAt      time.Time
	// outbox is what is to be told to others. One goroutine at a time does that, without the lock; telling is
	// true while one does.
	outbox  []func()
	telling bool
}

// node is another server.
type node struct {
	run   int64
	host  string
	heard time.Time
}

// Node tells of a server.
type Node struct {
	// Name is that of the server in the cluster, Host that of its machine.
	Name, Host string
}

// Of returns the peers of a namespace.
func Of(n *streaming.Namespace) *Peers { return streaming.State(n, newPeers) }

func newPeers(n *streaming.Namespace) *Peers {
	p := &Peers{
		namespace: n, run: time.Now().UnixNano(), refused: n.Counter(figureRefused), left: true,
		nodes: make(map[string]*node), answers: make(map[string]Answer), calls: make(map[string]*call),
	}
	if host, err := os.Hostname(); err == nil && isName(host, maxHost) {
		p.host = host
	}
	p.limiter = logline.NewLimiter(func(kind string, more int64) {
		n.Logger().Warn("more lines of the presence of servers were left out", "kind", kind, "lines", more)
	})
	return p
}

// Register has a namespace take part in its cluster. Several event sets may call it; the first call counts.
func Register(n *streaming.Namespace, h *streaming.Handlers) *Peers {
	p := Of(n)
	if h.OnTell(event, p.take) != nil {
		return p
	}
	h.OnLeave(p.leave)
	h.Gauge(figureNodes, func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(len(p.nodes))
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = false
	p.tickIn(0)
	return p
}

// tickIn has the next beat come after some time. It does not keep the peers alive.
func (p *Peers) tickIn(wait time.Duration) {
	if p.ticking || p.left {
		return
	}
	p.ticking = true
	peers := weak.Make(p)
	time.AfterFunc(wait, func() {
		if p := peers.Value(); p != nil {
			defer p.recovered("signs of life")
			p.tick()
		}
	})
}

// tick gives a sign of life, and looks who has given none.
func (p *Peers) tick() {
	defer p.work()
	clustered, away := p.namespace.Clustered()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking = false
	switch {
	case p.left:
		return
	case clustered == nil:
		// Another one begins when event sets are registered with an adapter.
		p.name, p.greeted = "", false
		p.dropAll(ErrLeft)
		return
	}
	now := time.Now()
	kind, next := kindBeat, Beat
	p.name = clustered.Node()
	if away != nil {
		p.greeted, next = false, Beat/8
	} else if !p.greeted {
		p.greeted, p.greetedAt, kind = true, now, kindHello
	}
	// Where this process itself has stood still, what others have said is still to be read.
	if stood := p.ticked.Add(2 * Beat).Before(now); !stood {
		for name, other := range p.nodes {
			if now.Sub(other.heard) >= silence {
				p.drop(name, ErrLost)
			}
		}
	}
	p.ticked = now
	p.tell(message{Kind: kind, Host: p.host})
	p.tickIn(next)
}

// leave takes leave of the others.
func (p *Peers) leave() {
	defer p.work()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.greeted = true, false
	p.tell(message{Kind: kindBye})
	p.name = ""
	p.dropAll(ErrLeft)
}

func (p *Peers) dropAll(why error) {
	for name := range p.nodes {
		p.drop(name, why)
	}
}

// drop forgets a server, and ends what it was asked.
func (p *Peers) drop(name string, why error) {
	delete(p.nodes, name)
	for id, c := range p.calls {
		if c.node == name {
			p.end(id, c, why)
		}
	}
}

// recovered logs a panic, which would end the process.
func (p *Peers) recovered(during string) {
	if r := recover(); r != nil {
		p.namespace.Logger().Error("panic in the presence of servers", "namespace", p.namespace.Name(),
			"during", during, "panic", r, "stack", string(debug.Stack()))
	}
}

// tell has a message told. Where others are not reached it is not.
func (p *Peers) tell(m message) {
	if p.name == "" {
		return
	}
	m.Version, m.From, m.Run = version, p.name, p.run
	p.outbox = append(p.outbox, func() {
		if _, away := p.namespace.Clustered(); away != nil && m.Kind != kindBye {
			return
		}
		if args, err := packet.NewArgs(m); err == nil {
			p.namespace.Tell(event, args)
		}
	})
}

// work tells what waits, unless another goroutine does already. The caller does not hold the lock.
func (p *Peers) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.telling {
		return
	}
	p.telling = true
	defer func() { p.telling = false }()
	for len(p.outbox) > 0 {
		waiting := p.outbox
		p.outbox = nil
		p.unlocked(waiting)
	}
}

// unlocked does work without the lock, which the caller holds.
func (p *Peers) unlocked(work []func()) {
	p.mu.Unlock()
	defer p.mu.Lock()
	for _, do := range work {
		do()
	}
}

// take does what another server tells.
func (p *Peers) take(args packet.Args) {
	m, err := read(args)
	if err == nil {
		err = p.heed(m)
	}
	if err != nil {
		p.refuse(err)
	}
	p.work()
}

// refuse counts and logs what is out of order.
func (p *Peers) refuse(err error) {
	p.refused.Add(0, 1)
	kind, hint := "presence", "whoever may publish there is not one of these servers"
	if errors.Is(err, errVersion) {
		kind, hint = "version", "run the same version on all servers"
	}
	if p.limiter.Allow(kind) {
		p.namespace.Logger().Warn("what another server tells of itself is refused", slog.String("namespace", p.namespace.Name()),
			slog.String("error", err.Error()), slog.String("hint", hint))
	}
}

// heed does what a message says.
func (p *Peers) heed(m *message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left || m.From == p.name {
		return nil // an echo, or a namesake, of which the adapter tells
	}
	other, err := p.known(m)
	if other == nil {
		return err
	}
	other.heard = time.Now()
	if m.To != "" && m.To != p.name {
		return nil
	}
	switch m.Kind {
	case kindHello:
		p.tell(message{Kind: kindBeat, Host: p.host})
		other.host = m.Host
	case kindBeat:
		other.host = m.Host
	case kindBye:
		p.drop(m.From, ErrGone)
	case kindAsk:
		p.answer(m)
	case kindAnswer:
		return p.answered(m)
	default:
		return errors.New("it is of an unknown kind")
	}
	return nil
}

// known returns the server that a message comes from, or nil for one that has begun anew since, or has taken
// leave.
func (p *Peers) known(m *message) (*node, error) {
	other := p.nodes[m.From]
	switch {
	case other != nil && m.Run < other.run:
		return nil, nil
	case other != nil && m.Run == other.run:
		return other, nil
	case m.Kind == kindBye:
		return nil, nil
	case other != nil:
		p.drop(m.From, ErrGone)
	case len(p.nodes) >= maxNodes:
		return nil, errors.New("there are more servers than a cluster may have")
	}
	other = &node{run: m.Run}
	p.nodes[m.From] = other
	return other, nil
}

// Host is the name of this server's machine, or empty where that is not known.
func (p *Peers) Host() string { return p.host }

// Settle waits until the others have had the time to answer, where this server has just come to its cluster, or
// is back. It waits no longer than ctx, and not at all where others are not reached.
func (p *Peers) Settle(ctx context.Context) {
	for {
		_, away := p.namespace.Clustered()
		p.mu.Lock()
		wait := settling
		if p.greeted {
			wait = settling - time.Since(p.greetedAt)
		}
		left := p.left
		p.mu.Unlock()
		if away != nil || left || wait <= 0 {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Nodes lists the other servers that give signs of life, by their names.
func (p *Peers) Nodes() (list []Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, other := range p.nodes {
		list = append(list, Node{name, other.host})
	}
	slices.SortFunc(list, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
