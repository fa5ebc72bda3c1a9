package streams

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// TestHeadersAreNotSentWithoutEnd holds that who joins a stream again and again is sent its header at a
// rate, and that nobody else waits for that.
func TestHeadersAreNotSentWithoutEnd(t *testing.T) {
	const size, burst, rate, joins = 10_000, 50_000, 40_000, 12
	s := newServer(t, &Set{Audience: AudienceSubscribers})
	s.table().sent.Burst, s.table().sent.Rate = burst, rate
	owner, hostile := s.Connect(), s.Connect()
	owner.startWith("one", strings.Repeat("h", size))
	begun := time.Now()
	for i := range joins {
		before := hostile.join("one")
		if len(before) != 1 || len(before[0].Binary) != 1 || len(before[0].Binary[0]) != size {
			t.Fatalf("join %d is answered %d packets", i, len(before))
		}
		hostile.Send(`2["stream:leave",{"streamId":"one"}]`)
	}
	// The last one has waited for all before it, but for the burst.
	if took, least := time.Since(begun), time.Second*((joins-1)*size-burst)/rate; took < least {
		t.Errorf("%d headers came within %s, want %s at least", joins, took, least)
	}
	begun = time.Now()
	for i := range 10 {
		other := s.ConnectAs(eventstest.Who{Address: fmt.Sprint("192.0.2.", i%5)})
		if before := other.join("one"); len(before) != 1 {
			t.Errorf("another viewer gets %d packets", len(before))
		}
	}
	if took := time.Since(begun); took > eventstest.Patience/4 {
		t.Errorf("others had to wait for %s", took)
	}
	// One that goes while it waits is not waited for.
	hostile.Send(joinOf(0))
	hostile.Send(strings.ReplaceAll(joinOf(0), "stream 0", "one"))
	hostile.cut()
}

// TestRefusalsAndAnswersAreShort holds how much a client has sent to it, and to others, by events that cost
// it little.
func TestRefusalsAndAnswersAreShort(t *testing.T) {
	s := newServer(t, &Set{})
	owner, c := s.Connect(), s.Connect()
	owner.start("taken")
	for _, event := range []string{
		`2["stream:start"]`, `20["stream:start",{"streamId":"taken"}]`, `20["stream:stop",{"streamId":"taken"}]`,
		`20["stream:data",{"streamId":"taken"}]`, `20["stream:join",{"streamId":""}]`, `20["stream:join",{"streamId":"a"}]`,
		`20["stream:leave",{"streamId":"a"}]`, `20["nobody's event"]`, `20["stream:start",{"streamId":"a"}]`,
	} {
		c.Send(event)
		came, err := c.CatchUp()
		if err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for _, packet := range came {
			bytes += len(packet.Text)
		}
		if bytes == 0 || bytes > 12*len(event) {
			t.Errorf("%s has %d bytes sent: %v", event, bytes, came)
		}
		owner.ExpectNothing()
	}
}
