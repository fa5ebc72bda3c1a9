package engineio

import (
	"hash/maphash"
	"iter"
	"sync"
)

// table holds the sessions by ID, in shards, since every request looks there.
type table struct {
	seed   maphash.Seed
	shards [tableShards]struct {
		sync.RWMutex
		sessions map[string]*Session
	}
}

const tableShards = 64

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].sessions = make(map[string]*Session)
	}
	return t
}

func (t *table) shard(id string) int {
	return int(maphash.String(t.seed, id) % tableShards) //nolint:gosec // less than tableShards
}

func (t *table) get(id string) *Session {
	shard := &t.shards[t.shard(id)]
	shard.RLock()
	defer shard.RUnlock()
	return shard.sessions[id]
}

func (t *table) put(s *Session) {
	shard := &t.shards[t.shard(s.id)]
	shard.Lock()
	defer shard.Unlock()
	shard.sessions[s.id] = s
}

func (t *table) remove(s *Session) {
	shard := &t.shards[t.shard(s.id)]
	shard.Lock()
	defer shard.Unlock()
	delete(shard.sessions, s.id)
}

// all yields the sessions that are there when each shard is looked at.
func (t *table) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		for i := range t.shards {
			shard := &t.shards[i]
			shard.RLock()
			sessions := make([]*Session, 0, len(shard.sessions))
			for _, s := range shard.sessions {
				sessions = append(sessions, s)
			}
			shard.RUnlock()
			for _, s := range sessions {
				if !yield(s) {
					return
				}
			}
		}
	}
}
