package auth

import (
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"net/http"
)

// Captor is a [streaming.Authenticator] that has to know of a client's first request what no later
// one tells, and what only the server in front knows, such as a TLS certificate.
type Captor interface {
	// Capture adds to attributes, which are kept for as long as the connection and are found in
	// [engineio.Handshake.Attributes]. They must be named after the authenticator. It is called
	// before the request is answered.
	Capture(r *http.Request, attributes map[string]string)
}

// Distinct is a [streaming.Authenticator] whose configuration does not say exactly whom it lets in:
// another file or another environment variable makes another one of it, and not every option does.
type Distinct interface {
	// Fingerprint is the same as long as everybody is let in as before. It may be compared, within
	// this process, and must not give secrets away. See [Fingerprint].
	Fingerprint() string
}

// seed makes fingerprints of no use outside of this process: what they are made of may be secret.
var seed = maphash.MakeSeed()

// Fingerprint hashes what an authenticator goes by, for the rest of this process alone.
func Fingerprint(parts ...any) string {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = fmt.Fprintf(&h, "%q", parts)
	return hex.EncodeToString(h.Sum(nil))
}
