package streaming

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// A client of whom nothing can be found out now is told nothing: CONNECT_ERROR
// is final to the clients of Socket.IO, which do not try again by themselves
// after it. The client waits, and the authenticator is asked again about it. When
// its time to connect is over, its connection is closed, and it comes back by
// itself.
const (
	// judgeRetry is the time to the second question about a client, at most. It doubles
	// with each, up to judgeLastRetry, and differs by half from one client to the next.
	judgeRetry     = 500 * time.Millisecond
	judgeLastRetry = 5 * time.Second
	// maxAway bounds the time over which the connections of clients that have
	// waited in vain are closed, see [Server.spread].
	maxAway = 10 * time.Second
)

const (
	// ReasonAuthUnavailable is a client of whom nothing could be found out in the
	// time that it had to connect.
	ReasonAuthUnavailable = engineio.ReasonAuthUnavailable

	// comeAgain is in place of the code of a refusal of which the client is not told: its
	// connection is closed, so that it makes a new one.
	comeAgain = "come_again"
)

// unjudged is a socket that waits until it is asked, or asked again, who its client is. A socket
// that has one has spent an attempt, see attempts.
type unjudged struct {
	// since is when it began to wait.
	since time.Time
	// tries is how often nothing could be found out.
	tries int
}

// notNow returns the refusal of a client of whom nothing can be found out now, or
// nil for any other error.
func notNow(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) && r.Code == CodeAuthUnavailable {
		return r
	}
	return nil
}

// shownSince is when the client has shown what it connects with.
func (s *Socket) shownSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extras != nil && s.extras.unjudged != nil {
		return s.extras.unjudged.since
	}
	return time.Now()
}

// connectLater has a socket try again to connect, for it could not be found out
// who its client is.
func (s *Socket) connectLater(why *Refusal) {
	s.mu.Lock()
	if s.state != socketConnecting {
		s.mu.Unlock()
		return
	}
	u := s.waitLocked()
	first := u.tries == 0
	wait := min(s.namespace.server.auth.judgeRetry<<min(u.tries, 10), judgeLastRetry)
	u.tries++
	s.connectInLocked(wait/2 + rand.N(wait/2)) //nolint:gosec // no secret
	s.mu.Unlock()
	if first {
		s.logUnjudged(why)
	}
}

// connectIn has a socket connect after a while.
func (s *Socket) connectIn(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == socketConnecting {
		s.waitLocked()
		s.connectInLocked(wait)
	}
}

// waits reports whether the socket is one that waits, and so counts as unjudged already.
func (s *Socket) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extras != nil && s.extras.unjudged != nil
}

// waitLocked has the socket be one that waits.
func (s *Socket) waitLocked() *unjudged {
	x := s.extrasLocked()
	if x.unjudged == nil {
		x.unjudged = &unjudged{since: time.Now()}
		s.namespace.server.auth.counts.unjudged.Add(1)
	}
	return x.unjudged
}

func (s *Socket) connectInLocked(wait time.Duration) {
	timer := time.AfterFunc(wait, func() { s.run(task{connect: true}) })
	s.cancel = func() { timer.Stop() }
}

// judgedLocked takes note that the socket does not wait any more.
func (s *Socket) judgedLocked() {
	if s.extras != nil && s.extras.unjudged != nil {
		s.extras.unjudged = nil
		s.namespace.server.auth.counts.unjudged.Add(-1)
	}
}

// logUnjudged says why a client has to wait. There is one line, or one of those that are counted,
// for each client and namespace, however often it is asked about.
func (s *Socket) logUnjudged(why *Refusal) {
	g := &s.namespace.server.auth
	if g.waits.Allow(s.namespace.name) {
		g.logger.Warn("a client waits, since it cannot be found out now who it is", "namespace", s.namespace.name,
			"error", logline.Text(why.Reason, maxLoggedError),
			"connection", s.client().session.LogID(), "client_ip", s.Handshake().RemoteAddr)
	}
}

// spread is a random part of the time over which connections are closed whose
// clients come back by themselves, so that they do not return in one wave: of a
// quarter of the time to connect, and of maxAway at most.
func (s *Server) spread() time.Duration {
	whole := min(time.Duration(s.connectTimeout.Load())/4, maxAway)
	return rand.N(max(whole, time.Millisecond)) //nolint:gosec // no secret
}

// impatient is called when the client's time to connect is over. One that has not
// been judged has a little more, see [Server.spread]. Nobody is told anything,
// but for old clients of a namespace that is not there.
func (c *client) impatient() {
	c.mu.Lock()
	switch {
	case c.closed || c.patience == nil:
		c.mu.Unlock()
		return
	case len(c.sockets) > 0 && !c.spread:
		c.spread = true
		c.patience.Reset(c.server.spread())
		c.mu.Unlock()
		return
	}
	reason := engineio.ReasonForcedClose
	for range c.sockets {
		reason = ReasonAuthUnavailable
		c.server.auth.counts.refuse(&Refusal{Code: CodeAuthUnavailable})
	}
	waits := len(c.sockets) > 0
	c.mu.Unlock()
	if !waits {
		c.missesRoot()
	}
	c.session.Close(reason)
}

// turnAway closes the client's connection in a while, see [Server.spread], since
// something cannot be had now. The client comes back by itself.
func (c *client) turnAway(reason Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.leaves {
		return
	}
	c.leaves = true
	if c.patience != nil {
		c.patience.Stop()
	}
	c.patience = time.AfterFunc(c.server.spread(), func() { c.session.Close(reason) })
}

// comeAgain is that of the client. A socket that waits for its client ends as well.
func (s *Socket) comeAgain(reason Reason) {
	s.client().comeAgain(reason)
	s.close(reason)
}

// comeAgain ends the client's sockets and its connection and tells it nothing, so
// that it makes a new one.
func (c *client) comeAgain(reason Reason) {
	c.mu.Lock()
	c.leaves = true
	c.mu.Unlock()
	for _, s := range c.take() {
		s.close(reason)
	}
	c.session.Close(reason)
}
