package streaming

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// unavailable are the errors that say that nothing can be found out now.
func unavailable() map[string]error {
	return map[string]error{
		"a refusal":        &Refusal{Code: CodeAuthUnavailable, Reason: "the issuer is down"},
		"a wrapped one":    fmt.Errorf("more: %w", &Refusal{Code: CodeAuthUnavailable, Reason: "the issuer is down"}),
		"any other error":  errors.New("connection refused"),
		"nobody, no error": nil,
	}
}

// TestAClientThatCannotBeJudgedNowWaits holds that a client is told nothing for as long
// as nothing can be found out about it, and comes in when something can.
func TestAClientThatCannotBeJudgedNowWaits(t *testing.T) {
	for _, transport := range bothTransports {
		for name, err := range unavailable() {
			t.Run(string(transport)+" "+name, func(t *testing.T) {
				var asked atomic.Int32
				var since [2]time.Time
				s := newTestServer(t, Options{}, authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
					switch asked.Add(1) {
					case 1, 2:
						return nil, err
					case 3:
						since[0] = c.Since
						return nil, err
					}
					since[1] = c.Since
					return byName(ctx, c)
				}))
				s.auth.judgeRetry = time.Millisecond
				c := s.dial(transport)
				c.send(`0{"name":"ada"}`)
				if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
					t.Fatal(m)
				}
				if stats := s.Metrics().Auth; asked.Load() != 4 || stats.Refused != 0 || stats.Unjudged != 0 || stats.Identified != 1 {
					t.Errorf("asked %d times, counted %+v", asked.Load(), stats)
				}
				if since[0].IsZero() || !since[0].Equal(since[1]) {
					t.Errorf("it was shown at %s, and then at %s", since[0], since[1])
				}
				lines := s.logs.all("a client waits, since it cannot be found out now who it is")
				if len(lines) != 1 || lines[0].attrs["error"] == "" || len(s.logs.all("connection to a namespace refused")) != 0 {
					t.Errorf("logged %+v", lines)
				}
				c.expectAlive()
			})
		}
	}
}

// TestAClientThatHasWaitedInVainIsToldNothing holds that the connection is closed, and
// nothing else: so the clients of Socket.IO come back by themselves.
func TestAClientThatHasWaitedInVainIsToldNothing(t *testing.T) {
	for _, transport := range bothTransports {
		for name, judge := range map[string]authenticate{
			"it fails": func(context.Context, *Credentials) (*Identity, error) { return nil, errors.New("down") },
			"it takes too long": func(ctx context.Context, _ *Credentials) (*Identity, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		} {
			t.Run(string(transport)+" "+name, func(t *testing.T) {
				t.Parallel()
				// So long that what it shows has come by then.
				s := newTestServer(t, Options{
					ConnectTimeout: 2 * time.Second, Engine: engineio.Options{LogConnections: engineio.LogAll},
				}, judge)
				begun := time.Now()
				c := s.dial(transport)
				c.send(`0{"name":"ada"}`)
				eventually(t, "it to be counted among those who wait", func() bool { return s.Metrics().Auth.Unjudged == 1 })
				if rest := c.expectEnd(); len(rest) != 0 {
					t.Errorf("it got %v", rest)
				}
				if took := time.Since(begun); took < 2*time.Second {
					t.Errorf("after %s", took)
				}
				eventually(t, "the line of the end", func() bool { return len(s.logs.all("connection ended")) > 0 })
				if attrs := s.logs.all("connection ended")[0].attrs; attrs["reason"] != string(ReasonAuthUnavailable) {
					t.Errorf("logged %v", attrs)
				}
				eventually(t, "nobody to wait", func() bool { return s.Metrics().Auth.Unjudged == 0 })
				eventually(t, "the refusal to be counted", func() bool { return s.Metrics().AuthRefusals.Of(CodeAuthUnavailable) == 1 })
				eventually(t, "the end to be counted", func() bool {
					return s.Metrics().Engine.Disconnects.Of("authorization_not_available") == 1
				})
			})
		}
	}
}

// TestAClientInAnotherNamespaceIsNotThrownOut holds that a client which is in one
// namespace, and cannot be judged in another, stays in the first for as long as that is.
func TestAClientInAnotherNamespaceIsNotThrownOut(t *testing.T) {
	var up atomic.Bool
	s := newTestServer(t, Options{}, echo())
	s.auth.judgeRetry = time.Millisecond
	_, err := s.Use("/asked", authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		if !up.Load() {
			return nil, errors.New("down")
		}
		return byName(ctx, c)
	}))
	if err != nil {
		t.Fatal(err)
	}
	c, _ := s.connected(engineio.WebSocket)
	c.send(`0/asked,{"name":"ada"}`)
	eventually(t, "it to wait", func() bool { return s.Metrics().Auth.Unjudged == 1 })
	s.connectTimeout.Store(int64(50 * time.Millisecond))
	other := s.dial(engineio.WebSocket)
	other.send(`0/asked,{"name":"bob"}`)
	other.expectEnd()
	c.send(`21["echo",1]`)
	c.expect(`31[1]`)
	up.Store(true)
	if m := c.next(); !strings.HasPrefix(m.text, `0/asked,{"sid"`) {
		t.Error(m)
	}
}

