package engineio

import "sync/atomic"

// pollerKind is what an open session on long-polling is doing.
type pollerKind uint8

const (
	// notPolling is a session that is over, or on WebSocket.
	notPolling pollerKind = iota
	// pollerWaits is one whose poll waits.
	pollerWaits
	// pollerAway is one whose client has no poll here that waits.
	pollerAway

	pollerKinds // how many there are
)

// poller returns what the session is doing.
func (m *machine) poller() pollerKind {
	switch {
	case m.life != lifeOpen || m.writer != writerNone:
		return notPolling
	case m.poll == pollWaiting || m.poll == pollReleased:
		return pollerWaits
	}
	return pollerAway
}

// pollerCounts are how many sessions are of each kind. That of notPolling means nothing.
type pollerCounts [pollerKinds]atomic.Int64

// move counts a session that was of one kind and is now of another.
func (c *pollerCounts) move(from, to pollerKind) {
	if from != to {
		c[from].Add(-1)
		c[to].Add(1)
	}
}

// Pollers counts the open sessions on long-polling: those whose poll waits, and
// those whose client is away, because it has its answer and is about to ask
// again, or because it is gone.
func (s *Server) Pollers() (waiting, away int) {
	return int(s.pollers[pollerWaits].Load()), int(s.pollers[pollerAway].Load())
}
