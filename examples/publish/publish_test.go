package publish

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/publish"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func TestPublish(t *testing.T) {
	server := streaming.New(streaming.Options{}, slog.New(slog.DiscardHandler))
	if err := server.Of("/").Use(); err != nil {
		t.Fatal(err)
	}
	endpoint := publish.New(publish.Options{Keys: []string{"0123456789abcdef"}})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = endpoint.Serve(w, r, server)
	}))
	defer front.Close()
	event := Event{Event: "news", Args: []any{map[string]any{"title": "It works"}}, To: []string{"readers"}}
	if receivers, err := Publish(front.URL, "0123456789abcdef", event); err != nil || receivers != 0 {
		t.Errorf("%d, %v", receivers, err)
	}
	for _, c := range []struct{ key, event, want string }{
		{"another key", "news", "401 Unauthorized: unauthorized"},
		{"0123456789abcdef", "connect", "400 Bad Request: event"},
	} {
		if _, err := Publish(front.URL, c.key, Event{Event: c.event}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
