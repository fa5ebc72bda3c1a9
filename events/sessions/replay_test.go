package sessions

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/share"
)

// giveUpAfter makes a join wait for its history for less long, for the time of a test.
func giveUpAfter(t *testing.T, limit time.Duration) {
	before := replayWait
	replayWait = limit
	t.Cleanup(func() { replayWait = before })
}

// size is how many bytes a packet has.
func size(r eventstest.Packet) int {
	bytes := len(r.Text)
	for _, binary := range r.Binary {
		bytes += len(binary)
	}
	return bytes
}

// visits joins a session and leaves it, and returns the bytes that were sent and got for it, and how
// many contents came, and were said to be missed.
func (c *client) visits(session string) (sent, got, contents, missed int, refused bool) {
	c.T.Helper()
	join, leave := joinText(session, "e"), fmt.Sprintf(`21["leave",{"sessionId":%q}]`, session)
	c.Send(join)
	answer, err := c.readAnswer()
	if err != nil {
		c.T.Fatal(err)
	}
	c.Send(leave)
	for {
		r := c.Next()
		got += size(r)
		switch {
		case strings.HasPrefix(r.Text, "31["):
			return len(join) + len(leave), got, contents, answer.Missed, !answer.Success
		case strings.HasPrefix(r.Text, "51-[") || strings.HasPrefix(r.Text, `2["content"`):
			contents++
		}
	}
}

// Who joins again and again is sent no more of what was shared than its bucket has, and is told what it
// misses.
func TestHistoryIsNotSentWithoutEnd(t *testing.T) {
	giveUpAfter(t, time.Millisecond)
	for name, throttle := range map[string][]Throttle{"by default": nil, "without a throttle": manyJoins} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, &Set{History: 100, HistorySize: 1_000_000, Throttle: throttle})
			a := s.Connect()
			a.enters("room", "a")
			for range 10 {
				a.says(`"content",{"sessionId":"room","content":`+placeholder0+`}`, strings.Repeat("h", 95_000))
			}
			hostile := s.Connect()
			begun := time.Now()
			all, refusals := 0, 0
			for range 250 {
				_, got, contents, missed, refused := hostile.visits("room")
				all += got
				if refused {
					refusals++
				} else if contents+missed != 10 {
					t.Fatalf("of 10 contents %d came, and %d are said to be missed", contents, missed)
				}
			}
			took := time.Since(begun).Seconds()
			allowed := replayBurst + replayRate*took + 250*2000
			if float64(all) > allowed {
				t.Errorf("got %d bytes, more than %.0f", all, allowed)
			}
			// By default 100 joins are taken at once, and then 10 a second.
			least := 0
			if throttle == nil {
				least = 250 - 100 - int(10*took) - 1
			}
			if refusals < least || throttle != nil && refusals > 0 {
				t.Errorf("%d joins were refused in %.1f s", refusals, took)
			}
			// Others are sent everything.
			if _, _, contents, missed, _ := s.Connect().visits("room"); contents != 10 || missed != 0 {
				t.Errorf("somebody else gets %d contents, and misses %d", contents, missed)
			}
		})
	}
}

// Within a bound, a join waits for its history and gets all of it.
func TestJoinWaitsForItsHistory(t *testing.T) {
	s := newServer(t, &Set{History: 100})
	a, b := s.Connect(), s.Connect()
	a.enters("room", "a")
	a.says(`"content",{"sessionId":"room","content":`+placeholder0+`}`, strings.Repeat("h", 95_000))
	b.visits("room")
	replays := s.table().replays
	begun := time.Now()
	replays.mu.Lock()
	for _, bucket := range replays.byKey {
		bucket.left, bucket.at = 0, begun
	}
	replays.mu.Unlock()
	if _, _, contents, missed, _ := b.visits("room"); contents != 1 || missed != 0 {
		t.Errorf("%d contents came, %d are said to be missed", contents, missed)
	}
	if took := time.Since(begun); took < 90*time.Millisecond {
		t.Errorf("it came after %s", took)
	}
}

// What one connection may is not more by leaving the namespace and connecting to it again.
func TestThrottleOutlastsTheSocket(t *testing.T) {
	s := newServer(t, &Set{Throttle: []Throttle{{"join", 2, time.Hour}}})
	c := s.Connect()
	for i := range 2 {
		c.enters(fmt.Sprint("room ", i), "Ann")
	}
	c.Send("1")
	c.Send("0")
	if r := c.Next(); !strings.HasPrefix(r.Text, `0{"sid"`) {
		t.Fatalf("want the answer to CONNECT, got %v", r)
	}
	c.Send(joinText("room 3", "Ann"))
	c.Expect(eventstest.RefusedAck(99, "throttled", messages["throttled"]))
}

// An address is sent more than a client, and yet not without end.
func TestHistoryOfAnAddressIsBounded(t *testing.T) {
	all := newBuckets()
	sent, begun := 0, time.Now()
	for i := range 1000 {
		a := &allowance{buckets: all, burst: replayBurst, who: share.Client{ID: i, Address: netip.MustParsePrefix(elsewhere + "/32")}}
		if wait := a.take(replayBurst, true); wait != 0 || a.bytes > replayBurst {
			t.Fatalf("one client is sent %d bytes, and waits %s", a.bytes, wait)
		}
		sent += a.bytes
	}
	least := replayClients * replayBurst
	most := least + int(replayClients*replayRate*time.Since(begun).Seconds()) + 1
	if sent < least-1000 || sent > most {
		t.Errorf("%d bytes are sent, want %d to %d", sent, least, most)
	}
}

// Buckets that are full are forgotten.
func TestFullBucketsAreForgotten(t *testing.T) {
	all := newBuckets()
	for i := range 100 * leastTidy {
		if !all.allow(i, 1e9, 1) {
			t.Fatal("a new bucket is empty")
		}
	}
	if got := len(all.byKey); got > 10*leastTidy {
		t.Errorf("%d buckets are known", got)
	}
}
