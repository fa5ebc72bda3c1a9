package socketiostream

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// clientFolder returns a folder that looks like the dist folder of socket.io-client.
func clientFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"socket.io.js", "socket.io.js.map", "secret.txt"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestServeClientFromCDN(t *testing.T) {
	for _, name := range []string{
		"socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js", "socket.io.esm.min.js",
		"socket.io.js.map", "socket.io.min.js.map", "socket.io.msgpack.min.js.map", "socket.io.esm.min.js.map",
	} {
		h, engine, _ := newTestHandler(t, new(Handler))
		w, _ := serve(t, h, httptest.NewRequest("GET", "http://example.com/socket.io/"+name+"?v=1", nil), "192.0.2.1")
		if w.Code != http.StatusFound || w.Header().Get("Location") != "https://cdn.socket.io/4.8.1/"+name || engine.requests != 0 {
			t.Errorf("%s: status %d, location %q", name, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestServeClientOff(t *testing.T) {
	h, engine, _ := newTestHandler(t, &Handler{ServeClient: "off"})
	w, passedOn := serve(t, h, httptest.NewRequest("GET", "http://example.com/socket.io/socket.io.js", nil), "192.0.2.1")
	if w.Code != http.StatusNotFound || passedOn || engine.requests != 0 {
		t.Errorf("status %d, passed on %t, engine %d", w.Code, passedOn, engine.requests)
	}
}

func TestServeClientFromFolder(t *testing.T) {
	h, engine, _ := newTestHandler(t, &Handler{ServeClient: clientFolder(t), Paths: []string{"/socket.io/", "/streaming/socket.io/"}})
	for _, test := range []struct {
		method, path string
		code         int
		contentType  string
		body         string
	}{
		{"GET", "/socket.io/socket.io.js", 200, "text/javascript; charset=utf-8", "content of socket.io.js"},
		{"GET", "/streaming/socket.io/socket.io.js.map", 200, "application/json", "content of socket.io.js.map"},
		{"HEAD", "/socket.io/socket.io.js", 200, "text/javascript; charset=utf-8", ""},
		{"GET", "/socket.io/socket.io.min.js", 404, "", ""},
		{"POST", "/socket.io/socket.io.js", 405, "", ""},
	} {
		w, _ := serve(t, h, httptest.NewRequest(test.method, "http://example.com"+test.path, nil), "192.0.2.1")
		if w.Code != test.code || w.Body.String() != test.body || w.Header().Get("Content-Type") != test.contentType {
			t.Errorf("%s %s: %d, %q, %q", test.method, test.path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	if engine.requests != 0 {
		t.Errorf("the engine saw %d requests", engine.requests)
	}
	for _, path := range []string{"/socket.io/secret.txt", "/socket.io/../secret.txt", "/socket.io/%2e%2e/secret.txt"} {
		w, _ := serve(t, h, httptest.NewRequest("GET", "http://example.com"+path, nil), "192.0.2.1")
		if w.Body.Len() != 0 {
			t.Errorf("%s answered %q", path, w.Body)
		}
	}
}

func TestServeClientDoesNotFollowLinksOut(t *testing.T) {
	folder := clientFolder(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(folder, "socket.io.min.js")); err != nil {
		t.Fatal(err)
	}
	h, _, _ := newTestHandler(t, &Handler{ServeClient: folder})
	w, _ := serve(t, h, httptest.NewRequest("GET", "http://example.com/socket.io/socket.io.min.js", nil), "192.0.2.1")
	if w.Code == http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
}

func TestServeClientRevalidates(t *testing.T) {
	h, _, _ := newTestHandler(t, &Handler{ServeClient: clientFolder(t)})
	first, _ := serve(t, h, httptest.NewRequest("GET", "http://example.com/socket.io/socket.io.js", nil), "192.0.2.1")
	r := httptest.NewRequest("GET", "http://example.com/socket.io/socket.io.js", nil)
	r.Header.Set("If-None-Match", first.Header().Get("Etag"))
	second, _ := serve(t, h, r, "192.0.2.1")
	if first.Header().Get("Etag") == "" || first.Header().Get("Last-Modified") == "" || second.Code != http.StatusNotModified {
		t.Errorf("first %v, second %d", first.Header(), second.Code)
	}
}
