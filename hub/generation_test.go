package hub

import (
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestFreshConnections holds that a connection counts until its first request, its hijacking or its
// end, and not again.
func TestFreshConnections(t *testing.T) {
	var fresh freshConns
	conns := make([]net.Conn, 4)
	for i := range conns {
		client, server := net.Pipe()
		t.Cleanup(func() { _, _ = client.Close(), server.Close() })
		conns[i] = server
		fresh.note(server, http.StateNew)
	}
	for _, step := range []struct {
		conn  int
		state http.ConnState
		want  int
	}{
		{0, http.StateActive, 3}, {0, http.StateIdle, 3}, {0, http.StateActive, 3}, {0, http.StateClosed, 3},
		{1, http.StateClosed, 2}, {2, http.StateActive, 1}, {2, http.StateHijacked, 1}, {3, http.StateActive, 0}, {3, http.StateIdle, 0},
	} {
		fresh.note(conns[step.conn], step.state)
		if got := fresh.count(); got != step.want {
			t.Errorf("after connection %d was %v: %d are fresh, want %d", step.conn, step.state, got, step.want)
		}
	}
	var group sync.WaitGroup
	for _, conn := range conns {
		group.Go(func() {
			for range 1000 {
				fresh.note(conn, http.StateNew)
				fresh.note(conn, http.StateActive)
			}
		})
	}
	group.Wait()
	if got := fresh.count(); got != 0 {
		t.Errorf("%d are fresh in the end", got)
	}
}

// TestHandOverIsForThoseWhoHold holds that a config that comes to nothing does not open the gate of
// another's handover.
func TestHandOverIsForThoseWhoHold(t *testing.T) {
	old, failed := &generation{holding: true}, new(generation)
	failed.watch(new(caddyhttp.Server))
	handover.shut()
	t.Cleanup(handover.open)
	failed.handOver()
	if !handover.isShut() {
		t.Error("the gate is open")
	}
	old.handOver()
	if handover.isShut() {
		t.Error("the gate is still shut")
	}
}

// TestPatienceIsCountedInTicks holds that a process which gets few of its ticks waits longer for its
// clients, that those who are gone are not waited for, and that all of it is bounded.
func TestPatienceIsCountedInTicks(t *testing.T) {
	for _, test := range []struct {
		name string
		tick time.Duration
		away func(since time.Duration) int
		want time.Duration
	}{
		{"everybody is there", time.Millisecond, func(time.Duration) int { return 0 }, 0},
		{"one is gone", time.Millisecond, func(time.Duration) int { return 1 }, gatherPatience * time.Millisecond},
		{"a starved process, whose client comes late", 15 * time.Millisecond, func(since time.Duration) int {
			if since < 1500*time.Millisecond {
				return 1
			}
			return 0
		}, 1500 * time.Millisecond},
		{"a starved process, whose client is gone", time.Second / 4, func(time.Duration) int { return 1 }, maxGatherTime},
		{"more and more come", time.Millisecond, func(since time.Duration) int { return 1000 - int(since/(100*time.Millisecond)) }, maxGather * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				ticker := time.NewTicker(test.tick)
				defer ticker.Stop()
				awaitPollers(ticker.C, func() int { return test.away(time.Since(begun)) })
				if took := time.Since(begun); took < test.want || took > test.want+2*test.tick {
					t.Errorf("waited for %v, want %v", took, test.want)
				}
			})
		})
	}
}

// TestAnswersAreNotHeldForLong holds that they go out also where the servers take long to stop.
func TestAnswersAreNotHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &generation{holding: true}
		ticker := time.NewTicker(handoverTick)
		defer ticker.Stop()
		begun := time.Now()
		g.awaitHandover(ticker.C)
		if took := time.Since(begun); g.holding || took != maxHandover*handoverTick {
			t.Errorf("after %v: they are held back: %v", took, g.holding)
		}
	})
}
