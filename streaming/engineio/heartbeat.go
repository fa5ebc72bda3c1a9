package engineio

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// heartbeat is the state of a session's heartbeat: the server sends a ping,
// the client answers with a pong. See "Heartbeat" in the Engine.IO protocol.
// Times are by the server's clock.
type heartbeat struct {
	// pingAt is when the last ping was due, or when the session began.
	pingAt int64
	// waiting is true once a ping was sent.
	waiting bool
	// sentAt is when the last ping was queued, in microseconds: the time to the pong
	// is counted from then. It wraps around; a larger number would make each session
	// larger.
	sentAt uint32
	// received is what the kernel knew of the client when a pong was late already, if
	// asked is true.
	received received
	asked    bool
	// ping is how far the last ping is on its way to the client. When it is gone, goneAt is
	// when that was, like sentAt.
	ping   pingState
	goneAt uint32
}

// pingState is how far a ping is on its way.
type pingState uint8

const (
	// pingGone is a ping that was handed to the kernel, or none.
	pingGone pingState = iota
	// pingQueued is one that waits in the queue, or is about to.
	pingQueued
	// pingInFlight is one that is being written.
	pingInFlight
)

// Beater is a [Listener] that wants to look after something now and then. Beat
// is called with each heartbeat, by a goroutine that must not be held up; calls
// never overlap. It is not called for a ping that is sent because the client cannot
// be heard, as it is slowed down. In revision 3 it is called when the time for a ping of the client has
// begun anew since the last call.
type Beater interface{ Beat() }

var pingPacket = wire.NewStatic(wire.PacketPing, "")

// startHeartbeat schedules the first ping.
func (s *Session) startHeartbeat(now int64) {
	s.mu.Lock()
	s.heartbeat.pingAt = now
	s.mu.Unlock()
	s.pongAt.Store(now)
	s.aliveAt.Store(now)
	s.server.wheel.schedule(s, now+int64(s.options.PingInterval))
}

// onDeadline is called by the wheel.
func (s *Session) onDeadline(now int64) {
	s.mu.Lock()
	if s.machine.life != lifeOpen {
		s.mu.Unlock()
		// No poll came to be told of the end.
		s.terminate(ReasonForcedClose, wire.PacketClose)
		return
	}
	next, expired, ping, again := s.beatLocked(now)
	if ping {
		s.heartbeat.sentAt = microseconds(s.server.clock())
		s.heartbeat.ping = pingQueued
	}
	s.mu.Unlock()

	if expired {
		s.server.losses.add(s, ReasonPingTimeout)
		return
	}
	if ping {
		if _, full := s.sendUncut(pingPacket, false); full {
			s.server.losses.add(s, ReasonSlowClient)
		}
	}
	if b, ok := s.listener.(Beater); ok && (ping || s.Revision() == Revision3) && !again {
		b.Beat()
	}
	s.server.wheel.schedule(s, next)
	if !s.isOpen() {
		// The session ended in between, and so did not see this deadline.
		s.rescheduleEnd()
	}
}

// rescheduleEnd puts right the deadline of a session that is no longer open.
func (s *Session) rescheduleEnd() {
	s.mu.Lock()
	closing := s.machine.life == lifeClosing && s.conn == nil
	s.mu.Unlock()
	if closing {
		s.server.wheel.schedule(s, s.server.clock()+int64(min(s.options.PingTimeout, maxPollGrace)))
	} else {
		s.server.wheel.stop(s)
	}
}

// tolerance is how late the wheel may be before deadlines are counted from the time
// at which it acts. Up to then clients can rely on the times they were told. A
// wheel that is later was held up with the whole process, and clients are not to
// blame for that.
const tolerance = int64(2 * wheelTick)

