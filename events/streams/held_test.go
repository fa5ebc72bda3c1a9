package streams

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/share"
)

// as connects a client that says its name, with all rights.
func (s *server) as(name string) *client {
	return s.ConnectAs(eventstest.Who{Auth: fmt.Sprintf(`{"name":%q}`, name)})
}

// refusedStart starts a stream and takes the refusal.
func (c *client) refusedStart(id, more string, want *refusal) {
	c.T.Helper()
	c.Send(fmt.Sprintf(`21["stream:start",{"streamId":%q%s}]`, id, more))
	c.Expect(eventstest.RefusedAck(1, want.code, want.message))
	c.Expect(eventstest.Refusal(want.code, want.message))
}

// cut ends the connection of a client as a network does that breaks, and waits until the server has
// dealt with that.
func (c *client) cut() {
	c.T.Helper()
	_ = c.Conn.Reset()
	c.Gone()
}

const wasCut = `2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`

// When the connection of an owner with an identity is lost, nobody else can take the name of its
// stream, or send data in it, before the owner is back.
func TestNameIsHeldForTheIdentityOfItsOwner(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, eventstest.Named{}, &Set{Audience: audience})
			viewer, eve, owner := s.as("bob"), s.as("eve"), s.as("ann")
			viewer.join("one")
			owner.start("one")
			viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
			owner.cut()
			viewer.Expect(wasCut)
			if audience == AudienceAll {
				eve.Expect(wasCut)
			}
			eve.refusedStart("one", "", streamTaken)
			eve.Send(`2["stream:data",{"streamId":"one"}]`)
			eve.Expect(eventstest.Refusal(CodeNotOwner, notOwner.message))
			// To stop it does not set it free.
			eve.Send(`2["stream:stop",{"streamId":"one"}]`)
			eve.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
			eve.refusedStart("one", "", streamTaken)
			viewer.ExpectNothing()

			back := s.as("ann")
			back.start("one")
			viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
			back.Send(`2["stream:data",{"streamId":"one"}]`)
			viewer.Expect(`2["stream:data",{"streamId":"one"}]`)
			// What the owner stops is anybody's.
			back.Send(`2["stream:stop",{"streamId":"one"}]`)
			back.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
			s.as("eve").start("one")
		})
	}
}

// An owner that nobody has identified is known by the secret that it was told.
func TestNameIsHeldForTheSecretOfItsOwner(t *testing.T) {
	s := newServer(t, &Set{})
	owner, eve := s.Connect(), s.Connect()
	secret := owner.startsWith("one", "")
	other := eve.startsWith("other", "")
	owner.cut()
	eve.Expect(wasCut)
	for _, guess := range []string{``, `,"secret":""`, `,"secret":"` + other + `"`, `,"secret":"` + secret[1:] + `"`} {
		eve.refusedStart("one", guess, streamTaken)
	}
	eve.Send(`2["stream:data",{"streamId":"one"}]`)
	eve.Expect(eventstest.Refusal(CodeNotOwner, notOwner.message))
	back := s.Connect()
	if again := back.startsWith("one", secret); again != secret {
		t.Errorf("the secret is %q, was %q", again, secret)
	}
	// Cut once more, it lets the name go on its next connection.
	back.cut()
	eve.Expect(wasCut)
	third := s.Connect()
	third.Send(fmt.Sprintf(`2["stream:stop",{"streamId":"one","secret":%q}]`, secret))
	third.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	eve.start("one")
}

// A name is free at once where its owner has left by itself, and where nobody could tell the owner
// from others.
func TestNameIsFreeOnceItsOwnerHasLeft(t *testing.T) {
	s := newServer(t, &Set{})
	leaves, unknown, other := s.Connect(), s.Connect(), s.Connect()
	leaves.startsWith("one", "")
	unknown.start("two")
	leaves.Send("1")
	leaves.Gone()
	unknown.cut()
	expectPast(other, `2["stream:stopped",{"status":"ok","streamId":"two","reason":"the owner has disconnected"}]`)
	other.start("one")
	other.start("two")
}

// A name is not held for ever, and what is held counts for the client that had it.
func TestHeldNamesEndAndCount(t *testing.T) {
	s := newServer(t, eventstest.Named{}, &Set{MaxStreams: 20})
	table := s.table()
	owner := s.as("ann")
	owner.start("one")
	owner.start("two")
	owner.cut()
	back := s.as("ann")
	back.refusedStart("three", "", tooMany[share.OverClient])
	back.start("two")
	back.refusedStart("three", "", tooMany[share.OverClient])
	table.mu.Lock()
	table.due[0].until = time.Now().Add(-time.Second)
	table.mu.Unlock()
	back.start("three")
	eve := s.as("eve")
	eve.start("one")
	table.mu.Lock()
	defer table.mu.Unlock()
	if len(table.held) != 0 || table.names.Held() != 3 {
		t.Errorf("%d names are held, %d count", len(table.held), table.names.Held())
	}
}

// However many streams somebody else starts and loses, a name stays held.
func TestHeldNamesGiveWayToNobody(t *testing.T) {
	s := newServer(t, eventstest.Named{}, &Set{Audience: AudienceSubscribers, MaxStreams: 200})
	owner := s.as("ann")
	owner.start("one")
	owner.cut()
	for round := range 5 {
		eve := s.ConnectAs(eventstest.Who{Address: fmt.Sprint("192.0.2.", round), Auth: fmt.Sprintf(`{"name":"eve %d"}`, round)})
		for i := range 300 {
			eve.Send(fmt.Sprintf(`2["stream:start",{"streamId":"%d of %d"}]`, i, round))
		}
		if err := eve.Answers(); err != nil {
			t.Fatal(err)
		}
		eve.Send(`21["stream:start",{"streamId":"one"}]`)
		if got := eve.Next().Text; !strings.Contains(got, CodeStreamTaken) {
			t.Fatalf("got %s", got)
		}
		eve.cut()
	}
	s.as("ann").start("one")
}
