package rooms

import (
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// A client that has lists of members told again and again is slowed down, and nobody else is.
func TestListsAreNotToldWithoutEnd(t *testing.T) {
	s := eventstest.NewServer(t, &Set{Program: lang.Program{On: []lang.Handler{{
		Event: "join", Args: []string{"room"},
		Do: []lang.Step{{Do: "join", Room: "{room}"}, {Do: "ack", Values: []string{"{members.count}"}}},
	}, {
		Event: "list", Args: []string{"room"},
		Do: []lang.Step{{Do: "join", Room: "{room}"}, {Do: "ack", Values: []string{"{members}"}}},
	}}}})
	a, b := s.Connect(), s.Connect()
	for _, c := range []*eventstest.Client{a, b} {
		c.Send(`21["join","kitchen"]`)
		c.Next()
	}
	// A list of two counts as two of two members, so that the third one has to wait.
	const cost, seconds = 2 * 2 * listedMember, 0.5
	lists := &streaming.State(s.Of("/"), newBooks).lists
	lists.Rate, lists.Burst = cost/seconds, cost
	begin := time.Now()
	for range 3 {
		a.Send(`22["list","kitchen"]`)
	}
	b.Send(`22["list","kitchen"]`)
	b.Next()
	for range 3 {
		a.Next()
	}
	if took := time.Since(begin).Seconds(); took < seconds {
		t.Errorf("three lists took %v s, want at least %v", took, seconds)
	}
}

// TestListsOfAnAddressAreNotToldWithoutEnd has three clients of one address tell a list each, which is
// more than the address may have told at once.
func TestListsOfAnAddressAreNotToldWithoutEnd(t *testing.T) {
	s := eventstest.NewServer(t, &Set{Program: lang.Program{On: []lang.Handler{{
		Event: "join", Args: []string{"room"},
		Do: []lang.Step{{Do: "join", Room: "{room}"}, {Do: "ack", Values: []string{"{members.count}"}}},
	}, {
		Event: "list", Args: []string{"room"},
		Do: []lang.Step{{Do: "join", Room: "{room}"}, {Do: "ack", Values: []string{"{members}"}}},
	}}}})
	clients := []*eventstest.Client{s.Connect(), s.Connect(), s.Connect()}
	for _, c := range clients {
		c.Send(`21["join","kitchen"]`)
		c.Next()
	}
	const cost, seconds = 3 * 3 * listedMember, 0.5
	lists := &streaming.State(s.Of("/"), newBooks).lists
	lists.Rate, lists.Burst, lists.Clients = cost/seconds, cost, 1
	begin := time.Now()
	for _, c := range clients {
		c.Send(`22["list","kitchen"]`)
	}
	for _, c := range clients {
		c.Next()
	}
	if took := time.Since(begin).Seconds(); took < seconds {
		t.Errorf("three lists took %v s, want at least %v", took, seconds)
	}
}