// TestAClientForWhomThereIsNoRoomNowComesBack holds that a client which shows more than
// there is room for just now, which passes by itself, is told nothing either.
func TestAClientForWhomThereIsNoRoomNowComesBack(t *testing.T) {
	const buffer = 1_000_000
	s := newTestServer(t, Options{ConnectTimeout: time.Second, Engine: engineio.Options{ServerBuffer: 8 * buffer, LogConnections: engineio.LogAll}}, echo())
	for _, name := range []string{"/a", "/b", "/c"} {
		s.Of(name)
	}
	other, id := s.connected(engineio.WebSocket)
	pressed := s.Find(id).client().session
	c, _ := s.connected(engineio.WebSocket)
	pressed.Keep(buffer)
	for _, name := range []string{"/a", "/b", "/c"} {
		c.send(`0` + name + `,{"x":"` + strings.Repeat("x", 30_000) + `"}`)
	}
	for _, m := range c.expectEnd() {
		if !strings.HasPrefix(m.text, "0/") || strings.HasPrefix(m.text, "0/c") {
			t.Errorf("it got %v", m)
		}
	}
	pressed.Keep(-buffer)
	if n := s.met(LimitAuth); n != 1 {
		t.Errorf("counted %d", n)
	}
	eventually(t, "the line of the end", func() bool { return len(s.logs.all("connection ended")) > 0 })
	if attrs := s.logs.all("connection ended")[0].attrs; attrs["limit"] != string(LimitAuth) {
		t.Errorf("logged %v", attrs)
	}
	other.expectAlive()
}

// TestClosingIsSpread holds that clients which have waited in vain do not come back in
// one wave.
func TestClosingIsSpread(t *testing.T) {
	s := New(Options{ConnectTimeout: time.Minute}, nil)
	defer s.Close()
	var first, last time.Duration = maxAway, 0
	for range 1000 {
		spread := s.spread()
		first, last = min(first, spread), max(last, spread)
	}
	if first > maxAway/10 || last < maxAway*9/10 || last > maxAway {
		t.Errorf("from %s to %s", first, last)
	}
	s.SetOptions(Options{ConnectTimeout: time.Millisecond})
	if spread := s.spread(); spread > time.Millisecond {
		t.Error(spread)
	}
}

