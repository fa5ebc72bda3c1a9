package engineio

import (
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
	// RemoteAddr is the client's IP address, without a port, or a word for it where it is
	// not known, see [ClientAddr].
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

// modestHandshake is how much is kept of a session's first request in any case, in bytes.
const modestHandshake = 4 << 10

// excess is how many bytes are kept of the first request beyond that: they count, since a
// client may send a header as long as the HTTP server takes.
func (h *Handshake) excess() int {
	bytes := len(h.URL)
	for name, values := range h.Header {
		bytes += len(name)
		for _, value := range values {
			bytes += len(value)
		}
	}
	return max(bytes-modestHandshake, 0)
}

// Session is one client's Engine.IO connection. All methods may be called
// from any goroutine.
type Session struct {
	// What queueing a message and writing it touch comes first, so that a
	// delivery to one of many thousands waits for memory as seldom as can be.

	mu      sync.Mutex
	server  *Server
	options *Options
	pending queue
	// inFlight is what a writer has taken and not yet written.
	inFlight load
	// account is where the session counts what waits for it.
	account *account
	// received is where what has come from the client is counted.
	received  *account
	nextReady *Session // guarded by the flusher
	// machine is where the session is in its life. Only stepLocked changes it.
	machine machine
	// full is true once a message has found no room in the queue: the session is
	// about to be ended, and accepts nothing more.
	full bool
	// peerClosed is true once the client's close frame has come.
	peerClosed bool
	// form is the form of messages that the client takes, by the revision of the protocol
	// that it speaks, and by b64=1 in its first request if it takes no bytes.
	form wire.Form
	// working is true while the goroutine that reads does the work of a message.
	working bool
	// logged is true when the session's start was logged.
	logged bool
	// limited is true for a session whose client's address the Limits hold for.
	// halfOpen is true for such a session until Settle is called.
	limited, halfOpen bool
	// forOthers is true for a session that was cut off because too much waited for
	// all clients together, see Options.ServerBuffer. Its own queue was not full.
	forOthers bool
	// closeCode is what the close frame has that is queued at the end.
	closeCode ws.StatusCode
	// polling is what the requests of long-polling share.
	polling polling
	// conn is the WebSocket's connection. It is nil on long-polling.
	conn net.Conn
	// deflate is the size, in bytes, from which on packets are compressed for the
	// client, if it has agreed to that. Otherwise it is zero.
	deflate  int
	traffic  Counts
	spending spending
	// backlog is nil unless packets of long-polling wait for their time.
	backlog *backlog

	id        string
	handshake *Handshake
	listener  Listener
	reason    Reason
	// attempt is the attempt to upgrade that is under way, if there is one.
	attempt *attempt

	// receiving serialises calls of listener.Message.
	receiving sync.Mutex
	// unfinished is how many bytes are kept of what is not complete before more comes
	// from the client.
	unfinished atomic.Int64
	// entry is where the session stands among those that have much unfinished. Their
	// list guards it.
	entry *unfinishedEntry
	// stalled is true while nobody reads from the client, because listener.Message
	// is under way or because the client is slowed down. The client is then not to
	// blame for a late pong.
	stalled atomic.Bool
	// begun is true once the reader has done its first work, see reader.work. Only
	// the goroutine that reads touches it.
	begun bool
	// pongAt is when the last pong came, by the server's clock. aliveAt is when the
	// client has last sent anything, or has taken some of what was too much to be
	// written at once.
	pongAt, aliveAt atomic.Int64

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
	return s.machine.transport()
}

// QueuedBytes is how many bytes wait to be written to the client, before they are
// compressed.
func (s *Session) QueuedBytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.load.bytes + s.inFlight.bytes
}

// Backlog is how many bytes of memory are taken by what waits to be written to the
// client, and how many may be before the session is ended, see Options.SendBuffer.
func (s *Session) Backlog() (waiting, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.load.cost + s.inFlight.cost, s.options.SendBuffer
}

// Send queues a message. It reports false when the message will not be sent:
// the session is over, the message is volatile and the client does not keep
// up, or the queue is full, which ends the session. Send never waits.
func (s *Session) Send(m *wire.Message) bool { return s.send(m, false) }

// send is Send, or Answer.
func (s *Session) send(m *wire.Message, answer bool) bool {
	ok, full := s.sendUncut(m, answer)
	if full {
		s.abort(ReasonSlowClient)
	}
	return ok
}

// sendUncut is send, but for that the caller ends the session when full is true, see
// enqueue.
func (s *Session) sendUncut(m *wire.Message, answer bool) (ok, full bool) {
	return s.sendFormed(m.As(s.form), answer)
}

// sendFormed is sendUncut for a message in the form that the client takes.
func (s *Session) sendFormed(m *wire.Message, answer bool) (ok, full bool) {
	s.account.hold(m, 1)
	ready, ok, full := s.enqueue(m, answer)
	if !ok {
		s.account.letGo(m, 1)
	}
	if ready {
		s.server.flusher.push(s, s, 1)
	}
	return ok, full
}

// enqueue adds a message to the queue, which may be an answer, see Answer. The caller
// has called account.hold for it, and calls account.letGo when ok is false. ready is
// true when the caller must hand the session to the flusher. full is true when the
// queue has no room, for the first message that finds none: the caller must then abort
// the session, which accepts nothing more.
func (s *Session) enqueue(m *wire.Message, answer bool) (ready, ok, full bool) {
	s.mu.Lock()
	if s.machine.life != lifeOpen || s.full {
		s.mu.Unlock()
		return false, false, false
	}
	if m.IsPong() && s.pending.replacePong(m, s.account) {
		s.mu.Unlock()
		return false, true, false
	}
	if m.Has(wire.Volatile) && s.behindLocked() {
		s.mu.Unlock()
		s.server.metrics.volatileDropped.Add(1)
		return false, false, false
	}
	if !s.hasRoomLocked(m) {
		s.server.metrics.volatileDropped.Add(int64(s.pending.dropVolatile(s.account)))
		if !s.hasRoomLocked(m) {
			s.forOthers = s.pending.load.cost+s.inFlight.cost+costOf(m) <= s.options.SendBuffer
			s.full = true
			s.mu.Unlock()
			return false, false, true
		}
	}
	e := evQueued
	if answer && s.holdsLocked(m) {
		e = evHold
	}
	s.pending.push(m, s.account)
	do, _ := s.stepLocked(e)
	s.mu.Unlock()
	return do&flushSoon != 0, true, false
}

// hasRoomLocked reports whether a message may be added to what waits. It always may
// when nothing waits.
func (s *Session) hasRoomLocked(m *wire.Message) bool {
	waiting := s.pending.load.cost + s.inFlight.cost
	switch {
	case waiting == 0:
		return true
	case waiting+costOf(m) > s.options.SendBuffer:
		return false
	default:
		return waiting <= modestBacklog || !s.server.exhausted(s.options.ServerBuffer, 100)
	}
}

// queueLocked adds a packet of the server's own, whatever waits.
func (s *Session) queueLocked(m *wire.Message) {
	s.account.hold(m, 1)
	s.pending.push(m, s.account)
}

// volatileBacklog is how many bytes may wait for a client that is being
// written to before volatile messages to it are dropped.
const volatileBacklog = 16 << 10

// behindLocked reports whether the client does not keep up.
func (s *Session) behindLocked() bool {
	return s.pending.load.bytes > volatileBacklog
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
	return s.machine.life == lifeOpen
}
