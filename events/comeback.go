package events

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// A client whose connection was cut is often back before its old connection has timed out, which
// takes up to 45 seconds with the defaults of Socket.IO. What follows is what sets have in common
// that let it have again what the old connection holds.

// patience is how long a client has to give a sign of life on a connection that somebody of its identity
// may have left behind.
const patience = 3 * time.Second

// Silent returns those of some sockets that are of the same identity as another one, and of which no
// sign of life comes when they are asked. It waits for that. Clients that nobody has identified are not
// asked: anybody could have them asked and, if they are slow to answer, put out.
func Silent(sockets []*streaming.Socket, other *streaming.Socket) []*streaming.Socket {
	if other.Identity() == nil {
		return nil
	}
	same := slices.DeleteFunc(sockets, func(s *streaming.Socket) bool { return s == other || !SameIdentity(s, other) })
	if len(same) == 0 {
		return nil
	}
	return streaming.Silent(other.Context(), same, patience)
}

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
func SameIdentity(a, b *streaming.Socket) bool { return SameClient(a.Identity(), b.Identity()) }

// SameClient reports whether two identities are those of one client. Nobody is the same as nobody.
func SameClient(one, other *streaming.Identity) bool {
	if one == nil || other == nil {
		return one == other
	}
	return one.ID == other.ID && one.Method == other.Method
}

// Retire tells a socket, by an "error" event, what its client has taken over on another connection, and
// ends it when nothing is left to it, of whatever event set.
func Retire(socket *streaming.Socket, told any) {
	_ = socket.Emit("error", told)
	socket.Retire()
}
