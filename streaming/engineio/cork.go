package engineio

// WriteHere calls send, and then writes what was sent to the session meanwhile, in
// the calling goroutine, which costs less than to wake another one. It waits for
// the client, for the write timeout at most. When somebody else is about to write
// to the client already, or when the session is on long-polling, WriteHere just
// calls send.
func (s *Session) WriteHere(send func()) {
	if !s.cork() {
		send()
		return
	}
	defer func() {
		s.server.metrics.flushed(WebSocket, s.flushHere())
	}()
	send()
}

// cork makes what is sent to the session from now on wait until the caller calls
// release or flushHere. It reports false, and does nothing, when somebody is about
// to write to the client already, and on long-polling.
func (s *Session) cork() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.stepLocked(evHold)
	return ok
}

// release undoes cork: the flush workers write what is pending.
func (s *Session) release() { s.step(evUnhold) }

// flushHere undoes cork: it writes what is pending in the calling goroutine.
func (s *Session) flushHere() flushed {
	done, again := s.server.flusher.flushHere(s)
	if again {
		s.server.flusher.push(s, s, 1)
	}
	return done
}
