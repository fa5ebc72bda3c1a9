package engineio

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestFirstPacketIsNotLost sends the first messages in one segment with the
// request, many times.
func TestFirstPacketIsNotLost(t *testing.T) {
	const (
		clients    = 8
		handshakes = 75 // of each client
	)
	s := newServer(t, Options{})
	// Longer than what the HTTP server buffers, so that only part of it is
	// there when the connection is taken over.
	long := strings.Repeat("x", 10_000)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range handshakes {
				conn, err := s.client.Dial(t.Context(), rawclient.Query(rawclient.WebSocket, ""),
					rawclient.Text("4first"), rawclient.Text("4"+long), rawclient.Text("4last"))
				if err == nil {
					err = conn.ReadOpen()
				}
				if err != nil {
					t.Error(err)
					return
				}
				got := s.recorder(t, conn.Open.SID).waitFor(t, 3)
				if len(got) != 3 || got[0] != "first" || got[1] != long || got[2] != "last" {
					t.Errorf("got %d other messages", len(got))
				}
				_ = conn.Close()
			}
		})
	}
	all.Wait()
}

func TestHandshakeTellsOfTheRequest(t *testing.T) {
	s := newServer(t, Options{})
	s.client.Header.Set("X-Custom-Header", "abc")
	s.client.Header.Set("Cookie", "a=1; b=2")
	const query = "EIO=4&transport=%s&token=x%%20y&list=1&list=2"
	before := time.Now()

	expectHandshake := func(t *testing.T, r *recorder, transport string) {
		t.Helper()
		h := r.session.Handshake()
		expect(t, "header", h.Header.Get("X-Custom-Header"), "abc")
		expect(t, "cookie", h.Header.Get("Cookie"), "a=1; b=2")
		expect(t, "query", h.Query().Get("token"), "x y")
		expect(t, "query of many values", strings.Join(h.Query()["list"], " "), "1 2")
		expect(t, "address", h.RemoteAddr, "127.0.0.1")
		expect(t, "secure", h.Secure, false)
		expect(t, "target", h.URL, "/socket.io/?"+fmt.Sprintf(query, transport))
		if h.Time.Before(before) || h.Time.After(time.Now()) {
			t.Errorf("time %v", h.Time)
		}
	}
	t.Run("polling", func(t *testing.T) {
		need(s.client.Do(t.Context(), http.MethodGet, fmt.Sprintf(query, "polling"), nil, nil))(t)
		expectHandshake(t, s.recorders[0], "polling")
	})
	t.Run("websocket", func(t *testing.T) {
		conn := need(s.client.Dial(t.Context(), fmt.Sprintf(query, "websocket")))(t)
		defer func() { _ = conn.Close() }()
		must(t, conn.ReadOpen())
		expectHandshake(t, s.recorders[1], "websocket")
	})
}

// TestCookieHasValue asks for a cookie, which carries the session's ID.
func TestCookieHasValue(t *testing.T) {
	s := newServer(t, Options{Cookie: func(r *http.Request, sid string) *http.Cookie {
		return &http.Cookie{Name: "io", Value: sid, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil}
	}})
	p, _ := s.poller(t)
	const attributes = "; Path=/; HttpOnly; SameSite=Lax"
	expect(t, "cookie", p.Answer.Header.Get("Set-Cookie"), "io="+p.Open.SID+attributes)
	expect(t, "cookies", len(p.Answer.Header["Set-Cookie"]), 1)
	conn, _ := s.connect(t)
	expect(t, "cookie", conn.Answer.Header.Get("Set-Cookie"), "io="+conn.Open.SID+attributes)
	// It comes with the handshake alone.
	expect(t, "cookies", len(need(p.Post(t.Context(), "4x"))(t).Header["Set-Cookie"]), 0)
}

func TestSessionIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		id := newSessionID()
		if len(id) != 24 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Fatalf("session ID %q", id)
		}
		if seen[id] {
			t.Fatal("a session ID came twice")
		}
		seen[id] = true
	}
}

// TestAcceptSeesSessionBeforeItsMessages looks at a session while it is
// accepted.
func TestAcceptSeesSessionBeforeItsMessages(t *testing.T) {
	s := newEngine(t, Options{})
	accept := s.accept
	accepted := make(chan *recorder, 2)
	s.Server.accept = func(session *Session) Listener {
		if s.table.get(session.ID()) != nil {
			t.Error("requests can find the session before it has a listener")
		}
		listener := accept(session)
		accepted <- listener.(*recorder)
		return listener
	}
	for _, transport := range []Transport{Polling, WebSocket} {
		if transport == Polling {
			s.pollIn(t)
		} else {
			s.connectPipe(t)
		}
		expect(t, "transport", (<-accepted).session.Transport(), transport)
	}
	expect(t, "open sessions", s.Sessions(), 2)
}
