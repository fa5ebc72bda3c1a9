package admincli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	"github.com/caddy-socketio/socketio-stream/admin/adminapi"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// execute runs a command line.
func execute(t *testing.T, args ...string) (out, errOut string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "socketio", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(NewCommands()...)
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(args)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = root.ExecuteContext(ctx)
	return stdout.String(), stderr.String(), err
}

// answering starts a server with fixed answers, and returns its address.
func answering(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.RequestURI]
		if !ok {
			w.Header().Set("Content-Type", adminapi.JSON)
			w.WriteHeader(http.StatusNotFound)
			answer = fmt.Sprintf(`{"error":"nothing at %s"}`, r.RequestURI)
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	folder := t.TempDir()
	off, broken := filepath.Join(folder, "off.caddyfile"), filepath.Join(folder, "broken.caddyfile")
	for file, text := range map[string]string{off: "{\n\tadmin off\n}\n", broken: "{\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	two := answering(t, map[string]string{"GET /socketio/hubs?limit=1000": `{"hubs":[{"name":"a"},{"name":"b"}]}`})
	none := answering(t, map[string]string{"GET /socketio/hubs?limit=1000": `{"hubs":[]}`})
	other := answering(t, map[string]string{"GET /socketio/hubs?limit=1000": `<html>`})
	for _, test := range []struct {
		line string
		want string
	}{
		{"ls everything", "invalid argument"},
		{"ls rooms sockets", "at most 1 arg"},
		{"ls --slow", "--room, --identity and --slow are for ls sockets"},
		{"ls rooms --room a", "--room, --identity and --slow are for ls sockets"},
		{"ls hubs --identity ada", "--room, --identity and --slow are for ls sockets"},
		{"ls --namespace /", "--namespace is for"},
		{"ls rooms --limit 0", "--limit must be from 1 to 1000, is 0"},
		{"ls sockets --limit 1001", "--limit must be"},
		{"ls sockets --limit x", "invalid argument"},
		{"ls --nope", "unknown flag"},
		{"top now", "unknown command"},
		{"top --interval 1ms", "--interval must be at least 100ms"},
		{"top --interval 2", "missing unit"},
		{"emit", "at least 1 arg"},
		{"emit x hello", "the argument hello is not JSON"},
		{"kick", "kick needs the id of a socket"},
		{"kick --close", "kick needs the id of a socket"},
		{"kick --identity", "flag needs an argument"},
		{"kick --identity=", "--identity is empty"},
		{"kick x --identity ada", "or --identity, not both"},
		{"kick x --namespace /", "--namespace is for kick --identity"},
		{"kick --identity ada --namespace nope --address " + two, "there is no namespace /nope"},
		{"kick --identity ada --address " + none, "there is no hub"},
		{"kick --identity ada --address " + two, "nothing at /socketio/hubs/a/disconnect"},
		{"kick --nope", "unknown flag"},
		{"kick -x", "unknown shorthand"},
		{"tail now", "unknown command"},
		{"tail --count -1", "--count must not be negative"},

		{"ls --address nowhere", "must have one port"},
		{"ls --address localhost:1-5", "must have one port"},
		{"ls --address udp/localhost:5", "a command cannot connect to"},
		{"ls --address localhost:port", "invalid start port"},
		{"ls --address {env.NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"},
		{"ls --adapter caddyfile", "--adapter is of no use without --config"},
		{"ls --config " + filepath.Join(folder, "gone"), "gone: "},
		{"ls --config " + broken, "reading the admin address from"},
		{"ls --config " + off, "switches the admin endpoint off"},

		{"emit x --address " + two, "there are several hubs, so --hub must name one: a, b"},
		{"tail --address " + two, "there are several hubs"},
		{"emit x --address " + none, "there is no hub"},
		{"tail --address " + none, "there is no hub"},
		{"kick x --address " + none, "there is no hub"},
		{"kick x --address " + two, "no socket has the id x"},
		{"ls --hub c --address " + two, "Caddy says: nothing at /socketio/hubs/c"},
		{"ls rooms -n nope --address " + two, "there is no namespace /nope"},
		{"ls --address " + other, "the answer of the admin endpoint at " + other},
	} {
		t.Run(test.line, func(t *testing.T) {
			out, _, err := execute(t, strings.Fields(test.line)...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if out != "" {
				t.Errorf("it wrote %s", out)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	if _, _, err := execute(t, "ls", "--address", address); err == nil || !strings.Contains(err.Error(), "it was built without this module") {
		t.Errorf("a Caddy without the module: %v", err)
	}
	socket := filepath.Join(t.TempDir(), "admin.sock")
	for _, where := range []string{testport.Silent(t), "unix/" + socket, "unix/" + socket + "|0220"} {
		_, _, err := execute(t, "ls", "--address", where)
		var unreachable *Unreachable
		if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "Is Caddy running?") || strings.Contains(err.Error(), "|") {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for address, want := range map[string]endpoint{
		"localhost:2019":         {"tcp", "localhost:2019", "localhost:2019"},
		"http://localhost:2019/": {"tcp", "localhost:2019", "localhost:2019"},
		":2019":                  {"tcp", ":2019", "localhost:2019"},
		"[::1]:2019":             {"tcp", "[::1]:2019", "[::1]:2019"},
		"unix//run/caddy.sock":   {"unix", "/run/caddy.sock", "127.0.0.1"},
		"unix//run/a.sock|0220":  {"unix", "/run/a.sock", "127.0.0.1"},
	} {
		if got, err := parseEndpoint(address); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", address, got, err, want)
		}
	}
}

// TestConfiguredAddress holds that the address is that of the config, where the config has one.
func TestConfiguredAddress(t *testing.T) {
	address := answering(t, map[string]string{"GET /socketio/hubs?limit=1000": `{"hubs":[]}`})
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin "+address+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, err := execute(t, "ls", "--config", file); err != nil || out != noHub+"\n" {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := findEndpoint("", "", ""); err != nil {
		t.Errorf("the default: %v", err)
	}
}

func TestDashedIDs(t *testing.T) {
	flags := newKick().Flags()
	const id, dashed, twice = "abcdefghijklmnopqrst", "-cdefghijklmnopqrstu", "--efghijklmnopqrstuv"
	ids, rest := dashedIDs(flags, []string{"--close", id, dashed, "-c", "file", twice, "--json"})
	if strings.Join(ids, " ") != dashed+" "+twice || strings.Join(rest, " ") != "--close "+id+" -c file --json" {
		t.Errorf("ids %q, the rest %q", ids, rest)
	}
	if ids, rest = dashedIDs(flags, []string{"--", dashed}); ids != nil || len(rest) != 2 {
		t.Errorf("behind two dashes: ids %q, the rest %q", ids, rest)
	}
	if out, _, err := execute(t, "kick", "--help"); err != nil || !strings.Contains(out, "Usage:") {
		t.Errorf("help: %s, %v", out, err)
	}
}

const oneHub = `{"hubs":[{"name":"default","connections":1204,"sockets":1310,"rooms":12,"buffered_bytes":14200,
	"namespaces":[{"name":"/","sockets":1300,"rooms":12},{"name":"/chat","sockets":10,"rooms":0}],
	"counters":{"slow_clients":3,"volatile_dropped":41,"refused":0}}]}`

const slowSockets = `{"sockets":[
	{"id":"aaaaaaaaaaaaaaaaaaaa","namespace":"/","transport":"polling","address":"192.0.2.7","connected_since":"2020-01-02T03:04:05Z",
	 "rooms":["a","b","c","d"],"room_count":14,"queued_bytes":20000,"slow":true},
	{"id":"bbbbbbbbbbbbbbbbbbbb","namespace":"/","transport":"websocket","address":"192.0.2.8","connected_since":"2020-01-02T03:04:05Z",
	 "rooms":[],"room_count":0,"queued_bytes":90000,"slow":true}]}`

// TestClientsOfSeveralIssuersAreFound holds that who looks for a client by its subject alone, where
// there are several issuers, is told by what the client is known.
func TestClientsOfSeveralIssuersAreFound(t *testing.T) {
	const sockets = `{"sockets":[{"id":"a","identity":"https://b.example.com#ada"},{"id":"b","identity":"https://b.example.com#ada"},
		{"id":"c","identity":"https://a.example.com#ada"},{"id":"d","identity":"https://a.example.com#nada"},{"id":"e","identity":"eve"}]}`
	address := answering(t, map[string]string{
		"GET /socketio/hubs?limit=1000":                              oneHub,
		"GET /socketio/hubs/default/sockets?limit=1000":              sockets,
		"GET /socketio/hubs/default/sockets?identity=ada&limit=50":   `{"sockets":[]}`,
		"GET /socketio/hubs/default/sockets?identity=bob&limit=50":   `{"sockets":[]}`,
		"GET /socketio/hubs/default/sockets?identity=a%23b&limit=50": `{"sockets":[]}`,
		"POST /socketio/hubs/default/disconnect":                     `{"sockets":0}`,
	})
	const several = " Where there are several issuers, clients are <iss>#<sub>: "
	const both = "write --identity 'https://a.example.com#ada' or --identity 'https://b.example.com#ada'"
	for who, want := range map[string]string{"ada": several + both, "bob": several + "ls sockets shows them.", "a#b": ""} {
		if _, _, err := execute(t, "kick", "--identity", who, "--address", address); err == nil || err.Error() != "no socket is connected as "+who+"."+want {
			t.Errorf("kick: %v", err)
		}
		if out, _, err := execute(t, "ls", "sockets", "--identity", who, "--address", address); err != nil || out != "No socket is connected as "+who+"."+want+"\n" {
			t.Errorf("ls: %s, %v", out, err)
		}
	}
}

// TestWaitingClientsAreShown holds that the table of hubs has how many clients wait to be let in, where
// that is counted.
func TestWaitingClientsAreShown(t *testing.T) {
	s := &session{}
	counted := adminapi.Hub{Name: "a", Connections: 9, Sockets: 2, Waiting: number(7)}
	if got := hubTable(s, []adminapi.Hub{counted, {Name: "b"}}, nil, 0).String(); !strings.HasPrefix(got, ""+
		"HUB  CONNECTIONS  SOCKETS  WAITING  ROOMS  BUFFERED  SLOW  DROPPED  REFUSED\n"+
		"a              9        2        7      0       0 B     0        0        0\n"+
		"b              0        0        -      0       0 B     0        0        0\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestWaitingClientsAreToldOf holds that who finds no socket hears of the clients that wait.
func TestWaitingClientsAreToldOf(t *testing.T) {
	for waiting, want := range map[string]string{
		`"waiting":2,`: "No socket is connected. 2 sockets wait until it is found out who the client is: where that stays so, the log says why.\n",
		`"waiting":0,`: "No socket is connected.\n",
		``:             "No socket is connected.\n",
	} {
		address := answering(t, map[string]string{
			"GET /socketio/hubs?limit=1000":               `{"hubs":[{` + waiting + `"name":"default"}]}`,
			"GET /socketio/hubs/default/sockets?limit=50": `{"sockets":[]}`,
		})
		if out, _, err := execute(t, "ls", "sockets", "--address", address); err != nil || out != want {
			t.Errorf("%s: %s, %v", waiting, out, err)
		}
	}
}

func TestTopOnce(t *testing.T) {
	address := answering(t, map[string]string{
		"GET /socketio/hubs?limit=1000":                           oneHub,
		"GET /socketio/hubs/default/sockets?limit=1000&slow=true": slowSockets,
	})
	out, _, err := execute(t, "top", "--once", "--address", address)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Socket.IO at " + address,
		"totals since each hub was made",
		"HUB      CONNECTIONS  SOCKETS  ROOMS  BUFFERED  SLOW  DROPPED  REFUSED\ndefault        1,204    1,310     12     14 kB     3       41        0\n",
		"NAMESPACE  HUB      SOCKETS  ROOMS\n/          default    1,300     12\n/chat      default       10      0\n",
		"2 clients do not keep up:\n",
		"slow  a, b, c, and 11 more\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("escape sequences for what is no terminal: %q", out)
	}
	if strings.Index(out, "bbbbbb") > strings.Index(out, "aaaaaa") {
		t.Errorf("the one with most waiting is not the first:\n%s", out)
	}
	out, _, err = execute(t, "top", "--once", "--json", "--address", address)
	if err != nil || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"queued_bytes":90000`) {
		t.Errorf("as JSON: %s, %v", out, err)
	}
}

// TestTopOnATerminal holds that a terminal is cleared and restored, and that growth shows.
func TestTopOnATerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "no terminal of a known size"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out bytes.Buffer
	s := &session{client: newClient(endpoint{"tcp", "localhost:2019", "localhost:2019"}), out: &out, terminal: file}
	var screen top
	screen.interval = 2 * time.Second
	before := &sample{Time: time.Now(), Hubs: []adminapi.Hub{{Name: strings.Repeat("long", 20), Counters: adminapi.Counters{SlowClients: 2, EventsIn: number(100)}}}}
	now := &sample{Time: before.Time.Add(2 * time.Second), Hubs: []adminapi.Hub{{Name: before.Hubs[0].Name, Counters: adminapi.Counters{SlowClients: 5, EventsIn: number(160)}}}}
	if err := screen.show(s, now, before); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.HasPrefix(text, toTop) || !strings.HasSuffix(text, clearLine+"\n"+clearBelow) || strings.Count(text, "\n") != strings.Count(text, clearLine+"\n") {
		t.Errorf("the screen is %q", text)
	}
	for _, want := range []string{"5 +3", "30/s", strings.Repeat("long", 9) + "lon…", "All clients keep up."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %q", want, text)
		}
	}
}

func TestTailOfWhatBreaks(t *testing.T) {
	hubs := `{"hubs":[{"name":"default"}]}`
	for name, test := range map[string]struct{ lines, out, err string }{
		"end of the hub": {`{"time":"2030-01-02T03:04:05Z","end":"the hub has ended"}` + "\n", "", "the hub default is no more"},
		"end of Caddy":   {"", "", "the connection to Caddy has ended"},
		"half a line":    {`{"time":`, "", "cannot be read"},
		"lost events":    {`{"time":"2030-01-02T03:04:05Z","lost":1200}` + "\n", "(1,200 events were missed: this reader is too slow)\n", "has ended"},
	} {
		address := answering(t, map[string]string{"GET /socketio/hubs?limit=1000": hubs, "GET /socketio/hubs/default/tail": test.lines})
		out, _, err := execute(t, "tail", "--address", address)
		if out != test.out || err == nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// TestCommandsAreAboutAllServers holds that lists name the servers of a cluster, and that those that do not answer
// are named.
func TestCommandsAreAboutAllServers(t *testing.T) {
	const missing = `"missing":[{"node":"c","error":"the server has not answered in time"}]`
	address := answering(t, map[string]string{
		"GET /socketio/hubs?limit=1000": `{"hubs":[{"name":"default","node":"a","namespaces":[{"name":"/","sockets":1}]}]}`,
		"GET /socketio/hubs/default/nodes": `{"nodes":[
			{"node":"a","host":"west","self":true,"hub":{"name":"default","node":"a","connections":1,"sockets":1,"namespaces":[{"name":"/","sockets":1}]}},
			{"node":"b","host":"east","hub":{"name":"other","node":"b","connections":2,"sockets":3,"namespaces":[{"name":"/","sockets":3}]}},
			{"node":"c","error":"the server has not answered in time"}]}`,
		"GET /socketio/hubs/default/nodes?node=b":                    `{"nodes":[{"node":"b","hub":{"name":"other","node":"b","connections":2,"sockets":3}}]}`,
		"GET /socketio/hubs/default/sockets?limit=50":                `{"sockets":[{"id":"one","node":"a","namespace":"/"},{"id":"two","node":"b","namespace":"/"}],` + missing + `}`,
		"GET /socketio/hubs/default/sockets?limit=50&node=b":         `{"sockets":[{"id":"two","node":"b","namespace":"/"}]}`,
		"GET /socketio/hubs/default/sockets?limit=1000&slow=true":    `{"sockets":[]}`,
		"POST /socketio/hubs/default/disconnect":                     `{"sockets":2,` + missing + `}`,
		"POST /socketio/hubs/default/disconnect?node=b":              `{"sockets":1}`,
		"POST /socketio/hubs/default/namespaces/%2F/emit?node=b":     `{"receivers":1}`,
		"POST /socketio/hubs/default/sockets/two/disconnect?node=b":  `{"id":"two","node":"b","namespace":"/"}`,
		"GET /socketio/hubs/default/namespaces/%2F/rooms?limit=1000": `{"rooms":[{"name":"x","sockets":3}],` + missing + `}`,
	})
	const silent = "The server c has not answered: the server has not answered in time\n"
	for _, test := range []struct {
		line, want, warned, failed string
	}{
		{"ls nodes", "a     west  default            1        1  this one\nb     east  other              2        3\nc           -                  -        -  does not answer\n", silent, ""},
		{"ls", "default  a ", silent, ""},
		{"ls --node b", "other  b ", "", ""},
		{"ls namespaces", "HUB      NODE  NAMESPACE  SOCKETS  ROOMS\ndefault  a     /                1      0\nother    b     /                3      0\n", silent, ""},
		{"ls rooms", "default  /          x           3\n", silent, ""},
		{"ls sockets", "two     default  b ", silent, ""},
		{"ls sockets --node b", "two     default  b ", "", ""},
		{"top --once", "/          other    b           3      0\n", silent, ""},
		{"kick --identity ada", "", silent, "disconnected ada from 2 sockets, and nobody knows of those servers"},
		{"kick --identity ada --node b", "Disconnected ada from 1 socket\n", "", ""},
		{"kick two --node b", "Disconnected two from /", "", ""},
		{"emit news --node b", "Sent news to 1 socket.\n", "", ""},
	} {
		out, errOut, err := execute(t, append(strings.Fields(test.line), "--address", address)...)
		if !strings.Contains(out, test.want) || errOut != test.warned {
			t.Errorf("%s: %q, want %q; warned %q", test.line, out, test.want, errOut)
		}
		if (err == nil) != (test.failed == "") || err != nil && !strings.Contains(err.Error(), test.failed) {
			t.Errorf("%s: %v, want %q", test.line, err, test.failed)
		}
	}
}

// TestCommandsSayThatOthersAreNotReached holds that what one server has is not passed off for what the cluster has,
// and that namespaces that only other servers have are listed.
func TestCommandsSayThatOthersAreNotReached(t *testing.T) {
	const missing = `"missing":[{"node":"","error":"other servers are not reached: no Redis"}]`
	address := answering(t, map[string]string{
		"GET /socketio/hubs?limit=1000":                                  `{"hubs":[{"name":"default","node":"a","namespaces":[{"name":"/","sockets":1}]}]}`,
		"GET /socketio/hubs/default/nodes":                               `{"nodes":[{"node":"a","self":true,"hub":{"name":"default","node":"a","namespaces":[{"name":"/"}]}},{"node":"b","hub":{"name":"default","node":"b","namespaces":[{"name":"/more"}]}}],` + missing + `}`,
		"GET /socketio/hubs/default/namespaces/%2Fmore/rooms?limit=1000": `{"rooms":[{"name":"x","sockets":3}]}`,
		"GET /socketio/hubs/default/sockets?limit=50":                    `{"sockets":[],` + missing + `}`,
		"POST /socketio/hubs/default/disconnect":                         `{"sockets":2,` + missing + `}`,
		"POST /socketio/hubs/default/namespaces/%2Fmore/disconnect":      `{"sockets":1}`,
	})
	const alone = "Only one server of the cluster has answered: other servers are not reached: no Redis\n"
	for _, test := range []struct{ line, want, failed string }{
		{"ls nodes", "a ", ""},
		{"ls sockets", "No socket is connected.", ""},
		{"ls rooms --namespace /more", "default  /more      x           3\n", ""},
		{"kick --identity ada --namespace /more", "Disconnected ada from 1 socket\n", ""},
		{"kick --identity ada", "", "disconnected ada from 2 sockets, and nobody knows of those servers"},
	} {
		out, errOut, err := execute(t, append(strings.Fields(test.line), "--address", address)...)
		if !strings.Contains(out, test.want) || errOut != alone {
			t.Errorf("%s: %q, want %q; warned %q", test.line, out, test.want, errOut)
		}
		if (err == nil) != (test.failed == "") || err != nil && !strings.Contains(err.Error(), test.failed) {
			t.Errorf("%s: %v, want %q", test.line, err, test.failed)
		}
	}
}
