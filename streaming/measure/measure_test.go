package measure

import (
	"math"
	"slices"
	"sync"
	"testing"
)

func TestScales(t *testing.T) {
	for name, scale := range map[string]Scale{"bytes": Bytes, "items": Items, "latencies": Latencies} {
		if len(scale) > MaxBounds {
			t.Errorf("%s has %d bounds, and there is room for %d", name, len(scale), MaxBounds)
		}
		if !slices.IsSorted(scale) || len(slices.Compact(slices.Clone(scale))) != len(scale) {
			t.Errorf("%s does not ascend: %v", name, scale)
		}
	}
}

func TestRange(t *testing.T) {
	scale := Scale{10, 20}
	for _, test := range []struct {
		value int64
		want  int
	}{{math.MinInt64, 0}, {-1, 0}, {0, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 2}, {math.MaxInt64, 2}} {
		if got := scale.Range(test.value); got != test.want {
			t.Errorf("%d is in range %d, want %d", test.value, got, test.want)
		}
	}
}

func TestShortcuts(t *testing.T) {
	for _, around := range slices.Concat(Bytes, Items, Scale{0, math.MaxInt - 1, math.MinInt + 1}) {
		for _, value := range []int64{around - 1, around, around + 1} {
			if got, want := BytesRange(int(value)), Bytes.Range(value); got != want {
				t.Errorf("%d bytes are in range %d, want %d", value, got, want)
			}
			if got, want := ItemsRange(int(value)), Items.Range(value); got != want {
				t.Errorf("%d items are in range %d, want %d", value, got, want)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	a, b := Distribution{Scale: Items}, Distribution{Scale: Items}
	a.Add(Items.Range(3), 3)
	b.Add(Items.Range(3), 3)
	b.Add(Items.Range(5000), 5000)
	a.Merge(&b)
	if a.Count() != 3 || a.Sum != 5006 || a.Counts[2] != 2 || a.Counts[len(Items)] != 1 {
		t.Errorf("got %+v", a)
	}
}

// TestConcurrently is for the race detector, and holds that nothing is lost.
func TestConcurrently(t *testing.T) {
	const goroutines, each = 8, 1000
	var (
		counter   Counter
		histogram Histogram
		wait      sync.WaitGroup
	)
	for key := range byte(goroutines) {
		wait.Go(func() {
			for range each {
				counter.Add(key*31, 2)
				histogram.Observe(Bytes, 100)
				_ = counter.Load()
				_ = histogram.Distribution(Bytes)
			}
		})
	}
	wait.Wait()
	d := histogram.Distribution(Bytes)
	if counter.Load() != 2*goroutines*each || d.Count() != goroutines*each || d.Sum != 100*goroutines*each {
		t.Errorf("counted %d, and %+v", counter.Load(), d)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	var (
		counter   Counter
		histogram Histogram
	)
	if n := testing.AllocsPerRun(100, func() {
		counter.Add(7, 1)
		histogram.Observe(Latencies, 12345)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCounter(b *testing.B) {
	var counter Counter
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for key := byte(0); pb.Next(); key++ {
			counter.Add(key, 1)
		}
	})
}

func BenchmarkHistogram(b *testing.B) {
	var histogram Histogram
	b.ReportAllocs()
	for b.Loop() {
		histogram.Observe(Latencies, 3_000_000)
	}
}
