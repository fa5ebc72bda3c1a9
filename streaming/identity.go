package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Identity is who a client is and what it may do in a namespace, as an
// [Authenticator] has found. It must not be changed once it was returned.
type Identity struct {
	// ID names the client: the subject of its token, or the name of a user. It
	// is not empty.
	ID string
	// Method is what found it, such as "jwt".
	Method string
	// Claims are what else is known of the client and worth keeping, each as
	// JSON. Nil when there is none.
	Claims map[string]json.RawMessage
	// Rooms are the rooms the client may join. The zero value allows all.
	Rooms Rights
	// Start are the rooms in whose name the client may begin something, such as
	// a stream, see [Socket.MayStart]. The zero value stands for Rooms.
	Start Rights
	// Publish are the events the client may send. The zero value allows all.
	Publish Rights
	// Expires is when the identity ends. Zero means that it does not.
	Expires time.Time
	// Leeway is how long after Expires the client is still let be.
	Leeway time.Duration
	// OfConnection is true for an identity that goes by the first request of the
	// connection alone. When it ends the connection is closed, and the client, which
	// is told nothing, comes back by itself and makes another request.
	OfConnection bool
	// Key, where it is not empty, names the client whatever its ID: an authenticator
	// that calls its clients by other IDs after a reload gives them the same Key.
	Key string
}

// ends is when the identity is over. Zero means never.
func (i *Identity) ends() time.Time {
	if i.Expires.IsZero() {
		return i.Expires
	}
	// Without the reading of the monotonic clock.
	return i.Expires.Add(i.Leeway).Round(0)
}

// isSame reports whether two identities are those of one client.
func (i *Identity) isSame(other *Identity) bool {
	return i.ID == other.ID || i.Key != "" && i.Key == other.Key
}

// Credentials are what a client shows when it connects to a namespace, or when
// it refreshes what it has shown.
type Credentials struct {
	// Namespace is the name of the namespace.
	Namespace string
	// Auth is the payload of CONNECT, or of the event that refreshes. With recovery it is without the
	// fields by which a client asks to be recovered, pid and offset.
	Auth packet.Object
	// Handshake is the first request of the client's connection. It must not
	// be changed.
	Handshake *engineio.Handshake
	// Refresh is true when the client is connected already and wants to stay
	// beyond the end of its identity.
	Refresh bool
	// Since is the time from which on the client has shown this, or a later one. It
	// is the same each time that the authenticator is asked again.
	Since time.Time
}

// Authenticator decides who a client is. It may wait; ctx ends when the client
// goes away.
type Authenticator interface {
	// Authenticate returns who the client is. An error refuses it: a *[Refusal]
	// says why, any other counts as one with CodeAuthUnavailable, which is no
	// decision. The client then waits, and Authenticate is called again with the same
	// credentials.
	Authenticate(ctx context.Context, c *Credentials) (*Identity, error)
}

// Forgetter is an Authenticator that answers some questions by what it remembers.
type Forgetter interface {
	// Forget forgets that it has let a client in: whoever shows the same once more is
	// judged anew. It is called when an operator disconnects the client, see
	// [Socket.Kick].
	Forget(identity string)
}

// The codes of refusals: what a client is told in place of the reason.
const (
	// CodeUnauthorized is a client without credentials, or with credentials
	// that are not known.
	CodeUnauthorized = "unauthorized"
	// CodeInvalidToken is a token that does not hold.
	CodeInvalidToken = "invalid_token"
	// CodeTokenExpired is a token that would hold, if it had not expired. A
	// client that gets a new one may try again.
	CodeTokenExpired = "token_expired"
	// CodeForbidden is a client that is known and may not do that.
	CodeForbidden = "forbidden"
	// CodeAuthUnavailable is a question that cannot be answered now. A client that
	// connects is not told so: it waits, and when its time to connect is over its
	// connection is closed, so that it comes back by itself. One that refreshes is
	// told, stays, and may try again.
	CodeAuthUnavailable = "auth_unavailable"
)

