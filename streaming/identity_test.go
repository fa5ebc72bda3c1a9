package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// authenticate makes an event set of an authenticator.
type authenticate func(ctx context.Context, c *Credentials) (*Identity, error)

func (f authenticate) Authenticate(ctx context.Context, c *Credentials) (*Identity, error) {
	return f(ctx, c)
}

func (f authenticate) Register(_ *Namespace, h *Handlers) error { return h.Authenticate(f) }

// byName lets in whom the payload names, as that says.
func byName(_ context.Context, c *Credentials) (*Identity, error) {
	name, ok := c.Auth.Text("name")
	if !ok {
		return nil, &Refusal{Code: CodeUnauthorized, Reason: "nobody is named"}
	}
	identity := &Identity{ID: name, Method: "name"}
	var auth struct {
		Rooms, Start, Publish *[]string
		Lives                 *int
		Leeway                int
	}
	if err := json.Unmarshal(c.Auth.JSON(), &auth); err != nil {
		return nil, err
	}
	if auth.Rooms != nil {
		identity.Rooms = LimitTo(*auth.Rooms...)
	}
	if auth.Start != nil {
		identity.Start = LimitTo(*auth.Start...)
	}
	if auth.Publish != nil {
		identity.Publish = LimitTo(*auth.Publish...)
	}
	if auth.Lives != nil {
		identity.Expires = time.Now().Add(time.Duration(*auth.Lives) * time.Millisecond)
		identity.Leeway = time.Duration(auth.Leeway) * time.Millisecond
	}
	return identity, nil
}

// TestRefusalsTellTheClientACodeAlone holds that the reason goes to the log,
// and to nobody else.
func TestRefusalsTellTheClientACodeAlone(t *testing.T) {
	const secret = "the reason that is for the log"
	for name, test := range map[string]struct {
		err  error
		want string
		code string
	}{
		"unauthorized": {&Refusal{CodeUnauthorized, secret}, `{"message":"not authorized","data":{"code":"unauthorized"}}`, CodeUnauthorized},
		"invalid":      {&Refusal{CodeInvalidToken, secret}, `{"message":"not authorized","data":{"code":"invalid_token"}}`, CodeInvalidToken},
		"expired":      {&Refusal{CodeTokenExpired, secret}, `{"message":"the token has expired","data":{"code":"token_expired"}}`, CodeTokenExpired},
		"wrapped":      {fmt.Errorf("more: %w", &Refusal{CodeForbidden, secret}), `{"message":"not authorized","data":{"code":"forbidden"}}`, CodeForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t, Options{}, authenticate(func(context.Context, *Credentials) (*Identity, error) {
				return nil, test.err
			}))
			c := s.dial(engineio.WebSocket)
			c.send(`0{"token":"not-to-be-logged"}`)
			c.expect("4" + test.want)
			lines := s.logs.all("connection to a namespace refused")
			if len(lines) != 1 || lines[0].attrs["code"] != test.code || test.err != nil && lines[0].attrs["error"] != secret {
				t.Errorf("logged %+v", lines)
			}
			if stats := s.Metrics().Auth; stats.Refused != 1 || stats.Identified != 0 {
				t.Errorf("counted %+v", stats)
			}
			for _, count := range s.Metrics().AuthRefusals {
				if want := count.Reason == test.code; (count.Count == 1) != want {
					t.Errorf("counted %+v", count)
				}
			}
			// The connection may try again.
			c.expectAlive()
		})
	}
}

func TestAnAuthenticatorThatPanicsLetsNobodyIn(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(func(context.Context, *Credentials) (*Identity, error) { panic("no") }))
	c := s.dial(engineio.WebSocket)
	c.send("0")
	c.expect(`4{"message":"internal error"}`)
	if len(s.logs.panics(t)) != 1 {
		t.Error("the panic was not logged")
	}
}

