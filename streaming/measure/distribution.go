package measure

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// MaxBounds is the most bounds that a scale may have.
const MaxBounds = 15

// Scale is the upper bounds of the ranges that values are counted in, in
// ascending order. What is over the last one has a range of its own.
type Scale []int64

// Bytes are sizes from 64 bytes to 16 MiB.
var Bytes = Scale(bytesBounds[:])

var bytesBounds = [...]int64{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20}

// Items are counts of things from 1 to 1,024.
var Items = Scale(itemsBounds[:])

var itemsBounds = [...]int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}

// ItemsRange is Items.Range in fewer steps.
func ItemsRange(n int) int {
	return min(bits.Len64(uint64(max(n, 1)-1)), len(itemsBounds)) //nolint:gosec // not negative
}

// BytesRange is Bytes.Range in fewer steps.
func BytesRange(n int) int {
	const smallest = 6                                                                     // the first bound is 2 to the power of it
	return min((bits.Len64(uint64(max(n, 1<<smallest)-1))-smallest+1)/2, len(bytesBounds)) //nolint:gosec // not negative
}

// Latencies are times from 0.5 ms to 30 s, in nanoseconds.
var Latencies = Scale{
	int64(500 * time.Microsecond), int64(time.Millisecond), int64(2500 * time.Microsecond), int64(5 * time.Millisecond),
	int64(10 * time.Millisecond), int64(25 * time.Millisecond), int64(50 * time.Millisecond), int64(100 * time.Millisecond),
	int64(250 * time.Millisecond), int64(500 * time.Millisecond), int64(time.Second), int64(2500 * time.Millisecond),
	int64(5 * time.Second), int64(10 * time.Second), int64(30 * time.Second),
}

// Range returns the index of the range that a value is in: it is at most the
// bound of that index.
func (s Scale) Range(value int64) int {
	for i, bound := range s {
		if value <= bound {
			return i
		}
	}
	return len(s)
}

// Distribution tells how values are spread over the ranges of a scale. It is
// for one goroutine at a time.
type Distribution struct {
	Scale Scale
	// Counts has how many values were in each range, not those of the ranges
	// below: as many as the scale has bounds, and one for what is over them.
	Counts [MaxBounds + 1]int64
	// Sum is the sum of all values.
	Sum int64
}

// Count is the number of values.
func (d *Distribution) Count() int64 {
	var count int64
	for _, n := range d.Counts {
		count += n
	}
	return count
}

// Add counts a value whose range the caller has found out.
func (d *Distribution) Add(inRange int, value int64) {
	d.Counts[inRange]++
	d.Sum += value
}

// Merge adds what another distribution over the same scale has.
func (d *Distribution) Merge(other *Distribution) {
	for i, n := range other.Counts {
		d.Counts[i] += n
	}
	d.Sum += other.Sum
}

// Histogram is a distribution that many goroutines add to. The zero value is
// ready to use; the scale belongs to whoever uses it.
type Histogram struct {
	counts [MaxBounds + 1]atomic.Int64
	sum    atomic.Int64
}

// Observe counts a value on a scale, which must be the same each time.
func (h *Histogram) Observe(scale Scale, value int64) {
	h.counts[scale.Range(value)].Add(1)
	h.sum.Add(value)
}

// Distribution returns what was counted. A value that is counted meanwhile may
// be in the sum and not yet in the counts, or the other way round.
func (h *Histogram) Distribution(scale Scale) Distribution {
	d := Distribution{Scale: scale, Sum: h.sum.Load()}
	for i := range h.counts {
		d.Counts[i] = h.counts[i].Load()
	}
	return d
}
