package engineio

import (
	"context"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Farewell says how a server takes leave of its clients. The zero value is for a
// server that gets no requests any more: all are closed at once.
type Farewell struct {
	// Reason is what sessions are closed for. Default: ReasonShutdown.
	Reason Reason
	// Over is the time that closing the sessions is spread over, so that their
	// clients do not all come back at once. Few sessions take less: at least 200
	// of them are closed in a second. Default: no time, all are closed at once.
	Over time.Duration
	// Served says that requests are still passed to the server. A session on
	// long-polling is then told of its end by its client's next poll, and polls
	// that wait are answered with nothing, so that the next ones come soon.
	// Otherwise polls that wait are answered with a close packet, and a session
	// without one just ends.
	Served bool
}

const (
	// farewellTick is the time from one batch to the next.
	farewellTick = 25 * time.Millisecond
	// farewellFloor is how many sessions are closed in a second at least.
	farewellFloor = 200
	// farewellLinger is how long is waited after the last batch for clients on
	// long-polling to come for the news.
	farewellLinger = 500 * time.Millisecond
)

// Time is how long it takes to close so many sessions.
func (f Farewell) Time(sessions int) time.Duration {
	return min(f.Over, time.Duration(sessions)*time.Second/farewellFloor)
}

// Shutdown ends the server: it refuses new sessions and closes those there are,
// each after what is queued for it. It returns when all clients have been told,
// or when ctx ends; its error is that of ctx. What is then left is closed without
// waiting.
func (s *Server) Shutdown(ctx context.Context, f Farewell) error {
	if f.Reason == "" {
		f.Reason = ReasonShutdown
	}
	defer s.connections.flush()
	s.stopping.Store(true)
	var sessions []*Session
	for session := range s.table.all() {
		if !f.Served && session.mayBeTold() {
			session.Close(f.Reason)
			continue
		}
		session.releasePoll()
		sessions = append(sessions, session)
	}
	s.closePaced(ctx, sessions, f)
	if f.Served {
		s.awaitGone(ctx, farewellLinger)
	}
	s.Close(f.Reason)
	return s.endUntold(ctx, f.Reason)
}

// Close refuses new sessions and closes those there are, each after its queue. It
// does not wait for them.
func (s *Server) Close(reason Reason) {
	s.stopping.Store(true)
	for session := range s.table.all() {
		session.Close(reason)
	}
	s.flusher.close()
}

// endUntold waits until all sessions are gone, and ends those which only a poll
// that has not come could tell of their end.
func (s *Server) endUntold(ctx context.Context, reason Reason) error {
	const interval = 5 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		for session := range s.table.all() {
			if !session.mayBeTold() {
				session.terminate(reason, wire.PacketClose)
			}
		}
		if s.alive.Load() == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closePaced closes the sessions in batches. It leaves the rest when ctx ends.
func (s *Server) closePaced(ctx context.Context, sessions []*Session, f Farewell) {
	total, length := len(sessions), f.Time(len(sessions))
	ticker := time.NewTicker(farewellTick)
	defer ticker.Stop()
	for begun, closed := time.Now(), 0; closed < total; {
		due := total
		if at := time.Since(begun) + farewellTick; at < length {
			due = int(int64(total) * int64(at) / int64(length))
		}
		for ; closed < due; closed++ {
			sessions[closed].Close(f.Reason)
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
func (s *Session) releasePoll() { s.step(evRelease) }

// mayBeTold reports whether the client of a session on long-polling can be told of
// its end without another request: it has a poll, or is about to change over to a
// WebSocket.
func (s *Session) mayBeTold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machine.polls() || s.machine.upgrading()
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
