package streaming

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// Metrics is what a server has counted since it was made, and how it is doing.
type Metrics struct {
	// Engine is what the layer below has counted.
	Engine engineio.Metrics
	// Namespaces has what is counted for each namespace there is now, by name.
	Namespaces []NamespaceMetrics
	// InvalidNamespaces is how many clients wanted to connect to a namespace
	// that does not exist, NotAuthorized how many were not let into one.
	InvalidNamespaces, NotAuthorized int64
	// Limited is how often each limit was met, those of the layer below included, by
	// its name.
	Limited engineio.ReasonCounts
	// Auth tells of the clients that had to show who they are, AuthRefusals how
	// many of those that were refused had which code.
	Auth         AuthMetrics
	AuthRefusals engineio.ReasonCounts
	// Recovery tells of clients that came back after their connection was cut.
	Recovery recovery.Metrics
}

// NamespaceMetrics is what is counted for one namespace. It goes on where it
// was when a namespace is removed and comes back.
type NamespaceMetrics struct {
	Name string
	// Sockets and Rooms are how many there are now. The rooms of the sockets'
	// own IDs are not counted.
	Sockets, Rooms int64
	// Connects is how many sockets were let in.
	Connects int64
	// EventsIn is how many events came from clients, EventsOut how many were
	// sent to them: one to a thousand clients counts once.
	EventsIn, EventsOut int64
	// RefusedEvents is how many events were not accepted, by code: those that
	// were refused, see [Event.Refuse], and those that nobody handles. Codes that
	// are not told apart are "other".
	RefusedEvents engineio.ReasonCounts
	// AckLatency is the time from an event that asks for an answer to that
	// answer, in nanoseconds. Answers that never came are not in it.
	AckLatency measure.Distribution
	// Figures are what the event sets of the namespace tell, by name.
	Figures []FigureValue
}

// namespaceCounts are the counts behind [NamespaceMetrics]. They belong to the
// server, so that a namespace that is removed and comes back counts on.
type namespaceCounts struct {
	sockets, connects   atomic.Int64
	eventsIn, eventsOut measure.Counter
	refusedEvents       refusedEvents
	ackLatency          measure.Histogram

	mu       sync.Mutex
	counters map[Figure]*measure.Counter
}

func (c *namespaceCounts) counter(figure Figure) *measure.Counter {
	c.mu.Lock()
	defer c.mu.Unlock()
	counter := c.counters[figure]
	if counter == nil {
		if c.counters == nil {
			c.counters = make(map[Figure]*measure.Counter)
		}
		counter = new(measure.Counter)
		c.counters[figure] = counter
	}
	return counter
}

// joined counts a socket that is let in.
func (c *namespaceCounts) joined() {
	c.connects.Add(1)
	c.sockets.Add(1)
}

// eventTo counts an event that is sent to one socket.
func (c *namespaceCounts) eventTo(s *Socket) { c.eventsOut.Add(s.id[0], 1) }

// eventFrom counts an event that came from a socket.
func (c *namespaceCounts) eventFrom(s *Socket) { c.eventsIn.Add(s.id[0], 1) }

// broadcast counts an event that is sent to many. Those that different sockets
// have sent do not get into each other's way.
func (c *namespaceCounts) broadcast(sender *Socket) {
	if sender != nil {
		c.eventTo(sender)
	} else {
		c.eventsOut.Add(0, 1)
	}
}

// answered counts the answer to an event that was sent at a time.
func (c *namespaceCounts) answered(sent time.Time) {
	c.ackLatency.Observe(measure.Latencies, int64(time.Since(sent)))
}

// countsOf returns the counts of a namespace. The caller holds the lock.
func (s *Server) countsOf(name string) *namespaceCounts {
	counts := s.counts[name]
	if counts == nil {
		if s.counts == nil {
			s.counts = make(map[string]*namespaceCounts)
		}
		counts = new(namespaceCounts)
		s.counts[name] = counts
	}
	return counts
}

// countRefused counts a client that may not connect to a namespace.
func (s *Server) countRefused(namespace string) {
	if s.namespace(namespace) != nil {
		s.notAuthorized.Add(1)
	} else {
		s.invalidNamespaces.Add(1)
	}
}

// CountRefusal counts a request that was refused before it came here, see
// [engineio.Server.CountRefusal].
func (s *Server) CountRefusal(code engineio.ErrorCode) { s.engine.CountRefusal(code) }

// Metrics returns what the server has counted.
func (s *Server) Metrics() Metrics {
	m := Metrics{
		Engine:            s.engine.Metrics(),
		InvalidNamespaces: s.invalidNamespaces.Load(),
		NotAuthorized:     s.notAuthorized.Load(),
		Auth:              s.auth.counts.metrics(),
		AuthRefusals:      s.auth.counts.refusals(),
		Recovery:          s.recovery.Metrics(),
	}
	for _, n := range s.Namespaces() {
		m.Namespaces = append(m.Namespaces, n.metrics())
	}
	m.Limited = slices.Concat(m.Engine.Limited, s.limited.met())
	slices.SortFunc(m.Limited, func(a, b engineio.ReasonCount) int { return cmp.Compare(a.Reason, b.Reason) })
	slices.SortFunc(m.Namespaces, func(a, b NamespaceMetrics) int { return cmp.Compare(a.Name, b.Name) })
	return m
}

// clusterUp tells of an adapter's health.
var clusterUp = Figure{Name: "cluster_up", Help: "Whether other servers of the cluster are reached (1), or not (0)."}

func init() { RegisterFigures(clusterUp) }

// reached is the figure of the adapter, if there is one.
func (n *Namespace) reached() (up float64, ok bool) {
	r := n.remote.Load()
	if r == nil || r.closed.Load() {
		return 0, false
	}
	if n.health() == nil {
		up = 1
	}
	return up, true
}

func (n *Namespace) metrics() NamespaceMetrics {
	counts := n.counts
	m := NamespaceMetrics{
		Name:          n.name,
		Sockets:       counts.sockets.Load(),
		Connects:      counts.connects.Load(),
		EventsIn:      counts.eventsIn.Load(),
		EventsOut:     counts.eventsOut.Load(),
		RefusedEvents: counts.refusedEvents.list(),
		AckLatency:    counts.ackLatency.Distribution(measure.Latencies),
	}
	_, rooms := n.rooms.size()
	m.Rooms = int64(rooms)
	for _, g := range n.handlers.Load().gauges {
		if value, ok := n.readGauge(g); ok {
			m.Figures = append(m.Figures, FigureValue{g.figure, value})
		}
	}
	counts.mu.Lock()
	for figure, counter := range counts.counters {
		m.Figures = append(m.Figures, FigureValue{figure, float64(counter.Load())})
	}
	counts.mu.Unlock()
	if reached, ok := n.reached(); ok {
		m.Figures = append(m.Figures, FigureValue{clusterUp, reached})
	}
	// Two sets that use one name must not spoil what all others tell.
	slices.SortStableFunc(m.Figures, func(a, b FigureValue) int { return cmp.Compare(a.Name, b.Name) })
	m.Figures = slices.CompactFunc(m.Figures, func(a, b FigureValue) bool { return a.Name == b.Name })
	return m
}
