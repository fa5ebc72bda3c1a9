package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// cacheKey is a hash of what a client has shown: what is kept gives no
// credentials away.
type cacheKey [sha256.Size]byte

// Bounds of a cache: the answers in it, and their size in bytes.
const (
	maxCached      = 10_000
	maxCachedBytes = 16 << 20
)

// cache keeps answers for a while, each for as long. A nil cache keeps nothing.
type cache struct {
	lifetime time.Duration

	mu      sync.Mutex
	entries map[cacheKey]*cached
	// order has the entries as they came, and so as they end.
	order []*cached
	bytes int
}

type cached struct {
	key      cacheKey
	identity *streaming.Identity
	size     int
	ends     time.Time
}

func newCache(lifetime time.Duration) *cache {
	return &cache{lifetime: lifetime, entries: make(map[cacheKey]*cached)}
}

// get returns what is kept, or nil.
func (c *cache) get(key cacheKey) *streaming.Identity {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.trimLocked(now)
	entry := c.entries[key]
	if entry == nil || !entry.identity.Expires.IsZero() && !entry.identity.Expires.After(now) {
		return nil
	}
	return entry.identity
}

// put keeps an answer of that size. The oldest ones make room for it.
func (c *cache) put(key cacheKey, identity *streaming.Identity, size int) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	entry := &cached{key: key, identity: identity, size: size, ends: now.Add(c.lifetime)}
	c.entries[key] = entry
	c.order = append(c.order, entry)
	c.bytes += size
	c.trimLocked(now)
}

// trimLocked forgets what has ended, and what there is no room for.
func (c *cache) trimLocked(now time.Time) {
	for len(c.order) > 0 && (!c.order[0].ends.After(now) || len(c.order) > maxCached || c.bytes > maxCachedBytes) {
		oldest := c.order[0]
		c.order[0] = nil
		c.order = c.order[1:]
		c.bytes -= oldest.size
		// A later answer to the same question may have taken its place.
		if c.entries[oldest.key] == oldest {
			delete(c.entries, oldest.key)
		}
	}
}
