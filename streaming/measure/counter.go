package measure

import "sync/atomic"

// Counter is a count that many goroutines add to at the same time. It keeps
// them out of each other's way: each key has a place of its own, on a cache
// line of its own. The zero value is ready to use.
type Counter struct{ places [places]place }

// places is how many places there are. It is a power of two.
const places = 8

type place struct {
	n atomic.Int64
	// The rest of the cache line, so that no two places share one.
	_ [56]byte
}

// Add adds n. The key is anything that differs between those who count at the
// same time, such as a byte of a random ID.
func (c *Counter) Add(key byte, n int64) { c.places[key%places].n.Add(n) }

// Load returns the count. What is added meanwhile may be in it or not.
func (c *Counter) Load() int64 {
	var sum int64
	for i := range c.places {
		sum += c.places[i].n.Load()
	}
	return sum
}
