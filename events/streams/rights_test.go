package streams

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// limited connects a client that may join, and start, the streams that begin with "own-".
func (s *server) limited(more string) *client {
	return s.ConnectAs(eventstest.Who{Auth: `{"name":"ada","rooms":["stream:own-*"]` + more + `}`})
}

// TestOnlyStreamsOneMayJoinAreJoined holds that the header of a stream, which is sent before the
// room is joined, does not reach those who may not join it.
func TestOnlyStreamsOneMayJoinAreJoined(t *testing.T) {
	s := newServer(t, eventstest.Named{}, &Set{Audience: AudienceSubscribers, Replay: ReplayFirst})
	owner, viewer := s.as("bob"), s.limited("")
	for _, id := range []string{"own-1", "other"} {
		owner.start(id)
		owner.Send(`22["stream:data",{"streamId":"` + id + `","chunk":"first of ` + id + `"}]`)
		owner.Expect(`32[{"success":true}]`)
	}
	viewer.Send(`23["stream:join",{"streamId":"other"}]`)
	viewer.Expect(eventstest.RefusedAck(3, CodeForbidden, mayNotJoin.message))
	viewer.Expect(eventstest.Refusal(CodeForbidden, mayNotJoin.message))
	if before := viewer.join("own-1"); len(before) != 1 || !strings.Contains(before[0].Text, "first of own-1") {
		t.Errorf("got %v", before)
	}
	viewer.ExpectNothing()
}

// TestNothingTellsOfStreamsOneMayNotStart holds that who may not start a stream cannot find out
// whether there is one, nor have others told of it.
func TestNothingTellsOfStreamsOneMayNotStart(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, eventstest.Named{}, &Set{Audience: audience})
			owner, viewer, stranger := s.as("bob"), s.as("cat"), s.limited("")
			viewer.join("other")
			owner.start("other")
			viewer.Expect(`2["stream:started",{"status":"ok","streamId":"other"}]`)
			owner.expectCount("other", 1)
			for _, id := range []string{`"other"`, `"nobody's"`} {
				for _, event := range []string{"stream:start", "stream:data", "stream:stop"} {
					stranger.Send(`21["` + event + `",{"streamId":` + id + `}]`)
					stranger.Expect(eventstest.RefusedAck(1, CodeForbidden, mayNotStart.message))
					stranger.Expect(eventstest.Refusal(CodeForbidden, mayNotStart.message))
				}
				stranger.Send(`22["stream:leave",{"streamId":` + id + `}]`)
				stranger.Expect(`32[{"success":true}]`)
			}
			// Data that names no stream is that of the stream without a name.
			stranger.Send(`21["stream:data","anything"]`)
			stranger.Expect(eventstest.RefusedAck(1, CodeForbidden, mayNotStart.message))
			stranger.Expect(eventstest.Refusal(CodeForbidden, mayNotStart.message))
			if audience == AudienceAll {
				owner.Send(`2["stream:data","anything"]`)
				viewer.Expect(`2["stream:data","anything"]`)
			}
			viewer.ExpectNothing()
			owner.ExpectNothing()
			stranger.ExpectNothing()
			table := s.table()
			table.mu.Lock()
			defer table.mu.Unlock()
			if table.byID["other"].counting {
				t.Error("viewers are counted although none has left")
			}
		})
	}
}

// TestDataReachesThoseWhoMayJoinNow holds that data to everyone goes by the rights that a client has
// now, and that an owner which may not start its stream any more does not go on with it.
func TestDataReachesThoseWhoMayJoinNow(t *testing.T) {
	s := newServer(t, eventstest.Named{}, &Set{})
	owner, viewer, all := s.limited(""), s.limited(""), s.as("cat")
	owner.start("own-1")
	data := `2["stream:data",{"streamId":"own-1","n":1}]`
	owner.Send(data)
	viewer.Expect(data)
	all.Expect(data)
	viewer.Send(`21["auth:refresh",{"name":"ada","rooms":["stream:other"]}]`)
	viewer.Expect(`31[{"success":true,"expiresAt":null}]`)
	owner.Send(data)
	all.Expect(data)
	owner.Send(`21["auth:refresh",{"name":"ada","rooms":["stream:own-*"],"start":["stream:own-2"]}]`)
	owner.Expect(`31[{"success":true,"expiresAt":null}]`)
	const stopped = `2["stream:stopped",{"status":"ok","streamId":"own-1","reason":"the owner may not start it any more"}]`
	owner.Expect(stopped)
	all.Expect(stopped)
	owner.Send(data)
	owner.Expect(eventstest.Refusal(CodeForbidden, mayNotStart.message))
	viewer.ExpectNothing()
	all.ExpectNothing()
	// The name is not held for one who may not have it.
	all.start("own-1")
}

// TestRecheckTakesStreamsAway holds that rights which a recheck takes away are taken from those who are
// in.
func TestRecheckTakesStreamsAway(t *testing.T) {
	s := newServer(t, &Set{})
	owner, viewer, all := s.limited(""), s.limited(""), s.as("cat")
	owner.start("other")
	all.join("other")
	data := `2["stream:data",{"streamId":"other","n":1}]`
	owner.Send(data)
	viewer.Expect(data)
	all.Expect(data)
	if err := s.UseSets(eventstest.Named{}, &Set{}); err != nil {
		t.Fatal(err)
	}
	s.Of("/").Recheck()
	const stopped = `2["stream:stopped",{"status":"ok","streamId":"other","reason":"the owner may not start it any more"}]`
	owner.Expect(stopped)
	all.Expect(stopped)
	eventstest.Eventually(t, "the rights to count", func() bool { return !viewer.mayStart(s, "other") })
}

// mayStart reports whether the client may start a stream now.
func (c *client) mayStart(s *server, id string) bool {
	return s.Of("/").Find(c.ID).MayStart(room(id))
}

// TestViewerThatIsRecognizedKeepsItsPlace holds that a viewer that has joined with a secret may be given
// rights that list the rooms of streams, and no others.
func TestViewerThatIsRecognizedKeepsItsPlace(t *testing.T) {
	s := newServer(t, eventstest.Named{}, &Set{Audience: AudienceSubscribers})
	owner, viewer := s.as("bob"), s.as("ada")
	owner.start("one")
	viewer.Send(`21["stream:join",{"streamId":"one","secret":"a secret of the viewer"}]`)
	viewer.Expect(`31[{"success":true,"stream":{"streamId":"one","live":true,"viewers":1}}]`)
	viewer.Send(`22["auth:refresh",{"name":"ada","rooms":["stream:*"]}]`)
	viewer.Expect(`32[{"success":true,"expiresAt":null}]`)
	owner.Send(`2["stream:data",{"streamId":"one","chunk":1}]`)
	viewer.Expect(`2["stream:data",{"streamId":"one","chunk":1}]`)
	viewer.Send(`23["auth:refresh",{"name":"ada","rooms":["stream:two"]}]`)
	viewer.Expect(eventstest.RefusedAck(3, "forbidden", "not authorized"))
}
