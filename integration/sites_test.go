package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// sites is a Caddy in this process with a Caddyfile of its own.
type sites struct {
	t   *testing.T
	dir string
	// a and b are sites at two ports, which the Caddyfile calls A and B.
	a, b *server
}

// startSites runs Caddy with a Caddyfile, and with global options besides.
func startSites(t *testing.T, caddyfile string, options ...string) *sites {
	t.Helper()
	awaitNoHubs(t)
	s := &sites{t: t, dir: t.TempDir(), a: &server{t: t, port: testport.Reserve(t)}, b: &server{t: t, port: testport.Reserve(t)}}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	if err := s.load(caddyfile, options...); err != nil {
		t.Fatal(err)
	}
	return s
}

// load makes Caddy run a Caddyfile.
func (s *sites) load(caddyfile string, options ...string) error {
	s.t.Helper()
	config, err := s.adapt(caddyfile, options...)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	s.a.settle()
	s.b.settle()
	return nil
}

func (s *sites) adapt(caddyfile string, options ...string) ([]byte, error) {
	text := "{\n" + strings.Join(options, "\n") + "\n admin off\n default_bind 127.0.0.1\n persist_config off\n grace_period 1s\n storage file_system " + s.dir + "\n}\n" +
		strings.NewReplacer("A.port", s.a.port, "B.port", s.b.port).Replace(caddyfile)
	config, _, err := caddyAdapter().Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// hubs lists the hubs there are, those that are still closing their connections among them.
func hubs() (names []string) {
	for name := range hub.All() {
		names = append(names, name)
	}
	return names
}

// awaitNoHubs waits until the hubs of other tests are gone.
func awaitNoHubs(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(hubs()) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("the hubs %q are not gone", hubs())
		}
		<-time.After(time.Millisecond)
	}
}

// onlyHub returns the name of the hub that the only site has.
func onlyHub(t *testing.T) string {
	t.Helper()
	name, server := hub.Resolve(hub.Default)
	if server == nil {
		t.Fatalf("there are the hubs %q", hubs())
	}
	return name
}

// TestTwoSitesAreStrangers holds that what is said in one site is not heard in another, unless both
// name one hub.
func TestTwoSitesAreStrangers(t *testing.T) {
	const snippet = "(s) {\n socketio_stream {\n SHARED\n }\n}\n"
	for _, test := range []struct{ name, caddyfile string }{
		{"two sites", "http://127.0.0.1:A.port {\n socketio_stream {\n SHARED\n }\n}\nhttp://127.0.0.1:B.port {\n socketio_stream {\n SHARED\n }\n}\n"},
		{"a snippet that both import", snippet + "http://127.0.0.1:A.port {\n import s\n}\nhttp://127.0.0.1:B.port {\n import s\n}\n"},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, ", shared ", shared), func(t *testing.T) {
				named := ""
				if shared {
					named = "hub both"
				}
				s := startSites(t, strings.ReplaceAll(test.caddyfile, "SHARED", named))
				listener, here, there := s.a.connect("/socket.io/"), s.a.connect("/socket.io/"), s.b.connect("/socket.io/")
				there.send(`42["message","from the other site"]`)
				there.send(`420["stream:start",{"streamId":"its own"}]`)
				there.wait("430") // both are done
				here.send(`42["message","from this site"]`)
				want := `42["message","from this site"]`
				if shared {
					want = `42["message","from the other site"]`
				}
				if got := listener.wait("42"); got != want {
					t.Errorf("heard %s, want %s", got, want)
				}
				here.send(`421["stream:start",{"streamId":"its own"}]`)
				if got := here.wait("431"); strings.Contains(got, "stream_taken") != shared {
					t.Errorf("a stream of the name of one in the other site: %s", got)
				}
			})
		}
	}
}

// TestSiteOnTwoServersIsOne holds that a site has one hub on all servers that Caddy makes of it.
func TestSiteOnTwoServersIsOne(t *testing.T) {
	s := startSites(t, "http://127.0.0.1:A.port, http://127.0.0.1:B.port {\n handle /two/* {\n socketio_stream {\n path /two/\n }\n }\n handle {\n socketio_stream\n }\n}\n")
	if got := hubs(); len(got) != 1 || !strings.HasPrefix(got[0], "127.0.0.1_") {
		t.Errorf("hubs %q", got)
	}
	listener := s.a.connect("/socket.io/")
	for _, other := range []*socket{s.b.connect("/socket.io/"), s.a.connect("/two/"), s.b.connect("/two/")} {
		other.send(`42["message","hello"]`)
		if got := listener.wait("42"); got != `42["message","hello"]` {
			t.Errorf("got %s", got)
		}
	}
	if onlyHub(t) != hubs()[0] || hub.Find(hub.Default) == nil {
		t.Errorf("default stands for %q", onlyHub(t))
	}
}

