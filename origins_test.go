package socketiostream

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

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
			h, engine, _ := newTestHandler(t, &Handler{CORS: &CORS{Origins: []string{"https://a.example.com"}}})
			r := httptest.NewRequest(test.method, "http://example.com/socket.io/"+test.query, nil)
			r.Header.Set("Origin", test.origin)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w, _ := serve(t, h, r, "192.0.2.1")
			if engine.requests != 0 || w.Code != http.StatusForbidden {
				t.Fatalf("status %d, engine %d", w.Code, engine.requests)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("Access-Control-Allow-Origin is %q", got)
			}
			if len(engine.refused) != 1 || engine.refused[0].Reason == "" {
				t.Errorf("refused %+v", engine.refused)
			}
		})
	}
}
