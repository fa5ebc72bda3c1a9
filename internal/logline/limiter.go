// Package logline has what every layer needs to log what clients do: a limit
// for floods of equal lines, and text of a client's made fit for a line.
package logline

import (
	"sync"
	"time"
)

const (
	// First is how many lines of one kind a [Limiter] lets through before it
	// counts them.
	First = 10
	// Interval is how often a Limiter says how many it has counted.
	Interval = 10 * time.Second
)

// maxKinds bounds the memory of a limiter, and otherKind is what is beyond.
const (
	maxKinds  = 64
	otherKind = "other"
)

// Limiter keeps floods of equal lines out of a log. The first few of each kind
// pass, further ones are counted and reported once in an interval, until an
// interval has gone by without any. After each report one more passes, so that
// a long flood shows what it is made of now.
//
// The sampler of zap is not used, since it knows lines by their message alone,
// and drops them without a trace: here every line that was not written is in
// the count of one that was.
type Limiter struct {
	report func(kind string, more int64)

	mu    sync.Mutex
	kinds map[string]*flow
	// timer is nil while nothing is counted.
	timer *time.Timer
}

// flow is what has come of one kind.
type flow struct {
	since  time.Time
	passed int
	// flooded is true from the first line that did not pass until an interval
	// without any.
	flooded bool
	// sample is true when one may pass all the same.
	sample bool
	more   int64
}

// NewLimiter returns a limiter. report is called, by a goroutine of its own or
// by Flush, with the number of lines that did not pass since it was last
// called for that kind.
func NewLimiter(report func(kind string, more int64)) *Limiter {
	return &Limiter{report: report, kinds: make(map[string]*flow)}
}

// Allow reports whether a line may be written, and counts it if not. The kinds
// must come from a closed set: what a client says is not one.
func (l *Limiter) Allow(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.kinds[kind]
	if f == nil {
		if len(l.kinds) >= maxKinds {
			kind = otherKind
			f = l.kinds[kind]
		}
		if f == nil {
			f = &flow{since: time.Now()}
			l.kinds[kind] = f
		}
	}
	if !f.flooded {
		if now := time.Now(); now.Sub(f.since) >= Interval {
			f.since, f.passed = now, 0
		}
		if f.passed < First {
			f.passed++
			return true
		}
	}
	if f.sample {
		f.sample = false
		return true
	}
	f.flooded = true
	f.more++
	if l.timer == nil {
		l.timer = time.AfterFunc(Interval, l.tick)
	}
	return false
}

// tick reports, and goes on for as long as there is a flood.
func (l *Limiter) tick() {
	l.mu.Lock()
	more := l.takeLocked()
	for kind, f := range l.kinds {
		switch {
		case more[kind] > 0:
			f.sample = true
		case f.flooded:
			delete(l.kinds, kind)
		}
	}
	if len(more) > 0 {
		l.timer.Reset(Interval)
	} else {
		l.timer = nil
	}
	l.mu.Unlock()
	l.tell(more)
}

// Flush reports what has been counted. Call it at the end, so that nothing is
// lost.
func (l *Limiter) Flush() {
	l.mu.Lock()
	more := l.takeLocked()
	l.mu.Unlock()
	l.tell(more)
}

// takeLocked returns the counts, and begins anew.
func (l *Limiter) takeLocked() map[string]int64 {
	more := make(map[string]int64)
	for kind, f := range l.kinds {
		if f.more > 0 {
			more[kind], f.more = f.more, 0
		}
	}
	return more
}

func (l *Limiter) tell(more map[string]int64) {
	for kind, n := range more {
		l.report(kind, n)
	}
}
