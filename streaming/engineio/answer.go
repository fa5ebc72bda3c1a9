package engineio

import "github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"

// Answer is [Session.Send] for an answer that the work of a message gives to the
// client. While the work goes on in the goroutine that reads, see [Work], one small
// answer is held: that goroutine writes it when the work is done, which costs less than
// to wake another one. It is held for a tick of the wheel at most, and only as long as
// nothing else is sent to the client.
func (s *Session) Answer(m *wire.Message) bool { return s.send(m, true) }

// SendUnderLocks is [Session.Send], or [Session.Answer] if answer is true, for who holds
// locks that the listener may wait for: a session whose queue is full is ended by another
// goroutine.
func (s *Session) SendUnderLocks(m *wire.Message, answer bool) bool {
	ok, full := s.sendUncut(m, answer)
	if full {
		s.server.losses.add(s, ReasonSlowClient)
	}
	return ok
}

// holdsLocked reports whether an answer is to be held. It is smaller than what counts
// as a backlog, so that a client for which it waits is not taken to be slow.
func (s *Session) holdsLocked(m *wire.Message) bool {
	return s.working && s.pending.empty() && m.Size() <= volatileBacklog
}

// beginWork says that the goroutine that reads has work to do.
func (s *Session) beginWork() {
	s.mu.Lock()
	s.working = true
	s.mu.Unlock()
}

// endWork undoes beginWork. It reports whether an answer is held. The caller then writes
// it, or calls release.
func (s *Session) endWork() (held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working = false
	return s.machine.writer == writerHeld
}

// release has the flush workers write an answer that is held.
func (s *Session) release() { s.step(evUnhold) }

// writeAnswer writes an answer that is held, and what has come after it. It does nothing
// when another goroutine has seen to that already.
func (s *Session) writeAnswer() flushed {
	f := s.server.flusher
	turn := f.enter()
	defer f.leave(turn)
	done, again := f.flush(s, &turn.progress, writerHeld)
	if again {
		f.push(s, s, 1)
	}
	return done
}
