// Package pace has a token bucket small enough for every connection to have
// one, and cheap enough for every message to be counted.
package pace

import (
	"math"
	"time"
)

// Rate is how fast a bucket fills. A nil Rate bounds nothing.
type Rate struct {
	// Amount is how many tokens come in each Per.
	Amount int64
	// Per is the time in which Amount tokens come.
	Per time.Duration
	// Burst is how many tokens a bucket holds.
	Burst int64
}

// WithDefaults returns the rate with what is zero filled in: Per is a second, and
// Burst what comes in a second, rounded up.
func (r *Rate) WithDefaults() *Rate {
	if r == nil || r.Per != 0 && r.Burst != 0 {
		return r
	}
	filled := *r
	if filled.Per == 0 {
		filled.Per = time.Second
	}
	if filled.Burst == 0 {
		filled.Burst = int64(math.Ceil(filled.PerSecond()))
	}
	return &filled
}

// PerSecond is how many tokens come in a second.
func (r *Rate) PerSecond() float64 { return float64(r.Amount) / r.Per.Seconds() }

// time is how long so many tokens take to come, within what can be counted.
func (r *Rate) time(tokens int64) int64 {
	const most = 1 << 61
	return int64(min(float64(tokens)*float64(r.Per)/float64(r.Amount), most))
}

// tokens is how many come in a time.
func (r *Rate) tokens(nanoseconds int64) int64 {
	return int64(float64(nanoseconds) * float64(r.Amount) / float64(r.Per))
}

// slice is how many tokens are taken out of a bucket in advance, so that most
// of what is counted needs no clock. A bucket may hold so many more than Burst.
func (r *Rate) slice() int64 { return r.Burst / slices }

const slices = 8

// mostOwed bounds what a bucket can owe, in nanoseconds.
const mostOwed = int64(24 * time.Hour)

// Bucket is a token bucket. It begins full. Its methods take the rate and, where
// they may need it, the clock, in nanoseconds: neither is kept for each bucket.
type Bucket struct {
	// since is the time from which on the tokens in the bucket have come, which
	// says how many there are. It is in the future for a bucket that owes some,
	// and zero for one that has not been used.
	since int64
	// left is how many tokens were taken out in advance; negative when more
	// were used than that.
	left int64
}

// settle makes sure that no more tokens are in the bucket than it holds. It
// reports whether the bucket was full.
func (b *Bucket) settle(r *Rate, now int64) (full bool) {
	whole := r.time(r.Burst)
	if b.since != 0 && now-b.since < whole {
		return false
	}
	b.set(now - whole)
	return true
}

// set sets since. Zero is taken.
func (b *Bucket) set(since int64) {
	if since == 0 {
		since = 1
	}
	b.since = since
}

// Take takes one token, if there is one. It is exact: nothing is taken in
// advance.
func (b *Bucket) Take(r *Rate, now int64) bool {
	b.settle(r, now)
	if r.tokens(now-b.since) < 1 {
		return false
	}
	b.set(b.since + r.time(1))
	return true
}

// Reserve takes one token, whether it is there or not, and returns how long it takes
// until it has come. It goes with Take.
func (b *Bucket) Reserve(r *Rate, now int64) time.Duration {
	b.settle(r, now)
	b.set(b.since + r.time(1))
	return time.Duration(max(b.since-now, 0))
}

// Full reports whether a bucket that is used with Take is full: it is then no
// different from a new one.
func (b *Bucket) Full(r *Rate, now int64) bool {
	return b.since == 0 || now-b.since >= r.time(r.Burst)
}

// Wait is how long it takes until there is a token.
func (b *Bucket) Wait(r *Rate, now int64) time.Duration {
	return time.Duration(max(b.since+r.time(1)-now, 0))
}

// Spend takes so many tokens, whether they are there or not, and reports
// whether they were taken out in advance. When it reports false, ask Owes.
func (b *Bucket) Spend(tokens int64) bool {
	b.left -= tokens
	return b.left >= 0
}

// Owes is called when Spend has reported false. It returns how long it takes
// until the bucket owes nothing, and takes some in advance when that is now.
func (b *Bucket) Owes(r *Rate, now int64) time.Duration {
	b.settle(r, now)
	b.set(min(b.since+r.time(-min(b.left, 0)), now+mostOwed))
	b.left = 0
	if b.since > now {
		return time.Duration(b.since - now)
	}
	if taken := min(r.tokens(now-b.since), r.slice()); taken > 0 {
		b.set(b.since + r.time(taken))
		b.left = taken
	}
	return 0
}
