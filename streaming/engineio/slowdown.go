package engineio

import (
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// spending is what a session has sent lately, see [Limits.Bytes].
type spending struct {
	bucket pace.Bucket
	// over is closed with the session. It is nil until the session is slowed down
	// for the first time.
	over chan struct{}
	// owes is true when the bucket has to be asked before more is read.
	owes atomic.Bool
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

// slowDown is called before more is read from the client. If the client has sent
// more than it may, slowDown waits until the client has made up for it, or until
// the session is over.
func (s *Session) slowDown() {
	if s.spending.owes.Load() {
		s.payOff()
	}
}

// payOff asks the bucket how long the client has to wait, and waits.
func (s *Session) payOff() {
	s.mu.Lock()
	s.spending.owes.Store(false)
	var wait time.Duration
	if rate := s.server.options.Load().Limits.Bytes; rate != nil && s.machine.life == lifeOpen {
		wait = s.spending.bucket.Owes(rate.pace(), s.server.clock())
	}
	if wait == 0 {
		s.mu.Unlock()
		return
	}
	if s.spending.over == nil {
		s.spending.over = make(chan struct{})
	}
	over := s.spending.over
	s.mu.Unlock()

	s.server.metrics.slowedDown.Add(1)
	// A client that is not read from cannot answer heartbeats.
	s.stalled.Store(true)
	defer s.stalled.Store(false)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	}
}

// endSlowDown makes slowDown return, since the session is over. It is called once.
func (s *Session) endSlowDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spending.over != nil {
		close(s.spending.over)
	}
}
