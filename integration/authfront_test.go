package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// asUser is the header of a user of basic_auth whose password is "password".
func asUser(name string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(name+":password"))}}
}

// usersOf is a basic_auth with users.
func usersOf(t *testing.T, names ...string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("@guarded path /socket.io/*\n basic_auth @guarded {\n")
	for _, name := range names {
		fmt.Fprintf(&b, "%s %s\n", name, hash)
	}
	b.WriteString("}\n")
	return b.String()
}

// TestAUserWhoIsTakenAwayIsOut holds that a reload which takes a user out of basic_auth ends the
// connections that it has let in, without a word: who may still come in comes back by itself.
func TestAUserWhoIsTakenAwayIsOut(t *testing.T) {
	log := newLogFile(t, "log")
	const handler = "socketio_stream {\n path /socket.io/ /open/\n status /status\n auth caddy\n}\n"
	both, alone := usersOf(t, "ada", "bob"), usersOf(t, "ada")
	s := startServer(t, both+handler, log.own())
	ada, bob := s.in(asUser("ada"), ""), s.in(asUser("bob"), "")
	// What stands behind the handler, or changes nothing in front of it, disconnects nobody.
	s.reload(both+handler+"respond /other \"hello\"\n", log.own())
	ada.stays("another config with the same in front")
	bob.stays("another config with the same in front")

	s.reload(alone+handler, log.own())
	for name, c := range map[string]*socket{"ada": ada, "bob": bob} {
		if got := c.messages(); len(got) != 0 {
			t.Errorf("%s got %s", name, got)
		}
	}
	if _, err := s.dial("/socket.io/", asUser("bob")); err == nil {
		t.Error("bob comes back")
	}
	s.in(asUser("ada"), "").stays("who comes back")
	eventually(t, "the line", func() bool { return len(log.lines("clients have to come again")) == 1 })
	if line := log.lines("clients have to come again")[0]; line["reason"] != "handlers in front changed" || line["clients"] != 2.0 {
		t.Errorf("logged %v", line)
	}
}

// messages reads until the server closes the WebSocket, and returns what came before.
func (c *socket) messages() (messages []string) {
	c.s.t.Helper()
	for {
		packet, open := c.next()
		if !open {
			return messages
		}
		messages = append(messages, packet)
	}
}

// TestMaxAgeOfAConnection holds that a connection whose user a handler in front has found ends at
// its age, without a word.
func TestMaxAgeOfAConnection(t *testing.T) {
	s := startServer(t, usersOf(t, "ada")+"socketio_stream {\n auth caddy {\n max_age 1s\n}\n}")
	begun := time.Now()
	c := s.in(asUser("ada"), "")
	if got := c.messages(); len(got) != 0 {
		t.Errorf("it got %s", got)
	}
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("after %s", took)
	}
	s.in(asUser("ada"), "")
}

// TestNobodyStaysByTheServerBefore holds that who is let in by what stood in front before a reload is
// out too, when that was while the reload waited for clients on long-polling.
func TestNobodyStaysByTheServerBefore(t *testing.T) {
	const handler = "socketio_stream {\n path /socket.io/ /open/\n auth caddy\n}\n"
	both, alone := usersOf(t, "ada", "bob"), usersOf(t, "ada")
	s := startServer(t, both+handler)
	// Two clients on long-polling that ask for nothing have the reload wait.
	for range 2 {
		if response, body := s.request("GET", "/open/?EIO=4&transport=polling", ""); response.StatusCode != http.StatusOK {
			t.Fatal(body)
		}
	}
	var (
		mu      sync.Mutex
		came    []*socket
		dialing sync.WaitGroup
	)
	reloaded := make(chan struct{})
	dialing.Go(func() {
		// One comes after the other, and none waits for the answer to the one before.
		for next := time.NewTicker(10 * time.Millisecond); ; <-next.C {
			dialing.Go(func() {
				if c, err := s.dial("/socket.io/", asUser("bob")); err == nil {
					mu.Lock()
					came = append(came, c)
					mu.Unlock()
				}
			})
			select {
			case <-reloaded:
				next.Stop()
				return
			default:
			}
		}
	})
	s.reload(alone + handler)
	close(reloaded)
	dialing.Wait()
	if len(came) == 0 {
		t.Fatal("nobody came while the config was reloaded")
	}
	for _, c := range came {
		if got := c.messages(); len(got) != 0 {
			t.Errorf("one got %s", got)
		}
	}
}

// TestNobodyInFrontIsToldAtLoad holds that a config by which auth caddy lets nobody in says so, with the
// line, when it is loaded.
func TestNobodyInFrontIsToldAtLoad(t *testing.T) {
	const message = "auth caddy lets nobody in, as nothing in front of the handler says who clients are"
	for _, test := range []struct {
		name, directives string
		// paths are those of which it is told.
		paths []string
	}{
		{"nothing in front", "socketio_stream {\n auth caddy\n}", []string{"/socket.io/"}},
		{"a namespace of it", "socketio_stream {\n namespace / {\n auth caddy\n events streaming\n }\n namespace /b {\n events relay b\n }\n}", []string{"/socket.io/"}},
		{"users in front of one path", usersOf(t, "ada") + "socketio_stream {\n path /socket.io/ /open/\n auth caddy\n}", []string{"/open/"}},
		{"users in front", usersOf(t, "ada") + "socketio_stream {\n auth caddy\n}", nil},
		{"no auth", "socketio_stream", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := newLogFile(t, "log")
			startServer(t, test.directives, log.own())
			lines := log.lines(message)
			if len(lines) != len(test.paths) {
				t.Fatalf("logged %v", lines)
			}
			for i, line := range lines {
				expectFields(t, line, map[string]any{"level": "warn", "path": test.paths[i]})
				for field, want := range map[string]string{"declared_at": "Caddyfile:", "remedy": "basic_auth"} {
					if text, _ := line[field].(string); !strings.Contains(text, want) {
						t.Errorf("%s is %q", field, text)
					}
				}
			}
		})
	}
}