func TestASecondAuthenticatorIsRefused(t *testing.T) {
	s := newTestServer(t, Options{})
	if err := s.Of("/").Use(authenticate(byName), authenticate(byName)); err == nil {
		t.Error("two authenticators were taken")
	}
	if err := s.Of("/").Use(on(refreshEvent, func(*Event) {}), authenticate(byName)); err == nil {
		t.Error("an event set may take the event that refreshes")
	}
}

// TestAClientThatLeavesEndsTheQuestion holds that nobody waits for an answer
// about a client that is gone.
func TestAClientThatLeavesEndsTheQuestion(t *testing.T) {
	asked, over := make(chan bool, 1), make(chan error, 1)
	s := newTestServer(t, Options{}, authenticate(func(ctx context.Context, _ *Credentials) (*Identity, error) {
		asked <- true
		<-ctx.Done()
		over <- ctx.Err()
		return &Identity{ID: "late"}, nil
	}))
	c := s.dial(engineio.WebSocket)
	c.send("0")
	receive(t, "the question", asked)
	c.vanish()
	if err := receive(t, "its end", over); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s.empty()
	eventually(t, "the identity to be forgotten", func() bool { return s.Metrics().Auth.Identified == 0 })
}

// TestIdentityIsOnTheSocket holds that event sets find the identity, the log
// names it, and it is counted for as long as the socket is there.
func TestIdentityIsOnTheSocket(t *testing.T) {
	gone := make(chan string, 1)
	s := newTestServer(t, Options{Engine: engineio.Options{LogConnections: engineio.LogAll}}, authenticate(byName), handlers(func(_ *Namespace, h *Handlers) {
		h.OnAuthorize(func(_ context.Context, s *Socket) error {
			if s.Identity().ID == "mallory" {
				return &ConnectError{Message: "not you"}
			}
			return nil
		})
		h.OnDisconnect(func(s *Socket, _ Reason) { gone <- s.Identity().ID })
	}), on("who", func(e *Event) { e.Ack.Reply(mustArgs(e.Socket.Identity().ID)) }))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"mallory"}`)
	c.expect(`4{"message":"not you"}`)
	c.send(`0{"name":"ada\nlovelace"}`)
	if m := c.next(); !strings.HasPrefix(m.text, `0{"sid"`) {
		t.Fatal(m)
	}
	c.send(`21["who"]`)
	c.expect(`31["ada\nlovelace"]`)
	if stats := s.Metrics().Auth; stats.Identified != 1 {
		t.Errorf("counted %+v", stats)
	}
	c.close()
	if id := receive(t, "the disconnect", gone); id != "ada\nlovelace" {
		t.Errorf("the handler saw %q", id)
	}
	s.empty()
	if stats := s.Metrics().Auth; stats.Identified != 0 {
		t.Errorf("counted %+v", stats)
	}
	eventually(t, "the line of the end", func() bool { return len(s.logs.all("connection ended")) == 1 })
	if got := s.logs.all("connection ended")[0].attrs["identity"]; got != `ada\nlovelace` {
		t.Errorf("logged %q", got)
	}
}

func TestPublishRights(t *testing.T) {
	heard := make(chan string, 10)
	listen := func(e *Event) {
		heard <- e.Name
		e.Ack.Reply(mustArgs("ok"))
	}
	s := newTestServer(t, Options{}, authenticate(byName), on("chat", listen), on("chat:loud", listen), on("admin", listen))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada","publish":["chat*"]}`)
	c.next()
	c.send(`21["chat"]`, `22["admin",{"x":1}]`, `2["admin"]`, `23["nothing"]`, `24["chat:loud"]`)
	const refused = `{"success":false,"error":"not allowed to send this event","code":"forbidden"}`
	const told = `2["error",{"message":"not allowed to send this event","code":"forbidden"}]`
	c.expect(`31["ok"]`, `32[`+refused+`]`, told, told, `33[`+refused+`]`, told, `34["ok"]`)
	close(heard)
	for name := range heard {
		if !strings.HasPrefix(name, "chat") {
			t.Errorf("the handler of %s was called", name)
		}
	}
	if lines := s.logs.all("event refused"); len(lines) != 3 || lines[0].attrs["identity"] != "ada" || lines[0].attrs["event"] != "admin" {
		t.Errorf("logged %+v", lines)
	}
}

