package integration

import (
	"net/http"
	"strings"
	"testing"
)

const publishKey = "4f1c0d9a7be24c3f8a6d5e2b1c0f9e8d"

// publishing is a site at which backends publish, with a second key in the environment.
const publishing = `socketio_stream {
	publish /publish {
		key {env.TEST_PUBLISH_KEY} another-key-of-this-site
	}
	namespace / {
		events relay chat
	}
}`

func TestPublishedEventsReachClients(t *testing.T) {
	t.Setenv("TEST_PUBLISH_KEY", publishKey)
	s := startServer(t, publishing)
	one, other := s.connect("/socket.io/"), s.poll("/socket.io/")
	publish := func(body, want string) {
		t.Helper()
		response, answer := s.request("POST", "/publish", body, "Authorization", "Bearer "+publishKey, "Content-Type", "application/json")
		if response.StatusCode != http.StatusOK || strings.TrimSpace(answer) != want {
			t.Errorf("%s: %s %s, want %s", body, response.Status, answer, want)
		}
	}
	publish(`{"event": "news", "args": [1], "id": "one"}`, `{"receivers":2}`)
	// A reload forgets neither the clients nor what was sent.
	if err := s.load(strings.Replace(publishing, "events relay chat", "events relay chat typing", 1)); err != nil {
		t.Fatal(err)
	}
	publish(`{"event": "news", "args": [1], "id": "one"}`, `{"receivers":2}`)
	publish(`{"event": "more"}`, `{"receivers":2}`)
	for _, wait := range []func(string) string{one.wait, other.wait} {
		if got := wait("42"); got != `42["news",1]` {
			t.Errorf("got %s", got)
		}
		if got := wait("42"); got != `42["more"]` {
			t.Errorf("got %s after the first", got)
		}
	}
	// Pages of other sites are told nothing that a browser would let them read.
	response, _ := s.request("OPTIONS", "/publish", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if response.StatusCode != http.StatusUnauthorized || response.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight is answered %s, %v", response.Status, response.Header)
	}
}

// TestWhereNobodyCouldPublish holds what is refused when a config is loaded: keys that placeholders
// stand for are not in the message.
func TestWhereNobodyCouldPublish(t *testing.T) {
	t.Setenv("TEST_PUBLISH_KEY", "guess-me")
	for _, c := range []struct{ options, want string }{
		{"publish /publish {\nkey {env.TEST_PUBLISH_KEY}\n}", "a key of publish has 8 bytes"},
		{"publish /publish {\nkey {env.TEST_PUBLISH_KEY_THAT_IS_NOT}\n}", "TEST_PUBLISH_KEY_THAT_IS_NOT"},
		{"publish /a {\nkey 0123456789abcdef\n}\npublish /a {\nkey 0123456789abcdef\n}", `publish path "/a" is given twice`},
		{"publish /socket.io {\nkey 0123456789abcdef\n}", "is a socket path too"},
		{"health /a\npublish /a {\nkey 0123456789abcdef\n}", `"/a" is both a health path and a publish path`},
	} {
		s := &server{t: t, port: "1", dir: t.TempDir()}
		err := s.load("socketio_stream {\n" + c.options + "\n}")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "guess-me") || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s: got %v, want %s", c.options, err, c.want)
		}
	}
}
