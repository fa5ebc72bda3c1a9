package sessions

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// A sender of much goes as fast as its receivers take it. These are variables
// for tests alone.
var (
	// pacedSize is the size, in bytes, from which on an event waits for its
	// receivers to have room.
	pacedSize = 16 << 10
	// pacedBacklog is how many bytes of what is shared may wait for a receiver
	// before a sender waits: enough to keep a fast connection busy, and few
	// enough for a slow one to take them within the time for one write.
	pacedBacklog = 256 << 10
	// paceLimit is how long an event waits at most. A receiver that has no
	// room by then is waited for no more until it has caught up; what it has
	// no room for in the end cuts it off.
	paceLimit = 5 * time.Second
)

const (
	paceFirstWait = time.Millisecond
	paceMaxWait   = 16 * time.Millisecond
)

// pace waits until all other members have room for something of this size, for
// a bounded time. One sender of a session waits at a time, so that the room
// that it has found is its own. pace reports false when the sender has gone
// and its time is up: what it has left behind is then not worth cutting
// anybody off. Once the server ends, it waits no more.
func (s *service) pace(r *request, p *participant, m *member, size int) bool {
	if size < pacedSize {
		return true
	}
	deadline := time.Now().Add(paceLimit)
	if p.isGone(r.socket) && p.grace.Before(deadline) {
		deadline = p.grace
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case m.session.turn <- struct{}{}:
		defer func() { <-m.session.turn }()
	case <-timer.C:
	}
	late := m.session.withoutRoom(r.socket, size)
	for wait := paceFirstWait; len(late) > 0; wait = min(2*wait, paceMaxWait) {
		now := time.Now()
		gone := p.isGone(r.socket)
		if gone && now.After(p.grace) {
			return false
		}
		if now.After(deadline) {
			for _, receiver := range late {
				receiver.lagging.Store(true)
			}
			return true
		}
		if !rest(r.socket.Context(), wait) {
			return true
		}
		late = stillWithoutRoom(late, size)
	}
	return true
}

// rest waits for a while. It reports false when the server ends before that.
// ctx is that of a sender. What the sender has left behind still has its time
// when it has gone by itself.
func rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	}
	if errors.Is(context.Cause(ctx), streaming.ErrServerClosed) {
		return false
	}
	<-timer.C
	return true
}

// isGone reports whether the client has disconnected. All that it has left
// behind has the time of one event to wait.
func (p *participant) isGone(socket *streaming.Socket) bool {
	if socket.Connected() {
		return false
	}
	if p.grace.IsZero() {
		p.grace = time.Now().Add(paceLimit)
	}
	return true
}

// withoutRoom lists the members, but for the sender, that have no room for
// something of this size and are worth waiting for.
func (s *session) withoutRoom(sender *streaming.Socket, size int) []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	var late []*member
	for _, m := range s.members {
		if m.socket == sender {
			continue
		}
		if m.hasRoom(size) {
			m.lagging.Store(false)
		} else if !m.lagging.Load() {
			late = append(late, m)
		}
	}
	return late
}

func stillWithoutRoom(late []*member, size int) []*member {
	still := late[:0]
	for _, m := range late {
		if !m.hasRoom(size) {
			still = append(still, m)
		}
	}
	return still
}

// hasRoom reports whether little enough waits for a member. One that is gone
// needs no room.
func (m *member) hasRoom(size int) bool {
	waiting, limit := m.socket.Backlog()
	return waiting == 0 || waiting+size <= min(limit/2, pacedBacklog) || !m.socket.Connected()
}