// beatLocked decides what the heartbeat needs now: whether the client is lost,
// whether a ping is due, and when to look again. again is true for a ping that
// follows one to which there is no answer yet: clients count on pings, also while
// their answers cannot be read.
//
// A client that sends or takes something is alive, though its pong may have to wait
// for the end of a long message, or the ping in front of it: the time for the pong
// begins anew.
func (s *Session) beatLocked(now int64) (next int64, expired, ping, again bool) {
	if s.Revision() == Revision3 {
		next, expired, beats := s.awaitPingLocked(now)
		return next, expired, false, !beats
	}
	interval, timeout := int64(s.options.PingInterval), int64(s.options.PingTimeout)
	h := &s.heartbeat
	if h.waiting && s.pongAt.Load() < h.pingAt {
		since := s.waitingSinceLocked()
		deadline := since + timeout
		switch {
		case now < deadline:
			next = deadline
			if now >= since+timeout/2 {
				s.askLocked()
			} else {
				next = since + timeout/2
			}
			again = s.pingsAgainLocked(now)
			return min(next, now+min(interval, timeout)), false, again, again
		case s.heldUpLocked(since), now > deadline+tolerance, s.takesLocked(now):
			// The pong may have come, but has not been read yet, or the client may not
			// have got the ping yet.
			again = s.pingsAgainLocked(now)
			h.pingAt = now
			return now + min(interval, timeout), false, again, again
		}
		return 0, true, false, false
	}
	due := s.pongAt.Load() + interval
	if now < due {
		return due, false, false, false
	}
	if now > due+tolerance {
		due = now
	}
	h.pingAt, h.waiting, h.asked = due, true, false
	return min(due+timeout/2, due+interval), false, true, false
}

// pingsAgainLocked reports whether the client, which has not answered the last ping, is
// to get another one: it takes the server for lost when it gets none for interval and
// timeout together. It gets none while the last one is still on its way, and has as long
// to answer that as if it had been sent when it went out.
func (s *Session) pingsAgainLocked(now int64) bool {
	h := &s.heartbeat
	least := int64(min(s.options.PingInterval, s.options.PingTimeout))
	return h.ping == pingGone && now >= h.pingAt+least &&
		time.Duration(microseconds(now)-h.goneAt)*time.Microsecond >= time.Duration(least)
}

// waitingSinceLocked is when the time for the pong that is waited for has begun.
func (s *Session) waitingSinceLocked() int64 {
	return max(s.heartbeat.pingAt, s.aliveAt.Load())
}

// askLocked asks the kernel how far the client is with what was written to it, so
// that takesLocked can tell later whether it has gone on.
func (s *Session) askLocked() {
	s.heartbeat.received, s.heartbeat.asked = receivedBy(s.clientLocked()), true
}

// takesLocked reports whether the client has taken something since askLocked was
// called last, and asks again. Where the kernel does not tell, a client on long-polling
// has the time for its last answer that a slow one needs, but not where it has ended the
// connection that the answer went over.
func (s *Session) takesLocked(now int64) bool {
	before, asked := s.heartbeat.received, s.heartbeat.asked
	s.askLocked()
	r := s.heartbeat.received
	if !r.known && !r.closed && now < s.polling.takenAt {
		return true
	}
	return asked && r.movedOnFrom(before)
}

// isLost reports whether the client has missed its heartbeat and the wheel has not
// come round to it yet. It reports false when the wheel is later than it should be:
// the wheel then decides.
func (s *Session) isLost(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.heartbeat
	since := s.waitingSinceLocked()
	if s.Revision() == Revision3 {
		since = s.heardLocked() + int64(s.options.PingInterval)
	} else if !h.waiting || s.pongAt.Load() >= h.pingAt {
		since = max(s.pongAt.Load()+int64(s.options.PingInterval), s.aliveAt.Load())
	}
	deadline := since + int64(s.options.PingTimeout)
	return s.machine.life == lifeOpen && !s.heldUpLocked(since) && now >= deadline && now <= deadline+tolerance && !s.takesLocked(now)
}

// onPong notes an answered ping.
func (s *Session) onPong() {
	now := s.server.clock()
	s.mu.Lock()
	if h := &s.heartbeat; h.waiting && s.pongAt.Load() < h.pingAt {
		took := time.Duration(microseconds(now)-h.sentAt) * time.Microsecond
		s.server.metrics.heartbeats.Observe(measure.Latencies, int64(took))
	}
	s.mu.Unlock()
	s.pongAt.Store(now)
}

// microseconds makes a time of the server's clock, which may wrap around.
func microseconds(clock int64) uint32 {
	return uint32(clock / int64(time.Microsecond)) //nolint:gosec // wraps around on purpose
}
