package events

import (
	"fmt"
	"testing"
	"time"
)

// viewersOf is the event that tells how many viewers a stream has.
func viewersOf(id string, n int) string {
	return fmt.Sprintf(`2["stream:viewers",{"streamId":%q,"viewers":%d}]`, id, n)
}

// lastCount is the last count of viewers that a client has got, and how many
// it has got.
func (c *client) lastCount() (text string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.counts) == 0 {
		return "", 0
	}
	return c.counts[len(c.counts)-1], len(c.counts)
}

// expectCount waits until the client knows how many viewers there are.
func (c *client) expectCount(id string, n int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d viewers", n), func() bool {
		last, _ := c.lastCount()
		return last == viewersOf(id, n)
	})
}

// The owner and the viewers of a stream hear how many viewers there are when
// that changes: some join, leave, and go away.
func TestViewersAreCounted(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newService(t, &Streaming{Audience: audience})
			waiting, owner, bystander := s.connect(), s.connect(), s.connect()
			waiting.join("one")
			owner.start("one")
			owner.expectCount("one", 1)
			waiting.expectCount("one", 1)
			viewers := make([]*client, 4)
			for i := range viewers {
				viewers[i] = s.connect()
				viewers[i].join("one")
			}
			owner.expectCount("one", 5)
			viewers[0].expectCount("one", 5)
			viewers[0].send(`2["stream:leave",{"streamId":"one"}]`)
			owner.expectCount("one", 4)
			viewers[1].close()
			viewers[2].send("1")
			owner.expectCount("one", 2)
			viewers[3].expectCount("one", 2)
			waiting.expectCount("one", 2)
			if _, n := bystander.lastCount(); n != 0 {
				t.Errorf("somebody who has not joined got %d counts", n)
			}
			// Joining twice counts once.
			viewers[3].join("one")
			viewers[3].send(`2["stream:leave",{"streamId":"one"}]`)
			owner.expectCount("one", 1)
		})
	}
}

// Changes that come together are told together.
func TestViewersAreToldOfNowAndThen(t *testing.T) {
	s := newService(t, &Streaming{})
	owner := s.connect()
	begin := time.Now()
	owner.start("one")
	const viewers = 40
	for range viewers {
		s.connect().join("one")
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
	s := newService(t, &Streaming{})
	owner, viewer, other := s.connect(), s.connect(), s.connect()
	viewer.join("one")
	owner.start("one")
	ended := s.streamsOf().get("one")
	owner.send(`2["stream:stop",{"streamId":"one"}]`)
	owner.expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	other.start("one")
	ended.tellViewers()
	other.expectCount("one", 1)
	eventually(t, "the count to be made", func() bool {
		table := s.streamsOf()
		table.mu.Lock()
		defer table.mu.Unlock()
		return !ended.counting && !table.byID["one"].counting
	})
	owner.expectNothing()
	if _, n := owner.lastCount(); n != 0 {
		t.Errorf("the former owner got %d counts", n)
	}
	if _, n := viewer.lastCount(); n != 1 {
		t.Errorf("the viewer got %d counts", n)
	}
}
