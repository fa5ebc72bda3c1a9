// Package sessions is the event set of the session service.
package sessions

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Fingerprint says whether a session has a key that joiners must know.
type Fingerprint string

const (
	// FingerprintOff lets everyone join who knows the session's ID.
	FingerprintOff Fingerprint = "off"
	// FingerprintFirst makes the fingerprint of a session's first client the
	// one that all later ones must give.
	FingerprintFirst Fingerprint = "first"
)

// The defaults of [Set].
const (
	DefaultMaxClients  = 100
	DefaultMaxSessions = 10_000
	DefaultTimeout     = 10 * time.Minute
	DefaultHistorySize = 1_000_000
	DefaultBatch       = 100
)

// Set is the event set of the session service: clients join sessions and
// share content with all others there.
//
//	join    {sessionId, clientName, fingerprint?, token?}  client-joined {sessionId, clientId, clientName}
//	leave   {sessionId}                                    client-left {sessionId, clientId}
//	content {sessionId, content, data?}                    content, the same
//	chunk   {sessionId, chunk}                             chunk, the same
//	batch   [{event, data}, ...]                           each entry as if it had been sent by itself
//
// join is acknowledged with {success, clients: [{id, name}], token}, all other
// events with {success}. A client that joins on a new connection with the token of its old one takes
// its old place, and the others do not hear of it. What is refused is answered with an "error" event
// {message, code}, see [Codes], and with the acknowledgement {success:
// false, error, code}.
//
// An event with much in it waits for the receivers to have room for it, up to
// five seconds; what its sender has sent after it waits as well. A sender thus
// goes as fast as the slowest receiver that gets anywhere.
type Set struct {
	// MaxClients bounds the clients of one session. Zero means
	// DefaultMaxClients.
	MaxClients int
	// MaxSessions bounds the sessions of the namespace, empty ones that are
	// kept included. Zero means DefaultMaxSessions.
	MaxSessions int
	// Timeout is how long an empty session is kept for a rejoin. Zero means
	// not at all.
	Timeout time.Duration
	// History is how many contents of a session are kept for late joiners.
	// Zero means none.
	History int
	// HistorySize bounds the bytes of the contents that a session keeps. Zero
	// means DefaultHistorySize.
	HistorySize int
	// Fingerprint says whether joiners need to know a key. Default:
	// FingerprintOff.
	Fingerprint Fingerprint
	// Throttle bounds how often one client may send an event. Of events without one here, only
	// join has a bound: DefaultJoinThrottle.
	Throttle []Throttle
	// Batch bounds the entries of a batch. Zero means DefaultBatch.
	Batch int
}

// Events lists the events of [Set] that clients send.
func Events() []string { return []string{"join", "leave", "content", "chunk", "batch"} }

// Register implements streaming.EventSet.
func (s *Set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	options := *s
	if options.MaxClients == 0 {
		options.MaxClients = DefaultMaxClients
	}
	if options.MaxSessions == 0 {
		options.MaxSessions = DefaultMaxSessions
	}
	if options.HistorySize == 0 {
		options.HistorySize = DefaultHistorySize
	}
	if options.Fingerprint == "" {
		options.Fingerprint = FingerprintOff
	}
	if options.Batch == 0 {
		options.Batch = DefaultBatch
	}
	if !slices.ContainsFunc(options.Throttle, func(t Throttle) bool { return t.Event == DefaultJoinThrottle.Event }) {
		options.Throttle = append(slices.Clone(options.Throttle), DefaultJoinThrottle)
	}
	service := &service{Set: options, table: streaming.State(n, newTable)}
	service.table.tell(h)
	h.OwnRooms(roomPrefix)
	service.handlers = map[string]func(*request) *denial{
		"join":    service.join,
		"leave":   service.leave,
		"content": service.content,
		"chunk":   service.chunk,
	}
	for _, throttle := range options.Throttle {
		if !slices.Contains(Events(), throttle.Event) {
			return fmt.Errorf("there is no event %q to throttle", throttle.Event)
		}
	}
	h.OnDisconnect(func(socket *streaming.Socket, _ streaming.Reason) { service.table.disconnect(socket, service.Timeout) })
	h.OnFind(service.table.holder)
	h.RefuseUnknown()
	if err := h.RefuseWith(refusals); err != nil {
		return err
	}
	for event, handler := range service.handlers {
		err := h.On(event, func(e *streaming.Event) { service.handle(direct(e), handler) })
		if err != nil {
			return err
		}
	}
	service.table.missed(service.Timeout)
	return h.On("batch", func(e *streaming.Event) { service.handle(direct(e), service.batch) })
}

// service is Set with its defaults, at work in one namespace.
type service struct {
	Set
	table *table
	// handlers are those of the events that a batch may have.
	handlers map[string]func(*request) *denial
}

// handle handles an event, and answers it.
func (s *service) handle(r *request, handler func(*request) *denial) {
	if !s.allows(r) {
		r.volatile = isVolatile(r)
		r.refuse(deniedThrottled)
		return
	}
	if d := r.check(); d != nil {
		r.refuse(d)
		return
	}
	if d := handler(r); d != nil {
		r.refuse(d)
	}
}

