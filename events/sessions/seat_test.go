package sessions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func withToken(token string) string { return fmt.Sprintf(`,"token":%q`, token) }

// replacedText is what a connection is told whose client has its place on another one.
func replacedText(session string) string {
	return fmt.Sprintf(`2["error",{"message":%q,"code":"replaced","sessionId":%q}]`, messages["replaced"], session)
}

// expectEnd takes the packet that ends the socket, and waits for the end of the connection.
func (c *client) expectEnd() {
	c.T.Helper()
	c.Expect("1")
	if r, err := c.Read(); err == nil {
		c.T.Fatalf("want the end, got %v", r)
	}
}

// refused joins and expects to be refused.
func (c *client) refused(code, session, name string, more ...string) {
	c.T.Helper()
	c.Send(joinText(session, name, more...))
	c.Expect(eventstest.RefusedAck(99, code, messages[code]))
	c.Expect(eventstest.Refusal(code, messages[code]))
}

// A client that is back while its old connection still counts as alive takes its place again, also
// when the session is full. The others hear nothing of it, and know it as before.
func TestWhoComesBackTakesItsPlaceAgain(t *testing.T) {
	s := newServer(t, &Set{MaxClients: 2})
	old, ben := s.Connect(), s.Connect()
	first := old.enters("room", "Ann")
	ben.enters("room", "Ben")
	old.Expect(joinedText("room", ben.ID, "Ben"))

	back := s.Connect()
	again := back.enters("room", "Ann", withToken(first.Token))
	if want := []clientInfo{{back.ID, "Ann"}, {ben.ID, "Ben"}}; fmt.Sprint(again.Clients) != fmt.Sprint(want) {
		t.Errorf("the one that is back sees %v, want %v", again.Clients, want)
	}
	if again.Token != first.Token {
		t.Error("the place has another token")
	}
	ben.ExpectNothing()
	old.Expect(replacedText("room"))
	old.expectEnd()
	if got := s.stats(); got.Clients != 2 || got.Sessions != 1 {
		t.Errorf("%+v", got)
	}

	// What is shared goes to and comes from the new connection.
	ben.Send(`2["content",{"sessionId":"room","content":1}]`)
	back.Expect(contentText("room", ben.ID, `"content":1`))
	back.Send(`2["content",{"sessionId":"room","content":2}]`)
	ben.Expect(contentText("room", old.ID, `"content":2`))

	// The answer was lost with the connection: the token is still good.
	third := s.Connect()
	third.enters("room", "Ann", withToken(first.Token))
	back.Expect(replacedText("room"))
	back.expectEnd()
	back.Gone()
	ben.ExpectNothing()
	if list := ben.enters("room", "Ben").Clients; fmt.Sprint(list) != fmt.Sprint([]clientInfo{{old.ID, "Ann"}, {ben.ID, "Ben"}}) {
		t.Errorf("Ben sees %v", list)
	}
	third.Close()
	ben.Expect(leftText("room", old.ID))
	ben.ExpectNothing()
	if got := s.stats(); got.Clients != 1 {
		t.Errorf("%+v", got)
	}
}

// The others know a client that took its place again by the ID of a socket that is gone. Whoever looks
// for that ID, as an operator does, finds the connection that has the place.
func TestClientIsFoundByWhatOthersKnowItBy(t *testing.T) {
	s := newServer(t, &Set{})
	old, ben := s.Connect(), s.Connect()
	token := old.enters("room", "Ann").Token
	ben.enters("room", "Ben")
	old.Expect(joinedText("room", ben.ID, "Ben"))
	back := s.Connect()
	back.enters("room", "Ann", withToken(token))
	old.Expect(replacedText("room"))
	old.expectEnd()
	old.Gone()

	for _, found := range []*streaming.Socket{s.Of("/").Find(old.ID), s.Server.Find(old.ID)} {
		if found == nil || found.ID() != back.ID {
			t.Fatalf("by the ID that others know, %v is found", found)
		}
	}
	if s.Of("/").Find(ben.ID).ID() != ben.ID || s.Of("/").Find("nobody") != nil || s.Of("/").Find("") != nil {
		t.Error("somebody else is found")
	}
	s.Of("/").Find(old.ID).Kick(true)
	back.Expect(`2["error",{"message":"disconnected by an operator","code":"kicked"}]`)
	back.expectEnd()
	ben.Expect(leftText("room", old.ID))
	eventstest.Eventually(t, "nobody is found", func() bool { return s.Of("/").Find(old.ID) == nil })
}

