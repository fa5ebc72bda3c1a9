package streaming

import (
	"errors"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Limits bound what one client may take of the server, besides those of
// [engineio.Limits]. They hold for clients that are there, too, from the moment
// they are set.
type Limits struct {
	// Events bounds how many events, and connections to namespaces, a client
	// may send over one connection. It does not hold for exempt addresses.
	// Default: no bound.
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
	// refused is how much was refused since it last was calm.
	refused int64
	// told is true while the client has heard of a refusal and nothing was let
	// through since.
	told bool
}

// mayTalk takes note of an event, or of a connection to a namespace, and
// reports whether the client may send it.
func (c *client) mayTalk() bool {
	if c.talk.bucket.Count() {
		return true
	}
	return c.mayTalkOn()
}

func (c *client) mayTalkOn() bool {
	rate := c.server.limits.Load().Events
	if rate == nil || !c.session.Limited() {
		return true
	}
	ok, calm := c.talk.bucket.Refill((*pace.Rate)(rate), c.session.Clock())
	switch {
	case calm:
		c.talk.refused, c.talk.told = 0, false
	case ok:
		c.talk.told = false
	default:
		c.server.limited.events.Add(1)
		if c.talk.refused++; c.talk.refused > rate.Burst {
			c.endFor(LimitEvents)
		}
	}
	return ok
}

const textRateLimited = "too many events"

// refuseForRate answers an event that is one too many. In a row of refusals all
// but the first are quiet, so that a flood of events does not bring about one of
// errors.
func (c *client) refuseForRate(s *Socket, p *packet.Incoming) {
	quiet := c.talk.told
	c.talk.told = true
	e, _ := newEvent(s, p)
	e.refuse(&EventError{Code: CodeRateLimited, Message: textRateLimited, Quiet: quiet})
}

// ErrTooManyRooms is a socket that is in as many rooms as it may be. It is an
// [*EventError].
var ErrTooManyRooms error = &EventError{Code: CodeTooManyRooms, Message: "the client is in too many rooms"}

// RoomFor reports whether the socket may join rooms: nil, or ErrTooManyRooms.
// Those it is in already take no place.
func (s *Socket) RoomFor(rooms ...string) error {
	server := s.namespace.server
	limit := server.limits.Load().Rooms
	if limit == 0 {
		return nil
	}
	joined, more := s.namespace.rooms.joining(s, rooms)
	if more > 0 && joined+more > limit {
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
