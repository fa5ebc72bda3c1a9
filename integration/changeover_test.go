package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// origins is a site whose handler lets these origins in.
func origins(list string) string {
	return "route {\n test_arrivals\n socketio_stream {\n cors {\n origins " + list + "\n }\n }\n}"
}

// openWith opens a WebSocket with an Origin header, and joins the namespace "/".
func (s *server) openWith(path, origin string) *socket {
	s.t.Helper()
	c, err := s.dial(path, http.Header{"Origin": {origin}})
	if err != nil {
		s.t.Fatalf("from %s: %v", origin, err)
	}
	c.send("40")
	c.wait("40{")
	return c
}

// alive checks that a client is still served.
func (c *socket) alive() {
	c.s.t.Helper()
	c.send(`421["stream:join",{"streamId":"any"}]`)
	c.wait("431[")
}

// TestReloadClosesRevokedOrigins holds that clients of an origin that the new config does not allow
// lose their connection, on either transport, and that all others stay.
func TestReloadClosesRevokedOrigins(t *testing.T) {
	s := startServer(t, origins("https://old.example.com https://new.example.com"))
	native := s.connect("/socket.io/")
	kept := s.openWith("/socket.io/", "https://new.example.com")
	own := s.openWith("/socket.io/", "http://127.0.0.1:"+s.port)
	gone := s.openWith("/socket.io/", "https://old.example.com")
	polling := s.pollFrom("/socket.io/", "https://old.example.com")
	pending := polling.begin()

	if err := s.load(origins("https://new.example.com")); err != nil {
		t.Fatal(err)
	}
	gone.waitClosed()
	if got := <-pending; got != "1" {
		t.Errorf("the pending poll was answered %q, want the close packet", got)
	}
	if _, err := s.dial("/socket.io/", http.Header{"Origin": {"https://old.example.com"}}); err == nil {
		t.Error("the origin may still connect")
	}
	for _, c := range []*socket{native, kept, own} {
		c.alive()
	}
	// Without any list the same origin is left, also for those who were let in by a list that had
	// it.
	if err := s.load("socketio_stream"); err != nil {
		t.Fatal(err)
	}
	kept.waitClosed()
	native.alive()
	own.alive()
}

// TestReloadAsksTheHandlerOfThePath holds that a client stays when a handler that shares the hub
// and serves its path allows its origin, and only then.
func TestReloadAsksTheHandlerOfThePath(t *testing.T) {
	two := func(a, b string) string {
		handler := func(path, origin string) string {
			return fmt.Sprintf("handle %s* {\n socketio_stream {\n path %s\n cors {\n origins %s\n }\n }\n}\n", path, path, origin)
		}
		return handler("/a/", a) + handler("/b/", b)
	}
	const x, y = "https://x.example.com", "https://y.example.com"
	s := startServer(t, two(x+" "+y, x+" "+y))
	ax, ay, bx, by := s.openWith("/a/", x), s.openWith("/a/", y), s.openWith("/b/", x), s.openWith("/b/", y)
	if err := s.load(two(x, y)); err != nil {
		t.Fatal(err)
	}
	ay.waitClosed()
	bx.waitClosed()
	ax.alive()
	by.alive()
	// A client whose path nobody serves any more is judged by what is left.
	if err := s.load(two(x, y)[strings.Index(two(x, y), "handle /b/*"):]); err != nil {
		t.Fatal(err)
	}
	by.alive()
	ax.waitClosed()
}

// TestConfigThatFailsAfterItsStart holds that the options of the config before are put back in
// force when Caddy gives a config up that has already started.
func TestConfigThatFailsAfterItsStart(t *testing.T) {
	s := startServer(t, "socketio_stream {\n ping_interval 30s\n}")
	client := s.connect("/socket.io/")
	config := s.config("socketio_stream {\n ping_interval 31s\n}")
	config["admin"].(map[string]any)["config"] = map[string]any{"load": map[string]any{"module": "nonexistent"}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(text, true); err == nil || !strings.Contains(err.Error(), "config loader") {
		t.Fatalf("got %v", err)
	}
	s.settle()
	if _, handshake := s.request("GET", "/socket.io/?EIO=4&transport=polling", ""); !strings.Contains(handshake, `"pingInterval":30000`) {
		t.Errorf("an option of the config that failed is in force: %s", handshake)
	}
	client.alive()
}

// TestRemovedHubComesBack holds that a hub which a reload removes closes its connections, and that
// a later reload that names it again makes a new one, whatever the old one is still at.
func TestRemovedHubComesBack(t *testing.T) {
	const site = "route {\n test_arrivals\n socketio_stream\n}"
	s := startServer(t, site)
	for range 3 {
		client, polling := s.connect("/socket.io/"), s.poll("/socket.io/")
		pending := polling.begin()
		if err := s.load("respond nobody"); err != nil {
			t.Fatal(err)
		}
		if err := s.load(site); err != nil {
			t.Fatal(err)
		}
		newcomer, other := s.connect("/socket.io/"), s.poll("/socket.io/")
		client.waitClosed()
		if got := <-pending; got != "1" {
			t.Errorf("the pending poll was answered %q, want the close packet", got)
		}
		newcomer.send(`42["message","new"]`)
		if got := other.wait("42"); got != `42["message","new"]` {
			t.Errorf("got %s", got)
		}
	}
}

// TestHandshakeRate holds that clients beyond the rate are told to come back later, and counted.
func TestHandshakeRate(t *testing.T) {
	s := startServer(t, "socketio_stream {\n handshake_rate 1/1h 2\n status /status\n}")
	for i, want := range []int{200, 200, 503, 503} {
		response, body := s.request("GET", "/socket.io/?EIO=4&transport=polling", "")
		if response.StatusCode != want {
			t.Fatalf("handshake %d: %d %s, want %d", i, response.StatusCode, body, want)
		}
		if after, err := strconv.Atoi(response.Header.Get("Retry-After")); want == 503 && (err != nil || after < 1) {
			t.Errorf("Retry-After %q", response.Header.Get("Retry-After"))
		}
	}
	if _, status := s.request("GET", "/status", ""); !strings.Contains(status, `"refused":2`) {
		t.Errorf("status: %s", status)
	}
	// The bucket outlives a reload: it is as empty as before.
	if err := s.load("socketio_stream {\n handshake_rate 1/1h 3\n status /status\n}"); err != nil {
		t.Fatal(err)
	}
	if response, _ := s.request("GET", "/socket.io/?EIO=4&transport=polling", ""); response.StatusCode != 503 {
		t.Errorf("after a reload: %d", response.StatusCode)
	}
	if err := s.load("socketio_stream {\n handshake_rate off\n status /status\n}"); err != nil {
		t.Fatal(err)
	}
	s.connect("/socket.io/")
}
