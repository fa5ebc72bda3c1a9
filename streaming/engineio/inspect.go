package engineio

// SessionState is what an operator may know of a session at one moment. The
// session's ID is not part of it: that is the client's credential.
type SessionState struct {
	// Transport is what the session is on.
	Transport Transport
	// Revision is the revision of the protocol that the client speaks.
	Revision Revision
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
		Revision:    s.Revision(),
		QueuedBytes: s.pending.load.bytes + s.inFlight.bytes,
		Slow:        s.behindLocked(),
		Counts:      s.traffic,
	}
}
