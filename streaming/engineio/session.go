package engineio

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Listener hears what one session's client says. Its methods must not wait for a
// client.
type Listener interface {
	// Message is called with each message, by the goroutine that reads from the
	// client, and calls never overlap. The listener owns data. What takes longer,
	// or may wait, the listener returns as work, or else nil. An error means that
	// the message makes no sense: the session is closed with ReasonParseError.
	Message(data []byte, binary bool) (Work, error)
	// Close is called exactly once, when the session is over, by whoever has ended
	// it: that may be the goroutine that reads, the one of the heartbeats, or one
	// that sends to the session. Message may be under way at the same time.
	Close(reason Reason)
}

// Handshake is what a session's first request told.
type Handshake struct {
	// Header holds the headers, names in canonical form.
	Header http.Header
	// URL is the request target as it was sent.
	URL string
	// RemoteAddr is the client's IP address, without a port.
	RemoteAddr string
	// Secure is true when the request came over TLS.
	Secure bool
	// SameOrigin is true when the request came from a page of the origin that
	// it was sent to.
	SameOrigin bool
	// Attributes are what the HTTP server in front has found out about the
	// request. Nil when there is nothing.
	Attributes map[string]string
	// Time is when the request came.
	Time time.Time
}

// Query returns the query parameters. They are not kept: each call parses the
// URL.
func (h *Handshake) Query() url.Values {
	_, query, _ := strings.Cut(h.URL, "?")
	values, _ := url.ParseQuery(query)
	return values
}

// state is how far a session is in its life.
type state uint8

const (
	stateOpen state = iota
	// stateClosing sessions accept nothing more; what is queued is still
	// on its way out.
	stateClosing
	stateClosed
)

// closeGrace is how long a client may take to answer a WebSocket close frame
// before its connection is closed all the same.
const closeGrace = 5 * time.Second

// maxPollGrace bounds how long a closed long-polling session waits for the
// poll that would tell its client.
const maxPollGrace = 30 * time.Second

// Session is one client's Engine.IO connection. All methods may be called
// from any goroutine.
type Session struct {
	// What queueing a message and writing it touch comes first, so that a
	// delivery to one of many thousands waits for memory as seldom as can be.

	mu      sync.Mutex
	server  *Server
	options *Options
	pending queue
	// inFlight is how many bytes a writer has taken and not yet written.
	inFlight  int
	nextReady *Session // guarded by the flusher
	state     state
	// flushing is true while it is somebody's task already to write what is pending
	// for a WebSocket session: the session is in the list of the flush workers, or
	// one of them is writing to it, or it is corked, see cork. After a write that
	// has failed it stays true, so that nobody writes to that connection again.
	flushing bool
	// peerClosed is true once the client's close frame has come.
	peerClosed bool
	// upgraded is true once the session was moved to WebSocket.
	upgraded bool
	// logged is true when the session's start was logged.
	logged bool
	// limited is true for a session whose client's address the Limits hold for.
	// halfOpen is true for such a session until Settle is called.
	limited, halfOpen bool
	// forOthers is true for a session that was cut off because too much waited for
	// all clients together, see Options.ServerBuffer. Its own queue was not full.
	forOthers bool
	poll      pollState
	conn      net.Conn
	// deflate is the size, in bytes, from which on packets are compressed for the
	// client, if it has agreed to that. Otherwise it is zero.
	deflate int
	// writeDeadline is what conn's write deadline is set to, by the server's
	// clock.
	writeDeadline int64
	traffic       Counts
	spending      spending

	id        string
	handshake *Handshake
	listener  Listener
	transport Transport
	reason    Reason
	upgrade   *upgrade

	// receiving serialises calls of listener.Message.
	receiving sync.Mutex
	// stalled is true while nobody reads from the client, because listener.Message
	// is under way or because the client is slowed down. The client is then not to
	// blame for a late pong.
	stalled atomic.Bool
	// begun is true once the reader has done its first work, see reader.work. Only
	// the goroutine that reads touches it.
	begun bool
	// pongAt is when the last pong came, by the server's clock.
	pongAt atomic.Int64

	heartbeat heartbeat
	timer     wheelTimer // guarded by the wheel
	reader    *reader    // guarded by its shard; nil unless it is at work
}

// ID is the session's ID. Whoever knows it can take the session over: it must
// not be shown to others or written to a log.
func (s *Session) ID() string { return s.id }

// Handshake returns what the first request told. It must not be changed.
func (s *Session) Handshake() *Handshake { return s.handshake }

// Transport is what the session is on now.
func (s *Session) Transport() Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport
}

// QueuedBytes is how many bytes wait to be written to the client.
func (s *Session) QueuedBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.bytes + s.inFlight
}

// SendBuffer is how many bytes may wait before the session is ended.
func (s *Session) SendBuffer() int { return s.options.SendBuffer }

// Send queues a message. It reports false when the message will not be sent:
// the session is over, the message is volatile and the client does not keep
// up, or the queue is full, which ends the session. Send never waits.
func (s *Session) Send(m *wire.Message) bool {
	s.server.budget.hold(m, 1)
	ready, ok := s.enqueue(m)
	if !ok {
		s.server.budget.letGo(m, 1)
	}
	if ready {
		s.server.flusher.push(s, s, 1)
	}
	return ok
}

