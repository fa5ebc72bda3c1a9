package engineio

import (
	"sync"
	"time"
)

// What clients have sent and the server still keeps is counted as what waits for
// them is, see budget: received is the same for the other direction. Two kinds of it
// are told apart.
//
// What is unfinished waits for the client: half a message, half the body of a POST,
// a packet without its attachments. When received has come to its part of
// Options.ServerBuffer, a session with more than modestUnfinished of it is not read
// from for a while, except for the one that has had so much for the longest time: that
// one can go on, and so it finishes, or it is ended once it has taken
// unfinishedGrace. Nobody waits for somebody who waits.
//
// The rest waits for handlers, or is kept on purpose, such as credentials. Package
// streaming bounds it, see [Session.Pressed].

const (
	// receivedPart is the part of Options.ServerBuffer that what has come from
	// clients may take: one over receivedPart.
	receivedPart = 8
	// modestUnfinished is how many bytes a session may have unfinished whatever the
	// others have.
	modestUnfinished = 64 << 10
	// unfinishedGrace is how long a session may have more than that unfinished when
	// others need the memory. The time in which it was not read from does not count.
	unfinishedGrace = 10 * time.Second
)

// Keep counts bytes, which may be less than zero, of memory that the listener keeps
// for the client: what it has sent and what is waited for from it. Whoever keeps
// them takes them away again, also after the end of the session.
func (s *Session) Keep(bytes int) { s.received.add(bytes) }

// KeepUnfinished is Keep for a message that is not complete before more comes from
// the client. The session may be ended for it, with ReasonIncomplete.
func (s *Session) KeepUnfinished(bytes int) {
	s.received.add(bytes)
	now := s.unfinished.Add(int64(bytes))
	if before := now - int64(bytes); (now > modestUnfinished) != (before > modestUnfinished) {
		s.server.unfinished.note(s, s.server.clock())
	}
}

// Pressed reports whether all that is kept for clients has come to the bound that
// Options.ServerBuffer sets for it. Who keeps more than a little then for one client
// should take no more from it.
func (s *Session) Pressed() bool {
	limit := s.options.ServerBuffer
	return limit > 0 && s.server.received.atLeast(limit/receivedPart)
}

// exhausted reports whether percent of the limit is used by what waits for clients and
// what has come from them. A limit of zero is none.
func (s *Server) exhausted(limit, percent int64) bool {
	return limit > 0 && together(s.budget, s.received, limit/100*percent)
}

// unfinishedList is the list of the sessions with more than modestUnfinished, in the
// order in which they have come to that.
type unfinishedList struct {
	mu             sync.Mutex
	oldest, newest *unfinishedEntry
	// changed is closed when a session leaves the list. It is nil when nobody waits
	// for that.
	changed chan struct{}
}

// unfinishedEntry is a session in the list.
type unfinishedEntry struct {
	session        *Session
	next, previous *unfinishedEntry
	// since is when the session came into the list, by the server's clock, plus the
	// time in which it was not read from since then.
	since int64
	// ended is true once the session has left the list because it is ended.
	ended bool
}

// note puts the session into the list or takes it out, as it should be now.
func (l *unfinishedList) note(s *Session, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted := s.unfinished.Load() > modestUnfinished
	switch e := s.entry; {
	case wanted && e == nil:
		e = &unfinishedEntry{session: s, since: now, previous: l.newest}
		if l.newest != nil {
			l.newest.next = e
		} else {
			l.oldest = e
		}
		l.newest, s.entry = e, e
	case !wanted && e != nil && !e.ended:
		l.removeLocked(e)
		s.entry = nil
	}
}

func (l *unfinishedList) removeLocked(e *unfinishedEntry) {
	if e.previous != nil {
		e.previous.next = e.next
	} else {
		l.oldest = e.next
	}
	if e.next != nil {
		e.next.previous = e.previous
	} else {
		l.newest = e.previous
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// turn reports whether a session may go on, by what is in the list. Otherwise it
// returns the session that the caller has to end, or else for how long to wait, and for what.
func (l *unfinishedList) turn(s *Session, now int64) (may bool, end *Session, wait time.Duration, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.oldest
	if s.entry == nil || s.entry.ended || oldest == s.entry {
		return true, nil, 0, nil
	}
	left := oldest.since + int64(unfinishedGrace) - now
	if left <= 0 {
		oldest.ended = true
		l.removeLocked(oldest)
		return false, oldest.session, 0, nil
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return false, nil, time.Duration(left), l.changed
}

// waited notes for how long a session was not read from.
func (l *unfinishedList) waited(s *Session, took int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.entry != nil {
		s.entry.since += took
	}
}

// recheckPressed is how often a session that is not read from looks whether there is
// room again.
const recheckPressed = 250 * time.Millisecond

// makeRoom is called before more is read from the client. If it has much unfinished
// and there is no room for more, makeRoom waits until there is, or until the session
// is over.
func (s *Session) makeRoom() {
	if s.unfinished.Load() <= modestUnfinished || !s.Pressed() {
		return
	}
	list := &s.server.unfinished
	began := s.server.clock()
	waiting := false
	for s.isOpen() && s.Pressed() {
		may, end, wait, changed := list.turn(s, s.server.clock())
		if may {
			break
		}
		if end != nil {
			end.endUnfinished()
			continue
		}
		if !waiting {
			waiting = true
			// A client that is not read from cannot answer heartbeats.
			s.stalled.Store(true)
			defer s.stalled.Store(false)
		}
		timer := time.NewTimer(min(wait, recheckPressed))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	if waiting {
		list.waited(s, s.server.clock()-began)
	}
}

// endUnfinished ends a session that has had much unfinished for long while others
// need the memory.
func (s *Session) endUnfinished() {
	s.mu.Lock()
	s.forOthers = true
	s.mu.Unlock()
	s.abort(ReasonIncomplete)
}
