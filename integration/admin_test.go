package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// startAdmin runs Caddy with an admin endpoint, and returns its address.
func startAdmin(t *testing.T, directives string) (s *server, address string) {
	t.Helper()
	awaitNoHubs(t) // their names make the tables of the commands wider
	address = "localhost:" + testport.Reserve(t)
	return startServer(t, directives, "admin "+address), address
}

// command runs `caddy socketio` with arguments, as Caddy has it registered.
func command(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var buffer bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = commandTo(ctx, &buffer, args...)
	return buffer.String(), err
}

// commandTo is command for one that has no end of its own.
func commandTo(ctx context.Context, out io.Writer, args ...string) error {
	root := commandTree()
	root.SetOut(out)
	root.SetErr(out)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// commandTree returns `caddy socketio`, as Caddy has it registered.
func commandTree() *cobra.Command {
	root := &cobra.Command{Use: "socketio", SilenceUsage: true, SilenceErrors: true}
	caddycmd.Commands()["socketio"].CobraFunc(root)
	return root
}

// mustCommand is command for what must be done.
func mustCommand(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, args...)
	if err != nil {
		t.Fatalf("caddy socketio %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// id connects a client to a namespace, and returns its socket's id there.
func (c *socket) id(namespace string) string {
	c.s.t.Helper()
	prefix := "40"
	if namespace != "/" {
		prefix += namespace + ","
	}
	c.send(prefix)
	var connected struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(c.wait(prefix+"{"), prefix)), &connected); err != nil {
		c.s.t.Fatal(err)
	}
	return connected.SID
}

const twoNamespaces = "socketio_stream {\n hub example.com\n namespace / {\n events streaming\n }\n namespace /chat {\n events relay chat\n }\n}"

func TestCommandsAgainstCaddy(t *testing.T) {
	s, address := startAdmin(t, twoNamespaces)
	client, err := s.dial("/socket.io/", nil)
	if err != nil {
		t.Fatal(err)
	}
	id, chatID := client.id("/"), client.id("/chat")
	client.send(`420["stream:join",{"streamId":"kitchen"}]`)
	client.wait("430")
	other := s.connect("/socket.io/")

	for _, test := range []struct {
		args string
		want []string
	}{
		{"ls", []string{"HUB ", "example.com            2        3        0      1 "}},
		{"ls hubs --json", []string{`"name":"example.com","connections":2,"sockets":3,"rooms":1`}},
		{"ls namespaces", []string{"example.com  /                2      1\n", "example.com  /chat            1      0\n"}},
		{"ls namespaces -n chat --json", []string{`{"namespaces":[{"hub":"example.com","name":"/chat","sockets":1,"rooms":0}]}`}},
		{"ls rooms", []string{"example.com  /          stream:kitchen        1\n"}},
		{"ls rooms --json", []string{`{"rooms":[{"hub":"example.com","namespace":"/","name":"stream:kitchen","sockets":1}]}`}},
		{"ls rooms -n /chat", []string{"No room has anybody in it.\n"}},
		{"ls sockets -n chat", []string{chatID + "  example.com  /chat      websocket  127.0.0.1"}},
		{"ls sockets --room stream:kitchen", []string{id + "  example.com  /", "stream:kitchen\n"}},
		{"ls sockets --limit 1", []string{"These are 1 of 3 sockets"}},
		{"ls sockets --slow", []string{"No slow socket is connected.\n"}},
		{"ls sockets --slow --json", []string{`{"sockets":[]}`}},
		{"ls sockets --room nope -n /", []string{"No socket is connected to / that is in the room nope.\n"}},
		{"top --once", []string{"Socket.IO at " + address, "All clients keep up."}},
		{`emit notice {"a":1} --room ` + id, []string{"Sent notice to 1 socket.\n"}},
		{`emit notice --text a --except stream:kitchen`, []string{"Sent notice to 1 socket.\n"}},
		{`emit notice -n chat --json`, []string{`{"receivers":1}`}},
		{`emit notice --room nope`, []string{"Nobody was there to receive notice.\n"}},
	} {
		out := mustCommand(t, append(strings.Fields(test.args), "--address", address)...)
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", test.args, want, out)
			}
		}
	}
	client.wait(`42["notice",{"a":1}]`)
	other.wait(`42["notice","a"]`)
	client.wait(`42/chat,["notice"]`)

	if out := mustCommand(t, "kick", chatID, "--address", address); !strings.Contains(out, "Disconnected "+chatID+" from /chat: 127.0.0.1 by websocket, after ") {
		t.Errorf("kick: %s", out)
	}
	client.wait("41/chat,")
	out, err := command(t, "kick", chatID, id, "--close", "--address", address)
	if err == nil || !strings.Contains(err.Error(), "no socket has the id "+chatID) || !strings.Contains(out, "Disconnected "+id) {
		t.Errorf("kick of two, one of which is gone: %s, %v", out, err)
	}
	client.waitClosed()

	for args, want := range map[string]string{
		"ls --hub nope":             `there is no hub "nope"; there are "example.com"`,
		"emit x -n nope":            `the hub "example.com" has no namespace "/nope"; there are "/", "/chat"`,
		"emit disconnect":           `the event name "disconnect" is reserved`,
		"tail --namespace nope":     `has no namespace "/nope"`,
		"ls sockets --namespace no": "there is no namespace /no; there is /, /chat",
	} {
		if out, err := command(t, append(strings.Fields(args), "--address", address)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %q", args, out, err, want)
		}
	}
}

func TestCommandsOnAUnixSocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "s") // the path of a socket may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	address := "unix/" + filepath.Join(folder, "a.sock")
	s := startServer(t, "socketio_stream", "admin "+address+"|0220")
	client := s.connect("/socket.io/")
	if out := mustCommand(t, "ls", "--address", address+"|0220"); !strings.Contains(out, onlyHub(t)+"            1        1        0      0") {
		t.Errorf("ls: %s", out)
	}
	mustCommand(t, "emit", "notice", "1", "--address", address)
	client.wait(`42["notice",1]`)
	mustCommand(t, "emit", "notice", "2", "--hub", "default", "--address", address)
	client.wait(`42["notice",2]`)
}

// TestCommandsWithoutAnEndpoint holds that there is an exit status of its own for a Caddy that
// cannot be asked.
func TestCommandsWithoutAnEndpoint(t *testing.T) {
	startServer(t, "socketio_stream") // with admin off
	address := testport.Silent(t)
	out, err := command(t, "ls", "--address", address)
	if err == nil || err.Error() != "exiting with status 4" || !strings.Contains(out, "no answer from Caddy's admin endpoint at "+address) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCommandsWithSeveralHubsAndWithNone(t *testing.T) {
	s, address := startAdmin(t, "socketio_stream /a/* {\n hub a\n path /a/\n}\nsocketio_stream /b/* {\n hub b\n path /b/\n}")
	a, b := s.connect("/a/"), s.connect("/b/")
	if out := mustCommand(t, "ls", "sockets", "--address", address); strings.Count(out, "websocket") != 2 {
		t.Errorf("ls sockets: %s", out)
	}
	if _, err := command(t, "emit", "x", "--address", address); err == nil || !strings.Contains(err.Error(), "--hub must name one: a, b") {
		t.Errorf("emit without a hub: %v", err)
	}
	if _, err := command(t, "emit", "x", "--hub", "default", "--address", address); err == nil || !strings.Contains(err.Error(), `"default" stands for the only hub there is, but there are "a", "b"`) {
		t.Errorf("emit to the only hub: %v", err)
	}
	mustCommand(t, "emit", "x", "--hub", "b", "--address", address)
	b.wait(`42["x"]`)
	// A socket is found in whichever hub it is.
	var sockets adminapi.Sockets
	if err := json.Unmarshal([]byte(mustCommand(t, "ls", "sockets", "--hub", "a", "--json", "--address", address)), &sockets); err != nil {
		t.Fatal(err)
	}
	mustCommand(t, "kick", sockets.Sockets[0].ID, "--address", address)
	a.wait("41")

	if err := s.load("respond hello", "admin "+address); err != nil {
		t.Fatal(err)
	}
	// The hubs are shown until the last of their clients is gone.
	for deadline := time.Now().Add(patience); strings.Contains(mustCommand(t, "ls", "--address", address), "CONNECTIONS"); {
		if time.Now().After(deadline) {
			t.Fatal("hubs that no config names are still there")
		}
	}
	for _, args := range []string{"ls", "ls sockets", "top --once"} {
		if out := mustCommand(t, append(strings.Fields(args), "--address", address)...); !strings.Contains(out, "There is no hub") {
			t.Errorf("%s without a hub: %s", args, out)
		}
	}
}

// lines hands over what a command writes, line by line.
func lines(t *testing.T, args ...string) <-chan string {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	all := make(chan string)
	var running sync.WaitGroup
	running.Go(func() { _ = writer.CloseWithError(errors.Join(commandTo(ctx, writer, args...), io.EOF)) })
	running.Go(func() {
		defer close(all)
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			select {
			case all <- scanner.Text():
			case <-ctx.Done():
				_ = reader.Close()
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = reader.Close()
		running.Wait()
	})
	return all
}

// find reads lines until one holds what is wanted.
func find(t *testing.T, from <-chan string, want string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-from:
			if !ok {
				t.Fatalf("it ended before a line with %q", want)
			}
			if strings.Contains(line, want) {
				return line
			}
		case <-deadline:
			t.Fatalf("no line with %q", want)
		}
	}
}