// A client that comes back with a token whose place is gone is a new member.
func TestWhoComesBackLateJoinsAnew(t *testing.T) {
	s := newServer(t, &Set{Timeout: time.Hour})
	ann, ben := s.Connect(), s.Connect()
	first := ann.enters("room", "Ann")
	ben.enters("room", "Ben")
	ann.Close()
	ben.Expect(leftText("room", ann.ID))
	back := s.Connect()
	if again := back.enters("room", "Ann", withToken(first.Token)); again.Token == first.Token {
		t.Error("the token of a place that is gone is given again")
	}
	ben.Expect(joinedText("room", back.ID, "Ann"))
}

// What others can know of a member is not enough to take its place.
func TestPlaceIsNotTakenByWhatIsPublic(t *testing.T) {
	s := newServer(t, &Set{MaxClients: 2})
	ann, ben, eve := s.Connect(), s.Connect(), s.Connect()
	token := ann.enters("room", "Ann").Token
	ben.enters("room", "Ben")
	ann.Expect(joinedText("room", ben.ID, "Ben"))
	other := eve.enters("other", "Ann").Token
	for _, guess := range []string{
		``, `,"token":null`, `,"token":7`, `,"token":true`, `,"token":[]`, withToken(""), withToken(other),
		withToken(ann.ID), withToken("Ann"), withToken("room"), withToken(token[:len(token)-1]), withToken(token + "A"),
		`,"clientId":` + fmt.Sprintf("%q", ann.ID), fmt.Sprintf(`,"TOKEN":%q`, token), fmt.Sprintf(`,"token":[%q]`, token),
	} {
		eve.refused("session_full", "room", "Ann", guess)
		eve.ExpectNothing()
		ann.ExpectNothing()
		ben.ExpectNothing()
	}
}

// Nobody but the client itself is told its token.
func TestTokenIsToldToNobodyElse(t *testing.T) {
	s := newServer(t, &Set{History: 10})
	ben, old, back := s.Connect(), s.Connect(), s.Connect()
	ben.enters("room", "Ben")
	token := old.enters("room", "Ann").Token
	back.enters("room", "Ann", withToken(token))
	back.Send(fmt.Sprintf(`2["content",{"sessionId":"room","content":1,"token":%q}]`, token))
	late := s.Connect()
	late.Send(joinText("room", "Late"))
	for _, c := range []*client{ben, late} {
		for {
			r := c.Next()
			if strings.Contains(r.Text, token) {
				t.Errorf("%v tells the token", r)
			}
			if strings.HasPrefix(r.Text, `2["content",`) {
				break
			}
		}
	}
}

// A client that was in two sessions takes its places one after the other, and nobody hears of it in
// either: the old connection ends with the last of them.
func TestOldConnectionEndsWithItsLastPlace(t *testing.T) {
	s := newServer(t, &Set{})
	old, ben := s.Connect(), s.Connect()
	one, two := old.enters("one", "Ann").Token, old.enters("two", "Ann").Token
	ben.enters("one", "Ben")
	ben.enters("two", "Ben")
	old.Expect(joinedText("one", ben.ID, "Ben"))
	old.Expect(joinedText("two", ben.ID, "Ben"))

	back := s.Connect()
	back.enters("one", "Ann", withToken(one))
	old.Expect(replacedText("one"))
	// It is not in this session any more, and does not fight for its place.
	old.Send(`21["content",{"sessionId":"one","content":1}]`)
	old.Expect(eventstest.RefusedAck(1, "not_in_session", messages["not_in_session"]))
	old.Expect(eventstest.Refusal("not_in_session", messages["not_in_session"]))
	old.Send(`21["leave",{"sessionId":"one"}]`)
	old.Expect(eventstest.RefusedAck(1, "not_in_session", messages["not_in_session"]))
	old.Expect(eventstest.Refusal("not_in_session", messages["not_in_session"]))
	old.refused("replaced", "one", "Ann", withToken(one))
	// In the other one it is as before.
	old.Send(`21["content",{"sessionId":"two","content":2}]`)
	old.Expect(`31[{"success":true}]`)
	ben.Expect(contentText("two", old.ID, `"content":2`))

	back.enters("two", "Ann", withToken(two))
	old.Expect(replacedText("two"))
	old.expectEnd()
	old.Gone()
	ben.ExpectNothing()
	back.ExpectNothing()
	if got := s.stats(); got.Clients != 4 {
		t.Errorf("%+v", got)
	}
}

