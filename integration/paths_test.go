package integration

import (
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestGuardOfThePathGuardsTheEndpoint holds that nobody gets round a handler in front that guards
// the path of Socket.IO, and nothing else, by another path that leads to the same place.
func TestGuardOfThePathGuardsTheEndpoint(t *testing.T) {
	sum, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, fmt.Sprintf("route {\n basic_auth /socket.io/ {\n ada %s\n }\n socketio_stream\n respond \"next\" 418\n }", sum))
	status := func(path string) int {
		response, _ := s.request("GET", path+"?EIO=4&transport=polling", "")
		return response.StatusCode
	}
	for path, want := range map[string]int{
		"/socket.io/": http.StatusUnauthorized, "/socket.io/socket.io.js": http.StatusFound, "/socket.io": http.StatusTeapot,
	} {
		if got := status(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, path := range []string{
		"/socket.io/x", "/socket.io//", "/socket.io/./", "/socket.io/%2e/", "/socket.io/%2e%2e/", "/socket.io/%2F", "/socket.io/%00",
		"/socket.io/socket.io/", "/socket.io/;x", "/socket.io/%3F",
	} {
		// Caddy's matchers look at cleaned paths, so that some of these are guarded as well.
		if got := status(path); got != http.StatusNotFound && got != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got)
		}
	}
}
