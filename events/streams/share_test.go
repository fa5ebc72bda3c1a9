package streams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// newNarrowServer starts a server that keeps a tenth of what others keep for late joiners: so a tenth
// has to be sent to fill it.
func newNarrowServer(t *testing.T, set *Set) (s *server, bytes int64) {
	s = newServer(t, set)
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	table.replays.Bound /= 10
	table.replays.Least /= 10
	return s, table.replays.Bound
}

// TestOneClientLeavesStreamsToOthers gives one client all the streams, and all the room for headers,
// that it can get. Ten others, half of them of the same address, start theirs nevertheless, each with
// a header.
func TestOneClientLeavesStreamsToOthers(t *testing.T) {
	for name, take := range map[string]func(evil *client){
		"streams": func(evil *client) {
			for i := range 1200 {
				evil.Send(fmt.Sprintf(`2["stream:start",{"streamId":"x%d"}]`, i))
			}
		},
		"headers": func(evil *client) {
			header := strings.Repeat("h", 90_000)
			for _, size := range []int{90_000, 10_000, 1000, 100} {
				for i := range 10 {
					evil.Send(fmt.Sprintf(`51-["stream:start",{"streamId":"y%d-%d","header":%s}]`, size, i, placeholder0), header[:size])
				}
			}
		},
		"first data": func(evil *client) {
			data := strings.Repeat("d", 90_000)
			for i := range 12 {
				evil.Send(fmt.Sprintf(`2["stream:start",{"streamId":"z%d"}]`, i))
				evil.Send(fmt.Sprintf(`2["stream:data",{"streamId":"z%d","text":%q}]`, i, data))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, most := newNarrowServer(t, &Set{Audience: AudienceSubscribers, Replay: ReplayFirst})
			evil := s.ConnectAs(eventstest.Who{Address: "192.0.2.1"})
			take(evil)
			if err := evil.Answers(); err != nil {
				t.Fatal(err)
			}
			table := s.table()
			table.mu.Lock()
			names, bytes := table.names.Held(), table.replays.Held()
			table.mu.Unlock()
			if names > DefaultMaxStreams/10 || bytes > most/10 {
				t.Errorf("one client has %d streams and %d bytes", names, bytes)
			}
			header := strings.Repeat("h", 10_000)
			for i := range 10 {
				honest := s.ConnectAs(eventstest.Who{Address: fmt.Sprint("192.0.2.", 1+i%2*(i+1))})
				for n := range 5 {
					honest.startWith(fmt.Sprintf("honest %d-%d", i, n), header)
				}
			}
		})
	}
}

// TestClientsOfOneAddressLeaveStreamsToOthers has very many clients of one address take all they can.
// A client of another one, and one more of theirs, start a stream with a header nevertheless.
func TestClientsOfOneAddressLeaveStreamsToOthers(t *testing.T) {
	s, _ := newNarrowServer(t, &Set{Audience: AudienceSubscribers, MaxStreams: 400})
	header := strings.Repeat("h", 100_000)
	for range 20 {
		evil := s.ConnectAs(eventstest.Who{Address: "192.0.2.1"})
		for i := range 50 {
			if i < 5 {
				evil.Send(fmt.Sprintf(`51-["stream:start",{"streamId":"%d of %s","header":%s}]`, i, evil.ID, placeholder0), header)
			}
			evil.Send(fmt.Sprintf(`2["stream:start",{"streamId":"%d more of %s"}]`, i, evil.ID))
		}
		if err := evil.Answers(); err != nil {
			t.Fatal(err)
		}
	}
	for i, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2"} {
		s.ConnectAs(eventstest.Who{Address: address}).startWith(fmt.Sprint("honest ", i), header[:10_000])
	}
}

// TestAnAddressThatComesAndGoesLeavesStreamsToOthers has one connection of an address after the other
// start streams and be cut off, so that the names are held. Clients of other addresses start theirs
// meanwhile, and once the address has used up all that it may have.
func TestAnAddressThatComesAndGoesLeavesStreamsToOthers(t *testing.T) {
	const most = 400
	s, _ := newNarrowServer(t, &Set{Audience: AudienceSubscribers, MaxStreams: most})
	header := strings.Repeat("h", 10_000)
	honest := 0
	start := func() {
		honest++
		c := s.ConnectAs(eventstest.Who{Address: fmt.Sprint("192.0.2.", 100+honest)})
		for n := range 4 {
			c.startWith(fmt.Sprintf("honest %d-%d", honest, n), header)
		}
	}
	for n := range 100 {
		evil := s.ConnectAs(eventstest.Who{Address: "192.0.2.1"})
		evil.Send(fmt.Sprintf(`51-9["stream:start",{"streamId":"left behind %d","header":%s}]`, n, placeholder0), header)
		for i := range 10 {
			evil.Send(fmt.Sprintf(`29["stream:start",{"streamId":"left behind %d-%d"}]`, n, i))
		}
		if err := evil.Answers(); err != nil {
			t.Fatal(err)
		}
		evil.Close()
		if n%20 == 0 {
			start()
		}
	}
	for range 5 {
		start()
	}
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	if held := table.names.Held(); held > most/2+int64(4*honest) {
		t.Errorf("one address has more than half of %d: with what %d others have it is %d", most, honest, held)
	}
}

// TestClientIsToldWhoseStreamsAreTooMany holds that a refusal says what the wish is over.
func TestClientIsToldWhoseStreamsAreTooMany(t *testing.T) {
	s := newServer(t, &Set{MaxStreams: 20})
	c := s.ConnectAs(eventstest.Who{Address: "192.0.2.1"})
	c.start("one")
	c.start("two")
	c.Send(`21["stream:start",{"streamId":"three"}]`)
	c.Expect(eventstest.RefusedAck(1, CodeTooManyStreams, "the client has started too many streams"))
	c.Expect(eventstest.Refusal(CodeTooManyStreams, "the client has started too many streams"))
	// What it has it may start again, and what it has stopped makes room.
	c.start("one")
	c.Send(`2["stream:stop",{"streamId":"one"}]`)
	c.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	c.start("three")
}