// A tab that was duplicated has the token of the first. It takes the place, and the first one, which
// is still there, is told to stay away. When that comes back as somebody new, it takes no place from
// the other.
func TestTwoTabsWithOneTokenDoNotFight(t *testing.T) {
	s := newServer(t, &Set{})
	first, ben := s.Connect(), s.Connect()
	token := first.enters("room", "Ann").Token
	ben.enters("room", "Ben")
	first.Expect(joinedText("room", ben.ID, "Ben"))
	second := s.Connect()
	second.enters("room", "Ann", withToken(token))
	first.Expect(replacedText("room"))
	first.expectEnd()
	anew := s.Connect()
	if again := anew.enters("room", "Ann"); len(again.Clients) != 3 || again.Token == token {
		t.Errorf("%+v", again)
	}
	ben.Expect(joinedText("room", anew.ID, "Ann"))
	second.Expect(joinedText("room", anew.ID, "Ann"))
	second.ExpectNothing()
	ben.ExpectNothing()
}

// With a key, the token alone opens nothing; and it is the new connection's from then on.
func TestPlaceOfASessionWithAKey(t *testing.T) {
	s := newServer(t, &Set{Fingerprint: FingerprintFirst, History: 10})
	old, ben := s.Connect(), s.Connect()
	const key = `,"fingerprint":"key"`
	token := old.enters("room", "Ann", key).Token
	bens := ben.enters("room", "Ben", key).Token
	old.Expect(joinedText("room", ben.ID, "Ben"))
	ben.Send(fmt.Sprintf(`2["content",{"sessionId":"room","content":"missed","token":%q}]`, bens))
	old.Expect(contentText("room", ben.ID, `"content":"missed"`))

	back := s.Connect()
	back.refused("wrong_fingerprint", "room", "Ann", `,"fingerprint":"other"`, withToken(token))
	back.enters("room", "Ann", key, withToken(token))
	back.Expect(contentText("room", ben.ID, `"content":"missed"`))
	back.Send(fmt.Sprintf(`21["content",{"sessionId":"room","content":"back","token":%q}]`, token))
	back.Expect(`31[{"success":true}]`)
	ben.Expect(contentText("room", old.ID, `"content":"back"`))
	ben.ExpectNothing()
}

// Who is somebody else by now joins as somebody else.
func TestPlaceStaysWithItsIdentity(t *testing.T) {
	who := "ann"
	s := newServer(t, identified(func() string { return who }), &Set{})
	ann := s.Connect()
	token := ann.enters("room", "Ann").Token
	who = "eve"
	eve := s.Connect()
	if answer := eve.enters("room", "Ann", withToken(token)); len(answer.Clients) != 2 || answer.Token == token {
		t.Errorf("%+v", answer)
	}
	ann.Expect(joinedText("room", eve.ID, "Ann"))
	who = "ann"
	s.Connect().enters("room", "Ann", withToken(token))
	ann.Expect(replacedText("room"))
	eve.ExpectNothing()
}

// A client that knows of no token is known by its identity and its name. Its old connection is ended
// when it gives no sign of life, so that it finds room in a session that is full. The others hear that
// it has left, and then that it is back.
func TestSilentConnectionOfTheSameIdentityGivesWay(t *testing.T) {
	s := newServer(t, identified(func() string { return "ann" }), &Set{MaxClients: 2})
	old, other := s.Connect(), s.Connect()
	old.enters("room", "Ann")
	old.enters("second", "Ann")
	other.enters("room", "Another tab")
	old.Expect(joinedText("room", other.ID, "Another tab"))
	old.Silence()
	back := s.Connect()
	if got := back.enters("room", "Ann").Clients; fmt.Sprint(got) != fmt.Sprint([]clientInfo{{other.ID, "Another tab"}, {back.ID, "Ann"}}) {
		t.Errorf("%v", got)
	}
	other.Expect(leftText("room", old.ID))
	other.Expect(joinedText("room", back.ID, "Ann"))
	// It may be there after all: it is not told to stay away.
	if r, err := old.Read(); err == nil {
		t.Errorf("the old connection gets %v", r)
	}
	old.Gone()
	back.enters("second", "Ann")
	back.ExpectNothing()
	other.ExpectNothing()
	if got := s.stats(); got.Clients != 3 {
		t.Errorf("%+v", got)
	}
}

