package engineio

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// TestPanicOfAHookTakesNoPlace holds that a hook which panics during a handshake leaves
// the places free that the handshake has taken, of all and of its address.
func TestPanicOfAHookTakesNoPlace(t *testing.T) {
	for name, panics := range map[string]func(s *testServer, in *Inbound, options *Options){
		"cookie": func(_ *testServer, _ *Inbound, o *Options) {
			o.Cookie = func(*http.Request, string) *http.Cookie { panic("cookie") }
		},
		"attributes": func(_ *testServer, in *Inbound, _ *Options) {
			in.Attributes = func() map[string]string { panic("attributes") }
		},
		"accept": func(s *testServer, _ *Inbound, _ *Options) {
			s.Server.accept = func(*Session) Listener { panic("accept") }
		},
	} {
		for _, transport := range []Transport{Polling, WebSocket} {
			t.Run(name+" on "+string(transport), func(t *testing.T) {
				options := Options{MaxSessions: 1, Limits: Limits{Connections: 1}}
				s := newEngine(t, options)
				accept := s.Server.accept
				in := Inbound{RemoteAddr: "192.0.2.1"}
				broken := options
				panics(s, &in, &broken)
				s.SetOptions(broken)
				request := func(in Inbound) (w http.ResponseWriter, panicked any) {
					server, client := net.Pipe()
					t.Cleanup(func() { _ = client.Close() })
					recorder := httptest.NewRecorder()
					w = &hijackable{recorder, server}
					r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil)
					if transport == WebSocket {
						r = websocketRequest(t, rawclient.Query(rawclient.WebSocket, ""))
					}
					go func() { _, _ = io.Copy(io.Discard, client) }()
					defer func() { panicked = recover() }()
					_ = s.Server.ServeHTTP(w, r, in)
					return w, nil
				}
				for range 3 {
					if _, panicked := request(in); panicked != name {
						t.Fatalf("the hook did not panic: %v", panicked)
					}
				}
				expect(t, "open sessions", s.Sessions(), 0)
				expect(t, "counted as open", s.Metrics().on(t, transport).open(), 0)

				s.Server.accept = accept
				s.SetOptions(options)
				request(Inbound{RemoteAddr: "192.0.2.1"})
				expect(t, "open sessions", s.Sessions(), 1)
			})
		}
	}
}

// TestLongHeadersCount holds that what is kept of a first request beyond what is usual counts
// as long as its session is there, and that sessions are refused when there is no room for
// more of it.
func TestLongHeadersCount(t *testing.T) {
	const long, limit = 100_000, 4_000_000
	s := newEngine(t, Options{ServerBuffer: limit})
	open := func(header string) int {
		r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil)
		r.Header.Set("X-Long", header)
		return s.serveRecorded(t, r).Code
	}
	expect(t, "status", open("usual"), http.StatusOK)
	expect(t, "bytes of what is usual", s.Metrics().KeptBytes, 0)
	opened := 0
	for open(strings.Repeat("x", long)) == http.StatusOK {
		opened++
	}
	if least, most := limit*70/100/long, limit*90/100/long; opened < least || opened > most {
		t.Errorf("%d sessions with a long header, want %d to %d", opened, least, most)
	}
	for session := range s.table.all() {
		session.Close(ReasonForcedClose)
	}
	expect(t, "bytes of sessions that are over", s.Metrics().KeptBytes, 0)
}
