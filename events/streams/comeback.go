package streams

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// A client that is back before its old connection has timed out shows by a secret that it is the same.
// An owner goes on with its stream by the secret that the acknowledgement of stream:start told it. A
// viewer is not counted twice if it joins with a secret of its own choice, each time the same.

// The length of the secret of a viewer, in bytes. What is shorter could be guessed; it is no secret then,
// nor is what is longer.
const (
	minViewerSecret = 16
	maxViewerSecret = 256
)

// secretOf is the secret that an event has, or "".
func secretOf(e *streaming.Event) string {
	object, _ := e.Args.Object(0)
	secret, _ := object.Text("secret")
	return secret
}

// dropSilent ends the connection of a stream's owner and stops its streams, if that is the same identity
// as a socket and gives no sign of life: such a client has shown no secret, as it does not know of it.
func (s *service) dropSilent(id string, socket *streaming.Socket) (dropped bool) {
	stream := s.streams.get(id)
	if stream == nil {
		return false
	}
	silent := events.Silent([]*streaming.Socket{stream.owner.Load()}, socket)
	for _, owner := range silent {
		s.stopAll(owner, true)
		owner.Drop()
	}
	return len(silent) > 0
}

// viewerPrefix begins the names of rooms of viewers.
const viewerPrefix = "viewer:"

// viewerRoom is the room of the sockets of one viewer of a stream, by the digest of its secret. It is ""
// for a viewer without one.
func viewerRoom(id, secret string) string {
	if len(secret) < minViewerSecret || len(secret) > maxViewerSecret {
		return ""
	}
	digest := sha256.Sum256([]byte(secret + "\n" + id))
	return viewerPrefix + base64.RawURLEncoding.EncodeToString(digest[:])
}

// recognize takes the sockets out of the audience of a stream on which the client of another one has
// joined it before.
func (t *streams) recognize(id, secret string, socket *streaming.Socket) {
	viewer := viewerRoom(id, secret)
	if viewer == "" {
		return
	}
	for _, old := range t.namespace.To(viewer).Sockets() {
		if old == socket || !events.SameIdentity(old, socket) {
			continue
		}
		watched := slices.Contains(old.Rooms(), room(id))
		old.Leave(room(id), viewer)
		if watched {
			t.countViewers(id)
			t.retire(old, id)
		}
	}
	socket.Admit(viewer)
}

// replaced is the payload of the "error" event that tells a connection of what its client has taken
// over.
type replaced struct {
	Message  string `json:"message"`
	Code     string `json:"code"`
	StreamID string `json:"streamId"`
}

// retire tells a connection that its client owns or watches a stream on another one, and ends it when
// nothing is left to it.
func (t *streams) retire(old *streaming.Socket, id string) {
	told := replaced{"the client is back on another connection", events.CodeReplaced, id}
	events.Retire(old, told)
}
