package engineio

import (
	"runtime"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// budget counts the memory that waits for clients of a server, in bytes of the heap:
// messages with all that they take besides their frames, and the lists that they are
// in. A message counts once, for however many clients it waits: that is the memory
// it takes.
//
// Who counts uses an account, of which there are several, so that processors seldom
// change the same memory. An account keeps up to accountKeeps bytes to itself. What
// all of them keep is added up whenever that could matter.
type budget struct {
	accounts []account
	// next chooses the account of the next session.
	next atomic.Uint32
	// total is the sum of all that the accounts do not keep to themselves.
	total atomic.Int64
}

// account is a part of a budget, for some of the sessions.
type account struct {
	kept   atomic.Int64
	budget *budget
	_      [128 - 16]byte // two cache lines each, since processors fetch them in pairs
}

// accountKeeps is how many bytes an account keeps to itself, above or below zero.
const accountKeeps = 64 << 10

func newBudget() *budget {
	b := &budget{accounts: make([]account, 4*runtime.GOMAXPROCS(0))}
	for i := range b.accounts {
		b.accounts[i].budget = b
	}
	return b
}

// account returns the account of a new session.
func (b *budget) account() *account {
	return &b.accounts[int(b.next.Add(1))%len(b.accounts)]
}

// bytes is how many bytes are counted.
func (b *budget) bytes() int64 {
	sum := b.total.Load()
	for i := range b.accounts {
		sum += b.accounts[i].kept.Load()
	}
	return sum
}

// atLeast reports whether so many bytes are counted. As long as they are far from
// that, it looks at one number.
func (b *budget) atLeast(bytes int64) bool {
	if b.total.Load()+int64(len(b.accounts))*accountKeeps < bytes {
		return false
	}
	return b.bytes() >= bytes
}

// together reports whether two budgets together count so many bytes.
func together(a, b *budget, bytes int64) bool {
	if a.total.Load()+b.total.Load()+int64(len(a.accounts)+len(b.accounts))*accountKeeps < bytes {
		return false
	}
	return a.bytes()+b.bytes() >= bytes
}

// add counts bytes, which may be less than zero.
func (a *account) add(bytes int) {
	kept := a.kept.Add(int64(bytes))
	if kept > accountKeeps || kept < -accountKeeps {
		// In between both count, so that the sum is rather too large than too small.
		a.budget.total.Add(kept)
		a.kept.Add(-kept)
	}
}

// burstHold is how many holders a sender adds to a message while it hands the
// message out. It is more than there can be clients, so the message has holders
// left however many clients have got it before the sender is through.
const burstHold = 1 << 40

// hold adds n holders to a message, which counts from the first holder on.
func (a *account) hold(m *wire.Message, n int64) {
	if cost := m.Hold(n); cost != 0 {
		a.add(cost)
	}
}

// letGo takes n holders from a message, which counts until the last is gone.
func (a *account) letGo(m *wire.Message, n int64) {
	if cost := m.LetGo(n); cost != 0 {
		a.add(-cost)
	}
}

// frames returns the frames of a message that the caller holds, and counts the
// compressed ones from when they are made.
func (a *account) frames(m *wire.Message, deflate int) []byte {
	frames, cost := m.Frames(deflate)
	if cost != 0 {
		a.add(cost)
	}
	return frames
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
