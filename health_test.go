package socketiostream

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// onPort returns a request that came in on local port 8443.
func onPort(method, path string) *http.Request {
	r := httptest.NewRequest(method, "http://example.com"+path, nil)
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

func TestHealth(t *testing.T) {
	h, _, _ := newTestHandler(t, &Handler{Health: []string{"/health", "/streaming/health", "/a/b/health"}})
	const timestamp = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`
	for path, want := range map[string]string{
		"/health":           `^{"status":"ok","service":"socket-io-streaming","port":"8443","timestamp":` + timestamp + `,"version":"[^"]+","connections":3}$`,
		"/streaming/health": `^{"status":"ok","service":"socket-io-streaming","path":"/streaming","timestamp":` + timestamp + `}$`,
		"/a/b/health":       `^{"status":"ok","service":"socket-io-streaming","path":"/a/b","timestamp":` + timestamp + `}$`,
	} {
		w, _ := serve(t, h, onPort("GET", path), "192.0.2.1")
		if w.Code != http.StatusOK || !regexp.MustCompile(want).Match(w.Body.Bytes()) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
}

func TestHealthMethods(t *testing.T) {
	h, _, _ := newTestHandler(t, &Handler{Health: []string{"/health"}})
	if w, _ := serve(t, h, onPort("HEAD", "/health"), "192.0.2.1"); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", w.Code, w.Body)
	}
	if w, _ := serve(t, h, onPort("POST", "/health"), "192.0.2.1"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
}

func TestHealthWhileStopping(t *testing.T) {
	before := exiting
	exiting = func() bool { return true }
	t.Cleanup(func() { exiting = before })
	h, _, _ := newTestHandler(t, &Handler{Health: []string{"/health", "/streaming/health"}})
	for _, path := range []string{"/health", "/streaming/health"} {
		w, _ := serve(t, h, onPort("GET", path), "192.0.2.1")
		var body struct{ Status string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusServiceUnavailable || body.Status != "stopping" || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s %v", path, w.Code, w.Body, w.Header())
		}
	}
}

// TestHealthDuringShutdownDelay holds that a server which is about to stop says so, though the
// process goes on.
func TestHealthDuringShutdownDelay(t *testing.T) {
	h, _, _ := newTestHandler(t, &Handler{Health: []string{"/health"}})
	for stopping, code := range map[bool]int{false: http.StatusOK, true: http.StatusServiceUnavailable} {
		replacer := caddy.NewEmptyReplacer()
		replacer.Set("http.shutting_down", stopping)
		r := onPort("GET", "/health")
		r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, replacer))
		if w, _ := serve(t, h, r, "192.0.2.1"); w.Code != code {
			t.Errorf("shutting down %t: %d %s", stopping, w.Code, w.Body)
		}
	}
}

func TestLocalPortWithoutOne(t *testing.T) {
	r := httptest.NewRequest("GET", "http://example.com/health", nil)
	if got := localPort(r); got != "" {
		t.Errorf("no address: %q", got)
	}
	addr := &net.UnixAddr{Name: "/run/caddy.sock", Net: "unix"}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
	if got := localPort(r); got != "" {
		t.Errorf("Unix socket: %q", got)
	}
}
