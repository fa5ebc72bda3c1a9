package engineio

import (
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Revision is a revision of the Engine.IO protocol: the parameter EIO of a handshake.
type Revision uint8

// The revisions that a server may speak. In revision 3, which clients of Socket.IO 1 and 2 speak, the
// client sends the pings, and bytes and payloads have other forms.
const (
	Revision3 Revision = 3
	Revision4 Revision = 4
)

// String returns the number of the revision.
func (r Revision) String() string { return strconv.Itoa(int(r)) }

// Opener is a [Listener] that has something to do at the start of a session of revision 3, whose client
// waits for the server to begin. Open is called once, before anything is read from the client, and must
// not wait.
type Opener interface{ Open() }

// revisionOf returns the revision that a handshake asks for. ok is false if it is none that the options
// allow.
func (o *Options) revisionOf(query url.Values) (r Revision, ok bool) {
	switch query.Get("EIO") {
	case "4":
		return Revision4, true
	case "3":
		return Revision3, o.AllowRevision3
	default:
		return 0, false
	}
}

// remedyOfRevision is what to do about a client of a revision that is not spoken, for the log.
func remedyOfRevision(query url.Values) string {
	if query.Get("EIO") != "3" {
		return ""
	}
	return ", which clients of Socket.IO 1 and 2 speak: allow_eio3 lets them in"
}

// Revision is the revision of the protocol that the client speaks.
func (s *Session) Revision() Revision {
	if s.form == wire.Bytes3 || s.form == wire.Text3 {
		return Revision3
	}
	return Revision4
}

// form is the form of messages for clients of a revision, who may take no bytes.
func (r Revision) form(textOnly bool) wire.Form {
	switch {
	case r == Revision3 && textOnly:
		return wire.Text3
	case r == Revision3:
		return wire.Bytes3
	case textOnly:
		return wire.Text
	default:
		return wire.Bytes
	}
}

// decodeFrame decodes a message of a WebSocket.
func (r Revision) decodeFrame(op ws.OpCode, data []byte) (p wire.Packet, ok bool) {
	switch {
	case r == Revision3 && op == ws.OpText:
		return wire.DecodeText3(data)
	case r == Revision3:
		return wire.DecodeBinary3(data)
	case op == ws.OpText:
		return wire.DecodeText(data)
	default:
		return wire.Packet{Type: wire.PacketMessage, Data: data, Binary: true}, true
	}
}

// cut decodes the first packet of the body of a POST. What is text has been found to be UTF-8.
func (r Revision) cut(body []byte) (p wire.Packet, rest []byte, ok bool) {
	switch {
	case r == Revision4:
		return wire.CutPayload(body)
	case isBytes3(body):
		return wire.CutBytes3(body)
	default:
		return wire.CutText3(body)
	}
}

// isValid reports whether the body of a POST is UTF-8, where it is text.
func (r Revision) isValid(body []byte) bool {
	return r == Revision3 && isBytes3(body) || utf8.Valid(body)
}

// isBytes3 reports whether a payload of revision 3 is bytes, by the first of them.
func isBytes3(body []byte) bool { return len(body) > 0 && body[0] < ' ' }

// isBeat reports whether a message is what a client sends that has nothing to say, for as long as it has
// not: the answer to a heartbeat, or the heartbeat itself.
func (r Revision) isBeat(data []byte) bool {
	beat := wire.PacketPong
	if r == Revision3 {
		beat = wire.PacketPing
	}
	return len(data) == 1 && data[0] == byte(beat)
}

// onPing answers a ping of the client, as revision 3 has it, and reports whether it may send one. See
// "ping" in revision 3 of the Engine.IO protocol.
func (s *Session) onPing() (ok bool) {
	if s.Revision() != Revision3 {
		return false
	}
	s.mu.Lock()
	s.heartbeat.asked = false
	s.mu.Unlock()
	s.pongAt.Store(s.server.clock())
	s.Send(pongPacket)
	return true
}

var pongPacket = wire.NewStatic(wire.PacketPong, "")

// awaitPingLocked is beatLocked for revision 3: the client is lost when it has neither sent a ping nor
// shown life otherwise for interval and timeout together. beats is true when it has been heard since the
// wheel came round last.
func (s *Session) awaitPingLocked(now int64) (next int64, expired, beats bool) {
	interval, timeout := int64(s.options.PingInterval), int64(s.options.PingTimeout)
	since := s.heardLocked()
	deadline := since + interval + timeout
	switch {
	case now < deadline-timeout/2:
		return deadline - timeout/2, false, true
	case now < deadline:
		s.askLocked()
		return deadline, false, false
	case s.heldUpLocked(since), now > deadline+tolerance, s.takesLocked(now):
		s.heartbeat.pingAt = now
		return now + min(interval, timeout), false, true
	}
	return 0, true, false
}

// heardLocked is since when the time for the next ping of a client of revision 3 has begun.
func (s *Session) heardLocked() int64 {
	return max(s.pongAt.Load(), s.aliveAt.Load(), s.heartbeat.pingAt)
}