var refusalMessages = map[string]string{
	CodeTokenExpired:    "the token has expired",
	CodeAuthUnavailable: "authorization is not available",
	CodeKicked:          "disconnected by an operator",
}

// notAuthorized is what a client is told that is told nothing more.
const notAuthorized = "not authorized"

// Refusal is the error of an [Authenticator] that does not let a client in.
type Refusal struct {
	// Code is what the client is told: one of the Code constants.
	Code string
	// Reason is for the log alone. It must not hold credentials.
	Reason string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Reason }

// isPassing reports whether the refusal is no decision about what the client shows.
func (r *Refusal) isPassing() bool { return r.Code == CodeAuthUnavailable || r.Code == comeAgain }

// message is what the client is told in words.
func (r *Refusal) message() string {
	if message, ok := refusalMessages[r.Code]; ok {
		return message
	}
	return notAuthorized
}

// connectError is what the client gets.
func (r *Refusal) connectError() *ConnectError {
	data, _ := json.Marshal(struct {
		Code string `json:"code"`
	}{r.Code})
	return &ConnectError{Message: r.message(), Data: data}
}

// refusalOf makes a refusal of the error of an authenticator.
func refusalOf(err error) *Refusal {
	var r *Refusal
	if !errors.As(err, &r) {
		r = &Refusal{Code: CodeAuthUnavailable, Reason: err.Error()}
	}
	return r
}

// AuthMetrics tells of the clients that had to show who they are.
type AuthMetrics struct {
	// Identified is how many sockets have an identity now, Unjudged how many wait until it
	// is found out who their client is: the authenticator is being asked, or will be, again
	// or for the first time.
	Identified, Unjudged int64
	// The others count since the server was made: connections that were
	// refused, sockets whose identity has expired, refreshed identities, and
	// sockets that a recheck has disconnected, see [Namespace.Recheck].
	Refused, Expired, Refreshed, Revoked int64
}

type authCounts struct {
	identified, unjudged, expired, refreshed, revoked atomic.Int64
	// What has no known code comes last.
	refused [len(refusalCodes) + 1]atomic.Int64
}

// refusalCodes are the codes of refusals that are told apart.
var refusalCodes = [...]string{CodeUnauthorized, CodeInvalidToken, CodeTokenExpired, CodeForbidden, CodeAuthUnavailable}

// refuse counts a connection that was refused.
func (c *authCounts) refuse(r *Refusal) {
	i := slices.Index(refusalCodes[:], r.Code)
	if i < 0 {
		i = len(refusalCodes)
	}
	c.refused[i].Add(1)
}

// refusals tells how many connections were refused with each code.
func (c *authCounts) refusals() (counts engineio.ReasonCounts) {
	for i := range c.refused {
		code := "other"
		if i < len(refusalCodes) {
			code = refusalCodes[i]
		}
		counts = append(counts, engineio.ReasonCount{Reason: code, Count: c.refused[i].Load()})
	}
	return counts
}

// metrics tells of the clients that had to show who they are.
func (c *authCounts) metrics() AuthMetrics {
	m := AuthMetrics{
		Identified: c.identified.Load(), Unjudged: c.unjudged.Load(), Expired: c.expired.Load(), Refreshed: c.refreshed.Load(), Revoked: c.revoked.Load(),
	}
	for i := range c.refused {
		m.Refused += c.refused[i].Load()
	}
	return m
}

// Authenticate makes clients show who they are, before any check of
// [Handlers.OnAuthorize]. The event "auth:refresh" is handled too, by which a
// client shows new credentials. A namespace has one authenticator.
func (h *Handlers) Authenticate(a Authenticator) error {
	if h.authenticator != nil {
		return errors.New("a namespace has one authenticator")
	}
	h.authenticator = a
	return h.On(refreshEvent, func(e *Event) { refresh(a, e) })
}

