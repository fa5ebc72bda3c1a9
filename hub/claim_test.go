package hub

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// newTestClaim makes a claim on a hub whose server ends with the test, and whose lines about
// refusals can be looked at.
func newTestClaim(t *testing.T, options streaming.Options) (*Claim, *observer.ObservedLogs) {
	t.Helper()
	refusals, logs := newObservedLog()
	server := streaming.New(options, nil)
	t.Cleanup(server.Close)
	plan := &Plan{Server: options}
	addresses := newAddresses(refusals.logger)
	addresses.use(plan)
	return &Claim{hub: &hub{name: "test", server: server, refusals: refusals, addresses: addresses}, plan: plan}, logs
}

// TestRefusalsOverALimitAreLoggedByItsName holds that the log says which limit it was, and what to
// do when it was not the client's fault.
func TestRefusalsOverALimitAreLoggedByItsName(t *testing.T) {
	c, logs := newTestClaim(t, streaming.Options{Engine: engineio.Options{Limits: engineio.Limits{Connections: 1}}})
	for _, want := range []int{200, 429} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, newRequest("GET", "/socket.io/?EIO=4&transport=polling", "192.0.2.1"))
		if w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
	}
	entries := logs.FilterMessage("request refused").All()
	if len(entries) != 1 {
		t.Fatalf("%d lines", len(entries))
	}
	fields := entries[0].ContextMap()
	if fields["reason"] != "connections_per_ip" || fields["client_ip"] != "192.0.2.1" || !strings.Contains(fields["error"].(string), "trusted_proxies") {
		t.Errorf("logged %v", fields)
	}
}

// TestOriginIsRefused holds that a refused origin is answered as the reference server does, logged,
// and counted.
func TestOriginIsRefused(t *testing.T) {
	c, logs := newTestClaim(t, streaming.Options{})
	r := newRequest("GET", "http://example.com/socket.io/?EIO=4&transport=polling", "192.0.2.1")
	r.Header.Set("Origin", "https://evil.example.net")
	w := httptest.NewRecorder()
	c.RefuseOrigin(w, r, new(cors.Policy).Decide(r))
	if got := w.Body.String(); w.Code != 403 || got != `{"code":4,"message":"Forbidden"}` {
		t.Errorf("%d %s", w.Code, got)
	}
	entries := logs.FilterMessage("origin refused").All()
	if len(entries) != 1 {
		t.Fatalf("%d log lines", len(entries))
	}
	fields := entries[0].ContextMap()
	if fields["reason"] != cors.ReasonNoCORS || fields["origin"] != "https://evil.example.net" {
		t.Errorf("log fields %v", fields)
	}
	if got := c.Metrics().Engine.Refusals.Of("forbidden"); got != 1 {
		t.Errorf("%d are counted", got)
	}
}

// TestHubThatIsNamedAgainCountsAddressesOn holds that an address has no second share while the
// connections of a hub that a reload has removed are being closed, and one of that name is made
// anew.
func TestHubThatIsNamedAgainCountsAddressesOn(t *testing.T) {
	options := streaming.Options{Engine: engineio.Options{Limits: engineio.Limits{Connections: 1}}}
	named := func() *hub {
		h, err := newHub(caddy.Context{Context: t.Context()}, &Plan{Hub: "again", Server: options})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.server.Close)
		return h
	}
	connect := func(h *hub) int {
		w := httptest.NewRecorder()
		(&Claim{hub: h, plan: new(Plan)}).ServeHTTP(w, newRequest("GET", "/socket.io/?EIO=4&transport=polling", "192.0.2.1"))
		return w.Code
	}
	old := named()
	if code := connect(old); code != 200 {
		t.Fatalf("status %d", code)
	}
	departures.add(old)
	t.Cleanup(func() { departures.remove(old) })
	again := named()
	if code := connect(again); code != 429 {
		t.Errorf("a second connection while the first is open: status %d", code)
	}
	old.server.Close()
	if code := connect(again); code != 200 {
		t.Errorf("after the end of the first: status %d", code)
	}
}
