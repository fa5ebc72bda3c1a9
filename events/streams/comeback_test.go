package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

const watching = "a secret of the viewer's own choice"

// startsWith starts a stream, shows a secret if there is one, and returns the secret of the answer.
func (c *client) startsWith(id, secret string) string {
	c.T.Helper()
	shown := ""
	if secret != "" {
		shown = fmt.Sprintf(`,"secret":%q`, secret)
	}
	c.Send(fmt.Sprintf(`298["stream:start",{"streamId":%q%s}]`, id, shown))
	c.Expect(fmt.Sprintf(`2["stream:started",{"status":"ok","streamId":%q}]`, id))
	var answer struct{ Secret string }
	text := c.Next().Text
	if err := json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(text, "398["), "]")), &answer); err != nil {
		c.T.Fatalf("%s: %v", text, err)
	}
	return answer.Secret
}

// joinsWith joins a stream with a secret and takes the answer.
func (c *client) joinsWith(id, secret string, viewers int) {
	c.T.Helper()
	c.Send(fmt.Sprintf(`297["stream:join",{"streamId":%q,"secret":%q}]`, id, secret))
	c.Expect(fmt.Sprintf(`397[{"success":true,"stream":{"streamId":%q,"live":true,"viewers":%d}}]`, id, viewers))
}

// expectReplaced takes what a connection is told whose client has a stream on another one, and the end
// of it.
func (c *client) expectReplaced(id string) {
	c.T.Helper()
	c.Expect(fmt.Sprintf(`2["error",{"message":"the client is back on another connection","code":"replaced","streamId":%q}]`, id))
	c.Expect("1")
	if r, err := c.Read(); err == nil {
		c.T.Fatalf("want the end, got %v", r)
	}
	c.Gone()
}

// An owner that is back while its old connection still counts as alive goes on with its stream. The
// viewers hear nothing of it.
func TestOwnerGoesOnWithItsStream(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience, Replay: ReplayFirst, MaxStreams: 1})
			old, viewer := s.Connect(), s.Connect()
			secret := old.startsWith("one", "")
			viewer.join("one")
			old.Send(`2["stream:data",{"streamId":"one","n":1}]`)
			viewer.Expect(`2["stream:data",{"streamId":"one","n":1}]`)

			back := s.Connect()
			if again := back.startsWith("one", secret); again != secret {
				t.Errorf("the secret is %q, was %q", again, secret)
			}
			old.expectReplaced("one")
			back.Send(`2["stream:data",{"streamId":"one","n":2}]`)
			viewer.Expect(`2["stream:data",{"streamId":"one","n":2}]`)
			back.expectCount("one", 1)
			// What was kept for late joiners still is; and the answer may be lost once more.
			late, third := s.Connect(), s.Connect()
			if before := late.join("one"); len(before) != 1 || before[0].Text != `2["stream:data",{"streamId":"one","n":1}]` {
				t.Errorf("a late joiner gets %v", before)
			}
			third.startsWith("one", secret)
			back.expectReplaced("one")
			viewer.ExpectNothing()
			if owned := s.owners(); owned != 1 || s.Figure(startedFigure) != 1 {
				t.Errorf("%d owners", owned)
			}
			third.Send(`2["stream:stop",{"streamId":"one"}]`)
			third.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
			viewer.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
		})
	}
}

// With a header the stream begins anew, as it does when an owner starts it again.
func TestOwnerThatIsBackMayBeginAnew(t *testing.T) {
	s := newServer(t, &Set{})
	old, viewer, back := s.Connect(), s.Connect(), s.Connect()
	viewer.join("one")
	old.startWith("one", "first")
	viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	viewer.Expect(headerData, "first")
	secret := s.table().get("one").secret
	back.Send(fmt.Sprintf(`51-["stream:start",{"streamId":"one","secret":%q,"header":%s}]`, secret, placeholder0), "second")
	back.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	old.expectReplaced("one")
	viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	viewer.Expect(headerData, "second")
	viewer.ExpectNothing()
	expectReplay(t, s.Connect(), eventstest.Packet{Text: headerData, Binary: []string{"second"}})
	if got, want := s.kept(), s.table().get("one").replay.Load().Size(); got != want {
		t.Errorf("%d bytes are kept, want %d", got, want)
	}
}

// What others can know of a stream is not enough to take it.
func TestStreamIsNotTakenByWhatIsPublic(t *testing.T) {
	s := newServer(t, &Set{})
	owner, viewer, eve := s.Connect(), s.Connect(), s.Connect()
	secret := owner.startsWith("one", "")
	viewer.join("one")
	other := eve.startsWith("other", "")
	for _, guess := range []string{
		``, `,"secret":null`, `,"secret":7`, `,"secret":""`, `,"secret":["` + secret + `"]`, `,"SECRET":"` + secret + `"`,
		`,"secret":"` + other + `"`, `,"secret":"` + owner.ID + `"`, `,"secret":"one"`, `,"secret":"` + secret[1:] + `"`, `,"token":"` + secret + `"`,
	} {
		eve.Send(`21["stream:start",{"streamId":"one"` + guess + `}]`)
		eve.Expect(eventstest.RefusedAck(1, CodeStreamTaken, streamTaken.message))
		eve.Expect(eventstest.Refusal(CodeStreamTaken, streamTaken.message))
		eve.ExpectNothing()
		viewer.ExpectNothing()
		owner.ExpectNothing()
	}
	// A stream that was stopped has another secret when it is started again.
	owner.Send(`2["stream:stop",{"streamId":"one"}]`)
	owner.Expect(`2["stream:stopped",{"status":"ok","streamId":"one"}]`)
	if again := owner.startsWith("one", secret); again == secret {
		t.Error("the secret is the old one")
	}
}

