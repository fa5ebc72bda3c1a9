package pace

import (
	"testing"
	"time"
)

const second = int64(time.Second)

func TestTakeIsExact(t *testing.T) {
	for _, rate := range []Rate{
		{1, time.Second, 1}, {2, time.Second, 5}, {300, time.Minute, 7}, {1000, time.Millisecond, 100}, {1, time.Hour, 3},
	} {
		var b Bucket
		now := int64(5)
		for i := range rate.Burst {
			if !b.Take(&rate, now) {
				t.Fatalf("%+v: token %d of the burst is refused", rate, i)
			}
		}
		if b.Take(&rate, now) {
			t.Errorf("%+v: more than the burst", rate)
		}
		one := int64(rate.Per)/rate.Amount + 1
		if wait := int64(b.Wait(&rate, now)); wait < one-2 || wait > one+2 {
			t.Errorf("%+v: wait %d, want %d", rate, wait, one)
		}
		if b.Full(&rate, now) {
			t.Errorf("%+v: full while empty", rate)
		}
		if now += one; !b.Take(&rate, now) || b.Take(&rate, now) {
			t.Errorf("%+v: want one token after %d ns", rate, one)
		}
		// However long it is left alone, it holds no more than the burst.
		now += int64(1000 * time.Hour)
		if !b.Full(&rate, now) {
			t.Errorf("%+v: not full after long", rate)
		}
		for range rate.Burst {
			b.Take(&rate, now)
		}
		if b.Take(&rate, now) {
			t.Errorf("%+v: more than the burst after long", rate)
		}
	}
}

func TestSpendNeedsTheClockRarely(t *testing.T) {
	rate := Rate{Amount: 100, Per: time.Second, Burst: 80}
	var b Bucket
	now, looks := int64(0), 0
	spend := func() time.Duration {
		if b.Spend(1) {
			return 0
		}
		looks++
		return b.Owes(&rate, now)
	}
	passed := 0
	for spend() == 0 {
		passed++
	}
	if passed != 80 || looks > 2*slices {
		t.Errorf("%d passed with %d looks at the clock", passed, looks)
	}
	// At just the rate nothing has to wait, and above it as much as is above it.
	now += second / 50
	for i := range 10_000 {
		now += second / 100
		if wait := spend(); wait != 0 {
			t.Fatalf("event %d at the rate has to wait %s", i, wait)
		}
	}
	for range 1200 {
		now += second / 120
		spend()
	}
	if wait := spend(); wait < 1900*time.Millisecond || wait > 2100*time.Millisecond {
		t.Errorf("wait %s after ten seconds at 1.2 times the rate", wait)
	}
	// After a pause there are no more than the burst and one slice.
	now += 3600 * second
	passed = 0
	for spend() == 0 {
		passed++
	}
	if passed < 80 || passed > 90 {
		t.Errorf("%d passed after a pause", passed)
	}
}

func TestSpendOwes(t *testing.T) {
	rate := Rate{Amount: 1000, Per: time.Second, Burst: 8000}
	var b Bucket
	now := int64(7)
	spend := func(n int64) time.Duration {
		if b.Spend(n) {
			return 0
		}
		return b.Owes(&rate, now)
	}
	if wait := spend(8000); wait != 0 {
		t.Errorf("the burst has to wait %s", wait)
	}
	if wait := spend(500); wait != 500*time.Millisecond {
		t.Errorf("wait %s", wait)
	}
	// Who comes while something is owed waits for both.
	if wait := spend(500); wait != time.Second {
		t.Errorf("wait %s", wait)
	}
	now += second
	if wait := spend(0); wait != 0 {
		t.Errorf("wait %s after the wait", wait)
	}
	if wait := spend(1 << 50); wait != time.Duration(mostOwed) {
		t.Errorf("wait %s for an absurd amount", wait)
	}
}

func BenchmarkSpend(b *testing.B) {
	b.ReportAllocs()
	rate := Rate{Amount: 1 << 30, Per: time.Second, Burst: 2000}
	begun := time.Now()
	var bucket Bucket
	for b.Loop() {
		if !bucket.Spend(1) {
			bucket.Owes(&rate, int64(time.Since(begun)))
		}
	}
}
