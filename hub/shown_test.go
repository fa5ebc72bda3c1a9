package hub

import (
	"slices"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// newShown makes a hub of that name whose server ends with the test.
func newShown(t *testing.T, name string) *hub {
	t.Helper()
	server := streaming.New(streaming.Options{}, nil)
	t.Cleanup(server.Close)
	return &hub{name: name, server: server}
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
	first, second := newShown(t, "first"), newShown(t, "second")
	second.show()
	first.show()
	if Find("first") != first.server || Find("second") != second.server || Find("third") != nil {
		t.Error("a server was not found by its name")
	}
	if !slices.Equal(names(), []string{"first", "second"}) {
		t.Errorf("got %q", names())
	}
	for name, server := range All() {
		if name != "first" || server != first.server {
			t.Errorf("the first is %q", name)
		}
		break
	}

	// One that has left its place does not take its successor along.
	successor := newShown(t, "first")
	successor.show()
	first.hide()
	if Find("first") != successor.server {
		t.Error("the successor is gone")
	}
	successor.hide()
	second.hide()
	if names() != nil {
		t.Errorf("left over: %q", names())
	}
}
