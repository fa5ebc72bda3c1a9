package engineio

import (
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// inbound is what a session has sent lately, see [Limits.Bytes].
type inbound struct {
	bucket pace.Bucket
	// over, when not nil, is closed with the session: it was slowed down once.
	over chan struct{}
	// owes is true when the bucket is to be asked before more is read.
	owes atomic.Bool
}

// spendLocked counts bytes that have come from the client.
func (s *Session) spendLocked(bytes int) {
	if s.limited && !s.inbound.bucket.Spend(int64(bytes)) {
		s.inbound.owes.Store(true)
	}
}

// meter counts for a session what is read from its WebSocket client. It
// implements [wire.Meter].
type meter struct{ session *Session }

// Arrived counts bytes of a message that is large, or never ends, and slows its
// client down within it.
func (m meter) Arrived(bytes int) {
	m.session.arrived(bytes, 0)
	m.session.slowDown()
}

// Inflated counts the bytes that a compressed message stands for and that did
// not come over the wire.
func (m meter) Inflated(bytes int) {
	s := m.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spendLocked(bytes)
}

// slowDown is called before more is read from the client. It waits until the
// session owes nothing, if it has sent more than it may, or until it is over.
func (s *Session) slowDown() {
	if s.inbound.owes.Load() {
		s.payOff()
	}
}

func (s *Session) payOff() {
	s.mu.Lock()
	s.inbound.owes.Store(false)
	var wait time.Duration
	if rate := s.server.options.Load().Limits.Bytes; rate != nil && s.state == stateOpen {
		wait = s.inbound.bucket.Owes(rate.pace(), s.server.clock())
	}
	if wait == 0 {
		s.mu.Unlock()
		return
	}
	if s.inbound.over == nil {
		s.inbound.over = make(chan struct{})
	}
	over := s.inbound.over
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

// endSlowDown lets those who wait for a session that is over go on. It is
// called once.
func (s *Session) endSlowDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound.over != nil {
		close(s.inbound.over)
	}
}
