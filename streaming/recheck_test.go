package streaming

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// changeAuth gives the main namespace other handlers and has everyone asked
// again.
func (s *testServer) changeAuth(sets ...EventSet) {
	s.t.Helper()
	if err := s.Of("/").Use(sets...); err != nil {
		s.t.Fatal(err)
	}
	s.Of("/").Recheck()
}

// checked waits for the end of the latest recheck, with which so many sockets
// have been asked.
func (s *testServer) checked(sockets int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d sockets to be asked", sockets), func() bool {
		if !s.atRest() {
			return false
		}
		asked := 0
		for _, line := range s.logs.all("authorization checked again") {
			var n int
			_, _ = fmt.Sscan(line.attrs["sockets"], &n)
			asked += n
		}
		return asked >= sockets
	})
}

// atRest reports whether nobody is being asked again, and nobody has to be.
func (s *testServer) atRest() bool {
	r := s.Of("/").recheck.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.running
}

// as connects a client with a payload.
func (s *testServer) as(auth string) *testClient {
	s.t.Helper()
	c := s.dial(engineio.WebSocket)
	c.send("0" + auth)
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
		s.t.Fatal(m)
	}
	return c
}

var whoAmI = on("who", func(e *Event) {
	id := "nobody"
	if identity := e.Socket.Identity(); identity != nil {
		id = identity.ID
	}
	e.Ack.Reply(mustArgs(id))
})

// joinRoom lets a client into the room that it names.
var joinRoom = on("join", func(e *Event) {
	room, _ := e.Args.Object(0)
	name, _ := room.Text("room")
	e.Ack.Reply(mustArgs(e.Socket.Join(name) == nil))
})

const revokedUnauthorized = `2["error",{"message":"not authorized","code":"unauthorized"}]`

// TestRecheckDisconnectsThoseWhoWouldNotBeLetIn holds that a namespace that is
// given an authenticator asks those who are in it already.
func TestRecheckDisconnectsThoseWhoWouldNotBeLetIn(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			reasons := make(chan Reason, 4)
			leaves := handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(_ *Socket, reason Reason) { reasons <- reason })
			})
			s := newTestServer(t, Options{}, leaves, whoAmI)
			out := s.dial(transport)
			out.send(`0{"token":"not-to-be-logged"}`)
			out.next()
			in := s.as(`{"name":"ada","publish":["who"]}`)
			// It counts from the moment at which a client is in no namespace any more.
			s.SetOptions(Options{ConnectTimeout: 200 * time.Millisecond})
			s.changeAuth(authenticate(byName), leaves, whoAmI)
			out.expect(revokedUnauthorized, "1")
			// A client that does not come back is not kept.
			out.expectEnd()
			if reason := receive(t, "the disconnect", reasons); reason != ReasonAuthRevoked {
				t.Errorf("the reason is %q", reason)
			}
			s.checked(2)
			in.send(`21["who"]`)
			in.expect(`31["ada"]`)
			in.send(`22["other"]`)
			in.expect(`32[{"success":false,"error":"not allowed to send this event","code":"forbidden"}]`,
				`2["error",{"message":"not allowed to send this event","code":"forbidden"}]`)
			if stats := s.Metrics().Auth; stats.Revoked != 1 || stats.Identified != 1 || stats.Refused != 0 {
				t.Errorf("counted %+v", stats)
			}
			lines := s.logs.all("client disconnected")
			if len(lines) != 1 || lines[0].attrs["reason"] != string(ReasonAuthRevoked) || lines[0].attrs["code"] != CodeUnauthorized ||
				lines[0].attrs["error"] != "nobody is named" {
				t.Errorf("logged %+v", lines)
			}
		})
	}
}

// TestRecheckAsksByWhatWasShownLast holds that a client that has refreshed is
// asked by what it has shown then.
func TestRecheckAsksByWhatWasShownLast(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), whoAmI)
	c := s.as(`{"name":"ada","old":true}`)
	c.send(`21["auth:refresh",{"name":"ada","new":true}]`)
	c.expect(`31[{"success":true,"expiresAt":null}]`)
	other := s.as(`{"name":"bob","old":true}`)
	s.changeAuth(authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		if c.Auth.Field("old") != nil && !c.Refresh {
			return nil, &Refusal{Code: CodeTokenExpired, Reason: "old"}
		}
		return byName(ctx, c)
	}), whoAmI)
	other.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
	s.checked(2)
	c.send(`22["who"]`)
	c.expect(`32["ada"]`)
}

