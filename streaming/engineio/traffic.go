package engineio

import (
	"io"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Counts is what has gone over a session since it began.
type Counts struct {
	// BytesIn and BytesOut are the bytes of WebSocket frames, and of the bodies
	// of HTTP requests and answers. What HTTP and TLS add is not in them.
	BytesIn, BytesOut int64
	// MessagesIn and MessagesOut are the messages of the session's listener and
	// to its client: a packet and each of its attachments. What the protocol
	// says for itself, such as heartbeats, is not in them.
	MessagesIn, MessagesOut int64
}

// Counts returns what has gone over the session so far. What is just being
// written is not in it yet.
func (s *Session) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.traffic
}

// arrived counts what has come from the client, and reports whether the
// session still takes messages. What comes later is not a message.
func (s *Session) arrived(bytes, messages int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traffic.BytesIn += int64(bytes)
	s.server.metrics.received(s.machine.transport(), s.id, bytes)
	s.spendLocked(bytes)
	if s.machine.life != lifeOpen {
		return false
	}
	s.traffic.MessagesIn += int64(messages)
	return true
}

// takeLocked takes out of the queue what is to be written.
func (s *Session) takeLocked() (*messageList, load) {
	list, taken := s.pending.take()
	s.inFlight = taken
	if s.heartbeat.ping == pingQueued && list != nil && slices.Contains(list.messages, pingPacket) {
		s.heartbeat.ping = pingInFlight
	}
	return list, taken
}

// writtenLocked counts what has been written, and that the writer holds nothing any
// more of what it took from the queue.
func (s *Session) writtenLocked(bytes, messages int) {
	s.inFlight = load{}
	if h := &s.heartbeat; h.ping == pingInFlight {
		h.ping, h.goneAt = pingGone, microseconds(s.server.clock())
	}
	s.traffic.BytesOut += int64(bytes)
	s.traffic.MessagesOut += int64(messages)
}

// countOf is how many messages a packet from the client is.
func countOf(p wire.Packet) int {
	if p.Type == wire.PacketMessage {
		return 1
	}
	return 0
}

// livingReader reads from a session's client. Each byte shows that it is alive.
type livingReader struct {
	session *Session
	io.Reader
}

func (r livingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.session.showsLife()
	}
	return n, err
}
