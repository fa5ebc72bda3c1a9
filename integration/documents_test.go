package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/spf13/pflag"

	_ "github.com/caddy-socketio/socketio-stream/examples/greet"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
)

// TestManualCaddyfilesAdapt holds that a reader can paste every Caddyfile of the manual.
func TestManualCaddyfilesAdapt(t *testing.T) {
	t.Setenv("CORS_ORIGIN", "https://app.example.com")
	for _, block := range documents.Blocks(t, "caddyfile") {
		if _, err := adapt(t, string(caddyfile.Format([]byte(block.Text)))); err != nil {
			t.Errorf("%s: %v\nin:\n%s", block.Place, err, block.Text)
		}
	}
}

// manualSite returns the directives of the first site that the manual shows below a heading.
func manualSite(t *testing.T, heading string) string {
	t.Helper()
	_, site, _ := strings.Cut(documents.Section(t, heading), "```caddyfile\nexample.com {\n")
	site, _, ok := strings.Cut(site, "\n}\n")
	if !ok {
		t.Fatalf("there is no site below %q", heading)
	}
	return site
}

// TestManualEventSet holds that the event set that the manual shows does what it says.
func TestManualEventSet(t *testing.T) {
	s := startServer(t, manualSite(t, "An event set"))
	var clients []*socket
	for range 2 {
		client, err := s.dial("/socket.io/", nil)
		if err != nil {
			t.Fatal(err)
		}
		client.id("/greet")
		clients = append(clients, client)
	}
	clients[0].send(`42/greet,["hello",{"name":"Ada"}]`)
	if got := clients[1].wait("42/greet,"); got != `42/greet,["greeted",{"name":"Ada"}]` {
		t.Errorf("the other client got %s", got)
	}
}

// TestManualSinglePageApplication holds that the page of an application and its sockets do not get
// into each other's way as the manual lays them out.
func TestManualSinglePageApplication(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "index.html"), []byte("the page"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, strings.ReplaceAll(manualSite(t, "Single-page applications"), "/srv/www", folder))
	if _, body := s.request("GET", "/deep/link", ""); body != "the page" {
		t.Errorf("a deep link is answered %q", body)
	}
	one, other := s.connect("/socket.io/"), s.poll("/socket.io/")
	one.send(`42["message",1]`)
	if got := other.wait("42"); got != `42["message",1]` {
		t.Errorf("the other client got %s", got)
	}
}

// TestManualCurlLines holds that each curl line of the manual does what it is there for.
func TestManualCurlLines(t *testing.T) {
	s, address := startAdmin(t, twoNamespaces)
	seen := 0
	for place, line := range shellLines(t, "curl ") {
		seen++
		client, id := twoSockets(t, s)
		r, err := curl(t, strings.NewReplacer("localhost:2019", address, "$ID", id).Replace(line))
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		// A tail has no end, but its first line tells that it works.
		if strings.Contains(r.URL.Path, "/tail") {
			client.send(`42["message",1]`)
		}
		answer, err := bufio.NewReader(response.Body).ReadString('\n')
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK || err != nil || !json.Valid([]byte(answer)) {
			t.Errorf("%s: %s: %s %s, %v", place, line, response.Status, answer, err)
		}
		if r.Method == http.MethodPost && strings.Contains(answer, `"receivers":0`) {
			t.Errorf("%s: %s: nobody was reached", place, line)
		}
	}
	if seen < 10 {
		t.Errorf("the manual has %d curl lines", seen)
	}
}

// TestManualCommandLines holds that each line of `caddy socketio` in a shell block of the manual is
// done. The doctor's are about sites that are not here, and those of migrate about files, so those are
// only read.
func TestManualCommandLines(t *testing.T) {
	s, address := startAdmin(t, twoNamespaces)
	seen := 0
	for place, line := range shellLines(t, "caddy socketio ") {
		seen++
		client, id := twoSockets(t, s)
		words, err := shellWords(strings.ReplaceAll(line, "$ID", id))
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		words = words[2:]
		switch words[0] {
		case "doctor", "migrate":
			if command, rest, err := commandTree().Find(words); err != nil {
				t.Errorf("%s: %v", place, err)
			} else if err := errors.Join(command.ParseFlags(rest), command.ValidateArgs(command.Flags().Args())); err != nil {
				t.Errorf("%s: %v", place, err)
			}
			continue
		case "tail":
			tail := lines(t, append(words, "--address", address)...)
			// Nothing tells when it has begun but an event that shows.
			for shown := false; !shown; {
				client.send(`42["message",1]`)
				client.send(`42/chat,["chat",1]`)
				select {
				case _, shown = <-tail:
					if !shown {
						t.Fatalf("%s: %s ended without a line", place, line)
					}
				case <-time.After(10 * time.Millisecond):
				}
			}
			continue
		}
		out, err := command(t, append(words, "--address", address)...)
		if err != nil {
			t.Errorf("%s: %s: %v, %s", place, line, err, out)
		}
		if headings := hubHeadings.FindString(out); words[0] == "top" && hubHeadings.FindString(documents.Section(t, "Command line")) != headings {
			t.Errorf("%s: top has other columns than the manual shows: %s", place, headings)
		}
	}
	if seen < 10 {
		t.Errorf("the manual has %d lines of caddy socketio", seen)
	}
}

