package streams

import (
	"hash/maphash"
	"sync"
)

// turns keep what is told of each stream in the order in which it became true. Whoever changes a
// stream, or tells somebody of it, has the turn of its ID from before that until everybody has been
// sent what they are to know: those who change something alone, those who only tell together.
//
// Streams share turns, of which there are a few. So a turn needs no stream, and lasts for as long as a
// broadcast takes to be queued. One who has a turn takes no other one; the lock of the table comes
// after it, and so do all locks of package streaming.
type turns struct {
	seed  maphash.Seed
	locks [turnCount]turn
}

const turnCount = 64

type turn struct {
	sync.RWMutex
	_ [104]byte // two cache lines, which processors load together
}

// of returns the turn of a stream's ID.
func (t *turns) of(id string) *turn {
	return &t.locks[maphash.String(t.seed, id)%turnCount]
}
