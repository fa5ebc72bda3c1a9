package load

import (
	"math/bits"
	"time"
)

const (
	// steps is how many buckets each doubling of the latency has: a quantile is right to within
	// 1/steps.
	steps   = 16
	buckets = 24 * steps // up to 8 s and more; the last bucket takes the rest
)

// histogram counts latencies from 1 µs up. Each receiver has its own, so counting needs no lock.
type histogram struct {
	counts [buckets]uint32
}

func (h *histogram) add(latency time.Duration) {
	h.counts[bucket(latency)]++
}

// bucket numbers latencies: exact microseconds below steps, then steps buckets for each doubling.
func bucket(latency time.Duration) int {
	us := uint64(max(latency, 0) / time.Microsecond)
	if us < steps {
		return int(us)
	}
	doubling := bits.Len64(us) - bits.Len64(steps)
	return min((doubling+1)*steps+int(us>>doubling)-steps, buckets-1)
}

// lower is the smallest latency of a bucket in microseconds.
func lower(bucket int) float64 {
	if bucket < steps {
		return float64(bucket)
	}
	doubling := bucket/steps - 1
	return float64(uint64(steps+bucket%steps) << doubling)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
}

// quantile is the latency in milliseconds below which the given share of all lies; the middle of
// its bucket.
func (h *histogram) quantile(share float64) float64 {
	var total uint64
	for _, n := range h.counts {
		total += uint64(n)
	}
	if total == 0 {
		return 0
	}
	rank := uint64(share * float64(total-1))
	var passed uint64
	for i, n := range h.counts {
		passed += uint64(n)
		if passed > rank {
			return (lower(i) + lower(i+1)) / 2 / 1000
		}
	}
	return lower(buckets) / 1000
}
