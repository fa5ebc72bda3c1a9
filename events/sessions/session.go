package sessions

import (
	"container/list"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// session is some clients who share content.
type session struct {
	id string
	// quoted is the ID as JSON.
	quoted json.RawMessage
	room   string
	table  *table
	// turn is held by the sender that waits for receivers to have room.
	turn chan struct{}

	// mu keeps in order what members hear of each other, and what a late
	// joiner gets: the history first, then what is shared from then on. What
	// is sent while it is held is only queued.
	mu      sync.Mutex
	members []*member
	// key is the fingerprint that joiners must have; nil until one is known.
	key *fingerprint
	// history is guarded by the lock of all histories as well, but only changed under this one,
	// unless something has to give way.
	history history
	// gone is true once the table does not know the session any more.
	gone bool

	// place is where the session is among those that are kept empty, and
	// expires how long it is. holding is its part of the share of the client who
	// made it. Guarded by the table.
	place   *list.Element
	expires time.Time
	holding *share.Holding[*session]
}

// room is the room of the clients of a session.
func room(id string) string { return roomPrefix + id }

const roomPrefix = "session:"

// member is a client's place in a session, on one connection.
type member struct {
	session *session
	socket  *streaming.Socket
	// id is what the others know the client by: the ID of the socket that joined first. It stays
	// the same when the client takes its place again on another connection, see takeOver.
	id    string
	name  string
	token string
	// keyed is true once the client has named the session's fingerprint. Only the handlers of
	// its socket use it.
	keyed bool
	// replaced is true once the client has the place on another connection.
	replaced atomic.Bool
	// lagging is true while nobody waits for the client to have room.
	lagging atomic.Bool
}

// participant is what is known of a client besides its places in sessions.
// Only the handlers of its socket use it.
type participant struct {
	joined   map[string]*member
	contents []openContent
	// grace is until when an event of a client that is gone may wait.
	grace time.Time
}

// forget is called when the client leaves a session.
func (p *participant) forget(m *member) {
	delete(p.joined, m.session.id)
	p.contents = slices.DeleteFunc(p.contents, func(c openContent) bool { return c.session == m.session })
}

// admit makes the sender of a join a member, tells it who is there and what
// was shared, and tells the others. The member is nil when the session is gone
// by now. first is true when nobody else is there.
//
// A session that was made while no fingerprint was asked for has none. Of those who are in it, whoever
// joins again first with one sets it, and until then nobody comes in. When nobody is in it, it begins anew.
func (s *session) admit(
	r *request, name string, key *fingerprint, allowed *allowance, options *Set,
) (m *member, first bool, d *denial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return nil, false, nil
	case !s.admits(key):
		return nil, false, deniedWrong
	case key != nil && s.key == nil && len(s.members) > 0:
		return nil, false, deniedNoFingerprint
	case len(s.members) >= options.MaxClients:
		return nil, false, deniedFull
	}
	if key != nil && s.key == nil {
		s.table.history.clear(&s.history)
		s.key = key
	}
	m = &member{session: s, socket: r.socket, id: r.socket.ID(), name: name, token: events.NewSecret(), keyed: key != nil}
	s.members = append(s.members, m)
	s.table.clients.Add(1)
	s.letIn(r, m, allowed, options)
	_ = r.socket.To(s.room).Emit("client-joined", clientJoined{s.id, m.id, name})
	return m, len(s.members) == 1, nil
}

// letIn answers a join, sends what was shared, and has the member receive what is shared from then on.
func (s *session) letIn(r *request, m *member, allowed *allowance, options *Set) {
	contents, missed := allowed.of(s, r.socket, options.History)
	r.welcomed = m
	r.answer(s.welcome(m, missed))
	for _, args := range contents {
		_ = r.socket.EmitArgs("content", args)
	}
	// Whether it may, and whether there is room for it, was asked before. A member that is not in
	// the room would hear nothing.
	r.socket.Admit(s.room)
}

// admits reports whether a fingerprint lets a client in. It is nil where none
// is asked for.
func (s *session) admits(key *fingerprint) bool {
	return key == nil || s.key == nil || subtle.ConstantTimeCompare(key[:], s.key[:]) == 1
}

// welcomeBack answers a client that joins a session it is in already: as the
// first time, and without anybody else hearing of it.
func (s *session) welcomeBack(r *request, m *member, key *fingerprint) *denial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.admits(key) {
		return deniedWrong
	}
	s.learnKey(m, key)
	r.welcomed = m
	r.answer(s.welcome(m, 0))
	return nil
}

// learnKey takes note of the fingerprint that a member has named. It is the session's, or the session had
// none.
func (s *session) learnKey(m *member, key *fingerprint) {
	if key != nil {
		s.key, m.keyed = key, true
	}
}

// welcome is the answer to a join. The client finds itself in the list by the ID of its socket, whatever
// the others know it by.
func (s *session) welcome(m *member, missed int) joined {
	clients := make([]clientInfo, 0, len(s.members))
	for _, other := range s.members {
		info := clientInfo{ID: other.id, Name: other.name}
		if other == m {
			info.ID = m.socket.ID()
		}
		clients = append(clients, info)
	}
	return joined{Success: true, Clients: clients, Token: m.token, Missed: missed}
}

// dismiss takes a member out, and tells the others. It reports whether nobody
// is left.
func (s *session) dismiss(m *member) (empty bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.members, m)
	if i < 0 {
		return false
	}
	s.members = slices.Delete(s.members, i, i+1)
	s.table.clients.Add(-1)
	m.socket.Leave(s.room)
	_ = m.socket.To(s.room).Emit("client-left", clientJoined{SessionID: s.id, ClientID: m.id})
	return len(s.members) == 0
}

// share passes an event on to the other members. Content that is to be kept
// for those who come later is given as kept as well; share reports false when
// there was no room to keep it, or when the session is gone: its sender may have its place on another
// connection by now. Who has been told that it has left gets nothing any more.
func (s *session) share(
	sender *streaming.Socket, event string, args packet.Args, flags packet.Flags, kept *packet.Args, options *Set,
) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = kept == nil || !s.gone &&
		s.table.history.add(&s.history, events.Client(sender), *kept, options.History, options.HistorySize)
	_ = sender.To(s.room).EmitArgs(event, args, flags)
	return ok
}

// payload builds what the others get of an event: the session's ID, the one or two
// fields that are passed on, and who has sent it. A field that is nil is left out.
func (m *member) payload(b *packet.ArgsBuilder, name string, value json.RawMessage, other string, otherValue json.RawMessage) packet.Args {
	quoted := m.session.quoted
	object := make(json.RawMessage, 0, len(quoted)+len(m.id)+len(value)+len(otherValue)+64)
	object = append(append(object, `{"sessionId":`...), quoted...)
	object = appendField(object, name, value)
	if otherValue != nil {
		object = appendField(object, other, otherValue)
	}
	// The ID of a socket needs no escapes.
	object = append(append(object, `,"clientId":"`...), m.id...)
	b.AddJSON(append(object, `"}`...))
	args, err := b.Args()
	if err != nil {
		panic(err)
	}
	return args
}

func appendField(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	object = append(append(append(object, `,"`...), name...), `":`...)
	return append(object, value...)
}
