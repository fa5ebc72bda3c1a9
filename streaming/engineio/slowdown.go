package engineio

import (
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// spending is what a session has sent lately, see [Limits.Bytes], and how long its
// client has to wait for that.
type spending struct {
	bucket pace.Bucket
	// over is closed with the session. It is nil until somebody waits.
	over chan struct{}
	// owes is true when the bucket has to be asked before more is read.
	owes atomic.Bool
	// held is true when the listener wants to hear nothing more before until, see
	// [Session.HoldOff].
	held atomic.Bool
	// until is when the client need no longer wait, or when that was the last time, by
	// the server's clock.
	until int64
}

// spendLocked counts bytes that have come from the client.
func (s *Session) spendLocked(bytes int) {
	if s.limited && !s.spending.bucket.Spend(int64(bytes)) {
		s.spending.owes.Store(true)
	}
}

// meter counts for a session what is read from its WebSocket client. It
// implements [wire.Meter].
type meter struct{ session *Session }

// Heard notes that the client is alive.
func (m meter) Heard() { m.session.showsLife() }

// Arrived counts bytes of a message that is large, or never ends, and slows its
// client down within it.
func (m meter) Arrived(bytes int) {
	m.session.arrived(bytes, 0)
	m.session.slowDown()
}

// Keeps counts the memory of a message that has come in part, and waits before there
// is more of it.
func (m meter) Keeps(bytes int) {
	if bytes > 0 {
		m.session.makeRoom()
	}
	m.session.KeepUnfinished(bytes)
}

// Inflated counts the bytes that a compressed message stands for and that did
// not come over the wire.
func (m meter) Inflated(bytes int) {
	s := m.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spendLocked(bytes)
}

// HoldOff makes the client wait: the listener gets nothing more of what it sends for
// so long. On WebSocket nothing is read meanwhile, so that nothing is lost and TCP
// slows the client down; on long-polling its next POST waits, if it brings more than
// the server can keep until then. The listener calls it from within
// [Listener.Message].
func (s *Session) HoldOff(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spending.until = max(s.spending.until, s.server.clock()+int64(wait))
	s.spending.held.Store(true)
}

// slowDown is called before more is read from the client. If the client has sent
// more than it may, slowDown waits until the client has made up for it, or until the
// session is over. What the listener has to do with it is left to the backlog, if
// there is one.
func (s *Session) slowDown() {
	if !s.spending.owes.Load() && !s.spending.held.Load() {
		return
	}
	s.mu.Lock()
	now := s.server.clock()
	var until int64
	if owes := s.spending.owes.Swap(false); owes && s.machine.life == lifeOpen {
		if rate := s.server.options.Load().Limits.Bytes; rate != nil {
			if wait := s.spending.bucket.Owes(rate.pace(), now); wait > 0 {
				s.server.metrics.slowedDown.Add(1)
				until = now + int64(wait)
			}
		}
	}
	if s.backlog == nil && s.spending.held.Swap(false) {
		until = max(until, s.spending.until)
	}
	s.pauseLocked(until, now)
}

// awaitTurn is called before more of the backlog is handled. It waits as long as the
// listener wants to hear nothing, or until the session is over.
func (s *Session) awaitTurn() {
	s.mu.Lock()
	s.spending.held.Store(false)
	s.pauseLocked(s.spending.until, s.server.clock())
}

// pauseLocked gives up the lock and waits until a time, or until the session is over.
func (s *Session) pauseLocked(until, now int64) {
	if until <= now || s.machine.life != lifeOpen {
		s.mu.Unlock()
		return
	}
	s.spending.until = max(s.spending.until, until)
	over := s.overLocked()
	s.mu.Unlock()

	// A client that is not read from cannot answer heartbeats.
	s.stalled.Store(true)
	defer s.stalled.Store(false)
	timer := time.NewTimer(time.Duration(until - now))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	}
}

// overLocked returns a channel that is closed with the session, which is open.
func (s *Session) overLocked() <-chan struct{} {
	if s.spending.over == nil {
		s.spending.over = make(chan struct{})
	}
	return s.spending.over
}

// heldUpLocked reports whether the client has had to wait since a time: what it has
// sent may not have been read yet, or it may not have got the ping.
func (s *Session) heldUpLocked(since int64) bool {
	return s.stalled.Load() || s.polling.held || s.spending.until != 0 && s.spending.until >= since
}

// endSlowDown makes slowDown return, since the session is over. It is called once.
func (s *Session) endSlowDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spending.over != nil {
		close(s.spending.over)
	}
}
