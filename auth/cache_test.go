package auth

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

func cacheName(n int) (key cacheKey) {
	copy(key[:], fmt.Sprint(n))
	return key
}

// letsIn is the answer of a backend that lets a client in.
func letsIn(id string, size int) verdict {
	return verdict{identity: &streaming.Identity{ID: id}, size: size}
}

// atAddress is one of many addresses.
func atAddress(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(n / 256), byte(n)}), 32)
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(time.Hour)
	for n := range maxCached + 100 {
		c.put(cacheName(n), atAddress(n%10), letsIn(fmt.Sprint(n), 10))
	}
	_, first := c.get(cacheName(0))
	last, _ := c.get(cacheName(maxCached))
	if len(c.entries) != maxCached || first || last.identity.ID != fmt.Sprint(maxCached) {
		t.Errorf("%d entries", len(c.entries))
	}
	c = newCache(time.Hour)
	for n := range 100 {
		c.put(cacheName(n%30), atAddress(n%30), letsIn("x", maxCachedBytes/10))
	}
	if c.all.bytes > maxCachedBytes || c.all.list.Len() > 10 || len(c.entries) != c.all.list.Len() {
		t.Errorf("%d bytes, %d entries", c.all.bytes, len(c.entries))
	}
	c = newCache(time.Nanosecond)
	c.put(cacheName(1), atAddress(1), letsIn("x", 1))
	eventually(t, "the end of an answer", func() bool {
		_, ok := c.get(cacheName(1))
		return !ok
	})
	if len(c.entries) != 0 || c.all.bytes != 0 || len(c.shares) != 0 {
		t.Errorf("%d entries of %d bytes are left", len(c.entries), c.all.bytes)
	}
	c = newCache(time.Hour)
	c.put(cacheName(1), atAddress(1), verdict{identity: &streaming.Identity{ID: "x", Expires: time.Now()}, size: 1})
	if _, ok := c.get(cacheName(1)); ok {
		t.Error("an identity that has expired is used")
	}
}

// TestAnAddressHasAShareOfTheCache holds that the clients of one address drive out no
// answer about another's, and their own oldest ones first.
func TestAnAddressHasAShareOfTheCache(t *testing.T) {
	const honest = 10
	for name, size := range map[string]int{"many answers": 1, "large answers": maxBackendAnswer} {
		t.Run(name, func(t *testing.T) {
			c := newCache(time.Hour)
			for n := range honest {
				c.put(cacheName(n), atAddress(n), letsIn("honest", 100))
			}
			for n := range 2 * maxCached {
				c.put(cacheName(honest+n), atAddress(1000), letsIn("hostile", size))
			}
			for n := range honest {
				if _, ok := c.get(cacheName(n)); !ok {
					t.Errorf("the answer about client %d is gone", n)
				}
			}
			if share := c.shares[atAddress(1000)]; share.list.Len() > maxCached/2 || share.bytes > maxCachedBytes/2 {
				t.Errorf("the address has %d answers of %d bytes", share.list.Len(), share.bytes)
			}
			if _, ok := c.get(cacheName(honest + 2*maxCached - 1)); !ok {
				t.Error("the address has lost its newest answer")
			}
		})
	}
}
