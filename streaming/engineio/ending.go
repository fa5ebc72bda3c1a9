package engineio

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// closeGrace is how long a client may take to answer a WebSocket close frame
// before its connection is closed all the same.
const closeGrace = 5 * time.Second

// maxPollGrace bounds how long a closed long-polling session waits for the
// poll that would tell its client.
const maxPollGrace = 30 * time.Second

// Close ends the session from the server's side. What is queued is still
// written, within the write timeout; then a WebSocket is closed, or the
// pending or next poll is answered with a close packet.
func (s *Session) Close(reason Reason) {
	s.shut(reason, ws.StatusNoStatusRcvd)
}

// shut closes the session after its queue, telling a WebSocket client code.
func (s *Session) shut(reason Reason, code ws.StatusCode) {
	s.mu.Lock()
	if s.machine.life == lifeOpen {
		s.reason, s.closeCode, s.polling.end = reason, code, wire.PacketClose
	}
	do, _ := s.stepLocked(evClose)
	s.mu.Unlock()
	s.carryOut(do)
}

// abort ends the session at once: what is queued is dropped, the connection
// is closed without ceremony, a pending poll is answered with a close packet.
func (s *Session) abort(reason Reason) { s.terminate(reason, wire.PacketClose) }

// terminate is abort with a choice of the packet that answers a pending poll.
func (s *Session) terminate(reason Reason, pollEnd wire.PacketType) {
	s.mu.Lock()
	if s.machine.life == lifeOpen {
		s.reason, s.polling.end = reason, pollEnd
	}
	do, _ := s.stepLocked(evAbort)
	s.mu.Unlock()
	s.carryOut(do)
}

// fail is abort for a session that is open. One that is closing has its end already,
// and its client may still be told of it.
func (s *Session) fail(reason Reason) {
	if s.isOpen() {
		s.abort(reason)
	}
}

// stepLocked tells the machine of an event, and does what is to be done under the
// lock. The caller calls carryOut with what it returns, without the lock.
func (s *Session) stepLocked(e event) (do effect, ok bool) {
	if s.machine.writer != writerNone {
		// No event makes a poller of a session on WebSocket.
		do, ok = s.machine.on(e, !s.pending.empty())
	} else {
		was := s.machine.poller()
		do, ok = s.machine.on(e, !s.pending.empty())
		s.server.pollers.move(was, s.machine.poller())
	}
	if do&(wakePoll|nextPoll|dropQueue|queueClose|stopPost) == 0 {
		return do, ok
	}
	if do&wakePoll != 0 {
		s.polling.wakeUp()
	}
	if do&nextPoll != 0 {
		close(s.polling.through)
		s.polling.through = nil
	}
	if do&dropQueue != 0 {
		s.pending.clear(s.account)
	}
	if s.machine.life == lifeClosed && s.polling.ended != nil {
		close(s.polling.ended)
		s.polling.ended = nil
	}
	if do&queueClose != 0 {
		s.queueLocked(wire.NewClose(s.closeCode))
	}
	if do&stopPost != 0 && s.polling.stopBody != nil {
		s.polling.stopBody()
	}
	return do, ok
}

// step is stepLocked and carryOut.
func (s *Session) step(e event) (ok bool) {
	s.mu.Lock()
	do, ok := s.stepLocked(e)
	s.mu.Unlock()
	s.carryOut(do)
	return ok
}

// carryOut does what an event has made necessary and what must not be done under the
// lock. Each of these effects comes at most once in the life of a session, except
// for flushSoon.
func (s *Session) carryOut(do effect) {
	if do&flushSoon != 0 {
		s.server.flusher.push(s, s, 1)
	}
	if do&^flushSoon == 0 {
		return
	}
	if do&forget != 0 {
		s.server.forget(s)
	}
	if do&grace != 0 {
		s.server.wheel.schedule(s, s.server.clock()+int64(min(s.options.PingTimeout, maxPollGrace)))
	}
	if do&tellListener != 0 {
		s.tellClosed()
	}
	if do&logEnd != 0 {
		s.server.connections.end(s)
	}
	if do&dropUpgrade != 0 {
		s.attempt.cancel()
	}
	// From here on nothing holds the server up any more that waits for the session.
	if do&dropConn != 0 {
		closeAbruptly(s.conn)
	}
	if do&awaitPeer != 0 {
		s.awaitPeer()
	}
	if do&gone != 0 {
		s.server.alive.Add(-1)
	}
}

// tellClosed counts the end of the session and tells the listener of it.
func (s *Session) tellClosed() {
	s.mu.Lock()
	reason, transport := s.reason, s.machine.transport()
	s.mu.Unlock()
	s.server.open.Add(-1)
	s.server.metrics.closed(transport, s.Revision(), reason)
	s.leaveCallers()
	s.endSlowDown()
	s.Keep(-s.handshake.excess())
	if reason == ReasonSlowClient || reason == ReasonStuckClient {
		s.server.metrics.slowClients.Add(1)
	}
	s.listener.Close(reason)
}

// awaitPeer is called when the close frame is out. The reader goes on until the
// client's close frame has come, and then closes the connection.
func (s *Session) awaitPeer() {
	// Whoever reads may be at work that takes long.
	s.HandOver()
	s.mu.Lock()
	peerClosed := s.peerClosed
	s.mu.Unlock()
	wait := closeGrace
	if peerClosed {
		wait = 0
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(wait))
}

// closeAbruptly closes a connection without waiting for its peer. A TLS
// connection would try to send an alert first, which can block.
func closeAbruptly(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.Close()
}
