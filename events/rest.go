package events

import (
	"context"
	"time"
)

// Rest waits for a time. It reports false when ctx ends before that, as that of an event does when its
// client goes. It does not wait where the time is zero.
func Rest(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
