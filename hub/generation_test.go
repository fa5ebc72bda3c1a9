package hub

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
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

// TestPlanIsInForceOnceTheConfigBeforeEnds holds that a config which has started, and may still fail,
// changes neither options nor times of a hub that another has, and shows no hub of its own, and that
// its plans are in force once that one ends.
func TestPlanIsInForceOnceTheConfigBeforeEnds(t *testing.T) {
	kept := newTestHub(t, "kept")
	// configure is what Join does.
	configure := func(key string, drain time.Duration, hubs ...*hub) (g *generation, end func()) {
		var claims []*Claim
		for _, h := range hubs {
			c := &Claim{hub: h, plan: &Plan{Hub: h.name, Drain: drain}, generation: key, logger: slog.New(slog.DiscardHandler)}
			if err := h.take(c); err != nil {
				t.Fatal(err)
			}
			g = joinGeneration(caddy.Context{Context: t.Context()}, key)
			g.add(c)
			claims = append(claims, c)
		}
		return g, func() {
			for _, c := range claims {
				_ = c.Leave()
			}
		}
	}
	expect := func(when string, drain time.Duration) {
		t.Helper()
		if kept.drainTime() != drain {
			t.Errorf("%s: the hub drains for %v, want %v", when, kept.drainTime(), drain)
		}
	}
	first, endFirst := configure("first", 10*time.Second, kept)
	if Find("kept") != nil {
		t.Error("it is shown before its config runs")
	}
	first.start(0)
	expect("the first runs", 10*time.Second)
	if Find("kept") != kept.server || Find(Default) != kept.server {
		t.Error("it is not shown")
	}

	other := newTestHub(t, "other")
	failed, endFailed := configure("failed", 20*time.Second, kept, other)
	failed.start(time.Second)
	expect("another has started", 10*time.Second)
	endFailed()
	expect("it has failed", 10*time.Second)
	if Find("other") != nil || other.wasShown.Load() {
		t.Error("a hub of a config that has failed was shown")
	}

	other = newTestHub(t, "other")
	second, endSecond := configure("second", 30*time.Second, kept, kept, other)
	beginNext(first)
	expect("the first ends before the second has started", 10*time.Second)
	second.start(5 * time.Second)
	expect("the second has started", 10*time.Second)
	beginNext(first)
	expect("the first ends", 5*time.Second)
	if Find("other") != other.server || Find(Default) != nil {
		t.Error("the other hub is not shown")
	}
	endFirst()
	expect("it has ended", 5*time.Second)

	// A config may end without saying so.
	third, endThird := configure("third", 40*time.Second, kept)
	third.start(0)
	expect("the third has started", 5*time.Second)
	endSecond()
	expect("the second is gone", 40*time.Second)
	endThird()
}

// newTestHub makes a hub that ends with the test.
func newTestHub(t *testing.T, name string) *hub {
	t.Helper()
	h, err := newHub(caddy.Context{Context: t.Context()}, &Plan{Hub: name, Drain: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.server.Close)
	t.Cleanup(h.hide)
	return h
}
