package events_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
)

func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ended, end := context.WithCancel(context.Background())
		end()
		if !events.Rest(ended, 0) || time.Since(began) != 0 {
			t.Error("nothing was waited for")
		}
		if !events.Rest(context.Background(), time.Second) || time.Since(began) != time.Second {
			t.Errorf("it took %s, want 1s", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if events.Rest(ctx, time.Hour) || time.Since(began) != 2*time.Second {
			t.Errorf("it ended after %s, want 2s, and it was not told", time.Since(began))
		}
	})
}