// Two tabs of one user are two clients, and anybody may have any name.
func TestConnectionsThatAnswerStay(t *testing.T) {
	who := "ann"
	s := newServer(t, identified(func() string { return who }), &Set{})
	first := s.Connect()
	first.enters("room", "Ann")
	if clients := s.Connect().enters("room", "Ann").Clients; len(clients) != 2 {
		t.Errorf("%v", clients)
	}
	if r := first.Next(); !strings.HasPrefix(r.Text, `2["client-joined",`) {
		t.Error(r)
	}
	// Nor does a silent one give way to another identity, or to one that nobody knows.
	first.Silence()
	who = "eve"
	if clients := s.Connect().enters("room", "Ann").Clients; len(clients) != 3 {
		t.Errorf("%v", clients)
	}
	open := newServer(t, &Set{MaxClients: 1})
	ghost := open.Connect()
	ghost.enters("room", "Ann")
	ghost.Silence()
	open.Connect().refused("session_full", "room", "Ann")
}

// identified names whoever connects.
type identified func() string

func (i identified) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: i()}, nil
}

func (i identified) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(i)
}

// The old connection goes on for its other namespaces.
func TestPlaceIsOfOneNamespace(t *testing.T) {
	s := newServer(t, &Set{})
	if err := s.Of("/other").Use(&Set{}); err != nil {
		t.Fatal(err)
	}
	old := s.Connect()
	old.Send("0/other,")
	old.Next()
	token := old.enters("room", "Ann").Token
	s.Connect().enters("room", "Ann", withToken(token))
	old.Expect(replacedText("room"))
	old.Expect("1")
	old.Gone()
	old.Send(`2/other,1["leave",{"sessionId":"room"}]`)
	old.Expect(`3/other,1[{"success":false,"error":"the client is not in the session","code":"not_in_session"}]`)
}

// Clients lose their connections and come back, also twice at once, while the old ones end. Whatever
// races, everybody who watches believes in the members that there are.
func TestPlacesAreTakenWhileConnectionsEnd(t *testing.T) {
	const clients, rounds = 12, 12
	s := newServer(t, &Set{Timeout: time.Hour, History: 3})
	watcher := &believer{client: s.Connect(), session: "room", members: make(map[string]bool)}
	watcher.enters("room", "watcher")
	var running sync.WaitGroup
	last := make([]*client, clients)
	for i := range clients {
		running.Go(func() {
			c, err := s.TryConnect()
			if err != nil {
				t.Error(err)
				return
			}
			token := ""
			for range rounds {
				if err := c.TrySend(joinText("room", fmt.Sprint("client ", i), withToken(token))); err != nil {
					t.Error(err)
					return
				}
				answer, err := c.readAnswer()
				if err != nil || !answer.Success {
					t.Errorf("%+v, %v", answer, err)
					return
				}
				token = answer.Token
				next, err := s.TryConnect()
				if err != nil {
					t.Error(err)
					return
				}
				if i%2 == 0 {
					old := c
					running.Go(old.Close)
				} else {
					t.Cleanup(c.Close)
				}
				c = next
			}
			last[i] = c
		})
	}
	running.Wait()
	for _, c := range last {
		if c != nil {
			c.Close()
		}
	}
	eventstest.Eventually(t, "those who had no place at last are gone", func() bool { return s.stats().Clients == 1+clients/2 })
	if err := watcher.catchUp(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range s.table().membersOf("room") {
		want = append(want, m.id)
	}
	slices.Sort(want)
	if got := watcher.believes(); !slices.Equal(got, want) {
		t.Errorf("the server has %v, a client believes in %v", want, got)
	}
}
