package integration

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// trusting is a global option that takes the client's address from the header of a proxy on this
// machine.
const trusting = "servers {\n trusted_proxies static 127.0.0.1/32\n}"

// handshakeFrom connects for a client that a proxy says has this address.
func (s *server) handshakeFrom(address string) rawclient.Response {
	s.t.Helper()
	var headers []string
	if address != "" {
		headers = []string{"X-Forwarded-For", address}
	}
	return do(s.raw(headers...).Do(s.t.Context(), "GET", rawclient.Query(rawclient.Polling, ""), nil, nil))(s.t)
}

func (s *server) expectHandshake(address string, status int) {
	s.t.Helper()
	if answer := s.handshakeFrom(address); answer.Status != status {
		s.t.Errorf("%q: status %d, want %d: %s", address, answer.Status, status, answer.Body)
	}
}

// TestLimitsAreOfTheClientsAddress holds that the address is the one that trusted_proxies leads to,
// and that a client cannot choose it. TestWhoIsLetOff has the ways in which it may try.
func TestLimitsAreOfTheClientsAddress(t *testing.T) {
	const directives = "socketio_stream {\n status /status\n limits {\n connections_per_ip 2\n }\n}"
	log := newLogFile(t, "caddy.log")
	s := startServer(t, directives, trusting, log.own())
	for _, same := range []string{"203.0.113.7", "::ffff:203.0.113.7"} {
		s.expectHandshake(same, 200)
	}
	s.expectHandshake("203.0.113.7", 429)
	expectFields(t, log.wait("request refused", 1)[0], map[string]any{"reason": "connections_per_ip", "client_ip": "203.0.113.7", "status": 429})
	s.expectHandshake("203.0.113.8", 200)
	// The first 64 bits of an IPv6 address are one client's.
	s.expectHandshake("2001:db8:1:2::1", 200)
	s.expectHandshake("2001:db8:1:2:ffff::2", 200)
	s.expectHandshake("2001:db8:1:2::3", 429)
	s.expectHandshake("2001:db8:1:3::1", 200)
	// Loopback is exempt by default.
	for range 5 {
		s.expectHandshake("", 200)
	}
	_, body := s.request("GET", "/status", "")
	var status struct {
		SocketIO struct {
			Limited map[string]int `json:"limited"`
		} `json:"socketio"`
	}
	if err := json.Unmarshal([]byte(body), &status); err != nil || status.SocketIO.Limited["connections_per_ip"] != 2 {
		t.Errorf("%v: %s", err, body)
	}

	// Without trusted_proxies the header is the client's own word: it counts for the proxy, which is
	// let off for itself alone. The counts are the hub's, and outlive the config.
	if err := s.load(directives, log.own()); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{"203.0.113.7", "127.0.0.1"} {
		s.expectHandshake(made, 200)
	}
	s.expectHandshake("203.0.113.250", 429)
	s.expectHandshake("127.0.0.1", 429)
	s.expectHandshake("", 200)
	if err := s.load(directives, trusting, log.own()); err != nil {
		t.Fatal(err)
	}
	s.expectHandshake("203.0.113.7", 429)
	// More may come once the new config has started.
	if err := s.load(strings.Replace(directives, "connections_per_ip 2", "connections_per_ip 3", 1), trusting, log.own()); err != nil {
		t.Fatal(err)
	}
	s.expectHandshake("203.0.113.7", 200)
	s.expectHandshake("203.0.113.7", 429)
}

func TestLimitsRefuseWebSockets(t *testing.T) {
	s := startServer(t, "socketio_stream {\n limits {\n handshakes_per_ip 1/1h 1\n allow none\n }\n}")
	conn, err := s.dial("/socket.io/", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.conn.Close() }()
	if _, err := s.dial("/socket.io/", http.Header{}); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("got %v", err)
	}
}
