package model

import "time"

// Socket is a WebSocket of the client: that on which the session began, or one to which it wants to
// move.
type Socket struct {
	s     *Session
	begun time.Duration
	// spare is true for one that the server has to refuse, since there is another one already.
	spare bool
	// probes counts the probes that were sent and not answered, probed is true once one was
	// answered.
	probes int
	probed bool
	// probedAt is when the first one was answered.
	probedAt time.Duration
	// confirmed is true once the client has moved to the socket.
	confirmed bool
	// settled is true once the server must have read the confirmation.
	settled bool
	// dead is true once the client has broken the protocol of an upgrade.
	dead bool
	// blocked is true while the client does not read, since then.
	blocked bool
	since   time.Duration
	// cut is true once the client, or the network, has ended the connection; ended is true once
	// the server has.
	cut, ended bool
	// closeSent is true once the client has sent a close frame; closeSeen is true once one has
	// come, at closeAt.
	closeSent, closeSeen bool
	closeAt              time.Duration
	// lost is true once the client has broken the WebSocket protocol: nothing that it sends after
	// that can be understood.
	lost bool
	// pings are the control frames that were sent and not answered.
	pings []string
}

// Connect says that the client begins its session on a WebSocket.
func (s *Session) Connect(now time.Duration) *Socket {
	s.act(now)
	s.websocket = true
	s.sock = &Socket{s: s, begun: s.now, confirmed: true, settled: true}
	return s.sock
}

// Upgrade says that the client opens a WebSocket for a session on long-polling. There must not be a
// socket whose end is only known to one side.
func (s *Session) Upgrade(now time.Duration) *Socket {
	s.act(now)
	k := &Socket{s: s, begun: s.now}
	if s.sock != nil && !s.sock.ended || s.websocket {
		k.spare = true
		return k
	}
	s.sock = k
	return k
}

// IsSpare reports whether the server has to refuse the socket.
func (k *Socket) IsSpare() bool { return k.spare }

// IsConfirmed reports whether the client has moved to the socket.
func (k *Socket) IsConfirmed() bool { return k.confirmed }

// IsProbed reports whether the server has answered a probe.
func (k *Socket) IsProbed() bool { return k.probed }

// IsOver reports whether the connection was ended by either side.
func (k *Socket) IsOver() bool { return k.cut || k.ended }

// IsDead reports whether the client has broken the protocol of an upgrade, so that the server gives
// the socket up.
func (k *Socket) IsDead() bool { return k.dead }

// Refused says that the server did not accept the WebSocket.
func (k *Socket) Refused(now time.Duration, status int) error {
	k.s.at(now)
	k.ended = true
	if !k.s.opened && (k.s.over.closing || k.confirmed && k.s.o.SharedBuffer > 0) {
		k.s.over.refused = true
	}
	if k.spare || k.s.ends() || k.s.over.refused {
		return k.s.err
	}
	return k.s.fail("a WebSocket is refused with status %d", status)
}

// stuckFor is how long the client has not read.
func (k *Socket) stuckFor(now time.Duration) time.Duration {
	if !k.blocked || k.ended || k.cut {
		return 0
	}
	return now - k.since
}

// Blocked says that the client does not read, or reads again.
func (k *Socket) Blocked(now time.Duration, blocked bool) {
	k.s.act(now)
	k.blocked, k.since = blocked, k.s.now
	k.s.takes(k.s.now)
}

// Took says that the client reads so many bytes, and then nothing again.
func (k *Socket) Took(now time.Duration, bytes int) {
	k.s.act(now)
	if k.blocked && bytes >= k.s.o.Chunk {
		k.since = k.s.now
	}
	k.s.takes(k.s.now)
}

// Text says that the client sends a text message.
func (k *Socket) Text(now time.Duration, text string) {
	s := k.s
	s.act(now)
	s.takes(s.now)
	p, ok := Decode(text)
	switch {
	case k.spare || k.dead || k.closeSent || k.lost:
	case k.confirmed && k.shows(len(text)) && !ok:
		s.mustEnd(ParseError)
	case k.confirmed && len(text) > s.o.MaxPayload:
		s.mustEnd(TooLarge)
	case k.confirmed:
		s.sendsPacket(p)
	case ok && p == Packet{Type: TypePing, Data: "probe"}:
		k.probes++
		s.probed = true
	case ok && p.Type == TypeUpgrade && !p.Binary:
		k.confirm()
	default:
		k.dead = true
	}
}

// shows is [Session.shows], and returns true.
func (k *Socket) shows(bytes int) bool {
	k.s.shows(bytes)
	return true
}

func (k *Socket) confirm() {
	s := k.s
	k.confirmed, s.websocket = true, true
	late := s.now-k.begun >= s.o.UpgradeTimeout-s.o.Slack
	if late || k.ended || s.over.told {
		// The attempt may be over. What then becomes of the session does not matter to a client
		// that has left long-polling.
		s.over.gone, s.in.loose, s.beat.loose = true, true, true
		s.mayEnd(TransportClose, TransportError)
	}
}

