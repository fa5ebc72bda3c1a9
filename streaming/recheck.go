package streaming

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// ReasonAuthRevoked is a socket that the namespace's authenticator, when it was
// asked again, would not let in.
const ReasonAuthRevoked Reason = "authorization no longer holds"

// How sockets are asked again who they are. What it costs is a small part of
// one CPU, and what is asked of others leaves room for clients that are new.
const (
	// recheckBatch sockets are taken in each recheckEvery: a thousand a second.
	recheckBatch = 10
	recheckEvery = 10 * time.Millisecond
	// recheckAtOnce is how many questions are under way at the same time.
	recheckAtOnce = 8
	// recheckTimeout bounds one question.
	recheckTimeout = 10 * time.Second
	// recheckRetry is the time to the next try for those about whom nothing
	// could be found out. It doubles with each, up to recheckLastRetry.
	recheckRetry     = 5 * time.Second
	recheckLastRetry = 5 * time.Minute
	// recheckTries is how often one socket is asked again because its client
	// has shown something new meanwhile.
	recheckTries = 3
)

// recheck asks the sockets of a namespace again who they are. There is a new
// one for each time that is wanted, which ends the one before.
type recheck struct {
	namespace *Namespace
	ctx       context.Context
	end       context.CancelFunc
	// since is when it was wanted.
	since time.Time

	mu    sync.Mutex
	queue []*Socket
	// unanswered are those about whom nothing could be found out.
	unanswered []*Socket
	// running is true while a goroutine works on the queue.
	running                bool
	retry                  time.Duration
	asked, stayed, revoked int
}

// Recheck has the authenticator asked again about every socket of the
// namespace, with what its client has shown last and its first request. Call it
// when the namespace was given another authenticator, see [Namespace.Use].
//
// A socket that would not be let in now, that would be somebody else's, or that
// is in a room its client may no longer join, is disconnected. The others stay,
// as who they are now and with the rights that go with that; where the
// namespace has no authenticator any more, they are nobody again. Those about
// whom nothing can be found out, see [CodeAuthUnavailable], stay as they are
// and are asked about again later, until there is an answer.
//
// It does not wait. Up to a thousand sockets are asked about in a second, eight
// at the same time.
func (n *Namespace) Recheck() {
	auth := &n.server.auth
	c := &recheck{namespace: n, retry: auth.recheckRetry, running: true, since: time.Now()}
	c.ctx, c.end = context.WithCancel(auth.ctx)
	// A socket that connects from now on is added by recheckSince.
	if before := n.recheck.Swap(c); before != nil {
		before.end()
	}
	go func() {
		everyone := n.Everyone().Sockets()
		c.mu.Lock()
		c.queue = append(c.queue, everyone...)
		c.mu.Unlock()
		c.run()
	}()
}

// recheckSince has a socket asked again that was let in, or refreshed, while
// others were being asked. before is the recheck of the time when its client
// was asked.
func (s *Socket) recheckSince(before *recheck) {
	if c := s.namespace.recheck.Load(); c != before {
		c.add(s)
	}
}

// add puts sockets into the queue.
func (c *recheck) add(sockets ...*Socket) {
	c.mu.Lock()
	c.queue = append(c.queue, sockets...)
	start := !c.running
	c.running = true
	c.mu.Unlock()
	if start {
		go c.run()
	}
}

// run works on the queue until it is empty.
func (c *recheck) run() {
	pace := time.NewTicker(recheckEvery)
	defer pace.Stop()
	places := make(chan struct{}, recheckAtOnce)
	for {
		for _, s := range c.next() {
			select {
			case places <- struct{}{}:
			case <-c.ctx.Done():
				return
			}
			go func() {
				defer func() { <-places }()
				c.ask(s)
			}()
		}
		if !c.more() {
			for range recheckAtOnce {
				select {
				case places <- struct{}{}:
				case <-c.ctx.Done():
					return
				}
			}
			if c.rest() {
				return
			}
			for range recheckAtOnce {
				<-places
			}
		}
		select {
		case <-pace.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// next takes the next few out of the queue.
func (c *recheck) next() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.queue[:min(len(c.queue), recheckBatch)]
	c.queue = c.queue[len(batch):]
	return batch
}

func (c *recheck) more() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// rest ends the work, unless there is some again, and says what came of it.
// Those about whom nothing could be found out come back after a while.
func (c *recheck) rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		return false
	}
	c.queue = nil
	c.running = false
	server := c.namespace.server
	if c.asked > 0 {
		server.logger.Info("authorization checked again", "namespace", c.namespace.name, "sockets", c.asked,
			"stayed", c.stayed, "disconnected", c.revoked, "unanswered", len(c.unanswered))
	}
	c.asked, c.stayed, c.revoked = 0, 0, 0
	if len(c.unanswered) == 0 {
		return true
	}
	again := c.unanswered
	c.unanswered = nil
	go c.later(c.retry, again)
	c.retry = min(2*c.retry, recheckLastRetry)
	return true
}

