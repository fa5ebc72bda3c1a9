package engineio

// Ended returns a session that has ended already, for a client that an earlier process has had: it takes
// no messages, counts nowhere, and tells what is known of that client.
func (s *Server) Ended(h *Handshake) *Session {
	session := &Session{
		id: newSessionID(), server: s, options: s.options.Load(), account: s.budget.account(), received: s.received.account(),
		handshake: h, reason: ReasonShutdown,
	}
	session.machine.life = lifeClosed
	return session
}