func TestRoomRights(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), on("join", func(e *Event) {
		room, _ := e.Args.Object(0)
		name, _ := room.Text("room")
		err := e.Socket.Join("public", name)
		e.Ack.Reply(mustArgs(errors.Is(err, ErrForbidden), e.Socket.Rooms()))
	}), on("admit", func(e *Event) {
		e.Socket.Admit("anything")
		e.Ack.Reply(mustArgs(e.Socket.Rooms()))
	}))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada","rooms":["public","own:*"]}`)
	c.next()
	c.send(`21["join",{"room":"other"}]`)
	c.expect(`31[true,[]]`)
	c.send(`22["join",{"room":"own:1"}]`)
	c.expect(`32[false,["public","own:1"]]`)
	c.send(`23["admit"]`)
	c.expect(`33[["public","own:1","anything"]]`)
}

func TestExpiryDisconnects(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			reasons := make(chan Reason, 2)
			s := newTestServer(t, Options{}, authenticate(byName), handlers(func(_ *Namespace, h *Handlers) {
				h.OnDisconnect(func(_ *Socket, reason Reason) { reasons <- reason })
			}))
			c := s.dial(transport)
			// It counts from the moment at which the client is in no namespace any more.
			s.SetOptions(Options{ConnectTimeout: 200 * time.Millisecond})
			// So long that it is connected by then.
			c.send(`0{"name":"ada","lives":1000,"leeway":20}`)
			c.next()
			c.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
			if reason := receive(t, "the disconnect", reasons); reason != ReasonAuthExpired {
				t.Errorf("the reason is %q", reason)
			}
			if stats := s.Metrics().Auth; stats.Expired != 1 || stats.Identified != 0 {
				t.Errorf("counted %+v", stats)
			}
			// A client that does not come back is not kept.
			c.expectEnd()
		})
	}
}

// TestExpiryOfMany holds that each socket ends at its own time, whatever the
// order they came in, and that those who left before are forgotten.
func TestExpiryOfMany(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName))
	var stay, all []*testClient
	for i := range 30 {
		c := s.dial(engineio.WebSocket)
		all = append(all, c)
		lives := 50 + (i*37)%50
		if i%3 == 0 {
			lives = 3_600_000
		}
		c.send(fmt.Sprintf(`0{"name":"c%d","lives":%d}`, i, lives))
		c.next()
		if i%3 == 0 {
			stay = append(stay, c)
		}
	}
	eventually(t, "those that expire to be gone", func() bool { return s.Metrics().Auth.Expired == 20 })
	for _, c := range stay {
		c.expectAlive()
	}
	for _, c := range all {
		c.close()
	}
	s.empty()
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	if len(s.auth.ending) != 0 {
		t.Errorf("%d grants are kept of sockets that are gone", len(s.auth.ending))
	}
}

