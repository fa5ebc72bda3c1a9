package hub

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/migrate"
)

// At a reload Caddy starts new HTTP servers and then stops the old ones. An HTTP/1.1 request that
// arrives at an old server just then is dropped without an answer, and a client on long-polling
// takes that for the end of its connection. Requests that the server is already dealing with are
// safe: it waits for them, and tells the client to come back by a connection of its own.
//
// So before the old servers stop, the answers of polls and POSTs are held back for some
// milliseconds. Clients that had their answer just before come back meanwhile, to be held as well;
// then none of them has anything under way. As soon as the old servers have stopped taking
// connections, the answers go out, and the clients come back to the new servers.

// How long is waited is counted in ticks of a millisecond that this process has got. One that is
// short of processor time misses ticks, and so, most likely, do its clients on the same machine,
// which need longer to come back then; a wall clock would take them for gone. So that nobody is kept
// waiting for long, a wall clock bounds it as well.
const (
	// handoverTick is how often this process looks whether clients are there.
	handoverTick = time.Millisecond
	// gatherPatience is for how many ticks is waited for one more client to be there: those that
	// are not may be far away, or gone.
	gatherPatience = 200
	// maxGather bounds the ticks in all, as long as more and more clients are there, and
	// maxGatherTime the time.
	maxGather     = 2000
	maxGatherTime = 4 * time.Second
	// freshPatience is for how many ticks is waited, after that, for connections that are being
	// made, and freshTime bounds the time.
	freshPatience = 250
	freshTime     = time.Second
	// maxHandover is for how many ticks answers are held back after that, at most, and
	// maxHandoverTime bounds the time.
	maxHandover     = 500
	maxHandoverTime = 2 * time.Second
	// lateHandshakes is how long a handshake may take that a server has begun to answer before it
	// stopped, and after which its connection is still looked at, see lookAgain.
	lateHandshakes = 2 * time.Second
)

// handover is where answers are held back. There is one: configs change one at a time.
var handover = new(gate)

// generations holds, by its events app, what the handlers of one config have in common.
var generations = caddy.NewUsagePool()

// generation is what the handlers of one config have in common.
type generation struct {
	starting, stopping sync.Once

	mu sync.Mutex
	// claims are those of the handlers. started is true once the config runs, grace is its
	// grace_period, and begun is true once the plans are in force.
	claims         []*Claim
	started, begun bool
	grace          time.Duration
	// servers are the HTTP servers of the config that have not begun to stop.
	servers map[*caddyhttp.Server]struct{}
	// fresh are the connections that no request has come by yet. A server that stops drops their
	// first request too, unless the connection goes over to the next server.
	fresh freshConns
	// holding is true while answers are held back for this config.
	holding bool
}

// joinGeneration returns the generation of a handler that is being provisioned.
func joinGeneration(ctx caddy.Context, key any) *generation {
	value, _, _ := generations.LoadOrNew(key, func() (caddy.Destructor, error) { return new(generation), nil })
	g := value.(*generation)
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		g.watch(server)
	}
	return g
}

// add notes a handler.
func (g *generation) add(c *Claim) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.claims = append(g.claims, c)
}

// start notes that the config runs. It may fail all the same, as when the remote admin endpoint
// that it asks for cannot be had, so nothing changes as long as another config is there: see
// beginNext.
func (g *generation) start(grace time.Duration) {
	g.starting.Do(func() {
		g.mu.Lock()
		g.started, g.grace = true, grace
		g.mu.Unlock()
		alone := true
		generations.Range(func(_, other any) bool {
			alone = other == g
			return alone
		})
		if alone {
			g.begin()
		}
	})
}

// begin puts the plans of the config in force, if it has started and they are not, and reports whether
// it has.
func (g *generation) begin() bool {
	g.mu.Lock()
	begins := g.started && !g.begun
	g.begun = g.begun || begins
	claims, grace := g.claims, g.grace
	g.mu.Unlock()
	if !begins {
		return false
	}
	for _, c := range claims {
		c.hub.show()
		c.hub.apply(c, grace)
	}
	return true
}

// beginNext puts the plans of the config in force that has started beside one which ends: Caddy ends
// a config only when the next one cannot fail any more.
func beginNext(ending *generation) {
	for _, other := range others(ending) {
		if other.begin() && ending != nil {
			other.warnRenamed(ending)
		}
	}
}

// others returns the generations there are beside one.
func others(than *generation) (others []*generation) {
	generations.Range(func(_, value any) bool {
		if other := value.(*generation); other != than {
			others = append(others, other)
		}
		return true
	})
	return others
}

