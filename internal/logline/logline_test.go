package logline

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told is what a limiter has reported.
type told struct {
	mu    sync.Mutex
	lines []string
	total map[string]int64
}

func (r *told) report(kind string, more int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprint(kind, " ", more))
	if r.total == nil {
		r.total = make(map[string]int64)
	}
	r.total[kind] += more
}

func (r *told) expect(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.lines, ", "); got != strings.Join(want, ", ") {
		t.Errorf("reported %q, want %q", got, want)
	}
	r.lines = nil
}

// allow asks n times, and returns how often the answer was yes.
func allow(l *Limiter, kind string, n int) (passed int) {
	for range n {
		if l.Allow(kind) {
			passed++
		}
	}
	return passed
}

func expect(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %d, want %d", what, got, want)
	}
}

func TestFloodIsCountedAndEndsAfterACalmInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r told
		l := NewLimiter(r.report)
		expect(t, "lines at once", allow(l, "a", 10_000), First)
		expect(t, "lines of another kind", allow(l, "b", 3), 3)
		r.expect(t)
		time.Sleep(Interval + time.Second)
		r.expect(t, "a 9990")
		expect(t, "lines while the flood goes on", allow(l, "a", 500), 1)
		time.Sleep(Interval)
		r.expect(t, "a 499")
		time.Sleep(Interval)
		r.expect(t)
		expect(t, "lines after the flood", allow(l, "a", 11), First)
		time.Sleep(Interval + time.Second)
		r.expect(t, "a 1")
		time.Sleep(Interval)
		r.expect(t)
	})
}

func TestSteadyTrickleIsNeverLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r told
		l := NewLimiter(r.report)
		for range 50 {
			expect(t, "lines", allow(l, "a", 1), 1)
			time.Sleep(Interval / First)
		}
		r.expect(t)
	})
}

func TestFlushReportsWhatIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r told
		l := NewLimiter(r.report)
		allow(l, "a", 25)
		l.Flush()
		r.expect(t, "a 15")
		l.Flush()
		r.expect(t)
	})
}

func TestKindsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r told
		l := NewLimiter(r.report)
		passed := 0
		for i := range 10_000 {
			passed += allow(l, fmt.Sprint(i), 1)
		}
		expect(t, "lines", passed, maxKinds+First)
		if got := len(l.kinds); got > maxKinds+1 {
			t.Errorf("%d kinds are kept", got)
		}
		l.Flush()
		r.expect(t, fmt.Sprint("other ", 10_000-maxKinds-First))
	})
}

func TestNothingIsLostBetweenGoroutines(t *testing.T) {
	var r told
	l := NewLimiter(r.report)
	const workers, each = 8, 1000
	var passed [workers]int
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for n := range each {
				passed[i] += allow(l, "a", 1)
				if n%100 == 0 {
					l.Flush()
				}
			}
		})
	}
	all.Wait()
	l.Flush()
	sum := int(r.total["a"])
	for _, n := range passed {
		sum += n
	}
	expect(t, "lines, written and counted", sum, workers*each)
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		name, text string
		most       int
		want       string
	}{
		{"plain", "Mozilla/5.0 (X11)", 32, "Mozilla/5.0 (X11)"},
		{"empty", "", 8, ""},
		{"exactly as long as may be", "12345678", 8, "12345678"},
		{"too long", "123456789", 8, "12345678…"},
		{"cut within a character", "aéé", 2, "a…"},
		{"no room at all", "é", 0, "…"},
		{"a line of its own", "x\nlevel=error", 32, `x\nlevel=error`},
		{"escape sequence", "\x1b[2J", 32, `\x1b[2J`},
		{"direction of text", "a\u202eb", 32, `a\u202eb`},
		{"no UTF-8", "a\xffb", 32, `a\xffb`},
		{"continuation bytes only", "\x80\x80\x80\x80", 2, "…"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Text(test.text, test.most); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
