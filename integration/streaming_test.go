package integration

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

const twoPaths = `
	route {
		test_arrivals
		socketio_stream {
			path /socket.io/ /streaming/socket.io/
			health /health /streaming/health
			status /status
		}
		respond "next"
	}
`

func TestServesBothPathsFromOneHub(t *testing.T) {
	s := startServer(t, twoPaths)
	polling := s.poll("/socket.io/")
	socket := s.connect("/streaming/socket.io/")

	socket.send(`42["message",{"from":"socket"}]`)
	if got := polling.wait("42"); got != `42["message",{"from":"socket"}]` {
		t.Errorf("the poller got %s", got)
	}
	polling.send(`42["stream:data","from the poller"]`)
	if got := socket.wait("42"); got != `42["stream:data","from the poller"]` {
		t.Errorf("the socket got %s", got)
	}

	if _, body := s.request("GET", "/anything", ""); body != "next" {
		t.Errorf("the next handler did not answer: %s", body)
	}
	_, body := s.request("GET", "/health", "")
	var health struct {
		Port        string
		Connections int
	}
	if err := json.Unmarshal([]byte(body), &health); err != nil || health.Port != s.port || health.Connections != 2 {
		t.Errorf("health: %s, want port %s and two connections (%v)", body, s.port, err)
	}
	if response, body := s.request("GET", "/status", ""); response.StatusCode != http.StatusOK || !strings.Contains(body, `"connected":2`) {
		t.Errorf("status: %d %s", response.StatusCode, body)
	}
}

// TestReloadKeepsConnections holds that a connection, and a poll that is pending on it, outlive the
// config they came in on.
func TestReloadKeepsConnections(t *testing.T) {
	s := startServer(t, twoPaths)
	polling, socket := s.poll("/socket.io/"), s.connect("/socket.io/")
	for _, marker := range []string{"first reload", "second reload"} {
		pending := polling.begin()

		if err := s.load(strings.Replace(twoPaths, "next", marker, 1)); err != nil {
			t.Fatal(err)
		}
		if _, body := s.request("GET", "/anything", ""); body != marker {
			t.Errorf("the config in effect answers %q, want %q", body, marker)
		}
		socket.send(`42["message","after the ` + marker + `"]`)
		if got, want := <-pending, `42["message","after the `+marker+`"]`; got != want {
			t.Errorf("the poll that was pending got %s, want %s", got, want)
		}
		polling.send(`42["message","back"]`)
		if got := socket.wait("42"); got != `42["message","back"]` {
			t.Errorf("the socket got %s", got)
		}
	}
}

// TestFailedReloadChangesNothing holds that a config that is refused leaves the hub as it was.
func TestFailedReloadChangesNothing(t *testing.T) {
	s := startServer(t, twoPaths)
	socket, other := s.connect("/socket.io/"), s.connect("/socket.io/")
	err := s.load("socketio_stream {\n serve_client /nonexistent/folder\n ping_interval 1s\n}")
	if err == nil || !strings.Contains(err.Error(), "serve_client") || !strings.Contains(err.Error(), "Caddyfile:") {
		t.Fatalf("got %v", err)
	}
	socket.send(`42["message","still here"]`)
	if got := other.wait("42"); got != `42["message","still here"]` {
		t.Errorf("got %s", got)
	}
}

func TestTwoHandlersOfOneHubMustAgree(t *testing.T) {
	s := startServer(t, twoPaths)
	err := s.load(`
	handle /a/* {
		socketio_stream {
			path /a/
			ping_timeout 5s
		}
	}
	handle {
		socketio_stream {
			ping_timeout 6s
		}
	}
`)
	if err == nil || strings.Count(err.Error(), "Caddyfile:") < 2 || !strings.Contains(err.Error(), "ping_timeout") {
		t.Fatalf("want an error that names both places and the option, got %v", err)
	}
}

func TestOriginIsCheckedOnEveryTransport(t *testing.T) {
	s := startServer(t, "socketio_stream {\n cors {\n origins https://app.example.com\n }\n}")
	for origin, code := range map[string]int{"https://app.example.com": 200, "https://evil.example.net": 403, "http://127.0.0.1:" + s.port: 200} {
		response, body := s.request("GET", "/socket.io/?EIO=4&transport=polling", "", "Origin", origin)
		if response.StatusCode != code {
			t.Errorf("polling from %s: %d %s", origin, response.StatusCode, body)
		}
		_, err := s.dial("/socket.io/", http.Header{"Origin": {origin}})
		var refused ws.StatusError
		if code == 200 && err != nil || code != 200 && (!errors.As(err, &refused) || int(refused) != code) {
			t.Errorf("WebSocket from %s: %v", origin, err)
		}
	}
}

// TestRefusalsAreTheReferenceServers holds that the protocol's own errors reach the client through
// Caddy as they are.
func TestRefusalsAreTheReferenceServers(t *testing.T) {
	s := startServer(t, "socketio_stream {\n serve_client off\n}")
	for _, test := range []struct{ method, path, body string }{
		{"GET", "/socket.io/?EIO=4&transport=carrier-pigeon", `{"code":0,"message":"Transport unknown"}`},
		{"GET", "/socket.io/?EIO=4&transport=polling&sid=none", `{"code":1,"message":"Session ID unknown"}`},
		{"POST", "/socket.io/?EIO=4&transport=polling", `{"code":2,"message":"Bad handshake method"}`},
		{"GET", "/socket.io/?EIO=3&transport=polling", `{"code":5,"message":"Unsupported protocol version"}`},
	} {
		response, body := s.request(test.method, test.path, "")
		if response.StatusCode != http.StatusBadRequest || body != test.body {
			t.Errorf("%s %s: %d %s, want %s", test.method, test.path, response.StatusCode, body, test.body)
		}
	}
}

// TestPollsEndBeforeTheServersWriteTimeout holds that a client on polling stays connected though
// Caddy's write timeout, which no handler can lift, is shorter than the time to the next heartbeat.
func TestPollsEndBeforeTheServersWriteTimeout(t *testing.T) {
	s := startServer(t, "socketio_stream {\n ping_interval 6s\n}", "servers {\n timeouts {\n write 2s\n }\n}")
	p := s.poll("/socket.io/")
	if got := p.wait(""); got != "6" {
		t.Errorf("the first poll was ended with %q, want a noop", got)
	}
	p.wait("2")
}

// TestLogFilterHidesSessionIDs holds that the log filter of the manual does what it is for.
func TestLogFilterHidesSessionIDs(t *testing.T) {
	_, filter, _ := strings.Cut(documents.Section(t, "Keeping session ids out of the log"), "\tlog {\n")
	filter, _, ok := strings.Cut(filter, "\n\t}\n")
	if !ok {
		t.Fatal("the manual shows no filter")
	}
	file := filepath.Join(t.TempDir(), "caddy.log")
	s := startServer(t, "log\nsocketio_stream", "log {\n output file "+file+"\n"+filter+"\n}")
	sid := s.poll("/socket.io/").sid
	var content []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var err error
		if content, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "sid=REDACTED") {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	if !strings.Contains(string(content), "sid=REDACTED") || strings.Contains(string(content), sid) {
		t.Errorf("the log, with session %s:\n%s", sid, content)
	}
}
