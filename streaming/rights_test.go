package streaming

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestRights(t *testing.T) {
	for _, test := range []struct {
		rights Rights
		name   string
		want   bool
	}{
		{Rights{}, "anything", true},
		{Rights{}, "", true},
		{LimitTo(), "anything", false},
		{LimitTo(), "", false},
		{LimitTo("a"), "a", true},
		{LimitTo("a"), "ab", false},
		{LimitTo("a"), "", false},
		{LimitTo("a:*"), "a:b", true},
		{LimitTo("a:*"), "a:", true},
		{LimitTo("a:*"), "a", false},
		{LimitTo("a:*"), "b:a:", false},
		{LimitTo("*"), "", true},
		{LimitTo("*"), "x", true},
		{LimitTo("a*b"), "axb", false},
		{LimitTo("a*b"), "a*b", true},
		{LimitTo("a**"), "a*", true},
		{LimitTo("a**"), "ab", false},
		{LimitTo(""), "", true},
		{LimitTo(""), "a", false},
		{LimitTo("x", "y*"), "yes", true},
	} {
		if got := test.rights.Allow(test.name); got != test.want {
			t.Errorf("%+v allow %q: %t", test.rights, test.name, got)
		}
	}
}

// TestRightsOfManyPatterns holds that rights of any patterns allow what one of them does.
func TestRightsOfManyPatterns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	text := func() string {
		var b strings.Builder
		for range random.IntN(5) {
			b.WriteByte("abc:"[random.IntN(4)])
		}
		return b.String()
	}
	for range 2000 {
		var patterns []string
		for range random.IntN(12) {
			patterns = append(patterns, text()+[]string{"", "*"}[random.IntN(2)])
		}
		rights := LimitTo(slices.Clone(patterns)...)
		for range 50 {
			name := text()
			want := slices.ContainsFunc(patterns, func(pattern string) bool {
				prefix, ok := strings.CutSuffix(pattern, "*")
				return ok && strings.HasPrefix(name, prefix) || pattern == name
			})
			if rights.Allow(name) != want {
				t.Fatalf("%q allow %q: %t", patterns, name, !want)
			}
		}
	}
}

// startRoom tells a client whether it may begin something in the name of a room.
var startRoom = on("start", func(e *Event) {
	room, _ := e.Args.Object(0)
	name, _ := room.Text("room")
	e.Ack.Reply(mustArgs(e.Socket.MayStart(name)))
})

// TestStartRights holds that the rights to start are those to join where there are no others.
func TestStartRights(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), startRoom)
	for auth, want := range map[string]string{
		`{"name":"ada"}`:                                     `31[true]`,
		`{"name":"ada","rooms":["a*"]}`:                      `31[true]`,
		`{"name":"ada","rooms":["b*"]}`:                      `31[false]`,
		`{"name":"ada","rooms":[]}`:                          `31[false]`,
		`{"name":"ada","rooms":["b"],"start":["ab"]}`:        `31[true]`,
		`{"name":"ada","rooms":["ab"],"start":[]}`:           `31[false]`,
		`{"name":"ada","start":["b"]}`:                       `31[false]`,
		`{"name":"ada","rooms":[],"start":["*"]}`:            `31[true]`,
		`{"name":"ada","rooms":["*"],"start":["a","b","c"]}`: `31[false]`,
	} {
		c := s.as(auth)
		c.send(`21["start",{"room":"ab"}]`)
		if m := c.next(); m.text != want {
			t.Errorf("%s is answered %s, want %s", auth, m.text, want)
		}
	}
}

// tellRoom sends the name of a room to everyone else who may join it.
var tellRoom = on("tell", func(e *Event) {
	room, _ := e.Args.Object(0)
	name, _ := room.Text("room")
	_ = e.Socket.Broadcast().MayJoin(name).Emit("told", name)
	e.Ack.Reply(mustArgs(len(e.Socket.Broadcast().MayJoin(name).Sockets())))
})

// TestBroadcastsReachThoseWhoMayJoin holds that a broadcast for those who may join a room reaches
// nobody else, from the moment on at which rights change.
func TestBroadcastsReachThoseWhoMayJoin(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), tellRoom)
	sender := s.as(`{"name":"sender","rooms":[]}`)
	every, some, none := s.as(`{"name":"every"}`), s.as(`{"name":"some","rooms":["a*"]}`), s.as(`{"name":"none","rooms":[]}`)
	tell := func(room, receivers string) {
		t.Helper()
		sender.send(`21["tell",{"room":"` + room + `"}]`)
		sender.expect(`31[` + receivers + `]`)
	}
	told := func(room string) string { return `2["told","` + room + `"]` }
	tell("ab", "2")
	tell("b", "1")
	every.expect(told("ab"), told("b"))
	some.expect(told("ab"))
	some.send(`22["auth:refresh",{"name":"some","rooms":["b"]}]`)
	some.expect(`32[{"success":true,"expiresAt":null}]`)
	none.send(`22["auth:refresh",{"name":"none","rooms":["ac"]}]`)
	none.expect(`32[{"success":true,"expiresAt":null}]`)
	tell("ab", "1")
	tell("b", "2")
	tell("ac", "2")
	every.expect(told("ab"), told("b"), told("ac"))
	some.expect(told("b"))
	none.expect(told("ac"))
}

