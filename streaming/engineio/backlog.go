package engineio

// backlog is what POSTs have brought and what is not handled yet, because the client
// is slowed down, see [Session.HoldOff]. It belongs to a goroutine of its own: the
// client, and the proxies on the way, have the answer to their POST meanwhile. It
// holds [Options.MaxPayload] bytes, and takes nothing more while the server has no
// memory for more, see [Session.Pressed]. A POST with more than there is room for has
// to wait. The session's mutex guards it.
type backlog struct {
	// payloads are what is left, in order.
	payloads [][]byte
	// bytes is how many bytes they have, and those that are being handled.
	bytes int64
	// changed is closed when there is more room, and another one takes its place.
	changed chan struct{}
}

// startBacklog has the rest of a payload handled when its time has come.
func (s *Session) startBacklog(rest []byte) {
	b := &backlog{payloads: [][]byte{rest}, bytes: int64(len(rest)), changed: make(chan struct{})}
	s.Keep(len(rest))
	s.mu.Lock()
	s.backlog = b
	s.mu.Unlock()
	go s.workOff(b)
}

// putOff adds a payload to the backlog. It reports false when there is none.
func (s *Session) putOff(payload []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog == nil {
		return false
	}
	s.backlog.payloads = append(s.backlog.payloads, compact(payload, cap(payload)))
	s.backlog.bytes += int64(len(payload))
	s.Keep(len(payload))
	return true
}

// workOff handles the backlog, packet by packet as each is due, until there is none.
func (s *Session) workOff(b *backlog) {
	defer s.endBacklog(b)
	defer s.server.recoverPanic("panic while handling a payload", s)
	payload := s.nextOf(b, 0)
	for memory := len(payload); payload != nil; {
		s.awaitTurn()
		rest, _ := s.handlePackets(payload, memory)
		if handled := len(payload) - len(rest); rest != nil {
			s.handled(b, handled)
			payload = rest
		} else {
			payload = s.nextOf(b, handled)
			memory = len(payload)
		}
	}
}

// nextOf returns the next payload of the backlog, or nil, once so many bytes of the
// one before are handled. With the last one the backlog is over.
func (s *Session) nextOf(b *backlog, handled int) (payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handledLocked(b, handled)
	if len(b.payloads) == 0 {
		s.backlog = nil
		return nil
	}
	payload, b.payloads[0] = b.payloads[0], nil
	b.payloads = b.payloads[1:]
	return payload
}

// handled takes note that so many bytes of the backlog are handled.
func (s *Session) handled(b *backlog, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handledLocked(b, bytes)
}

func (s *Session) handledLocked(b *backlog, bytes int) {
	b.bytes -= int64(bytes)
	s.Keep(-bytes)
	close(b.changed)
	b.changed = make(chan struct{})
}

// endBacklog ends the backlog after a panic.
func (s *Session) endBacklog(b *backlog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog == b {
		s.backlog = nil
		s.handledLocked(b, int(b.bytes))
	}
}

// awaitRoom waits until the backlog has room for a body of so many bytes, or until the
// session is over. A negative size is one that is not known.
func (s *Session) awaitRoom(size int64) {
	most := s.options.MaxPayload
	switch {
	case size > most:
		// It is refused at once.
		return
	case size < 0:
		size = most
	}
	s.awaitLess(most - size)
}

// awaitBacklog waits until there is no backlog, or until the session is over: what
// the client sends over its WebSocket comes after what it has sent before.
func (s *Session) awaitBacklog() { s.awaitLess(-1) }

// awaitLess waits until the backlog has at most so many bytes and the server has memory
// for more, until there is none, or until the session is over.
func (s *Session) awaitLess(most int64) {
	for {
		s.mu.Lock()
		b := s.backlog
		if b == nil || b.bytes <= most && !s.Pressed() || s.machine.life != lifeOpen {
			s.mu.Unlock()
			return
		}
		changed, over := b.changed, s.overLocked()
		s.mu.Unlock()
		select {
		case <-changed:
		case <-over:
		}
	}
}