// twoSockets connects a client to both namespaces, and returns its socket's id in the first.
func twoSockets(t *testing.T, s *server) (client *socket, id string) {
	t.Helper()
	client, err := s.dial("/socket.io/", nil)
	if err != nil {
		t.Fatal(err)
	}
	id = client.id("/")
	client.id("/chat")
	return client, id
}

// shellLines returns the lines of the manual's shell blocks that begin with a command, by their
// places.
func shellLines(t *testing.T, command string) iter.Seq2[string, string] {
	blocks := documents.Blocks(t, "sh")
	return func(yield func(string, string) bool) {
		for _, block := range blocks {
			for line := range strings.Lines(strings.ReplaceAll(block.Text, "\\\n", " ")) {
				if strings.HasPrefix(line, command) && !yield(block.Place, strings.TrimSpace(line)) {
					return
				}
			}
		}
	}
}

var (
	mention = regexp.MustCompile(`(?m)^(?:\$ )?caddy socketio ([a-z]+)(.*)`)
	// hubHeadings is the first line of the table of hubs.
	hubHeadings = regexp.MustCompile(`(?m)^HUB +CONNECTIONS.*$`)
	namedFlags  = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// TestManualHasEveryFlag holds that a reader finds all commands of `caddy socketio`, with all their
// flags.
func TestManualHasEveryFlag(t *testing.T) {
	text := documents.Section(t, "Command line") + documents.Section(t, "Doctor") + documents.Section(t, "By command")
	for _, command := range commandTree().Commands() {
		if !strings.Contains(text, "caddy socketio "+command.Name()) {
			t.Errorf("the manual has no caddy socketio %s", command.Name())
		}
		command.Flags().VisitAll(func(flag *pflag.Flag) {
			if !strings.Contains(text, "--"+flag.Name) {
				t.Errorf("the manual has no --%s of caddy socketio %s", flag.Name, command.Name())
			}
		})
	}
}

// TestCommandsInThePagesExist holds that all commands of `caddy socketio` that a page names exist,
// with the flags that stand beside them.
func TestCommandsInThePagesExist(t *testing.T) {
	seen := 0
	for _, page := range documents.All(t) {
		for _, code := range append(page.Blocks, page.Spans...) {
			for _, match := range mention.FindAllStringSubmatch(code.Text, -1) {
				seen++
				command, _, err := commandTree().Find([]string{match[1]})
				if err != nil {
					t.Errorf("%s: %v", code.Place, err)
					continue
				}
				for _, flag := range namedFlags.FindAllString(match[2], -1) {
					if command.Flags().Lookup(strings.TrimPrefix(flag, "--")) == nil {
						t.Errorf("%s: caddy socketio %s has no %s", code.Place, match[1], flag)
					}
				}
			}
		}
	}
	if seen == 0 {
		t.Error("no page names a command")
	}
}

// curl makes the request that a command line of curl sends.
func curl(t *testing.T, line string) (*http.Request, error) {
	t.Helper()
	words, err := shellWords(line)
	if err != nil {
		return nil, err
	}
	method, body, target := "", "", ""
	header := http.Header{}
	for i := 1; i < len(words); i++ {
		next := func() string {
			if i++; i < len(words) {
				return words[i]
			}
			return ""
		}
		switch words[i] {
		case "-N", "-s":
		case "-X":
			method = next()
		case "--json":
			body = next()
			header.Set("Content-Type", "application/json")
		default:
			if strings.HasPrefix(words[i], "-") || target != "" {
				return nil, errors.New("the test does not know " + words[i])
			}
			target = words[i]
		}
	}
	if method == "" && header.Get("Content-Type") != "" {
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, "http://"+strings.TrimPrefix(target, "http://"), strings.NewReader(body))
	if err == nil {
		_, _, err = net.SplitHostPort(r.URL.Host)
		r.Header = header
	}
	return r, err
}

// shellWords splits a line like a shell: at blanks, but not within quotes. What a shell would make
// more of is refused.
func shellWords(line string) (words []string, err error) {
	var word strings.Builder
	var quote rune
	inWord := false
	for _, r := range strings.TrimSpace(line) {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		case strings.ContainsRune("&;|<>()$`*?#~\\", r):
			return nil, errors.New("a shell would take " + string(r) + " for something else: quote it")
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	if quote != 0 {
		err = errors.New("a quote does not end")
	}
	return words, err
}
