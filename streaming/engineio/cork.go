package engineio

// WriteHere calls send, and then writes what it has sent to the session in the
// calling goroutine, which costs less than to wake another one. It waits for the
// client, for the write timeout at most. When somebody else is writing to the
// client already, or the session is on long-polling, it just calls send.
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

// cork makes what is sent to the session from now on wait for release or
// flush. It reports false when a flush worker is writing to it already, and on
// long-polling.
func (s *Session) cork() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushing || s.conn == nil {
		return false
	}
	s.flushing = true
	return true
}

// release undoes cork: the flush workers write what is pending.
func (s *Session) release() {
	s.mu.Lock()
	s.flushing = false
	ready := s.state != stateClosed && s.readyLocked()
	s.mu.Unlock()
	if ready {
		s.server.flusher.push(s, s, 1)
	}
}

// flushHere writes what is pending in the calling goroutine. The session has
// been marked as being flushed.
func (s *Session) flushHere() flushed {
	buffer := flushBuffers.Get().(*[]byte)
	defer flushBuffers.Put(buffer)
	done, again := s.server.flusher.flush(s, *buffer)
	if again {
		s.server.flusher.push(s, s, 1)
	}
	return done
}