// Destruct implements caddy.Destructor. The answers are not let go here: Caddy cleans a config up
// as soon as it has asked its servers to stop, and they may still be taking connections.
func (*generation) Destruct() error { return nil }

// watch makes the generation notice when the server begins to stop.
func (g *generation) watch(server *caddyhttp.Server) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.servers[server]; known {
		return
	}
	if g.servers == nil {
		g.servers = make(map[*caddyhttp.Server]struct{})
	}
	g.servers[server] = struct{}{}
	server.RegisterConnState(g.fresh.note)
	server.RegisterOnShutdown(func() {
		g.mu.Lock()
		delete(g.servers, server)
		last := len(g.servers) == 0
		g.mu.Unlock()
		if last {
			g.handOver()
			lookAgain(g)
			time.AfterFunc(lateHandshakes, func() { lookAgain(g) })
		}
	})
}

// lookAgain closes the connections of clients that the servers of an ending config have let in after
// the plans of the next one came into force, if these would not let them in. Until its servers stop,
// what stands in front of their handlers, and the origins they allow, are those of the ending config.
func lookAgain(ending *generation) {
	for _, g := range others(ending) {
		g.mu.Lock()
		claims, begun := g.claims, g.begun
		g.mu.Unlock()
		if !begun {
			continue
		}
		for _, c := range claims {
			plans := c.hub.plansOf(c.generation)
			c.hub.closeByOrigin(plans, c.logger)
			c.hub.closeByFront(plans, c.logger)
		}
	}
}

// gather holds answers back and waits, for a bounded time, until clients on long-polling have
// nothing under way. It is called when the config is about to be replaced.
func (g *generation) gather() {
	g.stopping.Do(func() {
		if waiting, away := pollers(); waiting+away == 0 {
			return
		}
		g.mu.Lock()
		g.holding = len(g.servers) > 0
		holding := g.holding
		if holding {
			handover.shut()
		}
		g.mu.Unlock()
		if !holding {
			return
		}
		ticker := time.NewTicker(handoverTick)
		awaitPollers(ticker.C, away)
		await(ticker.C, freshPatience, freshTime, func() bool { return g.fresh.count() == 0 })
		go func() {
			defer ticker.Stop()
			g.awaitHandover(ticker.C)
		}()
	})
}

// awaitPollers waits until nobody is away, or until it is no use to wait for more. away counts the
// clients on long-polling that may have a request under way.
func awaitPollers(ticks <-chan time.Time, away func() int) {
	fewest, patience := away(), gatherPatience
	await(ticks, maxGather, maxGatherTime, func() bool {
		now := away()
		if now < fewest {
			fewest, patience = now, gatherPatience
		}
		patience--
		return now == 0 || patience < 0
	})
}

// awaitHandover lets the answers go when the servers take long to stop, as with a shutdown delay.
func (g *generation) awaitHandover(ticks <-chan time.Time) {
	await(ticks, maxHandover, maxHandoverTime, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return !g.holding
	})
	g.handOver()
}

// await looks, now and with each tick, until done is true. It gives up after so many ticks, or
// after so much time.
func await(ticks <-chan time.Time, most int, limit time.Duration, done func() bool) {
	begun := time.Now()
	for range most {
		if done() || time.Since(begun) > limit {
			return
		}
		<-ticks
	}
}

// handOver lets the answers go, if they are held back for this config.
func (g *generation) handOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holding {
		g.holding = false
		handover.open()
	}
}

// pollers counts the clients of all hubs that are on long-polling: those whose poll waits, and
// those who are away.
func pollers() (waiting, away int) {
	for _, hub := range shownHubs() {
		w, a := hub.server.Pollers()
		waiting, away = waiting+w, away+a
	}
	return waiting, away
}

// away counts the clients of all hubs that are on long-polling and away.
func away() int {
	_, away := pollers()
	return away
}

// freshConns are the connections of an HTTP server that no request has come by.
type freshConns struct {
	number atomic.Int64
	conns  sync.Map // of net.Conn to struct{}
}

// note is told of the states of all connections.
func (f *freshConns) note(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		if migrate.GoesOver(conn) {
			return
		}
		f.conns.Store(conn, struct{}{})
		f.number.Add(1)
		return
	}
	if f.number.Load() == 0 {
		return
	}
	if _, was := f.conns.LoadAndDelete(conn); was {
		f.number.Add(-1)
	}
}

func (f *freshConns) count() int { return int(f.number.Load()) }
