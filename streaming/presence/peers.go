package presence

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const (
	// Beat is how often a server gives a sign of life, and Lease how long after one its rows are kept at most.
	Beat  = 3 * time.Second
	Lease = 10 * time.Second
	// silence is after which time a server is gone: it is looked for with each beat.
	silence = Lease - Beat
)

// maxNodes is how many other servers a namespace may know.
const maxNodes = 1000

// The figures of a namespace.
var (
	figureNodes   = streaming.Figure{Name: "cluster_nodes", Help: "Other servers of the cluster that give signs of life."}
	figureRefused = streaming.Figure{Name: "cluster_presence_refused_total", Help: "Messages of other servers on what they have that were out of order.", Counter: true}
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
	// bytes is the size of the rows of all other servers.
	bytes int
	own   table
	// seq is the number of the last change of the own rows, told when all of them were last sent.
	seq  uint64
	told time.Time
	// watchers are told of changes, by the beginnings of keys.
	watchers map[string]func(Change)
	// answers are what is done for others that ask, by kind; answering is how many are being answered.
	answers   map[string]Answer
	answering int
	calls     map[string]*call
	// ticking is true while the next beat is due, ticked when the last one was, greeted while others are reached
	// and were asked who is there, left once leave was taken.
	ticking, greeted, left bool
	ticked                 time.Time
	// outbox is what is to be told to others, inbox what is to be told to watchers. One goroutine at a time
	// does each, without the lock.
	outbox lane
	inbox  lane
}

// lane has work done one after the other.
type lane struct {
	waiting []func()
	busy    bool
}

// node is another server.
type node struct {
	run   int64
	host  string
	heard time.Time
	copies
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
		namespace: n, run: time.Now().UnixNano(),
		nodes: make(map[string]*node), own: make(table), watchers: make(map[string]func(Change)),
		answers: make(map[string]Answer), calls: make(map[string]*call),
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
	p.refused, p.left = n.Counter(figureRefused), false
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
			p.tick()
		}
	})
}

// tick gives a sign of life, and looks who has given none.
func (p *Peers) tick() {
	defer p.work()
	clustered, reached := p.namespace.Clustered()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticking = false
	if p.left {
		return
	}
	now := time.Now()
	kind, next := kindBeat, Beat
	if p.name = ""; clustered != nil {
		p.name = clustered.Node()
	}
	if !reached {
		p.greeted, next = false, Beat/8
	} else if !p.greeted {
		p.greeted, kind = true, kindHello
	}
	// Where this process itself has stood still, what others have said is still to be read.
	if stood := p.ticked.Add(2 * Beat).Before(now); !stood || clustered == nil {
		for name, other := range p.nodes {
			if clustered == nil || now.Sub(other.heard) >= silence {
				p.drop(name)
			}
		}
	}
	p.ticked = now
	p.tell(message{Kind: kind, Host: p.host, Seq: p.seq})
	p.tickIn(next)
}

// leave takes leave of the others.
func (p *Peers) leave() {
	p.mu.Lock()
	p.left, p.greeted = true, false
	p.tell(message{Kind: kindBye})
	p.name = ""
	for name := range p.nodes {
		p.drop(name)
	}
	p.mu.Unlock()
	p.work()
}

// drop forgets a server.
func (p *Peers) drop(name string) {
	p.empty(name, p.nodes[name])
	delete(p.nodes, name)
	for id, c := range p.calls {
		if c.node == name {
			p.end(id, c, ErrGone)
		}
	}
}

// tell has a message told. Where others are not reached it is not: they see by the number of the next sign of
// life what they have missed.
func (p *Peers) tell(m message) {
	if p.name == "" {
		return
	}
	m.Version, m.From, m.Run = version, p.name, p.run
	p.outbox.add(func() {
		if _, reached := p.namespace.Clustered(); !reached && m.Kind != kindBye {
			return
		}
		if args, err := packet.NewArgs(m); err == nil {
			p.namespace.Tell(event, args)
		}
	})
}

func (l *lane) add(work func()) { l.waiting = append(l.waiting, work) }

// work does what waits, unless another goroutine does already. The caller does not hold the lock.
func (p *Peers) work() {
	for _, l := range []*lane{&p.outbox, &p.inbox} {
		p.mu.Lock()
		if l.busy {
			p.mu.Unlock()
			continue
		}
		for l.busy = true; len(l.waiting) > 0; {
			waiting := l.waiting
			l.waiting = nil
			p.mu.Unlock()
			for _, do := range waiting {
				do()
			}
			p.mu.Lock()
		}
		l.busy = false
		p.mu.Unlock()
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
		p.tell(message{Kind: kindBeat, Host: p.host, Seq: p.seq})
		p.beaten(m, other)
	case kindBeat:
		p.beaten(m, other)
	case kindBye:
		p.drop(m.From)
	case kindRows:
		return p.change(m, other)
	case kindWant:
		p.tellAll()
	case kindAll:
		return p.collect(m, other)
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
		p.drop(m.From)
	case len(p.nodes) >= maxNodes:
		return nil, errors.New("there are more servers than a cluster may have")
	}
	other = &node{run: m.Run}
	p.nodes[m.From] = other
	if m.Kind != kindHello && m.Kind != kindBeat {
		p.want(m.From, other)
	}
	return other, nil
}

// beaten takes note of a sign of life.
func (p *Peers) beaten(m *message, other *node) {
	other.host = m.Host
	if m.Seq > other.seq || !other.synced {
		if m.Seq == 0 && other.seq == 0 {
			other.synced = true // it has no rows
			return
		}
		p.want(m.From, other)
	}
}

// Self is this server. Its name is empty where it has no cluster.
func (p *Peers) Self() Node {
	clustered, _ := p.namespace.Clustered()
	if clustered == nil {
		return Node{Host: p.host}
	}
	return Node{clustered.Node(), p.host}
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

// hasPrefix is for watchers.
func hasPrefix(key, prefix string) bool { return strings.HasPrefix(key, prefix) }
