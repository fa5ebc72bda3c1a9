package sessions

import (
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// TestFiguresAreKnown holds that all that is told is registered.
func TestFiguresAreKnown(t *testing.T) {
	s := newServer(t, new(Set))
	known := make(map[streaming.Figure]bool)
	for _, figure := range streaming.Figures() {
		known[figure] = true
	}
	told := s.Metrics().Namespaces[0].Figures
	for _, figure := range told {
		if !known[figure.Figure] {
			t.Errorf("%s is told and not known", figure.Name)
		}
	}
	if len(told) != len(known) {
		t.Errorf("%d figures are told of %d", len(told), len(known))
	}
}
