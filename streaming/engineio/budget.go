package engineio

import (
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// budget counts the bytes of all messages that wait for clients of a server.
// A message counts once, for however many clients it waits: that is the memory
// it takes.
type budget struct{ bytes atomic.Int64 }

// burstHold is how many holders a sender adds to a message while it hands the
// message out. It is more than there can be clients, so the message has holders
// left however many clients have got it before the sender is through.
const burstHold = 1 << 40

// hold adds n holders to a message, whose size counts from the first holder on.
func (b *budget) hold(m *wire.Message, n int64) {
	if m.Hold(n) {
		b.bytes.Add(int64(m.Size()))
	}
}

// letGo takes n holders from a message, whose size counts until the last is gone.
func (b *budget) letGo(m *wire.Message, n int64) {
	if m.LetGo(n) {
		b.bytes.Add(-int64(m.Size()))
	}
}

// The bounds that a server with a limit for its budget acts on.
const (
	// refuseAt is the part of the budget, in percent, from which on new
	// sessions are refused.
	refuseAt = 80
	// modestBacklog is how many bytes may wait for one client when the budget is
	// used up. A client for which more waits is cut off.
	modestBacklog = 64 << 10
)

// exhausted reports whether percent of the limit is used. A limit of zero is
// none.
func (b *budget) exhausted(limit int64, percent int64) bool {
	return limit > 0 && b.bytes.Load() >= limit/100*percent
}
