package streaming

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Limits bound what one client may take of the server, besides those of
// [engineio.Limits]. They hold for clients that are there, too, from the moment
// they are set.
type Limits struct {
	// Events bounds how many events, and connections to namespaces, a client
	// may send over one connection. A client that sends more is read from as slowly
	// as that, so that nothing is lost. One that has sent more for five minutes,
	// without a second in which it did not, is disconnected. It does not hold for
	// exempt addresses. Default: no bound.
	Events *engineio.Rate
	// Rooms is how many rooms a socket may be in to join another. Default: no
	// bound.
	Rooms int
	// Namespaces is how many namespaces a client may be connected to.
	// Default: DefaultNamespaces.
	Namespaces int
	// PendingAcks is how many answers may be waited for from one socket.
	// Default: no bound.
	PendingAcks int
	// Attachments is how many binary attachments a packet from a client may
	// have, at most [MaxAttachments]. Default: DefaultAttachments.
	Attachments int
}

// The limits, by the names that counters have for them.
const (
	LimitEvents      engineio.Limit = "events_per_socket"
	LimitRooms       engineio.Limit = "rooms_per_socket"
	LimitNamespaces  engineio.Limit = "namespaces_per_socket"
	LimitPendingAcks engineio.Limit = "pending_acks"
	LimitAttachments engineio.Limit = "attachments"
	// LimitAuth is what a client shows when it connects to a namespace.
	LimitAuth engineio.Limit = "auth_payload"
)

const (
	// DefaultNamespaces is the default of [Limits.Namespaces].
	DefaultNamespaces = 64
	// DefaultAttachments is the default of [Limits.Attachments], as in the Node.js
	// implementation.
	DefaultAttachments = 10
	// MaxAttachments is the most that [Limits.Attachments] can be.
	MaxAttachments = 64
	// maxAuthPayload bounds what is kept of each socket's CONNECT, in bytes:
	// four times the largest token that fits into a header.
	maxAuthPayload = 32 << 10
)

func (l Limits) withDefaults() *Limits {
	l.Events = l.Events.WithDefaults()
	if l.Namespaces == 0 {
		l.Namespaces = DefaultNamespaces
	}
	if l.Attachments == 0 {
		l.Attachments = DefaultAttachments
	}
	l.Attachments = min(l.Attachments, MaxAttachments)
	return &l
}

// limitCounts count how often each limit was met.
type limitCounts struct {
	events, rooms, namespaces, pendingAcks, attachments, auth, attempts atomic.Int64
}

// met tells how often each limit was met, by its name.
func (c *limitCounts) met() engineio.ReasonCounts {
	return engineio.ReasonCounts{
		{Reason: string(LimitEvents), Count: c.events.Load()},
		{Reason: string(LimitRooms), Count: c.rooms.Load()},
		{Reason: string(LimitNamespaces), Count: c.namespaces.Load()},
		{Reason: string(LimitPendingAcks), Count: c.pendingAcks.Load()},
		{Reason: string(LimitAttachments), Count: c.attachments.Load()},
		{Reason: string(LimitAuth), Count: c.auth.Load()},
		{Reason: string(LimitAuthAttempts), Count: c.attempts.Load()},
	}
}

// talk is what a client has sent lately. Only the goroutine that reads touches
// it.
type talk struct {
	bucket pace.Bucket
	// since is when the client began to send more than it may, and until is when it
	// need no longer wait for that, by the session's clock. They are zero for one that
	// never did.
	since, until int64
}

const (
	// talkPatience is how long a client may send more than [Limits.Events] allows. At
	// 500 events a second, what comes at once from a client that was offline may be
	// 150,000 events.
	talkPatience = 5 * time.Minute
	// talkBreak is how long a client sends no more than it may until it is taken for
	// one that has stopped to send more.
	talkBreak = time.Second
	// leastPause is the shortest time that is worth a pause.
	leastPause = 10 * time.Millisecond
)

// mayTalk takes note of an event, or of a connection to a namespace. If that is one
// too many, nothing more is read from the client until it is not. mayTalk reports
// false when the client has sent too much for so long that it is to be disconnected.
func (c *client) mayTalk() bool { return c.talk.bucket.Spend(1) || c.mayTalkOn() }

func (c *client) mayTalkOn() bool {
	rate := c.server.limits.Load().Events
	if rate == nil || !c.session.Limited() {
		c.talk = talk{}
		return true
	}
	wait, ok := c.talk.owes(rate, c.session.Clock(), c.server.talkPatience)
	if wait == 0 {
		return true
	}
	c.server.limited.events.Add(1)
	if ok {
		c.session.HoldOff(wait)
	}
	return ok
}

// owes is called when the bucket has no token left that was taken out in advance. It
// returns how long the client has to wait, if it has to. ok is false when the client
// has sent too much for longer than patience.
func (t *talk) owes(rate *engineio.Rate, now int64, patience time.Duration) (wait time.Duration, ok bool) {
	if wait = t.bucket.Owes((*pace.Rate)(rate), now); wait < leastPause {
		return 0, true
	}
	if t.until == 0 || now-t.until > int64(talkBreak) {
		t.since = now
	}
	t.until = now + int64(wait)
	return wait, now-t.since <= int64(patience)
}

const textRateLimited = "too many events"

// ErrTooManyRooms is a socket that is in as many rooms as it may be. It is an
// [*EventError].
var ErrTooManyRooms error = &EventError{Code: CodeTooManyRooms, Message: "the client is in too many rooms"}

const (
	// modestRooms is how many rooms a socket may be in whatever the others are in.
	modestRooms = 64
	// roomsPart is the part of [engineio.Options.ServerBuffer] that the rooms of a namespace may take
	// of memory, one over roomsPart, before sockets that are in more than modestRooms join no others.
	roomsPart = 8
)

// RoomFor reports whether the socket may join rooms: nil, or ErrTooManyRooms.
// Those it is in already take no place.
func (s *Socket) RoomFor(rooms ...string) error {
	server := s.namespace.server
	joined, more := s.namespace.rooms.joining(s, rooms)
	if more == 0 {
		return nil
	}
	limit := server.limits.Load().Rooms
	most := server.roomsLimit.Load()
	if limit > 0 && joined+more > limit || joined+more > modestRooms && most > 0 && s.namespace.rooms.bytes.Load() >= most {
		server.limited.rooms.Add(1)
		return ErrTooManyRooms
	}
	return nil
}

// ErrTooManyAcks is a socket that owes as many answers as it may.
var ErrTooManyAcks = errors.New("the socket owes as many answers as it may")

const (
	// ReasonRateLimit is a client that went on sending more than it may.
	ReasonRateLimit = engineio.ReasonRateLimit
	// ReasonIncomplete is a client that did not send the attachments it has
	// announced.
	ReasonIncomplete = engineio.ReasonIncomplete
)
