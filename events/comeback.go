package events

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// A client whose connection was cut is often back before its old connection has timed out, which
// takes up to 45 seconds with the defaults of Socket.IO. What follows is what sets have in common
// that let it have again what the old connection holds.

// CodeReplaced is the code of the "error" event by which a connection hears that its client has taken
// something over on another connection.
const CodeReplaced = "replaced"

// NewSecret returns a secret of 128 bits for one client, as text.
func NewSecret() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// SameSecret reports whether what a client gives is a secret, in constant time.
func SameSecret(given, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
}

// SameIdentity reports whether two sockets are of one client, as far as an authenticator knows.
func SameIdentity(a, b *streaming.Socket) bool {
	one, other := a.Identity(), b.Identity()
	if one == nil || other == nil {
		return one == other
	}
	return one.ID == other.ID && one.Method == other.Method
}

// Retire tells a socket, by an "error" event, what its client has taken over on another connection.
// Once the socket is in no room any more and holds nothing of its set, it is ended.
func Retire(socket *streaming.Socket, told any, holds func() bool) {
	_ = socket.Emit("error", told)
	socket.Do(func() {
		if len(socket.Rooms()) == 0 && !holds() {
			socket.Retire()
		}
	})
}
