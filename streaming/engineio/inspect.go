package engineio

// SessionState is what an operator may know of a session at one moment. The
// session's ID is not part of it: that is the client's credential.
type SessionState struct {
	// Transport is what the session is on.
	Transport Transport
	// QueuedBytes is how many bytes wait to be written to the client, before they are
	// compressed. What they take of memory is more, see [Session.Backlog].
	QueuedBytes int
	// Slow is true when the client does not keep up: volatile messages to it
	// are being dropped.
	Slow bool
	// Counts is what has gone over the session so far.
	Counts Counts
}

// State returns the state of the session.
func (s *Session) State() SessionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionState{
		Transport:   s.machine.transport(),
		QueuedBytes: s.pending.load.bytes + s.inFlight.bytes,
		Slow:        s.behindLocked(),
		Counts:      s.traffic,
	}
}

// Pollers counts the open sessions on long-polling: those whose poll waits, and
// those whose client is away, because it has its answer and is about to ask
// again, or because it is gone.
func (s *Server) Pollers() (waiting, away int) {
	for session := range s.table.all() {
		session.mu.Lock()
		switch {
		case session.machine.life != lifeOpen || session.machine.transport() != Polling:
		case session.machine.poll == pollWaiting || session.machine.poll == pollReleased:
			waiting++
		default:
			away++
		}
		session.mu.Unlock()
	}
	return waiting, away
}