// TestTailFollowsThroughReloads holds that tail shows events, and goes on when the config changes,
// also when that fails.
func TestTailFollowsThroughReloads(t *testing.T) {
	s, address := startAdmin(t, twoNamespaces)
	client := s.connect("/socket.io/")
	tail := lines(t, "tail", "--payload", "--address", address)
	// Nothing tells when it has begun but an event that shows.
	begun := func(event string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				_ = commandTo(ctx, io.Discard, "emit", event, `{"a": 1}`, "--address", address)
			}
		}()
		find(t, tail, event)
		find(t, tail, `[{"a":1}]`)
	}
	begun("first")
	client.send(`42["message","hello"]`)
	if line := find(t, tail, "message"); !strings.Contains(line, "  in   /") || !strings.Contains(line, "7 B  from ") {
		t.Errorf("a line: %s", line)
	}
	find(t, tail, `["hello"]`)
	if line := find(t, tail, "message"); !strings.Contains(line, "  out  /") || !strings.Contains(line, "to everyone but ") {
		t.Errorf("a line: %s", line)
	}
	if err := s.load(strings.Replace(twoNamespaces, "relay chat", "relay chat typing", 1), "admin "+address); err != nil {
		t.Fatal(err)
	}
	find(t, tail, "The config was reloaded; following on.")
	begun("second")
	// Caddy replaces the admin endpoint before it finds out that a config fails.
	if err := s.load("socketio_stream {\n ping_timeout 1us\n}", "admin "+address); err == nil {
		t.Fatal("the config was taken")
	}
	begun("third")
	client.send(`42["message","still here"]`)
	find(t, tail, `["still here"]`)
}

// TestTailDoesNotHoldUpAReload holds that nobody who follows keeps the old admin endpoint, and with
// it a log line of an error, for the ten seconds that Caddy waits.
func TestTailDoesNotHoldUpAReload(t *testing.T) {
	s, address := startAdmin(t, "socketio_stream")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/socketio/hubs/default/tail", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := s.load("socketio_stream {\n ping_interval 31s\n}", "admin "+address); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(content), adminapi.EndReload) {
		t.Errorf("%s, %v", content, err)
	}
}
