package streaming

import (
	"container/heap"
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// ReasonAuthExpired is a socket whose identity has expired.
const ReasonAuthExpired = engineio.ReasonAuthExpired

// maxNap is how long the grants are not looked at, at most: they end by the
// clock on the wall, which may be set.
const maxNap = 10 * time.Second

// grant is a socket's identity and when it ends.
type grant struct {
	identity *Identity
	// shown is what the client has shown to refresh; nil stands for what it
	// has shown to connect.
	shown *packet.Object
	// socket is nil once it is gone or has another grant. Guarded by grants.
	socket *Socket
	// ended is true once it is decided that the grant has ended: the socket is then
	// disconnected and gets no other one. unsure is true while it could not be found
	// out whether what the client has shown to refresh holds. Guarded by grants.
	ended, unsure bool
	// due is when the socket is disconnected; zero means never.
	due time.Time
	// index is the place among those that end, or -1. Guarded by grants.
	index int
}

// grants are the identities of a server's sockets. One timer looks after the
// ends of all of them; there is none while nothing ends.
type grants struct {
	counts authCounts
	logger *slog.Logger
	// forbidden limits the lines about events that were refused because of who
	// their senders are, refused those about others, revocations those about
	// sockets that were disconnected, waits those about clients that wait.
	forbidden, refused, revocations, waits *logline.Limiter
	// ctx ends with the server.
	ctx context.Context
	// recheckRetry and judgeRetry are the constants, unless a test has others.
	recheckRetry, judgeRetry time.Duration

	mu     sync.Mutex
	ending grantHeap
	timer  *time.Timer
}

func (g *grants) init(ctx context.Context, logger *slog.Logger) {
	g.ctx, g.logger = ctx, logger
	g.forbidden, g.refused = newEventLimit(logger, slog.LevelWarn), newEventLimit(logger, slog.LevelDebug)
	g.revocations = newRevocations(g)
	g.waits = logline.NewLimiter(func(namespace string, more int64) {
		logger.Warn("more clients wait", "namespace", namespace, "count", more)
	})
	g.recheckRetry, g.judgeRetry = recheckRetry, judgeRetry
}

// flush writes the lines that were counted.
func (g *grants) flush() {
	g.forbidden.Flush()
	g.refused.Flush()
	g.revocations.Flush()
	g.waits.Flush()
}

func newGrant(s *Socket, identity *Identity) *grant {
	return &grant{identity: identity, socket: s, index: -1, due: identity.ends()}
}

// give gives a socket an identity, in place of the one it has. shown is what
// the client has shown for it, if that is not what it has shown to connect. It
// reports false, and does nothing, when the one it has has ended.
func (g *grants) give(s *Socket, identity *Identity, shown *packet.Object) bool {
	next := newGrant(s, identity)
	next.shown = shown
	return g.put(s, next, func(*grant) bool { return true })
}

// put gives a socket a grant in place of the one it has, if that is right. It
// reports false when it is not, or when the one it has has ended.
func (g *grants) put(s *Socket, next *grant, right func(now *grant) bool) bool {
	g.mu.Lock()
	before := s.grant.Load()
	if before != nil && before.ended || !right(before) {
		g.mu.Unlock()
		return false
	}
	s.grant.Store(next)
	g.counts.identified.Add(1)
	if before != nil {
		g.forgetLocked(before)
	}
	if !next.due.IsZero() {
		heap.Push(&g.ending, next)
		if next.index == 0 {
			g.napLocked(time.Now())
		}
	}
	g.mu.Unlock()
	s.mu.Lock()
	closed := s.state == socketClosed
	s.mu.Unlock()
	if closed {
		// Whoever closed it may have come too early to see this one.
		g.take(s)
	}
	return true
}

// forgetLocked forgets a grant that is no longer one.
func (g *grants) forgetLocked(before *grant) {
	if before.index >= 0 {
		heap.Remove(&g.ending, before.index)
	}
	if before.socket != nil {
		before.socket = nil
		g.counts.identified.Add(-1)
	}
}

// take forgets a socket that is gone. Its identity can still be asked for.
func (g *grants) take(s *Socket) {
	if s.grant.Load() == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if last := s.grant.Load(); last != nil {
		g.forgetLocked(last)
	}
}

// napLocked sets the timer for the grant that ends first.
func (g *grants) napLocked(now time.Time) {
	if len(g.ending) == 0 {
		if g.timer != nil {
			g.timer.Stop()
			g.timer = nil
		}
		return
	}
	nap := min(max(g.ending[0].due.Sub(now), 0), maxNap)
	if g.timer == nil {
		g.timer = time.AfterFunc(nap, g.sweep)
	} else {
		g.timer.Reset(nap)
	}
}

// sweep disconnects the sockets whose identities have ended.
func (g *grants) sweep() {
	now := time.Now().Round(0)
	var due []*grant
	g.mu.Lock()
	for len(g.ending) > 0 && !g.ending[0].due.After(now) {
		due = append(due, heap.Pop(&g.ending).(*grant))
	}
	g.napLocked(now)
	g.mu.Unlock()
	for _, ended := range due {
		g.expire(ended)
	}
}

// doubt takes note of whether it could not be found out if what the client has shown
// to refresh holds.
func (g *grants) doubt(s *Socket, unsure bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := s.grant.Load(); now != nil {
		now.unsure = unsure
	}
}

// expire disconnects the socket of a grant that is due, and tells its client why.
// It does nothing when the socket has been given another grant meanwhile. A client
// that can show more with a new connection, or whose new credentials nobody could
// judge, is told nothing, so that it comes back by itself.
func (g *grants) expire(due *grant) {
	defer func() {
		if r := recover(); r != nil {
			g.logger.Error("panic while disconnecting", "panic", r, "stack", string(debug.Stack()))
		}
	}()
	g.mu.Lock()
	s := due.socket
	due.ended = s != nil
	again := due.unsure || due.identity.OfConnection
	g.mu.Unlock()
	if s == nil {
		return
	}
	g.counts.expired.Add(1)
	if again {
		s.comeAgain(ReasonAuthExpired)
		return
	}
	s.dismiss(ReasonAuthExpired, &Refusal{Code: CodeTokenExpired, Reason: "the identity has ended"})
}

// grantHeap is the grants that end, the next one first.
type grantHeap []*grant

func (h grantHeap) Len() int           { return len(h) }
func (h grantHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h grantHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *grantHeap) Push(x any) {
	g := x.(*grant)
	g.index = len(*h)
	*h = append(*h, g)
}

// Pop implements heap.Interface.
func (h *grantHeap) Pop() any {
	last := len(*h) - 1
	g := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	g.index = -1
	return g
}
