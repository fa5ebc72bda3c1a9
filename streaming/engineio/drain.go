package engineio

import (
	"context"
	"time"
)

// Drain says how a server that ends takes leave of its clients.
type Drain struct {
	// Over is the time that closing the sessions is spread over, so that their
	// clients do not all come back at once. Few sessions take less: at least
	// drainFloor of them are closed in a second. Zero closes all at once.
	Over time.Duration
	// Unserved says that nobody passes requests to the server any more. A
	// session on long-polling cannot be told of its end by its next poll then,
	// so polls that wait are answered with a close packet straight away.
	// Otherwise they are answered with nothing, and the client's next poll is
	// the one that will hear.
	Unserved bool
	// Reason is what sessions are closed for. Default: ReasonShutdown.
	Reason Reason
}

const (
	// drainTick is the time from one batch to the next.
	drainTick = 25 * time.Millisecond
	// drainFloor is how many sessions are closed in a second at least.
	drainFloor = 200
	// drainLinger is how long is waited after the last batch for clients on
	// long-polling to come for the news.
	drainLinger = 500 * time.Millisecond
)

// Time is how long it takes to close so many sessions.
func (d Drain) Time(sessions int) time.Duration {
	return min(d.Over, time.Duration(sessions)*time.Second/drainFloor)
}

// Refuse makes the server answer further handshakes 503. Sessions that there
// are stay.
func (s *Server) Refuse() { s.stopping.Store(true) }

// Drain ends the server: it refuses new sessions, and closes those there are
// in batches, each session after what is queued for it. It returns when all
// clients have been told, or when ctx ends; its error is that of ctx. What is
// then left is closed at once.
func (s *Server) Drain(ctx context.Context, d Drain) error {
	if d.Reason == "" {
		d.Reason = ReasonShutdown
	}
	s.Refuse()
	var sessions []*Session
	for session := range s.table.all() {
		if d.Unserved && session.pollPending() {
			session.Close(d.Reason)
			continue
		}
		session.releasePoll()
		sessions = append(sessions, session)
	}
	s.closePaced(ctx, sessions, d)
	s.awaitGone(ctx, drainLinger)
	return s.Shutdown(ctx, d.Reason)
}

// closePaced closes the sessions in batches. It leaves the rest when ctx ends.
func (s *Server) closePaced(ctx context.Context, sessions []*Session, d Drain) {
	total, length := len(sessions), d.Time(len(sessions))
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	for begun, closed := time.Now(), 0; closed < total; {
		due := total
		if at := time.Since(begun) + drainTick; at < length {
			due = int(int64(total) * int64(at) / int64(length))
		}
		for ; closed < due; closed++ {
			sessions[closed].Close(d.Reason)
			sessions[closed] = nil
		}
		if closed == total {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// awaitGone waits until no session is left, at most so long.
func (s *Server) awaitGone(ctx context.Context, most time.Duration) {
	const interval = 5 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	limit := time.After(most)
	for s.alive.Load() > 0 {
		select {
		case <-ticker.C:
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// releasePoll makes a poll that waits end now, though there may be nothing to
// send.
func (s *Session) releasePoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll.active && !s.poll.answering {
		s.poll.release = true
		s.poll.wakeUp()
	}
}

// CloseIf closes the open sessions for which close is true, each after its
// queue, and returns how many they were.
func (s *Server) CloseIf(reason Reason, end func(*Handshake) bool) (closed int) {
	for session := range s.table.all() {
		if session.isOpen() && end(session.handshake) {
			session.Close(reason)
			closed++
		}
	}
	return closed
}