// TestCallsAskThoseWhoMayJoin holds that a call for those who may join a room asks nobody else.
func TestCallsAskThoseWhoMayJoin(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName))
	c := s.as(`{"name":"ada","rooms":["b"]}`)
	replies, err := s.Of("/").Everyone().MayJoin("a").Call(t.Context(), "asked", mustArgs())
	if len(replies) != 0 || err != nil {
		t.Errorf("got %v, %v", replies, err)
	}
	c.expectAlive()
}

// TestEventSetsHearOfAnotherIdentity holds that event sets are told when a client has other rights
// than before, after they are in force and in order with its events.
func TestEventSetsHearOfAnotherIdentity(t *testing.T) {
	heard := make(chan bool, 4)
	listens := handlers(func(_ *Namespace, h *Handlers) {
		h.OnIdentity(func(s *Socket) { heard <- s.MayStart("a") })
	})
	s := newTestServer(t, Options{}, authenticate(byName), listens)
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada","rooms":["a"]}`)
	c.next()
	c.send(`21["auth:refresh",{"name":"ada","rooms":["b"]}]`)
	c.expect(`31[{"success":true,"expiresAt":null}]`)
	if receive(t, "the refresh", heard) {
		t.Error("the rights are the old ones")
	}
	s.changeAuth(listens)
	if !receive(t, "the recheck", heard) {
		t.Error("the rights are the old ones")
	}
	s.checked(1)
	if len(heard) != 0 {
		t.Error("the set has heard more than there was")
	}
}

// TestRefreshTakesNoRoomAlong holds that a client which has joined a room before the namespace asked for
// credentials does not stay in it by a refresh with credentials that do not allow it.
func TestRefreshTakesNoRoomAlong(t *testing.T) {
	s := newTestServer(t, Options{}, joinRoom)
	c := s.as(`{"name":"ada","rooms":["a"]}`)
	c.send(`21["join",{"room":"b"}]`)
	c.expect(`31[true]`)
	if err := s.Of("/").Use(authenticate(byName), joinRoom); err != nil {
		t.Fatal(err)
	}
	c.send(`22["auth:refresh",{"name":"ada","rooms":["a"]}]`)
	c.expect(`32[{"success":false,"error":"not authorized","code":"forbidden"}]`,
		`2["error",{"message":"not authorized","code":"forbidden"}]`)
	s.Of("/").Recheck()
	c.expect(`2["error",{"message":"not authorized","code":"forbidden"}]`, "1")
}

// TestRoomJoinedDuringARecheckIsNotKept holds that a client is disconnected which a handler lets into a
// room while a recheck takes the right to it away.
func TestRoomJoinedDuringARecheckIsNotKept(t *testing.T) {
	joins, goOn := make(chan *Socket), make(chan struct{})
	s := newTestServer(t, Options{}, authenticate(byName), on("join", func(e *Event) {
		may := e.Socket.MayJoin("b")
		joins <- e.Socket
		<-goOn
		if may {
			e.Socket.Admit("b")
		}
	}))
	c := s.as(`{"name":"ada"}`)
	c.send(`2["join"]`)
	socket := receive(t, "the join", joins)
	before := socket.Identity()
	if !s.auth.exchange(socket, socket.grant.Load(), &Identity{ID: "ada", Method: "name", Rooms: LimitTo("a")}) {
		t.Fatal("the identity is not exchanged")
	}
	socket.identityChanged(before)
	close(goOn)
	c.expect(`2["error",{"message":"not authorized","code":"forbidden"}]`, "1")
}

// BenchmarkRights asks what a broadcast asks for each receiver.
func BenchmarkRights(b *testing.B) {
	many := make([]string, 0, 400)
	for range 200 {
		name := newSocketID()
		many = append(many, "stream:"+name, "stream:"+name[:8]+"*")
	}
	for name, rights := range map[string]Rights{
		"all": {}, "one": LimitTo("stream:board-*"), "two": LimitTo("session:class", "stream:board-*"), "400": LimitTo(append(many, "stream:board-*")...),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if !rights.Allow("stream:board-17") {
					b.Fatal("not allowed")
				}
			}
		})
	}
}