// Bytes says that the client sends a binary message.
func (k *Socket) Bytes(now time.Duration, data string) {
	s := k.s
	s.act(now)
	s.takes(s.now)
	switch {
	case k.spare || k.dead || k.closeSent || k.lost:
	case !k.confirmed:
		k.dead = true
	case k.shows(len(data)) && len(data) > s.o.MaxPayload:
		s.mustEnd(TooLarge)
	default:
		s.sendsPacket(Binary(data))
	}
}

// Ping says that the client sends a ping frame.
func (k *Socket) Ping(now time.Duration, data string) {
	k.s.act(now)
	k.s.takes(k.s.now)
	if !k.spare && !k.dead && !k.closeSent && !k.lost && !(k.confirmed && k.s.over.heard) {
		k.pings = append(k.pings, data)
		if k.confirmed {
			k.shows(len(data))
		}
	}
}

// Close says that the client sends a close frame.
func (k *Socket) Close(now time.Duration) {
	s := k.s
	s.act(now)
	if k.lost {
		return
	}
	k.closeSent = true
	k.leaves(TransportClose)
}

// Violate says that the client breaks the WebSocket protocol by a frame of so many bytes, for which the
// session ends with reason.
func (k *Socket) Violate(now time.Duration, reason string, bytes int) {
	k.s.act(now)
	if k.confirmed {
		k.shows(bytes)
	}
	k.leaves(reason)
	k.lost = true
}

// Cut says that the client or the network ends the connection.
func (k *Socket) Cut(now time.Duration) {
	k.s.act(now)
	k.cut = true
	k.leaves(TransportClose, TransportError)
}

// leaves says that the client is no longer on the socket.
func (k *Socket) leaves(reasons ...string) {
	switch {
	case k.spare:
	case k.confirmed && !k.s.over.heard && !k.settled:
		// The server may never have read the confirmation.
		k.s.mayEnd(reasons...)
		k.s.over.gone, k.s.in.loose, k.s.beat.loose = true, true, true
	case k.confirmed && !k.s.over.heard:
		k.s.mustEnd(reasons...)
	case k.confirmed:
		k.s.over.gone = true
	default:
		k.dead = true
	}
}

// The operation codes of frames, see section 5.2 of RFC 6455.
const (
	OpText   = 1
	OpBinary = 2
	OpClose  = 8
	OpPing   = 9
	OpPong   = 10
)

// Frame says that a frame comes from the server.
func (k *Socket) Frame(now time.Duration, op byte, payload string) error {
	s := k.s
	s.at(now)
	if k.closeSeen {
		return s.fail("a frame comes after the close frame: %d %q", op, payload)
	}
	switch op {
	case OpClose:
		k.closeSeen, k.closeAt = true, s.now
		if k.confirmed && !s.over.byPoll {
			return s.tell()
		}
		return s.err
	case OpPong:
		return k.pong(payload)
	case OpText, OpBinary:
	default:
		return s.fail("a frame of type %d comes", op)
	}
	p, ok := Binary(payload), true
	if op == OpText {
		p, ok = Decode(payload)
	}
	switch {
	case !ok:
		return s.fail("a frame holds %q, which is no packet", payload)
	case k.probes > 0 && p == Packet{Type: TypePong, Data: "probe"}:
		k.probes--
		if !k.probed {
			k.probed, k.probedAt = true, s.now
		}
		return s.err
	case !k.confirmed || k.spare:
		return s.fail("%v comes on a socket that is not the session's", p)
	}
	return s.received(p)
}

func (k *Socket) pong(payload string) error {
	for i, data := range k.pings {
		if data == payload {
			k.pings = k.pings[i+1:]
			return k.s.err
		}
	}
	return k.s.fail("a pong comes for no ping: %q", payload)
}

// Ended says that the server has ended the connection.
func (k *Socket) Ended(now time.Duration) error {
	s := k.s
	s.at(now)
	k.ended = true
	switch {
	case k.spare || k.dead || k.cut:
	case !k.confirmed && (s.ends() || s.now-k.begun >= s.o.UpgradeTimeout):
	case !k.confirmed:
		return s.fail("an upgrade is given up for no reason")
	case !s.ends():
		return s.fail("the connection of an open session is ended")
	case s.over.heard:
		return k.checkTold()
	}
	return s.err
}

// checkTold holds that a client whose connection was ended was told of the end of its session before.
func (k *Socket) checkTold() error {
	if k.confirmed && k.ended && !k.spare && !k.s.over.told && !k.s.over.gone {
		return k.s.fail("the connection is ended, and the client has not been told of the end of its session")
	}
	return k.s.err
}
