package sessions

import (
	"maps"
	"slices"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// A client whose connection was cut is often back before its old connection has timed out. It then
// takes its old place in each session again: the others neither see it twice nor hear of it. It shows
// that it is the same client by the token that its join was answered with, which nobody else has
// seen. The place keeps its token, so that the client can take it once more when the answer is lost
// as well.

// takeOver gives the sender of a join the place of the member whose token it has, and returns its
// member and the one that was replaced. Both are nil when there is no such place, or when the sender
// is another identity than the member.
func (s *session) takeOver(r *request, key *fingerprint, allowed *allowance, options *Set) (m, old *member) {
	token, ok := r.object.Text("token")
	if !ok {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || !s.admits(key) {
		return nil, nil
	}
	for i, other := range s.members {
		if other.hasToken(token) && events.SameIdentity(other.socket, r.socket) {
			return s.replace(i, r, key, allowed, options), other
		}
	}
	return nil, nil
}

// replace gives the place of a member to the sender of a join.
func (s *session) replace(i int, r *request, key *fingerprint, allowed *allowance, options *Set) *member {
	old := s.members[i]
	m := &member{session: s, socket: r.socket, id: old.id, name: old.name, token: old.token}
	s.members[i] = m
	old.replaced.Store(true)
	old.socket.Leave(s.room)
	s.learnKey(m, key)
	s.letIn(r, m, allowed, options)
	return m
}

// dropSilent ends the connections on which the client of a join seems to be in the session already, as
// the same identity under the same name, but gives no sign of life: such a client has sent no token, as
// it does not know of it. The others hear that it has left, before they hear that it is back.
func (s *service) dropSilent(r *request, session *session, name string) {
	for _, silent := range events.Silent(session.named(name), r.socket) {
		if m := session.memberOn(silent); m != nil {
			s.table.remove(m, s.Timeout)
		}
		silent.Drop()
	}
}

// named returns the sockets of the members of that name.
func (s *session) named(name string) (sockets []*streaming.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members {
		if m.name == name {
			sockets = append(sockets, m.socket)
		}
	}
	return sockets
}

// holder returns the socket that has the place of the client which others know by an ID, or nil.
func (t *table) holder(id string) *streaming.Socket {
	t.mu.Lock()
	sessions := slices.Collect(maps.Values(t.byID))
	t.mu.Unlock()
	for _, s := range sessions {
		if socket := s.holder(id); socket != nil {
			return socket
		}
	}
	return nil
}

func (s *session) holder(id string) *streaming.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.id == id && m.socket.Connected() })
	if i < 0 {
		return nil
	}
	return s.members[i].socket
}

// memberOn returns the member that a socket is, or nil.
func (s *session) memberOn(socket *streaming.Socket) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.socket == socket })
	if i < 0 {
		return nil
	}
	return s.members[i]
}

// replaced is the payload of the "error" event that tells a connection of the end of its place.
type replaced struct {
	Message   string `json:"message"`
	Code      string `json:"code"`
	SessionID string `json:"sessionId"`
}

// retire tells a connection that its client has one of its places on another connection. It ends the
// connection when nothing is left to it: its client may be about to take the others.
func retire(m *member) {
	told := replaced{deniedReplaced.message, deniedReplaced.code, m.session.id}
	events.Retire(m.socket, told)
}

// knows reports whether an event has the member's token.
func (m *member) knows(o packet.Object) bool {
	token, ok := o.Text("token")
	return ok && m.hasToken(token)
}

// hasToken reports whether a token is the member's.
func (m *member) hasToken(token string) bool {
	return events.SameSecret(token, m.token)
}
