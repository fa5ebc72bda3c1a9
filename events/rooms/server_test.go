package rooms_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// declared returns the event set that a block of a Caddyfile declares.
func declared(t testing.TB, block string) *eventscaddy.Rooms {
	t.Helper()
	set := new(eventscaddy.Rooms)
	if err := set.UnmarshalCaddyfile(caddyfile.NewTestDispenser("rooms {\n" + block + "\n}")); err != nil {
		t.Fatalf("%v\nin:\n%s", err, block)
	}
	return set
}

// serve starts a server whose events are declared by a block of a Caddyfile.
func serve(t testing.TB, block string, sets ...streaming.EventSet) *eventstest.Server {
	t.Helper()
	return eventstest.NewServer(t, append(sets, declared(t, block))...)
}

// example returns what an example declares.
func example(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(documents.Root(t), "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "events rooms {\n")
	block, _, ended := strings.Cut(block, "\n\t\t\t}\n")
	if !found || !ended {
		t.Fatalf("the example %s declares no events", name)
	}
	return block
}
