package socketiostream

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

func TestBadOriginsAreRefused(t *testing.T) {
	for _, entry := range []string{
		"example.com", "https://", "://example.com", "https://example.com/", "https://example.com/path",
		"https://example.com?q", "https://user@example.com", "https://example.com:", "https://example.com:0",
		"https://example.com:65536", "https://example.com:080", "https://exa mple.com", "https://bücher.example.com",
		"1https://example.com", "https://a..example.com", "https://.example.com", "https://[::1", "https://[1.2.3.4]",
		"https://*", "*.", "**", "https://*example.com", "https://a.*.example.com", "*://example.com", "*.*.example.com",
		"https://*.example.com/", "https://*.example.com:x",
	} {
		if p, err := newOriginPolicy([]string{entry}, false); err == nil {
			t.Errorf("%q was taken as %+v", entry, p)
		}
	}
}

func TestOriginDecision(t *testing.T) {
	const overTLS, plain = true, false
	for _, test := range []struct {
		name    string
		origins string
		origin  string
		host    string
		tls     bool
		ok      bool
	}{
		{"no origin", "", "", "example.com", overTLS, true},
		{"same origin", "", "https://example.com", "example.com", overTLS, true},
		{"same origin, letter case", "", "https://Example.com", "eXample.com", overTLS, true},
		{"same origin, default port in the host", "", "https://example.com", "example.com:443", overTLS, true},
		{"same origin, default port in the origin", "", "https://example.com:443", "example.com", overTLS, true},
		{"same origin, other port", "", "https://example.com:8443", "example.com:8443", overTLS, true},
		{"same origin, plain", "", "http://localhost:8080", "localhost:8080", plain, true},
		{"same origin, IPv6", "", "http://[::1]:8080", "[::1]:8080", plain, true},
		{"same origin, TLS ended by a proxy in front", "", "https://example.com", "example.com", plain, true},
		{"same origin, also with a list", "https://app.example.com", "https://example.com", "example.com", overTLS, true},
		{"plain page, TLS server", "", "http://example.com", "example.com", overTLS, false},
		{"port differs", "", "https://example.com:8443", "example.com", overTLS, false},
		{"port differs, plain", "", "http://localhost:3000", "localhost:8080", plain, false},
		{"host differs", "", "https://evil.example.net", "example.com", overTLS, false},
		{"host is a suffix", "", "https://notexample.com", "example.com", overTLS, false},
		{"null", "", "null", "example.com", overTLS, false},
		{"malformed", "", "https://example.com/", "example.com", overTLS, false},
		{"malformed host header", "", "https://example.com", "example.com/", overTLS, false},
		{"exact", "https://app.example.com", "https://app.example.com", "example.com", overTLS, true},
		{"exact, letter case", "https://App.example.com", "https://aPP.example.com", "example.com", overTLS, true},
		{"exact, default port", "https://app.example.com:443", "https://app.example.com", "example.com", overTLS, true},
		{"exact, scheme differs", "https://app.example.com", "http://app.example.com", "example.com", overTLS, false},
		{"exact, port differs", "https://app.example.com", "https://app.example.com:444", "example.com", overTLS, false},
		{"exact, longer host", "https://app.example.com", "https://app.example.com.evil.example.net", "example.com", overTLS, false},
		{"exact, native scheme", "capacitor://localhost", "capacitor://localhost", "example.com", overTLS, true},
		{"wildcard", "https://*.example.com", "https://a.example.com", "api.example.net", overTLS, true},
		{"wildcard, deep", "https://*.example.com", "https://a.b.example.com", "api.example.net", overTLS, true},
		{"wildcard, not the domain itself", "https://*.example.com", "https://example.com", "api.example.net", overTLS, false},
		{"wildcard, empty label", "https://*.example.com", "https://.example.com", "api.example.net", overTLS, false},
		{"wildcard, no dot", "https://*.example.com", "https://evilexample.com", "api.example.net", overTLS, false},
		{"wildcard, scheme differs", "https://*.example.com", "http://a.example.com", "api.example.net", overTLS, false},
		{"wildcard, port differs", "https://*.example.com", "https://a.example.com:8443", "api.example.net", overTLS, false},
		{"wildcard, port", "https://*.example.com:8443", "https://a.example.com:8443", "api.example.net", overTLS, true},
		{"wildcard without scheme", "*.example.com", "http://a.example.com", "api.example.net", overTLS, true},
		{"wildcard without scheme, native", "*.example.com", "app://a.example.com", "api.example.net", overTLS, false},
		{"wildcard without scheme, port", "*.example.com:3000", "http://a.example.com:3000", "api.example.net", overTLS, true},
		{"any", "*", "https://evil.example.net", "example.com", overTLS, true},
		{"any, null", "*", "null", "example.com", overTLS, true},
		{"null listed", "null", "null", "example.com", overTLS, true},
		{"null listed, other", "null", "https://app.example.com", "example.com", overTLS, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := newOriginPolicy(option.SplitList(test.origins), false)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/socket.io/", nil)
			r.Host = test.host
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			if d := policy.decide(r); d.ok() != test.ok {
				t.Errorf("allowed is %t, want %t (%q)", d.ok(), test.ok, d.reason)
			}
		})
	}
}

