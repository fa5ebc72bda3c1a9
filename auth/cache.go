package auth

import (
	"container/list"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// cacheKey is a hash of what a client has shown: what is kept gives no
// credentials away.
type cacheKey [sha256.Size]byte

// Bounds of a cache: the answers in it, and their size in bytes. The clients of one
// address have half of that at most.
const (
	maxCached      = 10_000
	maxCachedBytes = 16 << 20
)

// verdict is what a backend has answered: an identity or a refusal.
type verdict struct {
	identity *streaming.Identity
	refusal  *streaming.Refusal
	// size is that of the answer, in bytes.
	size int
}

// err is the error of an authenticator.
func (v verdict) err() error {
	if v.refusal == nil {
		return nil
	}
	return v.refusal
}

// cache keeps answers for a while, each for as long. A nil cache keeps nothing.
type cache struct {
	lifetime time.Duration

	mu      sync.Mutex
	entries map[cacheKey]*cached
	// all has the entries as they came, and so as they end. shares has those of each
	// address, in the same order.
	all    cacheShare
	shares map[netip.Prefix]*cacheShare
}

// cacheShare is some of the entries, in the order in which they came.
type cacheShare struct {
	list  list.List
	bytes int
}

// fits reports whether the entries are no more than one part in parts of a cache.
func (s *cacheShare) fits(parts int) bool {
	return s.list.Len() <= maxCached/parts && s.bytes <= maxCachedBytes/parts
}

func (s *cacheShare) oldest() *cached { return s.list.Front().Value.(*cached) }

type cached struct {
	verdict
	key     cacheKey
	address netip.Prefix
	ends    time.Time
	// inAll and inShare are its places in the lists.
	inAll, inShare *list.Element
}

func newCache(lifetime time.Duration) *cache {
	return &cache{lifetime: lifetime, entries: make(map[cacheKey]*cached), shares: make(map[netip.Prefix]*cacheShare)}
}

// get returns what is kept.
func (c *cache) get(key cacheKey) (v verdict, ok bool) {
	if c == nil {
		return verdict{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.trimLocked(now)
	entry := c.entries[key]
	if entry == nil || entry.identity != nil && !entry.identity.Expires.IsZero() && !entry.identity.Expires.After(now) {
		return verdict{}, false
	}
	return entry.verdict, true
}

// put keeps the answer to a question of an address. The oldest ones of that address
// make room for it, and then the oldest of all.
func (c *cache) put(key cacheKey, address netip.Prefix, v verdict) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.entries[key]; before != nil {
		c.removeLocked(before)
	}
	now := time.Now()
	entry := &cached{verdict: v, key: key, address: address, ends: now.Add(c.lifetime)}
	share := c.shares[address]
	if share == nil {
		share = new(cacheShare)
		c.shares[address] = share
	}
	c.entries[key] = entry
	entry.inAll, entry.inShare = c.all.list.PushBack(entry), share.list.PushBack(entry)
	c.all.bytes += v.size
	share.bytes += v.size
	for !share.fits(2) {
		c.removeLocked(share.oldest())
	}
	c.trimLocked(now)
}

// forget forgets the answers that let a client in.
func (c *cache) forget(identity string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range c.entries {
		if entry.identity != nil && entry.identity.ID == identity {
			c.removeLocked(entry)
		}
	}
}

// trimLocked forgets what has ended, and what there is no room for.
func (c *cache) trimLocked(now time.Time) {
	for c.all.list.Len() > 0 && (!c.all.oldest().ends.After(now) || !c.all.fits(1)) {
		c.removeLocked(c.all.oldest())
	}
}

func (c *cache) removeLocked(entry *cached) {
	share := c.shares[entry.address]
	share.list.Remove(entry.inShare)
	share.bytes -= entry.size
	if share.list.Len() == 0 {
		delete(c.shares, entry.address)
	}
	c.all.list.Remove(entry.inAll)
	c.all.bytes -= entry.size
	delete(c.entries, entry.key)
}
