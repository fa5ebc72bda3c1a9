package engineio

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

func TestSameHost(t *testing.T) {
	for _, test := range []struct {
		origins []string
		want    bool
	}{
		{nil, true},
		{[]string{"https://chat.example.com"}, true},
		{[]string{"http://CHAT.example.com"}, true},
		{[]string{"https://chat.example.com:8443"}, false},
		{[]string{"https://example.com"}, false},
		{[]string{"https://chat.example.com.evil.example"}, false},
		{[]string{"https://evil.example/chat.example.com"}, false},
		{[]string{"https://chat.example.com@evil.example"}, false},
		{[]string{"null"}, false},
		{[]string{""}, false},
		{[]string{"chat.example.com"}, false},
		{[]string{"https://[::1"}, false},
		{[]string{"https://chat.example.com", "https://evil.example"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://chat.example.com/socket.io/", nil)
		r.Header["Origin"] = test.origins
		expect(t, strings.Join(test.origins, " and "), SameHost(r), test.want)
	}
	r := httptest.NewRequest(http.MethodGet, "http://[::1]:8080/socket.io/", nil)
	r.Header.Set("Origin", "http://[::1]:8080")
	expect(t, "an IPv6 address and a port", SameHost(r), true)
}

// TestForeignOriginIsRefused holds that a page of another site can neither begin
// a session nor use one, on any transport.
func TestForeignOriginIsRefused(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	foreign := http.Header{"Origin": {"https://evil.example"}}
	request := func(method, sid, body string) rawclient.Response {
		t.Helper()
		return need(s.client.Do(t.Context(), method, rawclient.Query(rawclient.Polling, sid), strings.NewReader(body), foreign))(t)
	}
	expectRefused(t, request(http.MethodGet, "", ""), http.StatusForbidden, CodeForbidden)
	expectRefused(t, request(http.MethodGet, p.Open.SID, ""), http.StatusForbidden, CodeForbidden)
	expectRefused(t, request(http.MethodPost, p.Open.SID, "4hello"), http.StatusForbidden, CodeForbidden)
	s.client.Header = foreign
	for _, sid := range []string{"", p.Open.SID} {
		conn, err := s.client.Dial(t.Context(), rawclient.Query(rawclient.WebSocket, sid))
		expectRefused(t, refused(t, conn, err), http.StatusForbidden, CodeForbidden)
	}
	expect(t, "open sessions", s.Sessions(), 1)
	expect(t, "messages", len(recorder.texts()), 0)
	expect(t, "transport", recorder.session.Transport(), Polling)
	for _, refusals := range s.Metrics().Refusals {
		want := int64(0)
		if refusals.Reason == "forbidden" {
			want = 5
		}
		expect(t, refusals.Reason, refusals.Count, want)
	}
}

// TestOriginsThatMayConnect holds that a page of the server's own host, and all
// that whoever uses the package says may connect, can.
func TestOriginsThatMayConnect(t *testing.T) {
	ofExample := func(r *http.Request) bool { return r.Header.Get("Origin") == "https://example.com" }
	for _, test := range []struct {
		name   string
		check  func(*http.Request) bool
		origin string
		in     Inbound
		want   int
	}{
		{"own host", nil, "http://chat.example.com", Inbound{}, http.StatusOK},
		{"listed", ofExample, "https://example.com", Inbound{}, http.StatusOK},
		{"own host, not listed", ofExample, "http://chat.example.com", Inbound{}, http.StatusForbidden},
		{"no page, not listed", ofExample, "", Inbound{}, http.StatusForbidden},
		{"any", AnyOrigin, "https://evil.example", Inbound{}, http.StatusOK},
		{"decided in front", nil, "https://example.com", Inbound{OriginChecked: true}, http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newEngine(t, Options{CheckOrigin: test.check})
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "http://chat.example.com/socket.io/?"+rawclient.Query(rawclient.Polling, ""), nil)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			_ = s.Server.ServeHTTP(w, r, test.in)
			expect(t, "status", w.Code, test.want)
		})
	}
}
