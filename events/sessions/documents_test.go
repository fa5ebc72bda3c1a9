package sessions

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// A reader of the manual finds every code with which an event can be refused.
func TestManualListsTheCodesOfSessions(t *testing.T) {
	section := documents.Section(t, "`events sessions`")
	for code := range Codes() {
		if !strings.Contains(section, "| `"+code+"` |") {
			t.Errorf("the section on sessions has no row for %s", code)
		}
	}
}