// TestReloadAroundASiteKeepsItsClients holds that a site's own hub has nothing to do with the other
// sites, nor with the place of its lines.
func TestReloadAroundASiteKeepsItsClients(t *testing.T) {
	const site, other = "http://127.0.0.1:A.port {\n socketio_stream\n}\n", "http://127.0.0.1:B.port {\n socketio_stream\n}\n"
	s := startSites(t, site)
	client := s.a.connect("/socket.io/")
	before := hubs()
	for _, caddyfile := range []string{
		"# a line more\n\n" + site, other + site, site + other, "http://a.test:A.port {\n respond a\n}\n" + site,
		strings.Replace(site, "socketio_stream", "encode\n handle /socket.io/* {\n socketio_stream\n }", 1), site,
	} {
		if err := s.load(caddyfile); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(hubs(), before[0]) {
			t.Errorf("the hub %q is gone: %q", before, hubs())
		}
		client.send(`420["stream:start",{"streamId":"x"}]`)
		client.wait("430")
		client.send(`420["stream:stop",{"streamId":"x"}]`)
		client.wait("430")
	}
}

// TestHubsThatSitesMayNotShare holds that a config is refused in which clients of one site would come
// to another that is not for them: the error names both places, and what to write.
func TestHubsThatSitesMayNotShare(t *testing.T) {
	const basicAuth = "basic_auth {\n ada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
	const hubMain = "socketio_stream {\n hub main\n}\n"
	site := func(letter, directives string) string {
		return "http://127.0.0.1:" + letter + ".port {\n" + directives + "}\n"
	}
	s := startSites(t, site("A", hubMain)+site("B", hubMain))
	client := s.a.connect("/socket.io/")
	for _, test := range []struct {
		name, caddyfile string
		want            []string
	}{
		{"a guard in front of one", site("A", basicAuth+hubMain) + site("B", hubMain), []string{"basic_auth", "Caddyfile:", "hub <name>"}},
		{"other accounts", site("A", basicAuth+hubMain) + site("B", strings.Replace(basicAuth, "ada", "bob", 1)+hubMain), []string{"basic_auth"}},
		{"addresses", site("A", "@in remote_ip 10.0.0.0/8\n"+strings.Replace(hubMain, "stream", "stream @in", 1)) + site("B", hubMain), []string{"remote_ip"}},
		{"another backend asks", site("A", "forward_auth 127.0.0.1:9 {\n uri /\n}\n"+hubMain) + site("B", hubMain), []string{"forward_auth"}},
		{"two doors of one site", site("A", "handle /in/* {\n"+basicAuth+"socketio_stream {\n path /in/\n}\n}\nhandle {\nsocketio_stream\n}\n"), []string{"basic_auth"}},
		{"two paths of one handler", site("A", strings.Replace(basicAuth, "basic_auth", "basic_auth /in/*", 1)+"socketio_stream {\n path /in/ /socket.io/\n}\n"), []string{"basic_auth", "/in/ and /socket.io/", "Caddyfile:"}},
		{"a route that sites invoke, and one guards", "&(shared) {\n" + hubMain + "}\n" + site("A", basicAuth+"invoke shared\n") + site("B", hubMain), []string{"basic_auth", "Caddyfile:"}},
		{"a route that hosts invoke, and one guards", "&(shared) {\n" + hubMain + "}\nhttp://a.test:A.port {\n" + basicAuth + "invoke shared\n}\nhttp://b.test:A.port {\ninvoke shared\n}\n", []string{"basic_auth", "a.test/socket.io/ and b.test/socket.io/"}},
		{"a route that sites invoke", "&(shared) {\n socketio_stream\n}\n" + site("A", "invoke shared\n"), []string{"hub is missing", "Caddyfile:", "hub <name>"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := s.load(test.caddyfile)
			if err == nil {
				t.Fatal("it was loaded")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			client.alive()
		})
	}
	if got := hubs(); !slices.Equal(got, []string{"main"}) {
		t.Errorf("hubs %q", got)
	}
	// Whoever has to say who he is may come by whatever has found that out.
	const byUser = "socketio_stream {\n hub main\n auth caddy\n}\n"
	if err := s.load(site("A", basicAuth+byUser) + site("B", strings.Replace(basicAuth, "ada", "bob", 1)+byUser)); err != nil {
		t.Error(err)
	}
}

// TestHubOfASiteIsNotAnothersByItsName holds that a site's own hub is not shared by those who happen
// to name it, nor by sites of one name.
func TestHubOfASiteIsNotAnothersByItsName(t *testing.T) {
	s := startSites(t, "http://127.0.0.1:A.port {\n socketio_stream\n}\n")
	name := hubs()[0]
	both := "http://127.0.0.1:A.port {\n socketio_stream\n}\nhttp://127.0.0.1:B.port {\n socketio_stream {\n hub " + name + "\n }\n}\n"
	err := s.load(both)
	if err == nil || strings.Count(err.Error(), "Caddyfile:") < 2 || !strings.Contains(err.Error(), "write at both: hub "+name) {
		t.Errorf("got %v", err)
	}
	client := s.a.connect("/socket.io/")
	if err := s.load(strings.Replace(both, "socketio_stream\n", "socketio_stream {\n hub "+name+"\n }\n", 1)); err != nil {
		t.Fatal(err)
	}
	client.alive() // to name it as it is called already changes nothing for those who are in
	if response, body := s.b.request(http.MethodGet, "/socket.io/?EIO=4&transport=polling", ""); response.StatusCode != http.StatusOK {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// TestSitesOfTwoCaddyfilesAreStrangers holds that sites of Caddyfiles that are adapted apart do not
// share a hub where their servers come into one config, though they say the same at the same lines.
func TestSitesOfTwoCaddyfilesAreStrangers(t *testing.T) {
	s := startSites(t, "http://127.0.0.1:A.port {\n socketio_stream\n}\n")
	one, err := s.adapt("http://127.0.0.1:A.port {\n socketio_stream\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.adapt("http://127.0.0.1:B.port {\n socketio_stream\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	var config, other map[string]any
	if err := errors.Join(json.Unmarshal(one, &config), json.Unmarshal(two, &other)); err != nil {
		t.Fatal(err)
	}
	serversOf := func(config map[string]any) map[string]any {
		return config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	}
	serversOf(config)["other"] = serversOf(other)["srv0"]
	merged, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(merged, true); err != nil {
		t.Fatal(err)
	}
	s.b.settle()
	if got := hubs(); len(got) != 2 {
		t.Errorf("hubs %q", got)
	}
	listener, here, there := s.a.connect("/socket.io/"), s.a.connect("/socket.io/"), s.b.connect("/socket.io/")
	there.send(`42["message","from the other site"]`)
	there.send(`420["stream:start",{"streamId":"its own"}]`)
	there.wait("430") // both are done
	here.send(`42["message","from this site"]`)
	if got := listener.wait("42"); got != `42["message","from this site"]` {
		t.Errorf("heard %s", got)
	}
}

// TestLogTellsOfHubs holds that the log tells when a reload gives a site another hub, when the one
// before is closed, and what cannot be told of a hub that is shared.
func TestLogTellsOfHubs(t *testing.T) {
	log := newLogFile(t, "hubs.log")
	site := func(letter, directives string) string {
		return "http://127.0.0.1:" + letter + ".port {\n" + directives + "}\n"
	}
	s := startSites(t, site("A", "socketio_stream\n"), log.own())
	before := hubs()[0]
	if err := s.load("http://127.0.0.1:A.port, http://127.0.0.1:B.port {\n socketio_stream\n}\n", log.own()); err != nil {
		t.Fatal(err)
	}
	renamed := log.wait("a site has another hub now, so its clients have to connect again", 1)[0]
	expectFields(t, renamed, map[string]any{"level": "warn", "hub_before": before})
	if remedy, _ := renamed["remedy"].(string); !strings.HasSuffix(remedy, "hub "+before) {
		t.Errorf("the remedy is %q", remedy)
	}
	expectFields(t, log.wait("hub closed", 1)[0], map[string]any{"level": "info", "hub": before, "reason": "hub removed", "clients": 0})

	const shared = "socketio_stream {\n hub main\n}\n"
	if err := s.load(site("A", "@bot header User-Agent *bot*\nredir @bot /bots\n"+shared)+site("B", shared), log.own()); err != nil {
		t.Fatal(err)
	}
	doubt := log.wait("handlers share a hub, and it cannot be told whether the same clients can come to them; "+
		"put the same in front of both, or give one of them a hub of its own", 1)[0]
	expectFields(t, doubt, map[string]any{"hub": "main", "differing": "the matcher header"})
	for _, field := range []string{"declared_at", "and_at"} {
		if at, _ := doubt[field].(string); !strings.Contains(at, "Caddyfile:") || !strings.Contains(at, "127.0.0.1 on ") {
			t.Errorf("%s is %q", field, at)
		}
	}
	if lines := log.wait("a site has another hub now, so its clients have to connect again", 2); len(lines) != 2 {
		t.Errorf("%d warnings of another hub", len(lines))
	}
}

// TestGuardOfOneHostIsRefused holds that the hosts of one site have one door.
func TestGuardOfOneHostIsRefused(t *testing.T) {
	const basicAuth = "basic_auth @b {\n ada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
	s := startSites(t, "http://a.test:A.port {\n socketio_stream\n}\n")
	err := s.load("http://a.test:A.port, http://b.test:A.port {\n@b host b.test\n" + basicAuth + "socketio_stream\n}\n")
	if err == nil || !strings.Contains(err.Error(), "basic_auth in front of a.test/socket.io/ and b.test/socket.io/") {
		t.Errorf("got %v", err)
	}
}
