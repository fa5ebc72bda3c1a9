package engineio

import (
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// admission lets clients in at a bounded rate. After a restart all of them come at
// once, and a server that greeted all of them at once would be late for all.
type admission struct {
	// limiter is nil when there is no bound.
	limiter atomic.Pointer[rate.Limiter]
}

// set changes the bound to a rate with its defaults filled in. The bucket keeps the
// tokens that it holds.
func (a *admission) set(r *Rate) {
	if r == nil {
		a.limiter.Store(nil)
		return
	}
	limit, burst := rate.Limit(r.pace().PerSecond()), int(r.Burst)
	limiter := a.limiter.Load()
	if limiter == nil {
		a.limiter.Store(rate.NewLimiter(limit, burst))
		return
	}
	if limiter.Limit() != limit {
		limiter.SetLimit(limit)
	}
	if limiter.Burst() != burst {
		limiter.SetBurst(burst)
	}
}

// allow takes a token, if there is one.
func (a *admission) allow() bool {
	limiter := a.limiter.Load()
	return limiter == nil || limiter.Allow()
}

// A client that is refused for the moment is told to come back after a time
// between these, drawn anew for each, so that those who were refused together
// do not come back together.
const (
	minRetryAfter = 1 * time.Second
	maxRetryAfter = 10 * time.Second
)

// refuseForLater refuses a handshake that may succeed later.
func refuseForLater(cause refusalCause, reason string) *RequestError {
	refusal := refuseStatus(http.StatusServiceUnavailable, reason)
	refusal.cause = cause
	refusal.retryAfter = minRetryAfter + rand.N(maxRetryAfter-minRetryAfter+time.Second).Truncate(time.Second) //nolint:gosec // nothing to guess
	return refusal
}
