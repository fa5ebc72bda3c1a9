package admin

import (
	"context"
	"testing"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// everyone lets all clients of a namespace in as one.
type everyone string

func (id everyone) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return &streaming.Identity{ID: string(id), Method: "test"}, nil
}

func (id everyone) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(id)
}

// TestAdminFindsAndDisconnectsIdentities holds that the sockets of a client are found by who it is,
// and no others disconnected.
func TestAdminFindsAndDisconnectsIdentities(t *testing.T) {
	s := newAdminServer(t)
	server := s.hubs["default"]
	as := func(id string) {
		t.Helper()
		for _, namespace := range []string{"/", "/chat"} {
			if err := server.Of(namespace).Use(everyone(id), &relay.Set{Events: []string{"chat"}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	as("ada/1 ✓")
	first, _ := s.connect("/", "/chat")
	second, ids := s.connect("/chat")
	as("bob")
	third, _ := s.connect("/", "/chat")

	const query = "?identity=ada%2F1%20%E2%9C%93"
	for path, want := range map[string]int{
		"/socketio/hubs/default/sockets" + query:                             3,
		"/socketio/hubs/default/namespaces/chat/sockets" + query:             2,
		"/socketio/hubs/default/namespaces/chat/sockets" + query + "&slow":   0,
		"/socketio/hubs/default/sockets?identity=ada":                        0,
		"/socketio/hubs/default/namespaces/-/sockets" + query + "&limit=500": 1,
		"/socketio/hubs/default/sockets":                                     5,
	} {
		var page adminapi.Sockets
		s.get(path, &page)
		if len(page.Sockets) != want {
			t.Errorf("%s: %+v", path, page)
		}
	}
	var socket adminapi.Socket
	if s.get("/socketio/hubs/default/sockets/"+ids[0], &socket); socket.Identity != "ada/1 ✓" {
		t.Errorf("got %+v", socket)
	}

	var gone adminapi.Disconnected
	if s.post("/socketio/hubs/default/disconnect", `{"identity":"ada"}`, &gone); gone.Sockets != 0 {
		t.Errorf("another: %+v", gone)
	}
	if s.post("/socketio/hubs/default/namespaces/-/disconnect", `{"identity":"ada/1 ✓"}`, &gone); gone.Sockets != 1 {
		t.Errorf("in one namespace: %+v", gone)
	}
	s.kicked(first, "")
	if s.post("/socketio/hubs/default/disconnect", `{"identity":"ada/1 ✓","close":true}`, &gone); gone.Sockets != 2 {
		t.Errorf("everywhere: %+v", gone)
	}
	s.kicked(second, "/chat,")
	until(t, "their connections to be closed", func() bool { return server.Connections() == 1 })
	if s.post("/socketio/hubs/default/disconnect", `{"identity":"bob"}`, &gone); gone.Sockets != 2 {
		t.Errorf("the other: %+v", gone)
	}
	s.kicked(third, "")
	s.kicked(third, "/chat,")
	if server.Connections() != 1 {
		t.Error("the connection was closed too")
	}
}
