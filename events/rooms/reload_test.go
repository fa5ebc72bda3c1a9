package rooms_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// A changed program finds everybody in the rooms where they are, in the order in which they have joined.
func TestProgramThatChangesKeepsRooms(t *testing.T) {
	s := serve(t, "on join <room> join {room}")
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	for _, client := range []*eventstest.Client{a, b, c} {
		client.Send(`21["join","r"]`)
		client.Expect(`31[{"success":true}]`)
	}
	use := func(block string) {
		t.Helper()
		if err := s.UseSets(declared(t, block)); err != nil {
			t.Fatal(err)
		}
	}
	use(`
		on list <room> {
			others to {room} emit asked
			ack {members}
		}
		on disconnecting <room> to {room} emit left {members}
	`)
	a.Send(`22["list","r"]`)
	a.Expect(fmt.Sprintf(`32[[%q,%q,%q]]`, a.ID, b.ID, c.ID))
	b.Expect(`2["asked"]`)
	c.Expect(`2["asked"]`)
	a.Send(`23["join","r"]`)
	a.Expect(eventstest.RefusedAck(3, "unknown_event", "unknown event"))
	b.Close()
	a.Expect(fmt.Sprintf(`2["left",[%q,%q]]`, a.ID, c.ID))
	c.Expect(fmt.Sprintf(`2["left",[%q,%q]]`, a.ID, c.ID))

	// Who goes while nothing is declared is not in the rooms of a later program.
	if err := s.UseSets(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Gone()
	use(`
		on list <room> {
			to {room} emit asked
			ack {members} {members.count}
		}
	`)
	a.Send(`24["list","r"]`)
	a.Expect(fmt.Sprintf(`34[[%q],1]`, a.ID))
}

// Whoever joins and leaves at the same time, all that stay end up with the same list, which is right.
func TestAllHearOfARoomInTheSameOrder(t *testing.T) {
	const clients, times = 6, 20
	s := serve(t, `
		on join <room> {
			join {room}
			to {room} all emit members {members}
		}
		on leave <room> {
			leave {room}
			to {room} emit members {members}
		}
	`)
	var all []*eventstest.Client
	for range clients {
		all = append(all, s.Connect())
	}
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() {
			for range times {
				for _, text := range []string{`2["join","r"]`, `2["leave","r"]`, `2["join","r"]`} {
					if err := c.TrySend(text); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	running.Wait()
	// The first time through, all that was sent is handled; the second time, all that came of it is read.
	for range 2 {
		for _, c := range all {
			if _, err := c.CatchUp(); err != nil {
				t.Fatal(err)
			}
		}
	}
	all[0].Send(`2["join","r"]`)
	want := all[0].Next()
	for _, c := range all[1:] {
		if got := c.Next(); got.String() != want.String() {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