// TestRecheckMakesNobodyAnother holds that no socket becomes another client's,
// and that none stays in a room that its client may no longer join.
func TestRecheckMakesNobodyAnother(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), joinRoom, whoAmI)
	ada, bob, eve := s.as(`{"name":"ada"}`), s.as(`{"name":"bob","then":"mallory"}`), s.as(`{"name":"eve"}`)
	for _, c := range []*testClient{ada, eve} {
		c.send(`21["join",{"room":"a"}]`)
		c.expect(`31[true]`)
	}
	s.changeAuth(authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		identity, err := byName(ctx, c)
		if err != nil {
			return nil, err
		}
		changed := *identity
		changed.Method = "another"
		if then, ok := c.Auth.Text("then"); ok {
			changed.ID = then
		}
		if changed.ID == "eve" {
			changed.Rooms = LimitTo("b")
		} else {
			changed.Rooms = LimitTo("a")
		}
		return &changed, nil
	}), joinRoom, whoAmI)
	const forbidden = `2["error",{"message":"not authorized","code":"forbidden"}]`
	bob.expect(forbidden, "1")
	eve.expect(forbidden, "1")
	s.checked(3)
	ada.send(`22["join",{"room":"b"}]`, `23["join",{"room":"a"}]`)
	ada.expect(`32[false]`, `33[true]`)
}

// TestRecheckKeepsThoseAboutWhomNothingIsKnown holds that an authenticator
// that has no answer, or panics, disconnects nobody, and is asked until it has
// one.
func TestRecheckKeepsThoseAboutWhomNothingIsKnown(t *testing.T) {
	s := newTestServer(t, Options{}, whoAmI)
	s.auth.recheckRetry = time.Millisecond
	good, bad, panics := s.as(`{"name":"ada"}`), s.as(`{}`), s.as(`{"name":"panic"}`)
	var down atomic.Bool
	down.Store(true)
	var asked atomic.Int32
	s.changeAuth(authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		asked.Add(1)
		if !down.Load() {
			return byName(ctx, c)
		}
		if name, _ := c.Auth.Text("name"); name == "panic" {
			panic("on purpose")
		}
		return nil, errors.New("the backend is down")
	}), whoAmI)
	eventually(t, "a second try", func() bool { return asked.Load() > 3 })
	for _, c := range []*testClient{good, bad, panics} {
		c.send(`21["who"]`)
		c.expect(`31["nobody"]`)
	}
	if stats := s.Metrics().Auth; stats.Revoked != 0 {
		t.Errorf("counted %+v", stats)
	}
	if len(s.logs.all("panic in an authenticator")) == 0 {
		t.Error("the panic was not logged")
	}
	down.Store(false)
	bad.expect(revokedUnauthorized, "1")
	eventually(t, "the others to be known", func() bool { return s.Metrics().Auth.Identified == 2 })
	before := asked.Load()
	s.changeAuth(authenticate(byName), whoAmI)
	s.checked(2)
	if asked.Load() != before {
		t.Error("those who were known were asked again")
	}
}

// TestRecheckFindsThoseWhoAreOnTheirWay holds that a client that the
// authenticator before is looking at is not missed.
func TestRecheckFindsThoseWhoAreOnTheirWay(t *testing.T) {
	looking, answer := make(chan bool), make(chan bool)
	s := newTestServer(t, Options{}, authenticate(func(context.Context, *Credentials) (*Identity, error) {
		looking <- true
		<-answer
		return &Identity{ID: "anybody", Method: "name"}, nil
	}))
	c := s.dial(engineio.WebSocket)
	c.send("0")
	receive(t, "the question", looking)
	s.changeAuth(authenticate(byName))
	eventually(t, "the recheck of nobody to be over", s.atRest)
	answer <- true
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
		t.Fatal(m)
	}
	c.expect(revokedUnauthorized, "1")
	s.checked(1)

	// The same with a refresh.
	s.changeAuth(authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		if c.Refresh {
			looking <- true
			<-answer
		}
		return byName(ctx, c)
	}))
	c = s.as(`{"name":"ada"}`)
	c.send(`21["auth:refresh",{"name":"ada","stolen":true}]`)
	receive(t, "the question", looking)
	s.changeAuth(authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		if c.Auth.Field("stolen") != nil {
			return nil, &Refusal{Code: CodeUnauthorized, Reason: "stolen"}
		}
		return byName(ctx, c)
	}))
	s.checked(2)
	answer <- true
	c.expect(`31[{"success":true,"expiresAt":null}]`, revokedUnauthorized, "1")
}