func TestTwoOriginHeadersAreRefused(t *testing.T) {
	policy, err := newOriginPolicy([]string{"*"}, false)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/socket.io/", nil)
	r.Header["Origin"] = []string{"https://a.example.com", "https://b.example.com"}
	if d := policy.decide(r); d.ok() {
		t.Error("a request with two origins was let in")
	}
}

func TestCORSHeaders(t *testing.T) {
	for _, test := range []struct {
		name        string
		cors        *CORS
		origin      string
		allow       string
		credentials string
		vary        bool
	}{
		{"no cors, no origin", nil, "", "", "", true},
		{"no cors, same origin", nil, "http://example.com", "", "", true},
		{"list", &CORS{Origins: []string{"https://a.example.com"}}, "https://a.example.com", "https://a.example.com", "", true},
		{"list with credentials", &CORS{Origins: []string{"https://a.example.com"}, Credentials: true}, "https://a.example.com", "https://a.example.com", "true", true},
		{"list, no origin", &CORS{Origins: []string{"https://a.example.com"}, Credentials: true}, "", "", "", true},
		{"list, same origin", &CORS{Origins: []string{"https://a.example.com"}, Credentials: true}, "http://example.com", "", "", true},
		{"any", &CORS{Origins: []string{"*"}}, "https://a.example.com", "*", "", false},
		{"any with credentials", &CORS{Origins: []string{"*"}, Credentials: true}, "https://a.example.com", "https://a.example.com", "true", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, engine, _ := newTestHandler(t, &Handler{CORS: test.cors})
			r := httptest.NewRequest("GET", "http://example.com/socket.io/?EIO=4&transport=polling", nil)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			w, _ := serve(t, h, r, "192.0.2.1")
			if engine.requests != 1 {
				t.Fatalf("the request did not reach the engine: %d", w.Code)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != test.allow {
				t.Errorf("Access-Control-Allow-Origin is %q, want %q", got, test.allow)
			}
			if got := w.Header().Get("Access-Control-Allow-Credentials"); got != test.credentials {
				t.Errorf("Access-Control-Allow-Credentials is %q, want %q", got, test.credentials)
			}
			if got := slices.Contains(w.Header().Values("Vary"), "Origin"); got != test.vary {
				t.Errorf("Vary: Origin is %t, want %t", got, test.vary)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	h, engine, _ := newTestHandler(t, &Handler{CORS: &CORS{Origins: []string{"https://a.example.com"}, Credentials: true}})
	r := httptest.NewRequest("OPTIONS", "http://example.com/socket.io/", nil)
	r.Header.Set("Origin", "https://a.example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "content-type, x-token, bad header: x, a\"b")
	w, _ := serve(t, h, r, "192.0.2.1")
	if engine.requests != 0 || w.Code != http.StatusNoContent {
		t.Fatalf("status %d, engine %d", w.Code, engine.requests)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":      "https://a.example.com",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods":     "GET,POST,OPTIONS",
		"Access-Control-Allow-Headers":     "content-type,x-token",
		"Access-Control-Max-Age":           "600",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestOptionsThatIsNoPreflightReachesTheEngine(t *testing.T) {
	h, engine, _ := newTestHandler(t, new(Handler))
	serve(t, h, httptest.NewRequest("OPTIONS", "http://example.com/socket.io/", nil), "192.0.2.1")
	if engine.requests != 1 {
		t.Error("the engine did not see the request")
	}
}

func TestOriginRefusedOnEveryTransport(t *testing.T) {
	longOrigin := "https://" + strings.Repeat("a", 4000) + ".example.net"
	for _, test := range []struct {
		name    string
		method  string
		query   string
		headers map[string]string
		origin  string
	}{
		{"polling", "GET", "?EIO=4&transport=polling", nil, "https://evil.example.net"},
		{"polling post", "POST", "?EIO=4&transport=polling&sid=x", nil, "https://evil.example.net"},
		{"websocket", "GET", "?EIO=4&transport=websocket", map[string]string{"Connection": "Upgrade", "Upgrade": "websocket"}, "https://evil.example.net"},
		{"preflight", "OPTIONS", "", map[string]string{"Access-Control-Request-Method": "POST"}, "https://evil.example.net"},
		{"long and strange", "GET", "", nil, longOrigin + "\x01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, engine, logs := newTestHandler(t, &Handler{CORS: &CORS{Origins: []string{"https://a.example.com"}}})
			r := httptest.NewRequest(test.method, "http://example.com/socket.io/"+test.query, nil)
			r.Header.Set("Origin", test.origin)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w, _ := serve(t, h, r, "192.0.2.1")
			if engine.requests != 0 || w.Code != http.StatusForbidden {
				t.Fatalf("status %d, engine %d", w.Code, engine.requests)
			}
			if got := w.Body.String(); got != `{"code":4,"message":"Forbidden"}` {
				t.Errorf("body %s", got)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("Access-Control-Allow-Origin is %q", got)
			}
			entries := logs.FilterMessage("origin refused").All()
			if len(entries) != 1 {
				t.Fatalf("%d log lines", len(entries))
			}
			fields := entries[0].ContextMap()
			if fields["reason"] == "" || !strings.HasPrefix(fields["origin"].(string), "https://") {
				t.Errorf("log fields %v", fields)
			}
			if got := len(fields["origin"].(string)); got > maxLoggedOrigin+len("…") {
				t.Errorf("%d bytes of the origin in the log", got)
			}
		})
	}
}
