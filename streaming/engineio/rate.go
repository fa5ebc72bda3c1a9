package engineio

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// Rate is the rate of a token bucket: each thing that is bounded takes a token.
// A nil Rate bounds nothing.
type Rate struct {
	// Amount is how many tokens come in each Per.
	Amount int64
	// Per is the time in which Amount tokens come. Default: 1 s.
	Per time.Duration
	// Burst is how many tokens the bucket holds, and so how much may come at once
	// after a time in which little came. Default: the tokens of one second, rounded
	// up.
	Burst int64
}

// WithDefaults returns the rate with its defaults filled in, nil for nil.
func (r *Rate) WithDefaults() *Rate { return (*Rate)(r.pace().WithDefaults()) }

// pace returns the rate in the form that buckets take.
func (r *Rate) pace() *pace.Rate { return (*pace.Rate)(r) }
