package streams

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// viewersOf is the event that tells how many viewers a stream has.
func viewersOf(id string, n int) string {
	return fmt.Sprintf(`2["stream:viewers",{"streamId":%q,"viewers":%d}]`, id, n)
}

// lastCount is the last count of viewers that a client has got, and how many
// it has got.
func (c *client) lastCount() (text string, n int) {
	counts := c.Asides()
	if len(counts) == 0 {
		return "", 0
	}
	return counts[len(counts)-1], len(counts)
}

// expectCount waits until the client knows how many viewers there are.
func (c *client) expectCount(id string, n int) {
	c.T.Helper()
	eventstest.Eventually(c.T, fmt.Sprintf("%d viewers", n), func() bool {
		last, _ := c.lastCount()
		return last == viewersOf(id, n)
	})
}

// The owner and the viewers of a stream hear how many viewers there are when
// that changes: some join, leave, and go away.
func TestViewersAreCounted(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience})
			waiting, owner, bystander := s.Connect(), s.Connect(), s.Connect()
			waiting.join("one")
			owner.start("one")
			owner.expectCount("one", 1)
			waiting.expectCount("one", 1)
			viewers := make([]*client, 4)
			for i := range viewers {
				viewers[i] = s.Connect()
				viewers[i].join("one")
			}
			owner.expectCount("one", 5)
			viewers[0].expectCount("one", 5)
			viewers[0].Send(`2["stream:leave",{"streamId":"one"}]`)
			owner.expectCount("one", 4)
			viewers[1].Close()
			viewers[2].Send("1")
			owner.expectCount("one", 2)
			viewers[3].expectCount("one", 2)
			waiting.expectCount("one", 2)
			if _, n := bystander.lastCount(); n != 0 {
				t.Errorf("somebody who has not joined got %d counts", n)
			}
			// Joining twice counts once.
			viewers[3].join("one")
			viewers[3].Send(`2["stream:leave",{"streamId":"one"}]`)
			owner.expectCount("one", 1)
		})
	}
}

// Changes that come together are told together.
func TestViewersAreToldOfNowAndThen(t *testing.T) {
	s := newServer(t, &Set{})
	owner := s.Connect()
	begin := time.Now()
	owner.start("one")
	const viewers = 40
	for range viewers {
		s.Connect().join("one")
	}
	owner.expectCount("one", viewers)
	_, n := owner.lastCount()
	if most := int(time.Since(begin)/viewersInterval) + 1; n > most {
		t.Errorf("%d counts in %v", n, time.Since(begin))
	}
}

// Nobody is told of the viewers of a stream that has ended, nor of those of
// another that has taken its name.
func TestViewersOfAStreamThatHasEndedAreNotTold(t *testing.T) {
	s := newServer(t, &Set{})
	owner, viewer, other := s.Connect(), s.Connect(), s.Connect()
	viewer.join("one")
	owner.start("one")
	ended := s.table().get("one")
	owner.Send(`2["stream:stop",{"streamId":"one"}]`)
	owner.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	other.start("one")
	ended.tellViewers()
	other.expectCount("one", 1)
	eventstest.Eventually(t, "the count to be made", func() bool {
		table := s.table()
		table.mu.Lock()
		defer table.mu.Unlock()
		return !ended.counting && !table.byID["one"].counting
	})
	owner.ExpectNothing()
	if _, n := owner.lastCount(); n != 0 {
		t.Errorf("the former owner got %d counts", n)
	}
	if _, n := viewer.lastCount(); n != 1 {
		t.Errorf("the viewer got %d counts", n)
	}
}
