package streams

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// holdFor is how long the name of a stream is held for its owner when that has lost its connection:
// long enough for the first tries of a client to come back.
const holdFor = 10 * time.Second

// heldName is the name of a stream whose owner has lost its connection. Until that ends, or the owner
// has started the stream again, nobody else can start it or send its data. It counts among the names
// of the client that had the stream, and nothing that others do makes it go.
type heldName struct {
	id string
	// owner is nil when nobody has identified the client.
	owner  *streaming.Identity
	secret string
	name   *share.Holding[struct{}]
	until  time.Time
}

// isOf reports whether a name is held for the client of a socket, which shows a secret. One that has
// an identity is known by that.
func (h *heldName) isOf(socket *streaming.Socket, secret string) bool {
	now := socket.Identity()
	return events.SameClient(h.owner, now) && (now != nil || events.SameSecret(secret, h.secret))
}

// hold holds the name of a stream that has ended, if its owner can be told from others when it is
// back: by its identity, or by the secret that it was told. The caller holds the table's lock.
func (t *streams) hold(s *stream, owner *streaming.Socket) (held bool) {
	identity := owner.Identity()
	if identity == nil && !s.told {
		return false
	}
	h := &heldName{id: s.id, owner: identity, secret: s.secret, name: s.name, until: time.Now().Add(holdFor)}
	t.held[s.id] = h
	t.due = append(t.due, h)
	return true
}

// heldLocked returns the name that is held with an ID, or nil, and lets go of those whose time is
// over. The caller holds the table's lock.
func (t *streams) heldLocked(id string) *heldName {
	now := time.Now()
	for len(t.due) > 0 && !now.Before(t.due[0].until) {
		over := t.due[0]
		t.due[0] = nil
		t.due = t.due[1:]
		if t.held[over.id] == over {
			delete(t.held, over.id)
			over.name.Release()
		}
	}
	return t.held[id]
}

// letGo lets go of a name that is held for the client of a socket, which does not want it any more.
func (t *streams) letGo(id string, socket *streaming.Socket, secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.heldLocked(id); h != nil && h.isOf(socket, secret) {
		delete(t.held, id)
		h.name.Release()
	}
}