// TestARefreshThatCannotBeJudgedThrowsNobodyOut holds that a client whose new token
// nobody can judge stays as it is, and that at the end of the old one its connection is
// closed, so that it comes back by itself. One whose new token does not hold is told.
func TestARefreshThatCannotBeJudgedThrowsNobodyOut(t *testing.T) {
	var down atomic.Bool
	s := newTestServer(t, Options{}, authenticate(func(ctx context.Context, c *Credentials) (*Identity, error) {
		if _, bad := c.Auth.Text("bad"); c.Refresh && bad {
			return nil, &Refusal{Code: CodeInvalidToken, Reason: "it is bad"}
		}
		if down.Load() {
			return nil, errors.New("down")
		}
		return byName(ctx, c)
	}))
	const unavailable = `31[{"success":false,"error":"authorization is not available","code":"auth_unavailable"}]`
	unsure, sure := s.as(`{"name":"ada"}`), s.as(`{"name":"bob"}`)
	down.Store(true)
	for _, c := range []*testClient{unsure, sure} {
		c.send(`21["auth:refresh",{"name":"ada"}]`)
		c.expect(unavailable, `2["error",{"message":"authorization is not available","code":"auth_unavailable"}]`)
	}
	sure.send(`22["auth:refresh",{"bad":"1"}]`)
	sure.expect(`32[{"success":false,"error":"not authorized","code":"invalid_token"}]`, `2["error",{"message":"not authorized","code":"invalid_token"}]`)
	for _, socket := range s.Of("/").Everyone().Sockets() {
		s.auth.expire(socket.grant.Load())
	}
	sure.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
	if rest := unsure.expectEnd(); len(rest) != 0 {
		t.Errorf("it got %v", rest)
	}
}

// TestAnIdentityOfTheConnectionEndsWithIt holds that a client who is known by its first
// request comes back by itself when that has become too old, wherever it notices.
func TestAnIdentityOfTheConnectionEndsWithIt(t *testing.T) {
	var lives atomic.Int64
	lives.Store(int64(time.Hour))
	ofConnection := authenticate(func(_ context.Context, c *Credentials) (*Identity, error) {
		return &Identity{ID: "ada", OfConnection: true, Expires: c.Handshake.Time.Add(time.Duration(lives.Load()))}, nil
	})
	s := newTestServer(t, Options{Engine: engineio.Options{LogConnections: engineio.LogAll}}, ofConnection)
	silent := func(what string, c *testClient) {
		t.Helper()
		if rest := c.expectEnd(); len(rest) != 0 {
			t.Errorf("%s: it got %v", what, rest)
		}
	}
	lives.Store(int64(2 * time.Second))
	silent("at the end", s.as(`{}`))
	lives.Store(int64(time.Hour))
	rechecked, refreshed := s.as(`{}`), s.as(`{}`)
	lives.Store(0)
	refreshed.send(`21["auth:refresh",{}]`)
	silent("a refresh", refreshed)
	s.Of("/").Recheck()
	silent("a recheck", rechecked)
	late := s.dial(engineio.WebSocket)
	late.send("0")
	silent("a connection that is too old already", late)
	eventually(t, "the lines of the ends", func() bool { return len(s.logs.all("connection ended")) == 4 })
	for _, line := range s.logs.all("connection ended") {
		if line.attrs["reason"] != string(ReasonAuthExpired) {
			t.Errorf("logged %v", line.attrs)
		}
	}
}

// TestAClientWithAnotherIDOfTheSameKeyStays holds that an authenticator may call its
// clients by other IDs after a reload.
func TestAClientWithAnotherIDOfTheSameKeyStays(t *testing.T) {
	var second atomic.Bool
	s := newTestServer(t, Options{}, authenticate(func(_ context.Context, c *Credentials) (*Identity, error) {
		name, _ := c.Auth.Text("name")
		if second.Load() {
			return &Identity{ID: "issuer#" + name, Key: name}, nil
		}
		return &Identity{ID: name, Key: name}, nil
	}), on("who", func(e *Event) { e.Ack.Reply(mustArgs(e.Socket.Identity().ID)) }))
	c := s.as(`{"name":"ada"}`)
	second.Store(true)
	s.Of("/").Recheck()
	eventually(t, "the recheck", func() bool { return len(s.logs.all("authorization checked again")) == 1 })
	c.send(`21["who"]`)
	c.expect(`31["issuer#ada"]`)
}