// later puts sockets into the queue after a while.
func (c *recheck) later(wait time.Duration, again []*Socket) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		c.add(again...)
	case <-c.ctx.Done():
	}
}

// ask asks again about one socket.
func (c *recheck) ask(s *Socket) {
	defer func() {
		if r := recover(); r != nil {
			s.namespace.server.logger.Error("panic in an authenticator",
				"namespace", s.namespace.name, "panic", r, "stack", string(debug.Stack()))
			c.note(s, &c.stayed, true)
		}
	}()
	for range recheckTries {
		if !s.Connected() || c.ctx.Err() != nil {
			return
		}
		before := s.grant.Load()
		identity, refusal := c.question(s, before)
		switch {
		case c.ctx.Err() != nil:
			// Whatever was answered may not hold any more.
			return
		case s.grant.Load() != before:
			// The client has shown something new meanwhile.
		case refusal != nil && refusal.Code == CodeAuthUnavailable:
			c.note(s, &c.stayed, true)
			return
		case refusal != nil && refusal.Code == comeAgain:
			c.note(s, &c.revoked, false)
			s.comeAgain(ReasonAuthExpired)
			return
		case refusal != nil:
			c.note(s, &c.revoked, false)
			s.namespace.server.auth.revoke(s, refusal)
			return
		case s.namespace.server.auth.exchange(s, before, identity):
			c.note(s, &c.stayed, false)
			s.client().is(identity)
			s.identityChanged(identityOf(before))
			return
		}
	}
	c.note(s, &c.stayed, true)
}

// note counts what came of a question.
func (c *recheck) note(s *Socket, count *int, unanswered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	*count++
	if unanswered {
		c.unanswered = append(c.unanswered, s)
	}
}

// question asks who the client of a socket is now. The identity is nil where
// nobody asks any more.
func (c *recheck) question(s *Socket, before *grant) (*Identity, *Refusal) {
	a := s.namespace.handlers.Load().authenticator
	if a == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, recheckTimeout)
	defer cancel()
	shown := &Credentials{Auth: s.AuthObject(), Since: c.since}
	if before != nil && before.shown != nil {
		shown.Auth, shown.Refresh = *before.shown, true
	}
	identity, err := ask(ctx, a, s, shown)
	if err != nil {
		return nil, refusalOf(err)
	}
	if before != nil && !identity.isSame(before.identity) {
		return nil, &Refusal{Code: CodeForbidden, Reason: "the credentials are those of another client now"}
	}
	if s.losesRoom(identityOf(before), identity) {
		return nil, errLosesRoom
	}
	return identity, nil
}

// errLosesRoom is a client that has lost the right to a room that it is in.
var errLosesRoom = &Refusal{Code: CodeForbidden, Reason: "the client is in a room that it may no longer join"}

// identityOf returns the identity of a grant, which may be nil.
func identityOf(g *grant) *Identity {
	if g == nil {
		return nil
	}
	return g.identity
}

// newRevocations returns the limit for lines about sockets that are
// disconnected, whose kinds are namespaces with a code of [Refusal].
func newRevocations(g *grants) *logline.Limiter {
	return logline.NewLimiter(func(kind string, more int64) {
		namespace, code, _ := strings.Cut(kind, codeSeparator)
		g.logger.Warn("more clients disconnected", "reason", string(ReasonAuthRevoked), "namespace", namespace, "code", code, "count", more)
	})
}

// revoke tells a client why it is disconnected, as far as it may know, and
// disconnects it.
func (g *grants) revoke(s *Socket, refusal *Refusal) {
	c := s.client()
	g.counts.revoked.Add(1)
	if g.revocations.Allow(s.namespace.name + codeSeparator + refusal.Code) {
		g.logger.Warn("client disconnected", "reason", string(ReasonAuthRevoked), "namespace", s.namespace.name,
			"code", refusal.Code, "error", logline.Text(refusal.Reason, maxLoggedError),
			"identity", logline.Text(s.identityID(), maxLoggedIdentity),
			"connection", c.session.LogID(), "client_ip", c.session.Handshake().RemoteAddr)
	}
	s.dismiss(ReasonAuthRevoked, refusal)
}

// exchange gives a socket an identity in place of a grant that it must still
// have; without an identity, it takes the grant away. It reports false, and
// does nothing, when the socket has another grant.
func (g *grants) exchange(s *Socket, before *grant, identity *Identity) bool {
	if identity == nil {
		return g.lose(s, before)
	}
	next := newGrant(s, identity)
	if before != nil {
		next.shown = before.shown
	}
	return g.put(s, next, func(now *grant) bool { return now == before })
}

// lose takes a grant away.
func (g *grants) lose(s *Socket, before *grant) bool {
	if before == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !s.grant.CompareAndSwap(before, nil) {
		return false
	}
	g.forgetLocked(before)
	return true
}

// is takes note of who the client is.
func (c *client) is(who *Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who != nil {
		c.who = who
	}
}
