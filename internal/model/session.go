package model

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options are what the model has to know of the server.
type Options struct {
	PingInterval, PingTimeout    time.Duration
	UpgradeTimeout, WriteTimeout time.Duration
	// CloseWait is how long a session that was closed on long-polling waits for the request that
	// tells its client.
	CloseWait time.Duration
	// ShutdownWait is the same for a server that is shut down and still served.
	ShutdownWait time.Duration
	// CloseGrace is how long a client may take to answer a close frame.
	CloseGrace time.Duration
	// Slack is how late the server may be when it has something to do first, such as a handler of
	// the same client.
	Slack time.Duration
	// PollEnd is how long a poll may be held once the new transport has been probed.
	PollEnd time.Duration
	// MaxHold, unless it is zero, is how long a poll is held at most.
	MaxHold time.Duration
	// Chunk is how many bytes a client has to take within WriteTimeout so that it is not stuck.
	Chunk int
	// SendBuffer is how many bytes may wait for the client before it may be cut off.
	SendBuffer int
	// SharedBuffer, unless it is zero, is how many bytes may wait for all clients, and have come
	// from them, before clients for which more than ModestBuffer waits may be cut off, and new ones
	// refused.
	SharedBuffer, ModestBuffer int
	// Rate, unless it is zero, is how many bytes a second are read from the client once it has
	// sent Burst bytes.
	Rate, Burst int
	// MaxPayload is the largest message or body of the client, in bytes.
	MaxPayload int
}

// The reasons for which a session ends by itself. Those of the program are its own.
const (
	PingTimeout    = "ping timeout"
	ParseError     = "parse error"
	TransportError = "transport error"
	TransportClose = "transport close"
	SlowClient     = "slow client"
	TooLarge       = "message too large"
	// StuckClient is the end of a client that takes nothing of what is written to it.
	StuckClient = "stuck client"
)

// Session is the model of one session.
type Session struct {
	o     Options
	now   time.Duration
	err   error
	sock  *Socket
	polls []*Poll
	posts []*Post
	// websocket is true once the client has confirmed that it has moved, or if it began there.
	websocket bool
	// opened is true once the client has got the open packet.
	opened bool

	out  outbound
	in   inbound
	beat heartbeat
	over ending

	// held is true while the server has been asked to hold back the answers of requests.
	held bool
	// released is true once the server was asked to answer polls with nothing.
	released bool
	// probed is true once a probe of a new transport was sent: polls then end early.
	probed bool
	// acted is when the client or the program last did something.
	acted time.Duration
}

// New returns the model of a session whose handshake is sent now.
func New(o Options, now time.Duration) *Session {
	s := &Session{o: o, now: now, acted: now}
	s.beat.pongAt = now
	return s
}

// Err is what was not allowed, or nil.
func (s *Session) Err() error { return s.err }

// at notes the time, and what follows from the time alone.
func (s *Session) at(now time.Duration) {
	s.now = max(s.now, now)
	s.timePasses()
}

// act is at for something that the client or the program does.
func (s *Session) act(now time.Duration) {
	s.at(now)
	s.acted = s.now
}

func (s *Session) fail(format string, args ...any) error {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
	return s.err
}

// timePasses notes what may happen because of the time.
func (s *Session) timePasses() {
	s.expireWait()
	s.waitsForHeld()
	if s.isStuck() {
		s.over.gone = true
	}
	if s.over.heard {
		return
	}
	since := s.beat.pongAt + s.o.PingInterval
	if !s.beat.loose {
		since = max(since, s.beat.aliveAt-s.o.Slack)
	}
	if s.now >= since+s.o.PingTimeout {
		s.mayEnd(PingTimeout)
	}
	if s.isStuck() {
		s.mayEnd(TransportError, StuckClient)
	}
}

// waitsForHeld notes that a client whose poll is held back is not silent. It is not to blame for a
// pong that is late while the ping is held back, either.
func (s *Session) waitsForHeld() {
	if !s.held || len(s.polls) == 0 {
		return
	}
	s.takes(s.now)
	if !s.beat.since && slices.ContainsFunc(s.polls, func(p *Poll) bool { return p.rested && !p.blocked && !p.doubtful }) {
		s.beat.aliveAt = s.now
	}
}

// expireWait gives up on a client on long-polling that has not come to hear of the end.
func (s *Session) expireWait() {
	if s.over.closing && !s.over.told && s.now >= s.over.waitsUntil-s.o.Slack && !s.onSocket() {
		s.over.gone = true
	}
}

// isStuck reports whether something that is written to the client has been stuck for as long as a
// write may take.
func (s *Session) isStuck() bool {
	if s.sock != nil && s.sock.stuckFor(s.now) >= s.o.WriteTimeout {
		return true
	}
	return slices.ContainsFunc(s.polls, func(p *Poll) bool { return p.blocked && s.now-p.since >= s.o.WriteTimeout })
}

