package sessions

import (
	"sync"
	"time"
)

// buckets are token buckets of clients and addresses, by keys of any kind. One that is full is
// forgotten some time.
type buckets struct {
	mu    sync.Mutex
	byKey map[any]*bucket
	// tidied is how many there were after the last look for those that are full.
	tidied int
}

// bucket is what is left in a bucket at a time, of the burst that it holds. rate is how much comes in
// a second.
type bucket struct {
	left, rate, burst float64
	at                time.Time
}

// leastTidy is how many buckets are not worth a look.
const leastTidy = 1024

func newBuckets() *buckets { return &buckets{byKey: make(map[any]*bucket)} }

// get returns the bucket of a key, which is full when it is new. A burst that has grown is there at
// once. The caller has the lock.
func (b *buckets) get(key any, rate, burst float64, now time.Time) *bucket {
	of := b.byKey[key]
	if of == nil {
		b.tidy(now)
		of = &bucket{left: burst, burst: burst}
		b.byKey[key] = of
	}
	of.fill(rate, burst, now)
	return of
}

// fill adds what has come since the last time.
func (b *bucket) fill(rate, burst float64, now time.Time) {
	if !b.at.IsZero() {
		b.left += now.Sub(b.at).Seconds()*b.rate + max(burst-b.burst, 0)
	}
	b.left = min(b.left, burst)
	b.rate, b.burst, b.at = rate, burst, now
}

// wait is how long it takes until there is so much, which is no more than the burst.
func (b *bucket) wait(much float64) time.Duration {
	return time.Duration(max(much-b.left, 0) / b.rate * float64(time.Second))
}

// tidy forgets the buckets that are full, once there are twice as many as the last time.
func (b *buckets) tidy(now time.Time) {
	if len(b.byKey) < max(2*b.tidied, leastTidy) {
		return
	}
	for key, of := range b.byKey {
		if of.fill(of.rate, of.burst, now); of.left >= of.burst {
			delete(b.byKey, key)
		}
	}
	b.tidied = len(b.byKey)
}

// allow takes one out of a bucket, if there is one.
func (b *buckets) allow(key any, rate, burst float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.get(key, rate, burst, time.Now())
	if of.left < 1 {
		return false
	}
	of.left--
	return true
}
