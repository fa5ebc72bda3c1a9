package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// FuzzAdminRequest sends any requests to the admin API, in which the word
// SOCKET stands for the id of a socket that is connected. What is accepted is
// answered with JSON; what is not is refused as the client's fault, and with
// words that say why.
func FuzzAdminRequest(f *testing.F) {
	for _, seed := range []struct{ method, target, body string }{
		{"GET", "/socketio/live", ""},
		{"GET", "/socketio/hubs?limit=1&after=a", ""},
		{"GET", "/socketio/hubs/default/sockets?room=a&slow&limit=2", ""},
		{"GET", "/socketio/hubs/default/namespaces/-/rooms?after=%20", ""},
		{"GET", "/socketio/hubs/default/namespaces/%2fchat/sockets/SOCKET", ""},
		{"HEAD", "/socketio/hubs/default/tail?payload=1&event=chat&namespace=-&socket=SOCKET", ""},
		{"GET", "/socketio/hubs/default/tail?payload", ""},
		{"POST", "/socketio/hubs/default/namespaces/-/emit", `{"event":"news","args":[1,{"a":[]}],"rooms":["a"],"except":["b"],"volatile":true}`},
		{"POST", "/socketio/hubs/default/namespaces/-/emit", `{"event":"connect","args":{}} {}`},
		{"POST", "/socketio/hubs/default/sockets/SOCKET/join", `{"rooms":["a","b",""]}`},
		{"POST", "/socketio/hubs/default/sockets/SOCKET/leave", `{"rooms":["a"]}`},
		{"POST", "/socketio/hubs/default/namespaces/-/sockets/SOCKET/disconnect", `{"close":true}`},
		{"POST", "/socketio/hubs/default/sockets/SOCKET/disconnect", ``},
		{"DELETE", "/socketio//hubs/../%2e%2e/%00?%zz=;", "\xff"},
	} {
		f.Add(seed.method, seed.target, []byte(seed.body))
	}
	s := newAdminServer(f, "other")
	server := s.hubs["default"]
	admin := &Admin{
		find:  func(name string) (string, *streaming.Server) { return name, s.hubs[name] },
		names: func() []string { return []string{"default", "other"} },
	}
	client := rawclient.New(s.site)
	f.Cleanup(client.Close)
	socket := ""
	var conn *rawclient.Conn
	leave := func() {
		if conn != nil {
			_ = conn.Close()
		}
	}
	f.Cleanup(leave)
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		if server.Find(socket) == nil {
			leave()
			conn, socket = connectForFuzz(t, client)
		}
		target = strings.ReplaceAll(target, "SOCKET", socket)
		address, err := url.ParseRequestURI(target)
		if err != nil {
			return // net/http answers that
		}
		// Who follows has gone already.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, root, strings.NewReader(string(body)))
		r.Method, r.URL = method, address
		r.Header.Set("Content-Type", adminapi.JSON)
		w := httptest.NewRecorder()

		err = admin.serve(w, r)
		var refusal caddy.APIError
		switch {
		case errors.As(err, &refusal):
			if refusal.HTTPStatus < 400 || refusal.HTTPStatus >= 500 || len(refusal.Error()) < 10 || w.Body.Len() > 0 {
				t.Fatalf("refused with %d, %v, after %q", refusal.HTTPStatus, refusal, w.Body)
			}
		case err != nil:
			t.Fatalf("an error without a status: %v", err)
		case w.Code != http.StatusOK:
			t.Fatalf("status %d without an error", w.Code)
		case w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()):
			t.Fatalf("answered %q", w.Body)
		}
	})
}

// connectForFuzz connects a client, and returns the id of its socket.
func connectForFuzz(t *testing.T, client *rawclient.Client) (conn *rawclient.Conn, socket string) {
	t.Helper()
	conn, err := client.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteText("40"); err != nil {
		t.Fatal(err)
	}
	text, err := conn.ReadText()
	var answer struct{ SID string }
	if err != nil || json.Unmarshal([]byte(strings.TrimPrefix(text, "40")), &answer) != nil {
		t.Fatalf("want an answer to CONNECT, got %q, %v", text, err)
	}
	return conn, answer.SID
}
