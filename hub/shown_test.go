package hub

import (
	"slices"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// newServer makes a server that ends with the test.
func newServer(t *testing.T) *streaming.Server {
	t.Helper()
	server := streaming.New(streaming.Options{}, nil)
	t.Cleanup(server.Close)
	return server
}

// names lists the hubs that All tells of.
func names() []string {
	var names []string
	for name := range All() {
		names = append(names, name)
	}
	return names
}

func TestShown(t *testing.T) {
	if Find("first") != nil || names() != nil {
		t.Fatalf("there are hubs at the beginning: %q", names())
	}
	first, second := newServer(t), newServer(t)
	Show("second", second)
	Show("first", first)
	if Find("first") != first || Find("second") != second || Find("third") != nil {
		t.Error("a server was not found by its name")
	}
	if !slices.Equal(names(), []string{"first", "second"}) {
		t.Errorf("got %q", names())
	}
	for name, server := range All() {
		if name != "first" || server != first {
			t.Errorf("the first is %q", name)
		}
		break
	}

	// One that has left its place does not take its successor along.
	successor := newServer(t)
	Show("first", successor)
	Hide("first", first)
	if Find("first") != successor {
		t.Error("the successor is gone")
	}
	Hide("first", successor)
	Hide("second", second)
	if names() != nil {
		t.Errorf("left over: %q", names())
	}
}