// joined is the acknowledgement of a join.
type joined struct {
	Success bool         `json:"success"`
	Clients []clientInfo `json:"clients"`
	Token   string       `json:"token"`
	// Missed is how many of the latest contents the client is not sent.
	Missed int `json:"missed,omitempty"`
}

type clientInfo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// clientJoined is the payload of client-joined, and without a name that of
// client-left.
type clientJoined struct {
	SessionID  string `json:"sessionId"`
	ClientID   string `json:"clientId"`
	ClientName string `json:"clientName,omitempty"`
}

func (s *service) join(r *request) *denial {
	id, d := r.sessionID()
	if d != nil {
		return d
	}
	name, ok := r.object.Text("clientName")
	if !ok || !validName(name) {
		return deniedClientName
	}
	var key *fingerprint
	if s.Fingerprint == FingerprintFirst {
		if key, d = fingerprintOf(r.object); d != nil {
			return d
		}
	}
	p := s.table.participant(r.socket)
	if m := p.joined[id]; m != nil {
		if m.replaced.Load() {
			return deniedReplaced
		}
		return m.session.welcomeBack(r, m, key)
	}
	if !r.socket.MayJoin(room(id)) {
		return deniedForbidden
	}
	if len(p.joined) >= maxJoined {
		return deniedTooManyJoined
	}
	if r.socket.RoomFor(room(id)) != nil {
		return deniedTooManyRooms
	}
	who := events.Client(r.socket)
	for asked := false; ; asked = true {
		session, d := s.table.enter(id, who, s.MaxSessions)
		if d != nil {
			return d
		}
		m, d := s.sit(r, session, name, key, asked)
		if d != nil {
			return d
		}
		if m != nil {
			p.joined[id] = m
			return nil
		}
	}
}

// sit gives the sender of a join a place in a session: the one that it had, or a new one. The member is
// nil when the session is gone by now. asked is true once those have been asked that may be the same
// client.
func (s *service) sit(r *request, session *session, name string, key *fingerprint, asked bool) (*member, *denial) {
	allowed := s.allowance(r, session)
	defer allowed.end()
	// It may have waited for that, and the session may have been made for it.
	if !r.socket.MayJoin(session.room) {
		s.table.settle(session, s.Timeout)
		return nil, deniedForbidden
	}
	if m, old := session.takeOver(r, key, allowed, &s.Set); m != nil {
		retire(old)
		return m, nil
	}
	if !asked {
		s.dropSilent(r, session, name)
	}
	m, first, d := session.admit(r, name, key, allowed, &s.Set)
	if first {
		s.table.settle(session, s.Timeout)
	}
	return m, d
}

func (s *service) leave(r *request) *denial {
	id, d := r.sessionID()
	if d != nil {
		return d
	}
	p := s.table.participant(r.socket)
	m := p.joined[id]
	if m == nil || m.replaced.Load() {
		return deniedNotInSession
	}
	p.forget(m)
	s.table.remove(m, s.Timeout)
	r.succeed()
	return nil
}

// member returns the sender's place in the session that an event names.
func (s *service) member(r *request) (*participant, *member, *denial) {
	id, d := r.sessionID()
	if d != nil {
		return nil, nil, d
	}
	p := s.table.participant(r.socket)
	m := p.joined[id]
	if m == nil || m.replaced.Load() {
		return nil, nil, deniedNotInSession
	}
	// Who is in since no fingerprint was asked for goes on as before.
	if s.Fingerprint == FingerprintFirst && m.keyed && !m.knows(r.object) {
		return nil, nil, deniedToken
	}
	return p, m, nil
}

func (s *service) content(r *request) *denial {
	p, m, d := s.member(r)
	if d != nil {
		return d
	}
	var b packet.ArgsBuilder
	content, ok := b.Forward(r.object, "content")
	if !ok || content == nil || string(content) == "null" {
		return deniedContent
	}
	data, ok := b.Forward(r.object, "data")
	if !ok {
		return deniedContent
	}
	args := m.payload(&b, "content", content, "data", data)
	if s.pace(r, p, m, args.Size()) {
		var flags packet.Flags
		var kept *packet.Args
		if isVolatile(r) {
			flags = packet.Volatile
		} else if s.History > 0 && args.Size() <= s.HistorySize {
			// What is kept must not hold on to all that came with it.
			clone := args.Clone()
			kept = &clone
		}
		ok := m.session.share(r.socket, "content", args, flags, kept, &s.Set)
		s.table.counts.shared(s.table.counts.contents, r.socket, args)
		if !ok {
			r.answer(unkept{Success: true})
			return nil
		}
	}
	r.succeed()
	return nil
}

func (s *service) chunk(r *request) *denial {
	p, m, d := s.member(r)
	if d != nil {
		return d
	}
	c, ok := chunkOf(r.object)
	if !ok {
		return deniedChunk
	}
	if !p.expects(m.session, c) {
		return deniedChangedTotal
	}
	var b packet.ArgsBuilder
	forwarded, ok := b.Forward(r.object, "chunk")
	if !ok {
		return deniedChunk
	}
	args := m.payload(&b, "chunk", forwarded, "", nil)
	if s.pace(r, p, m, args.Size()) {
		m.session.share(r.socket, "chunk", args, 0, nil, &s.Set)
		s.table.counts.shared(s.table.counts.chunks, r.socket, args)
	}
	r.succeed()
	return nil
}