// onSocket reports whether the session is on a WebSocket as far as the client knows.
func (s *Session) onSocket() bool { return s.websocket && s.sock != nil }

// Held says that the server was asked to hold back the answers of requests, or to do so no longer.
func (s *Session) Held(now time.Duration, held bool) {
	s.act(now)
	s.held = held
}

// Released says that the server was asked to answer polls, also with nothing.
func (s *Session) Released(now time.Duration) {
	s.act(now)
	s.released = true
}

// ending is what the model knows of the end of a session.
type ending struct {
	// may are the reasons with which the session may end.
	may []string
	// must is true once the session has to end. It has to have begun by since.
	must  bool
	since time.Duration
	// closing is true once the program has closed the session. It waits for a request of a client
	// on long-polling until waitsUntil at most.
	closing    bool
	waitsUntil time.Duration
	by         []string
	// gone is true once there are no demands on what reaches the client: it has left, has broken
	// the protocol, or cannot be reached.
	gone bool
	// told is true once the client was told of the end, byPoll is true if that was by a poll. A
	// WebSocket that it moves to meanwhile is closed all the same.
	told, byPoll bool
	// cut is true once the client has seen that the session is over, by what a session would not do that the
	// program has closed: it has to end for another reason, of which the program is about to hear.
	cut bool
	// refused is true when the session never began.
	refused bool
	// unserved is true once the server is shut down without being served any more.
	unserved bool
	// heard is true once the program has heard of the end, with reason.
	heard  bool
	reason string
	at     time.Duration
}

func (s *Session) mayEnd(reasons ...string) {
	for _, r := range reasons {
		if !slices.Contains(s.over.may, r) {
			s.over.may = append(s.over.may, r)
		}
	}
}

// mustEnd says that the session has to end with one of the reasons, and that its client has no claim
// to anything from now on.
func (s *Session) mustEnd(reasons ...string) {
	s.mayEnd(reasons...)
	if !s.over.must {
		s.over.must, s.over.since = true, s.now
	}
	s.over.gone = true
}

// isCut reports whether the server may have cut the session off, of which the program has not heard yet. If
// so, the session has to end for that.
func (s *Session) isCut() bool {
	if !slices.ContainsFunc(s.over.may, s.isOfServer) {
		return false
	}
	s.over.cut = true
	if !s.over.must {
		s.over.must, s.over.since = true, s.now
	}
	return true
}

// isOfServer reports whether a reason is not one with which the program has closed the session.
func (s *Session) isOfServer(reason string) bool { return !slices.Contains(s.over.by, reason) }

// ends reports whether something has happened that may end the session.
func (s *Session) ends() bool { return len(s.over.may) > 0 || s.over.heard }

// Close says that the program closes the session with a reason of its own.
func (s *Session) Close(now time.Duration, reason string) {
	s.act(now)
	if s.over.heard {
		return
	}
	if !s.over.closing {
		s.over.closing, s.over.waitsUntil = true, s.now+s.o.CloseWait
	}
	s.over.by = append(s.over.by, reason)
	s.mayEnd(reason)
	if !s.over.must {
		s.over.must, s.over.since = true, s.now
	}
}

// Shutdown says that the program ends the whole server. served says that requests still reach it.
func (s *Session) Shutdown(now time.Duration, reason string, served bool) {
	s.act(now)
	s.released = true
	// A client on long-polling without a request under way cannot be told, and one that is about
	// to change over may be without one.
	waits := slices.ContainsFunc(s.polls, func(p *Poll) bool { return p.rested && !p.blocked })
	unreachable := !s.onSocket() && (!waits || s.sock != nil || s.out.undelivered() > 0)
	if !served && unreachable {
		s.over.gone = true
	}
	s.over.unserved = s.over.unserved || !served
	s.Close(now, reason)
	s.over.waitsUntil = min(s.over.waitsUntil, s.now+s.o.ShutdownWait)
}

// Heard says that the program has heard of the end.
func (s *Session) Heard(now time.Duration, reason string) error {
	s.at(now)
	switch {
	case s.over.heard:
		return s.fail("the program hears of the end twice: %q after %q", reason, s.over.reason)
	case !slices.Contains(s.over.may, reason):
		return s.fail("the session ends with %q, and what has happened allows %s", reason, list(s.over.may))
	case s.over.cut && !s.isOfServer(reason):
		return s.fail("the client saw that the session was cut off, and it ends with %q, which the client had to hear", reason)
	}
	s.over.heard, s.over.reason, s.over.at = true, reason, s.now
	if s.isOfServer(reason) {
		s.over.gone = true
	}
	if s.sock != nil {
		return s.sock.checkTold()
	}
	return s.err
}

// HasEnded reports whether the program has heard of the end.
func (s *Session) HasEnded() bool { return s.over.heard }

func list(reasons []string) string {
	if len(reasons) == 0 {
		return "no end"
	}
	return strings.Join(reasons, ", ")
}
