package sessions

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"

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
func (s *session) takeOver(r *request, key *fingerprint, options *Set) (m, old *member) {
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
		if other.hasToken(token) && sameIdentity(other.socket, r.socket) {
			return s.replace(i, r, options), other
		}
	}
	return nil, nil
}

// replace gives the place of a member to the sender of a join.
func (s *session) replace(i int, r *request, options *Set) *member {
	old := s.members[i]
	m := &member{session: s, socket: r.socket, id: old.id, name: old.name, token: old.token}
	s.members[i] = m
	old.replaced.Store(true)
	old.socket.Leave(s.room)
	s.welcome(r, m)
	s.history.replay(r.socket, options.History)
	// Whether there is room for it was asked before.
	_ = r.socket.Join(s.room)
	return m
}

// sameIdentity reports whether two sockets are of one client, as far as an authenticator knows.
func sameIdentity(a, b *streaming.Socket) bool {
	one, other := a.Identity(), b.Identity()
	if one == nil || other == nil {
		return one == other
	}
	return one.ID == other.ID && one.Method == other.Method
}

// replaced is the payload of the "error" event that tells a connection of the end of its place.
type replaced struct {
	Message   string `json:"message"`
	Code      string `json:"code"`
	SessionID string `json:"sessionId"`
}

// retire tells a connection that its client has one of its places on another connection. It ends the
// connection when there is no place left that it has: its client may be about to take the others.
func (t *table) retire(m *member) {
	_ = m.socket.Emit("error", replaced{deniedReplaced.message, deniedReplaced.code, m.session.id})
	m.socket.Do(func() {
		t.mu.Lock()
		p := t.participants[m.socket]
		t.mu.Unlock()
		if p == nil {
			return
		}
		for _, other := range p.joined {
			if !other.replaced.Load() {
				return
			}
		}
		m.socket.Retire()
	})
}

// newToken returns a token of 128 bits.
func newToken() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// knows reports whether an event has the member's token.
func (m *member) knows(o packet.Object) bool {
	token, ok := o.Text("token")
	return ok && m.hasToken(token)
}

// hasToken reports whether a token is the member's, in constant time.
func (m *member) hasToken(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(m.token)) == 1
}