// Identity is who the client is, or nil where nobody has asked.
func (s *Socket) Identity() *Identity {
	return identityOf(s.grant.Load())
}

// identityID is the ID of the client's identity, if it has one.
func (s *Socket) identityID() string {
	if identity := s.Identity(); identity != nil {
		return identity.ID
	}
	return ""
}

// identify asks the authenticator who the client is.
func (s *Socket) identify(ctx context.Context, a Authenticator) error {
	if !s.waits() {
		s.namespace.server.auth.counts.unjudged.Add(1)
		defer s.namespace.server.auth.counts.unjudged.Add(-1)
	}
	identity, err := ask(ctx, a, s, &Credentials{Auth: s.AuthObject(), Since: s.shownSince()})
	if err != nil {
		if refusal := refusalOf(err); !refusal.isPassing() {
			s.namespace.server.auth.counts.refuse(refusal)
			s.client().attemptFailed()
		}
		return err
	}
	s.namespace.server.auth.give(s, identity, nil)
	return nil
}

// ask asks an authenticator about what a socket's client shows, and makes a
// refusal of whatever it has against the client.
func ask(ctx context.Context, a Authenticator, s *Socket, shown *Credentials) (*Identity, error) {
	shown.Namespace, shown.Handshake = s.namespace.name, s.Handshake()
	if !shown.Refresh && s.namespace.rooms.log.Load() != nil {
		// They are of this connection, and say nothing of who the client is: with them, no question
		// would be one that was asked before.
		shown.Auth = shown.Auth.Without(pidField, offsetField)
	}
	identity, err := a.Authenticate(ctx, shown)
	switch {
	case err != nil:
		return nil, refusalOf(err)
	case identity == nil || identity.ID == "":
		return nil, &Refusal{Code: CodeAuthUnavailable, Reason: "the authenticator has named nobody"}
	case identity.OfConnection && !identity.Expires.IsZero() && !identity.ends().After(time.Now()):
		return nil, &Refusal{Code: comeAgain, Reason: "what its first request has shown has ended"}
	}
	return identity, nil
}

// refreshEvent is the event by which a client shows new credentials.
const refreshEvent = "auth:refresh"

// refreshed answers it.
type refreshed struct {
	Success bool `json:"success"`
	// ExpiresAt is in milliseconds since 1970, or null when there is no end.
	ExpiresAt *int64 `json:"expiresAt"`
}

// refresh gives a socket a new identity in place of the one it has, which must
// be the same client's. It takes nothing away: a client that has joined a room
// that it may no longer join keeps its identity until that expires.
func refresh(a Authenticator, e *Event) {
	s := e.Socket
	if !s.mayRefresh(e) {
		return
	}
	ctx, gone, err := s.whileThere()
	if err != nil {
		return
	}
	defer gone()
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	recheck := s.namespace.recheck.Load()
	if now := s.namespace.handlers.Load().authenticator; now != nil {
		a = now
	}
	identity, shown, err := s.renewed(ctx, a, e)
	if err != nil {
		s.notRefreshed(e, refusalOf(err))
		return
	}
	auth, before := &s.namespace.server.auth, s.Identity()
	if !auth.give(s, identity, shown) {
		// It came too late: the client is being disconnected.
		e.Refuse(CodeTokenExpired, refusalMessages[CodeTokenExpired])
		return
	}
	s.mu.Lock()
	if s.state != socketClosed {
		s.keepAuthLocked(len(s.auth) + len(shown.JSON()))
	}
	s.mu.Unlock()
	auth.counts.refreshed.Add(1)
	// The client hears first that it has succeeded.
	defer s.recheckSince(recheck)
	s.identityChanged(before)
	answer := refreshed{Success: true}
	if !identity.Expires.IsZero() {
		at := identity.Expires.UnixMilli()
		answer.ExpiresAt = &at
	}
	_ = e.Ack.ReplyWith(answer)
}