// A viewer that is back counts once; the old connection is told and gets nothing any more.
func TestViewerThatIsBackCountsOnce(t *testing.T) {
	s := newServer(t, &Set{Audience: AudienceSubscribers})
	owner, old, other := s.Connect(), s.Connect(), s.Connect()
	owner.start("one")
	old.joinsWith("one", watching, 1)
	other.joinsWith("one", watching+" too", 2)
	owner.expectCount("one", 2)
	back := s.Connect()
	back.joinsWith("one", watching, 2)
	old.expectReplaced("one")
	owner.Send(`2["stream:data",{"streamId":"one"}]`)
	back.Expect(`2["stream:data",{"streamId":"one"}]`)
	other.Expect(`2["stream:data",{"streamId":"one"}]`)
	other.ExpectNothing()
	back.expectCount("one", 2)
	// To join again on the same connection is nothing new, and another stream is another matter.
	back.joinsWith("one", watching, 2)
	s.Connect().start("two")
	other.joinsWith("two", watching, 1)
	back.ExpectNothing()
	back.Close()
	owner.expectCount("one", 1)
}

// What is no secret, as it is short or public, does not tell viewers apart.
func TestViewersWithoutASecretAreSeveral(t *testing.T) {
	s := newServer(t, &Set{})
	owner := s.Connect()
	owner.start("one")
	for i, secret := range []string{"", "short", "short", owner.ID[:10], owner.ID[:10], strings.Repeat("x", 257), strings.Repeat("x", 257)} {
		s.Connect().joinsWith("one", secret, i+1)
	}
}

// A connection that owns one stream and watches another is ended when neither is left to it.
func TestOldConnectionEndsWithItsLastStream(t *testing.T) {
	s := newServer(t, &Set{Audience: AudienceSubscribers})
	other, old := s.Connect(), s.Connect()
	other.start("watched")
	secret, second := old.startsWith("one", ""), old.startsWith("two", "")
	old.joinsWith("watched", watching, 1)
	back := s.Connect()
	told := func(id string) string {
		return fmt.Sprintf(`2["error",{"message":"the client is back on another connection","code":"replaced","streamId":%q}]`, id)
	}
	back.startsWith("one", secret)
	old.Expect(told("one"))
	back.joinsWith("watched", watching, 1)
	old.Expect(told("watched"))
	// It still has the second one, and does not get the first back without being asked for the secret.
	old.Send(`2["stream:data",{"streamId":"one"}]`)
	old.Expect(eventstest.Refusal(CodeNotOwner, "the stream belongs to another client"))
	old.Send(`21["stream:data",{"streamId":"two"}]`)
	old.Expect(`31[{"success":true}]`)
	back.startsWith("two", second)
	old.expectReplaced("two")
	back.ExpectNothing()
}

// The owner comes back again and again while its old connections end and data is on its way. The stream
// stays on air until the last of them is gone, and what is kept is accounted for.
func TestStreamsAreTakenOverWhileConnectionsEnd(t *testing.T) {
	const streams, rounds = 6, 15
	s := newServer(t, &Set{Audience: AudienceSubscribers, Replay: ReplayFirst})
	viewer := s.Connect()
	var running sync.WaitGroup
	for i := range streams {
		id := fmt.Sprint("stream ", i)
		viewer.join(id)
		running.Go(func() {
			secret := ""
			for round := range rounds {
				c := s.Connect()
				secret = c.startsWith(id, secret)
				if err := c.TrySend(fmt.Sprintf(`2["stream:data",{"streamId":%q,"n":%d}]`, id, round)); err != nil {
					t.Error(err)
				}
				if round == rounds-1 {
					c.Close() // All others end by being replaced.
				}
			}
		})
	}
	running.Wait()
	stopped := 0
	for stopped < streams {
		r := viewer.Next()
		if strings.HasPrefix(r.Text, `2["stream:stopped",`) {
			stopped++
		}
	}
	viewer.ExpectNothing()
	// A viewer hears of the end before the name is free.
	for deadline := time.Now().Add(eventstest.Patience); ; time.Sleep(time.Millisecond) {
		live, owners, kept := s.table().snapshot(), s.owners(), s.kept()
		if len(live) == 0 && owners == 0 && kept == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("streams %v, %d owners, %d bytes", live, owners, kept)
		}
	}
}

// An owner that shows no secret is known by its identity. Its old connection gives way when it gives no
// sign of life, and the stream begins anew.
func TestSilentOwnerOfTheSameIdentityGivesWay(t *testing.T) {
	s := newServer(t, everyoneIsAnn{}, &Set{Audience: AudienceSubscribers})
	old, viewer, back := s.Connect(), s.Connect(), s.Connect()
	viewer.join("one")
	old.start("one")
	viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	// As long as it answers it stays the owner.
	back.Send(`2["stream:start",{"streamId":"one"}]`)
	back.Expect(eventstest.Refusal(CodeStreamTaken, streamTaken.message))
	old.Silence()
	back.start("one")
	viewer.Expect(`2["stream:stopped",{"status":"ok","streamId":"one","reason":"the owner has disconnected"}]`)
	viewer.Expect(`2["stream:started",{"status":"ok","streamId":"one"}]`)
	if r, err := old.Read(); err == nil {
		t.Errorf("the old connection gets %v", r)
	}
	old.Gone()
	back.ExpectNothing()
	viewer.ExpectNothing()
}

// everyoneIsAnn identifies everyone as the same.
type everyoneIsAnn struct{}

func (everyoneIsAnn) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: "ann"}, nil
}

func (e everyoneIsAnn) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(e)
}
