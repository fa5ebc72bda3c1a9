package streaming

import (
	"log/slog"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// LimitAuthAttempts is how often a client may have it found out who it is.
const LimitAuthAttempts engineio.Limit = "auth_attempts"

const (
	// attemptsAtOnce is how many attempts a client has at once beyond one for
	// each namespace it may be connected to, and one comes back in each
	// attemptsEvery: a token takes up to 0.2 ms of CPU.
	attemptsAtOnce = 16
	attemptsEvery  = time.Second
	// failuresAtOnce is how many failures take up all of that.
	failuresAtOnce = 10
)

// attempts are what a client has left of those. They are made for the first
// one.
type attempts struct {
	bucket pace.Bucket
	// refused is how many were refused in a row.
	refused int64
}

// attemptRate is how fast attempts come back.
func (s *Server) attemptRate() *pace.Rate {
	return &pace.Rate{Amount: 1, Per: attemptsEvery, Burst: int64(attemptsAtOnce + s.limits.Load().Namespaces)}
}

// attempt takes an attempt to find out who the client of a socket is that
// connects, and returns how long it has to wait for that. There is none where
// nobody asks, and one for each CONNECT, however often it is asked.
func (s *Socket) attempt() (wait time.Duration) {
	if s.namespace.handlers.Load().authenticator == nil {
		return 0
	}
	if s.waits() {
		return 0
	}
	c := s.client()
	rate := c.server.attemptRate()
	c.mu.Lock()
	wait = c.attemptsLocked().bucket.Reserve(rate, c.session.Clock())
	c.mu.Unlock()
	if wait > 0 {
		c.server.limited.attempts.Add(1)
	}
	return wait
}

// attemptsLocked returns what the client has left of attempts.
func (c *client) attemptsLocked() *attempts {
	if c.attempts == nil {
		c.attempts = new(attempts)
	}
	return c.attempts
}

// mayAttempt takes an attempt to find out who a client is that refreshes, and reports
// whether there was one. row is how many were refused in a row; whoever goes on
// and on is disconnected. It holds for all addresses: a client is not held to
// blame for others here.
func (c *client) mayAttempt() (ok bool, row int64) {
	rate := c.server.attemptRate()
	c.mu.Lock()
	if ok = c.attemptsLocked().bucket.Take(rate, c.session.Clock()); ok {
		c.attempts.refused = 0
	} else {
		c.attempts.refused++
	}
	row = c.attempts.refused
	c.mu.Unlock()
	if !ok {
		c.server.limited.attempts.Add(1)
	}
	if row > rate.Burst {
		c.endFor(LimitAuthAttempts)
	}
	return ok, row
}

// attemptFailed makes an attempt that was the client's fault count for several.
func (c *client) attemptFailed() {
	rate := c.server.attemptRate()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.attempts == nil {
		return
	}
	for range rate.Burst/failuresAtOnce - 1 {
		if !c.attempts.bucket.Take(rate, c.session.Clock()) {
			return
		}
	}
}

// textTooManyAttempts is told with CodeRateLimited.
const textTooManyAttempts = "too many attempts to authenticate"

const (
	codeAuthTooLarge = "auth_too_large"
	textAuthTooLarge = "auth payload too large"
)

// mayRefresh reports whether a client may show new credentials. If not, it has
// been answered.
func (s *Socket) mayRefresh(e *Event) bool {
	if e.Args.Size() > maxAuthPayload {
		s.namespace.server.limited.auth.Add(1)
		e.Refuse(codeAuthTooLarge, textAuthTooLarge)
		return false
	}
	ok, row := s.client().mayAttempt()
	switch {
	case ok:
	case row == 1:
		e.Refuse(CodeRateLimited, textTooManyAttempts)
	default:
		// A flood of events brings about none of errors.
		e.RefuseQuietly(CodeRateLimited, textTooManyAttempts)
	}
	return ok
}

// endedBy is the limit that has ended a client, as its place among these. The
// first one stands for none.
type endedBy uint8

var endingLimits = [...]engineio.Limit{"", LimitEvents, LimitAuthAttempts, LimitAttachments, LimitAuth}

// note takes note that the client ends by a limit, for the log.
func (c *client) note(limit engineio.Limit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range endingLimits {
		if known == limit {
			c.endedBy = endedBy(i)
		}
	}
}

// endFor ends a client that goes on beyond a limit.
func (c *client) endFor(limit engineio.Limit) {
	c.note(limit)
	c.end(ReasonRateLimit, nil)
}

// attrs names the limit, if there is one.
func (e endedBy) attrs() []slog.Attr {
	if e == 0 {
		return nil
	}
	return []slog.Attr{slog.String("limit", string(endingLimits[e]))}
}