// refreshTimeout bounds the time in which it is found out who a client is that
// refreshes: its other events wait meanwhile.
const refreshTimeout = 10 * time.Second

// notRefreshed answers a refresh that came to nothing.
func (s *Socket) notRefreshed(e *Event, refusal *Refusal) {
	if refusal.Code == comeAgain {
		s.comeAgain(ReasonAuthExpired)
		return
	}
	if !refusal.isPassing() {
		s.client().attemptFailed()
	}
	s.namespace.server.auth.doubt(s, refusal.isPassing())
	e.refuse(&EventError{Code: refusal.Code, Message: refusal.message(), why: refusal.Reason})
}

// renewed asks who the client is now, by what it shows.
func (s *Socket) renewed(ctx context.Context, a Authenticator, e *Event) (identity *Identity, shown *packet.Object, err error) {
	auth, ok := e.Args.Object(0)
	if !ok {
		return nil, nil, &Refusal{Code: CodeUnauthorized, Reason: "a refresh needs an object with the credentials"}
	}
	// What is kept must not hold on to all of what came with it.
	copied, err := packet.NewObject(slices.Clone(auth.JSON()))
	if err != nil {
		return nil, nil, err
	}
	shown = &copied
	if identity, err = ask(ctx, a, s, &Credentials{Auth: *shown, Refresh: true, Since: time.Now()}); err != nil {
		return nil, nil, err
	}
	if err := s.mayBecome(identity); err != nil {
		return nil, nil, err
	}
	return identity, shown, nil
}

// mayBecome reports whether a refresh may give the socket an identity.
func (s *Socket) mayBecome(identity *Identity) error {
	// The namespace may have asked for nothing when the client connected.
	before := s.Identity()
	if before != nil && (!identity.isSame(before) || identity.Method != before.Method) {
		return &Refusal{Code: CodeForbidden, Reason: "a refresh with the credentials of another client"}
	}
	if s.losesRoom(before, identity) {
		return &Refusal{Code: CodeForbidden, Reason: "a refresh that would take away a room the client is in"}
	}
	return nil
}

// losesRoom reports whether the socket is in a room that its client might join by
// the rights that it had before, and may not join by those that it has next. Nobody
// may join all.
func (s *Socket) losesRoom(before, next *Identity) bool {
	beside := s.namespace.handlers.Load().roomsBesideRights
	return next != nil && slices.ContainsFunc(s.Rooms(), func(room string) bool {
		return (before == nil || before.Rooms.Allow(room)) && !next.Rooms.Allow(room) &&
			!slices.ContainsFunc(beside, func(prefix string) bool { return strings.HasPrefix(room, prefix) })
	})
}

// identityChanged has the event sets told that the client has another identity
// than before, see [Handlers.OnIdentity]. A client that a handler has let into a
// room meanwhile, by the rights that it had before, is disconnected.
func (s *Socket) identityChanged(before *Identity) {
	s.Do(func() {
		if s.losesRoom(before, s.Identity()) {
			s.namespace.server.auth.revoke(s, errLosesRoom)
			return
		}
		for _, handler := range s.namespace.handlers.Load().identity {
			handler(s)
		}
	})
}

// whileThere returns a context that ends when the client leaves. The error is
// ErrDisconnected when it has left.
func (s *Socket) whileThere() (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == socketClosed {
		cancel()
		return nil, nil, ErrDisconnected
	}
	s.cancel = cancel
	return ctx, cancel, nil
}

// maxLoggedIdentity bounds what is logged of an identity, and maxLoggedEvent
// what is logged of an event's name, in bytes.
const (
	maxLoggedIdentity = 128
	maxLoggedEvent    = 64
)

// forbid refuses an event that the client may not send.
func (s *Socket) forbid(e *Event) { e.Refuse(CodeForbidden, "not allowed to send this event") }