func TestRefresh(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), on("join", func(e *Event) {
		_ = e.Socket.Join("a")
		e.Ack.Reply(packet.Args{})
	}))
	c := s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada","rooms":["a"],"publish":["join"],"lives":3600000}`)
	c.next()
	c.send(`21["join"]`)
	c.expect(`31[]`)

	refused := func(id, code, message string) []any {
		return []any{`3` + id + `[{"success":false,"error":"` + message + `","code":"` + code + `"}]`,
			`2["error",{"message":"` + message + `","code":"` + code + `"}]`}
	}
	for i, test := range []struct{ args, code string }{
		{``, CodeUnauthorized},
		{`,7`, CodeUnauthorized},
		{`,{"name":7}`, CodeUnauthorized},
		{`,{"name":"mallory"}`, CodeForbidden},
		{`,{"name":"ada","rooms":["b"]}`, CodeForbidden},
	} {
		id := fmt.Sprint(10 + i)
		c.send(`2` + id + `["auth:refresh"` + test.args + `]`)
		c.expect(refused(id, test.code, "not authorized")...)
	}
	if lines := s.logs.all("event refused"); len(lines) != 5 || lines[3].attrs["identity"] != "ada" {
		t.Errorf("logged %+v", lines)
	}
	c.send(`22["auth:refresh",{"name":"ada","rooms":["*"]}]`)
	c.expect(`32[{"success":true,"expiresAt":null}]`)
	if stats := s.Metrics().Auth; stats.Refreshed != 1 || stats.Identified != 1 {
		t.Errorf("counted %+v", stats)
	}
	before := time.Now()
	c.send(`23["auth:refresh",{"name":"ada","rooms":["a"],"lives":100}]`)
	var answer []struct {
		Success   bool
		ExpiresAt int64
	}
	if err := json.Unmarshal([]byte(c.next().text[2:]), &answer); err != nil || !answer[0].Success || answer[0].ExpiresAt < before.UnixMilli() {
		t.Fatalf("%+v %v", answer, err)
	}
	c.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
	if stats := s.Metrics().Auth; stats.Refreshed != 2 || stats.Expired != 1 {
		t.Errorf("counted %+v", stats)
	}
}

// TestRefreshProlongs holds that a client that shows new credentials in time
// stays.
func TestRefreshProlongs(t *testing.T) {
	s := newTestServer(t, Options{}, authenticate(byName), on("ping", func(e *Event) { e.Ack.Reply(packet.Args{}) }))
	c, other := s.dial(engineio.WebSocket), s.dial(engineio.WebSocket)
	c.send(`0{"name":"ada","lives":2000}`)
	c.next()
	c.send(`21["auth:refresh",{"name":"ada","lives":3600000}]`)
	if m := c.next(); !strings.HasPrefix(m.text, `31[{"success":true`) {
		t.Fatal(m)
	}
	// One that was given as long, after that one, goes.
	other.send(`0{"name":"bob","lives":2000}`)
	other.next()
	other.expect(`2["error",{"message":"the token has expired","code":"token_expired"}]`, "1")
	c.send(`22["ping"]`)
	c.expect(`32[]`)
}

// TestExpiryRacesWithEverything lets clients refresh, leave and expire at the
// same time: every socket is disconnected once, and nothing is kept.
func TestExpiryRacesWithEverything(t *testing.T) {
	gone := make(chan string, 1000)
	s := newTestServer(t, Options{}, authenticate(byName), handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(s *Socket, _ Reason) { gone <- s.ID() })
	}))
	const clients = 40
	done := make(chan error, clients)
	for i := range clients {
		go func() {
			done <- func() error {
				c, err := dialClient(s, bothTransports[i%2])
				if err != nil {
					return err
				}
				defer c.close()
				if err := c.trySend(fmt.Sprintf(`0{"name":"c%d","lives":%d}`, i, 20+i%7)); err != nil {
					return err
				}
				for range 5 {
					if c.trySend(fmt.Sprintf(`2["auth:refresh",{"name":"c%d","lives":%d}]`, i, 5+i%11)) != nil {
						return nil
					}
				}
				if i%4 == 0 {
					_ = c.trySend("1")
				}
				return nil
			}()
		}()
	}
	for range clients {
		if err := receive(t, "a client", done); err != nil {
			t.Fatal(err)
		}
	}
	s.empty()
	eventually(t, "the identities to be forgotten", func() bool {
		s.auth.mu.Lock()
		defer s.auth.mu.Unlock()
		return len(s.auth.ending) == 0 && s.Metrics().Auth.Identified == 0
	})
	seen := make(map[string]bool)
	for len(gone) > 0 {
		id := <-gone
		if seen[id] {
			t.Errorf("%s was disconnected twice", id)
		}
		seen[id] = true
	}
}
