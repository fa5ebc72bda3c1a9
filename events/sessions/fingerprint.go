package sessions

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// fingerprint is the digest of what a client gives as its fingerprint.
type fingerprint [sha256.Size]byte

// maxFingerprint bounds a fingerprint, in bytes.
const maxFingerprint = 1024

// fingerprintOf reads the fingerprint of a join. Different kinds of values are
// never equal.
func fingerprintOf(o packet.Object) (*fingerprint, *denial) {
	var b packet.ArgsBuilder
	field, ok := b.Forward(o, "fingerprint")
	if !ok || len(field) == 0 {
		return nil, deniedFingerprint
	}
	if text, ok := o.Text("fingerprint"); ok {
		return digest([]byte("text"), []byte(text))
	}
	if binary, ok := o.Binary("fingerprint"); ok {
		return digest([]byte("binary"), binary)
	}
	if field[0] != '{' && field[0] != '[' {
		return nil, deniedFingerprint
	}
	var value any
	if json.Unmarshal(field, &value) != nil {
		return nil, deniedFingerprint
	}
	// Names in order, no white space: the same value always has the same form.
	canonical, err := json.Marshal(value)
	if err != nil {
		return nil, deniedFingerprint
	}
	if len(canonical) == len("{}") {
		// A Promise that nobody has waited for is an empty object: all such clients would have one key.
		return nil, deniedFingerprint
	}
	b.AddJSON(canonical)
	args, err := b.Args()
	if err != nil || args.Size() > maxFingerprint {
		return nil, deniedFingerprint
	}
	return digest(append([][]byte{[]byte("value"), canonical}, args.Attachments()...)...)
}

// digest returns the digest of a kind and the parts of a value.
func digest(parts ...[]byte) (*fingerprint, *denial) {
	hash := sha256.New()
	size := 0
	for i, part := range parts {
		if i > 0 {
			size += len(part)
		}
		sum := sha256.Sum256(part)
		hash.Write(sum[:])
	}
	if size == 0 || size > maxFingerprint {
		return nil, deniedFingerprint
	}
	return (*fingerprint)(hash.Sum(nil)), nil
}