// enqueue adds a message to the queue. The caller has called budget.hold for it,
// and calls budget.letGo when ok is false. ready is true when the caller must hand
// the session to the flusher.
func (s *Session) enqueue(m *wire.Message) (ready, ok bool) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return false, false
	}
	if m.Has(wire.Volatile) && s.behindLocked() {
		s.mu.Unlock()
		s.server.metrics.volatileDropped.Add(1)
		return false, false
	}
	if !s.hasRoomLocked(m) {
		s.server.metrics.volatileDropped.Add(int64(s.pending.dropVolatile(&s.server.budget)))
		if !s.hasRoomLocked(m) {
			s.forOthers = s.pending.bytes+s.inFlight+m.Size() <= s.options.SendBuffer
			s.mu.Unlock()
			s.abort(ReasonSlowClient)
			return false, false
		}
	}
	s.pending.push(m)
	ready = s.readyLocked()
	s.mu.Unlock()
	return ready, true
}

// hasRoomLocked reports whether a message may be added to what waits. It always may
// when nothing waits.
func (s *Session) hasRoomLocked(m *wire.Message) bool {
	waiting := s.pending.bytes + s.inFlight
	switch {
	case waiting == 0:
		return true
	case waiting+m.Size() > s.options.SendBuffer:
		return false
	default:
		return waiting <= modestBacklog || !s.server.budget.exhausted(s.options.ServerBuffer, 100)
	}
}

// queueLocked adds a packet of the server's own, whatever waits.
func (s *Session) queueLocked(m *wire.Message) {
	s.server.budget.hold(m, 1)
	s.pending.push(m)
}

// volatileBacklog is how many bytes may wait for a client that is being
// written to before volatile messages to it are dropped.
const volatileBacklog = 16 << 10

// behindLocked reports whether the client does not keep up.
func (s *Session) behindLocked() bool {
	return s.pending.bytes > volatileBacklog
}

// readyLocked makes pending messages go out. It wakes a waiting poll, or it reports
// that the caller must hand the session to the flusher once it has given up the
// lock.
func (s *Session) readyLocked() bool {
	if s.poll.active {
		s.poll.wakeUp()
		return false
	}
	if s.conn == nil || s.flushing || s.pending.empty() {
		return false
	}
	s.flushing = true
	return true
}

// Close ends the session from the server's side. What is queued is still
// written, within the write timeout; then a WebSocket is closed, or the
// pending or next poll is answered with a close packet.
func (s *Session) Close(reason Reason) {
	s.shut(reason, ws.StatusNoStatusRcvd)
}

// shut closes the session after its queue, telling a WebSocket client code.
func (s *Session) shut(reason Reason, code ws.StatusCode) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	s.state = stateClosing
	s.reason = reason
	if s.conn != nil {
		s.queueLocked(wire.NewClose(code))
	} else {
		s.poll.end = wire.PacketClose
	}
	ready := s.readyLocked()
	s.poll.abortBody()
	upgrade, onWebSocket := s.upgradeLocked(), s.conn != nil
	s.mu.Unlock()

	if onWebSocket {
		s.server.forget(s)
	} else {
		s.server.wheel.schedule(s, s.server.clock()+int64(min(s.options.PingTimeout, maxPollGrace)))
	}
	if ready {
		s.server.flusher.push(s, s, 1)
	}
	if upgrade != nil {
		upgrade.cancel()
	}
	s.tellClosed(reason)
}

// abort ends the session at once: what is queued is dropped, the connection
// is closed without ceremony, a pending poll is answered with a close packet.
func (s *Session) abort(reason Reason) { s.terminate(reason, wire.PacketClose) }

// terminate is abort with a choice of the packet that answers a pending poll.
func (s *Session) terminate(reason Reason, pollEnd wire.PacketType) {
	s.mu.Lock()
	was := s.state
	if was == stateClosed {
		s.mu.Unlock()
		return
	}
	s.state = stateClosed
	if was == stateOpen {
		s.reason = reason
		s.poll.end = pollEnd
	}
	s.pending.clear(&s.server.budget)
	if s.poll.active {
		s.poll.wakeUp()
	}
	s.poll.abortBody()
	if s.poll.ended != nil {
		close(s.poll.ended)
	}
	conn, upgrade := s.conn, s.upgradeLocked()
	writing := s.inFlight > 0
	s.mu.Unlock()

	s.server.forget(s)
	if conn != nil {
		closeAbruptly(conn)
	} else {
		s.server.alive.Add(-1)
	}
	if upgrade != nil {
		upgrade.cancel()
	}
	if was == stateOpen {
		s.tellClosed(reason)
	}
	if !writing {
		// Whoever is writing logs the end, once it knows how much was written.
		s.server.connections.end(s)
	}
}

// tellClosed counts the end of the session and tells the listener of it. Whoever
// has moved the session out of stateOpen calls it, and so it is called once.
func (s *Session) tellClosed(reason Reason) {
	s.server.open.Add(-1)
	s.server.metrics.closed(s.transport, reason)
	s.leaveCallers()
	s.endSlowDown()
	if reason == ReasonSlowClient {
		s.server.metrics.slowClients.Add(1)
	}
	s.listener.Close(reason)
}

// receive hands a message to the listener.
func (s *Session) receive(data []byte, binary bool) (Work, error) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	s.stalled.Store(true)
	defer s.stalled.Store(false)
	return s.listener.Message(data, binary)
}

// isOpen reports whether the session still takes messages.
func (s *Session) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen
}

// closeAbruptly closes a connection without waiting for its peer. A TLS
// connection would try to send an alert first, which can block.
func closeAbruptly(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.Close()
}