// TestRecheckWithoutAnAuthenticator holds that clients are nobody again where
// nobody asks, and do not end with a token that nobody wants to see.
func TestRecheckWithoutAnAuthenticator(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), whoAmI)
	c := s.as(`{"name":"ada","publish":[],"lives":3600000}`)
	s.changeAuth(whoAmI)
	s.checked(1)
	if stats := s.Metrics().Auth; stats.Identified != 0 || stats.Revoked != 0 {
		t.Errorf("counted %+v", stats)
	}
	s.auth.mu.Lock()
	ending := len(s.auth.ending)
	s.auth.mu.Unlock()
	if ending != 0 {
		t.Errorf("%d grants end", ending)
	}
	c.send(`21["who"]`)
	c.expect(`31["nobody"]`)
}

// TestRecheckIsBounded holds that few are asked about at a time, that a new
// recheck ends the one before, and that the end of the server ends both.
func TestRecheckIsBounded(t *testing.T) {
	s := newTestServer(t, Options{}, whoAmI)
	const clients = 3 * recheckAtOnce
	for i := range clients {
		s.as(fmt.Sprintf(`{"name":"c%d"}`, i))
	}
	var under, most atomic.Int32
	s.changeAuth(authenticate(func(ctx context.Context, _ *Credentials) (*Identity, error) {
		n := under.Add(1)
		defer under.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-ctx.Done()
		return nil, &Refusal{Code: CodeUnauthorized, Reason: "too late"}
	}))
	eventually(t, "as many questions as there may be", func() bool { return under.Load() == recheckAtOnce })
	s.changeAuth(authenticate(byName))
	s.checked(clients)
	eventually(t, "the end of the questions", func() bool { return under.Load() == 0 })
	if stats := s.Metrics().Auth; stats.Identified != clients || stats.Revoked != 0 || most.Load() != recheckAtOnce {
		t.Errorf("counted %+v, at most %d at a time", stats, most.Load())
	}
	s.changeAuth(authenticate(func(ctx context.Context, _ *Credentials) (*Identity, error) {
		under.Add(1)
		defer under.Add(-1)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	eventually(t, "questions", func() bool { return under.Load() == recheckAtOnce })
	s.Close()
	eventually(t, "the end of the questions", func() bool { return under.Load() == 0 })
}

// TestRecheckRacesWithEverything changes the authenticator while clients come,
// refresh and leave: in the end everyone who is there was let in by the last.
func TestRecheckRacesWithEverything(t *testing.T) {
	version := func(v int) EventSet {
		return authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
			identity, err := byName(ctx, c)
			if err == nil {
				identity.Method = fmt.Sprint(v)
				identity.Expires = time.Now().Add(time.Hour)
			}
			return identity, err
		})
	}
	s := newTestServer(t, Options{}, version(0))
	const clients, changes = 30, 20
	var all sync.WaitGroup
	stay := make(chan *testClient, clients)
	for i := range clients {
		all.Go(func() {
			c, err := dialClient(s, bothTransports[i%2])
			if err != nil {
				t.Error(err)
				return
			}
			err = c.trySend(fmt.Sprintf(`0{"name":"c%d"}`, i))
			if err == nil {
				_, err = c.read()
			}
			if err != nil {
				t.Error(err)
			}
			for range 5 {
				_ = c.trySend(fmt.Sprintf(`2["auth:refresh",{"name":"c%d"}]`, i))
			}
			if i%3 == 0 {
				c.close()
				return
			}
			stay <- c
		})
	}
	for v := range changes {
		s.changeAuth(version(v + 1))
	}
	all.Wait()
	close(stay)
	eventually(t, "everyone to be known anew", func() bool {
		sockets := s.Of("/").Everyone().Sockets()
		for _, socket := range sockets {
			if identity := socket.Identity(); identity == nil || identity.Method != fmt.Sprint(changes) {
				return false
			}
		}
		return len(sockets) == clients-clients/3
	})
	for c := range stay {
		c.close()
	}
	s.empty()
	eventually(t, "the identities to be forgotten", func() bool {
		s.auth.mu.Lock()
		defer s.auth.mu.Unlock()
		return len(s.auth.ending) == 0 && s.Metrics().Auth.Identified == 0
	})
	if n := s.Metrics().Auth.Revoked; n != 0 {
		t.Errorf("%d were disconnected", n)
	}
}
