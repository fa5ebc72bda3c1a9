package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestOptionsChangeOnceTheNewConfigHasStarted holds that a hub that is kept takes on the new
// options for those who come after, and leaves those who are there alone.
func TestOptionsChangeOnceTheNewConfigHasStarted(t *testing.T) {
	s := startServer(t, "socketio_stream {\n ping_interval 30s\n}")
	before := s.connect("/socket.io/")
	if err := s.load("socketio_stream {\n ping_interval 31s\n max_connections 2\n}"); err != nil {
		t.Fatal(err)
	}
	_, handshake := s.request("GET", "/socket.io/?EIO=4&transport=polling", "")
	if !strings.Contains(handshake, `"pingInterval":31000`) {
		t.Errorf("the new option is not in effect: %s", handshake)
	}
	response, _ := s.request("GET", "/socket.io/?EIO=4&transport=polling", "")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("the third connection of two: %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	before.send(`42["stream:start",{"streamId":"kept"}]`)
	before.wait(`42["stream:started"`)
}

// TestReloadKeepsStreams holds that what the events of a namespace keep outlives their
// configuration.
func TestReloadKeepsStreams(t *testing.T) {
	s := startServer(t, "socketio_stream")
	owner, other := s.connect("/socket.io/"), s.connect("/socket.io/")
	owner.send(`42["stream:start",{"streamId":"kept"}]`)
	owner.wait(`42["stream:started"`)
	if err := s.load("socketio_stream {\n namespace / {\n events streaming {\n replay first\n }\n }\n}"); err != nil {
		t.Fatal(err)
	}
	other.send(`421["stream:stop",{"streamId":"kept"}]`)
	if got := other.wait(`431[`); !strings.Contains(got, `"not_owner"`) {
		t.Errorf("stopping another's stream after a reload: %s", got)
	}
}

// TestRemovedNamespaceAndHubDisconnect holds that those whose namespace or hub the new config does
// not name are told.
func TestRemovedNamespaceAndHubDisconnect(t *testing.T) {
	s := startServer(t, "socketio_stream {\n namespace / {\n events relay chat\n }\n namespace /gone {\n events relay chat\n }\n}")
	client := s.connect("/socket.io/")
	client.send("40/gone,")
	client.wait(`40/gone,{`)
	if err := s.load("socketio_stream {\n namespace / {\n events relay chat\n }\n}"); err != nil {
		t.Fatal(err)
	}
	client.wait("41/gone,")
	client.send("40/gone,")
	client.wait(`44/gone,{"message":"Invalid namespace"}`)

	polling := s.poll("/socket.io/")
	if err := s.load("socketio_stream {\n hub other\n}"); err != nil {
		t.Fatal(err)
	}
	client.waitClosed()
	response, body := s.request("GET", polling.path+"&sid="+polling.sid, "")
	if response.StatusCode != http.StatusBadRequest || !strings.Contains(body, "Session ID unknown") {
		t.Errorf("a poll for a hub that is gone: %d %s", response.StatusCode, body)
	}
}

// TestCookieOnTheWire holds that the handshake, and nothing else, sets the cookie, with the
// session's ID in it.
func TestCookieOnTheWire(t *testing.T) {
	s := startServer(t, "socketio_stream {\n cookie\n}")
	response, body := s.request("GET", "/socket.io/?EIO=4&transport=polling", "")
	cookies := response.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got cookies %v", cookies)
	}
	cookie := cookies[0]
	if cookie.Name != "io" || cookie.Path != "/" || !cookie.HttpOnly || cookie.Secure || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Value == "" || !strings.Contains(body, `"sid":"`+cookie.Value+`"`) {
		t.Errorf("got the cookie %q with the handshake %s", cookie, body)
	}
	response, _ = s.request("POST", "/socket.io/?EIO=4&transport=polling&sid="+cookie.Value, "40")
	if len(response.Cookies()) != 0 {
		t.Errorf("a later request set a cookie: %v", response.Cookies())
	}
}
