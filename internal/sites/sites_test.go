package sites

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func init() {
	caddy.RegisterModule(new(probe))
	httpcaddyfile.RegisterHandlerDirective("probe", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		p := new(probe)
		h.Next()
		h.Args(&p.Label)
		count, _ := h.State["probe"].(int)
		h.State["probe"] = count + 1
		p.Declaration = Declaration{At: fmt.Sprint("declaration ", count), In: BlockOf(h)}
		return p, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("probe", httpcaddyfile.Before, "reverse_proxy")
	caddy.RegisterModule(unknown{})
	httpcaddyfile.RegisterHandlerDirective("probe_unknown", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return unknown{}, nil
	})
}

// unknown is a handler of which nothing is known.
type unknown struct {
	A int `json:"a,omitempty"`
	B int `json:"b,omitempty"`
}

func (unknown) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.probe_unknown", New: func() caddy.Module { return new(unknown) }}
}

func (unknown) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// probe is a handler that finds out where it is.
type probe struct {
	Label string `json:"label,omitempty"`
	Declaration

	release func()
}

// found is what a probe has found.
type found struct {
	label string
	place *Place
	err   error
}

// probed is what the probes of the config have found that is being provisioned.
var probed []found

func (*probe) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.probe", New: func() caddy.Module { return new(probe) }}
}

func (p *probe) Provision(ctx caddy.Context) (err error) {
	f := found{label: p.Label}
	f.place, p.release, f.err = Find(ctx, "probe", p.Declaration)
	probed = append(probed, f)
	return nil
}

func (p *probe) Cleanup() error {
	p.release()
	return nil
}

func (p *probe) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error { return nil }

// probeJSON provisions a config and returns what its probes have found.
func probeJSON(t *testing.T, config []byte) []found {
	t.Helper()
	probed = nil
	var parsed *caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(parsed); err != nil {
		t.Fatal(err)
	}
	left := 0
	layouts.Range(func(any, any) bool { left++; return true })
	if left != 0 {
		t.Errorf("%d layouts are left", left)
	}
	return probed
}

// probeCaddyfile is probeJSON for a Caddyfile.
func probeCaddyfile(t *testing.T, text string) []found {
	t.Helper()
	text = "{\n\tadmin off\n\tpersist_config off\n\tstorage file_system " + t.TempDir() + "\n}\n" + text
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	return probeJSON(t, config)
}

// names lists the names of the sites, each once.
func names(list []found) (names []string) {
	for _, f := range list {
		if f.err != nil {
			names = append(names, f.err.Error())
			continue
		}
		names = append(names, f.place.Site.Name())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestNames holds what sites are called: the same on every server that Caddy makes of one.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		name, caddyfile string
		want            string
	}{
		{"a host", "example.com {\n probe\n}", "example.com"},
		{"capitals", "Example.COM {\n probe\n}", "example.com"},
		{"a port", ":8080 {\n probe\n}", "_8080"},
		{"a port and more directives", ":8080 {\n header X y\n probe\n respond hello\n}", "_8080"},
		{"plain HTTP", "http://example.com {\n probe\n}", "example.com_80"},
		{"localhost and a port", "http://localhost:21080 {\n probe\n}", "localhost_21080"},
		{"http and https", "http://example.com, https://example.com {\n probe\n}", "example.com_80_443"},
		{"all hosts by https", "https:// {\n probe\n}", "_443"},
		{"letters of another script", "https://*.münchen.de {\n probe\n}", "_.xn--mnchen-3ya.de"},
		{"the same in ASCII", "https://*.xn--mnchen-3ya.de {\n probe\n}", "_.xn--mnchen-3ya.de"},
		{"a slash at the end", "https://example.com/ {\n probe\n}", "example.com"},
		{"a wildcard", "*.example.com {\n probe\n}", "_.example.com"},
		{"an IPv4 address", "http://127.0.0.1:8080 {\n probe\n}", "127.0.0.1_8080"},
		{"several hosts", "example.com, www.example.com {\n probe\n}", "example.com__862cbaaf6670"},
		{"the same in another order", "www.example.com, example.com {\n probe\n}", "example.com__862cbaaf6670"},
		{"another host by http", "http://example.com, https://www.example.com {\n probe\n}", "example.com_80__"},
		{"IPv6", "http://[2001:db8::1]:8080 {\n probe\n}", "2001-db8--1_8080__"},
		{"IPv6 loopback", "http://[::1]:8080 {\n probe\n}", "1_8080__"},
		{"a Unix socket", "http://example.com {\n bind unix//run/x.sock|0222\n probe\n}", "example.com__"},
		{"one interface", "http://example.com {\n bind 127.0.0.1\n probe\n}", "example.com_80__"},
		{"in a block", "example.com {\n handle /a/* {\n  probe\n }\n handle {\n  route {\n   probe\n  }\n }\n}", "example.com"},
		{"hosts within a site", "*.example.com {\n @a host a.example.com\n handle @a {\n  probe\n }\n @b host b.example.com\n handle @b {\n  probe\n }\n}",
			"a.example.com, b.example.com"},
		{"a snippet in two sites", "(s) {\n probe\n}\na.example.com {\n import s\n}\nb.example.com {\n import s\n}", "a.example.com, b.example.com"},
		{"a snippet in two ports of a host", "(s) {\n probe\n}\nhttp://localhost:8001 {\n import s\n}\nhttp://localhost:8002 {\n import s\n}",
			"localhost_8001, localhost_8002"},
		{"two ports of a host", "http://localhost:8001, http://localhost:8002 {\n probe\n}", "localhost_8001_8002"},
		{"http and https apart", "http://example.com {\n probe\n}\nhttps://example.com {\n probe\n}", "example.com, example.com_80"},
		{"the same host on two interfaces", "http://a.test {\n bind 127.0.0.1\n probe\n}\nhttp://a.test {\n bind 127.0.0.2\n probe\n}",
			"a.test_80__, a.test_80__"},
		{"a route that sites invoke", "&(shared) {\n probe\n}\na.example.com {\n invoke shared\n}", ErrUnknown.Error()},
		{"an error route", "a.example.com {\n handle_errors {\n  probe\n }\n}", ErrUnknown.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := names(probeCaddyfile(t, test.caddyfile))
			for i, name := range got {
				if len(name) > maxName && name != ErrUnknown.Error() || name == "" {
					t.Errorf("the name %q has %d characters", name, len(name))
				}
				if beginning, _, found := strings.Cut(name, "__"); found && !strings.Contains(test.want, name) {
					got[i] = beginning + "__"
				}
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("got %s, want %s", strings.Join(got, ", "), test.want)
			}
		})
	}
}

// TestNameStays holds that a site's name has nothing to do with the sites around it, nor with the
// lines that it stands on.
func TestNameStays(t *testing.T) {
	site := "https://a.example.com, http://b.example.com {\n bind 127.0.0.1 127.0.0.2\n probe a\n}\n"
	want := ""
	for i, text := range []string{
		site,
		"\n\n# moved\n" + site,
		site + "c.example.com {\n probe\n}\n",
		"c.example.com {\n probe\n}\n" + site,
		// Now the site has other sites beside it at one of its listeners only, which makes Caddy
		// spread it over more servers.
		"http://c.example.com {\n bind 127.0.0.1\n probe\n}\n:8443 {\n probe\n}\n" + site,
		strings.Replace(site, "probe a", "header X y\n encode\n handle /x/* {\n probe a\n }", 1),
	} {
		places := 0
		for _, f := range probeCaddyfile(t, text) {
			if f.label != "a" {
				continue
			}
			places++
			if f.err != nil {
				t.Fatal(f.err)
			}
			if want == "" {
				want = f.place.Site.Name()
			}
			if got := f.place.Site.Name(); got != want {
				t.Errorf("%d: the name is %s, and was %s", i, got, want)
			}
		}
		if places < 2 {
			t.Errorf("%d: the site is on %d servers", i, places)
		}
	}
}

// TestNamesAreOfOneSite holds that no two sites have one name, however alike their addresses are.
func TestNamesAreOfOneSite(t *testing.T) {
	seen := make(map[string]string)
	for _, listeners := range [][]string{{":443"}, {":80"}, {":80", ":443"}, {":8080"}, {"127.0.0.1:443"}, {"unix//a"}, {"unix//b"}, {":8080-8081"}, {"udp/:443"}} {
		for _, hosts := range [][]string{{""}, {"a"}, {"a-8080"}, {"a_8080"}, {"8080"}, {"*"}, {"*.a"}, {"_.a"}, {"a.a"}, {"a", "b"}, {"::1"}, {"--1"}, {strings.Repeat("a", 70)}, {strings.Repeat("a", 71)}, {"{nope}"}} {
			var addresses []Address
			for _, listener := range listeners {
				for _, host := range hosts {
					addresses = append(addresses, newAddress(host, listener))
				}
			}
			site := newSite(addresses)
			name := site.Name()
			if other, taken := seen[name]; taken {
				t.Errorf("%q is the name of %q and of %q", name, other, site)
			}
			seen[name] = site.String()
			if len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" || strings.HasPrefix(name, "-") {
				t.Errorf("the name %q of %q", name, site)
			}
		}
	}
}

// TestPlacesInJSON holds that a config without a Caddyfile has them too, in the order of its
// routes.
func TestPlacesInJSON(t *testing.T) {
	config := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{
		"one":{"listen":[":8080"],"routes":[
			{"match":[{"host":["a.test"]}],"handle":[{"handler":"probe","label":"a"}]},
			{"match":[{"host":["b.test"]},{"host":["c.test"]}],"handle":[{"handler":"subroute","routes":[
				{"handle":[{"handler":"probe","label":"bc"}]},
				{"match":[{"host":["c.test"]}],"handle":[{"handler":"headers"},{"handler":"probe","label":"c"}]}]}]},
			{"handle":[{"handler":"probe","label":"any"}]}]},
		"two":{"listen":[":8081"],"routes":[{"match":[{"host":["a.test"]}],"handle":[{"handler":"probe","label":"a2"}]}]}}}}}`
	got := make(map[string]string)
	for _, f := range probeJSON(t, []byte(config)) {
		if f.err != nil {
			t.Fatal(f.label, f.err)
		}
		got[f.label] = f.place.Site.String()
	}
	for label, want := range map[string]string{
		"a": "a.test on :8080", "bc": "b.test on :8080, c.test on :8080", "c": "c.test on :8080", "any": ":8080", "a2": "a.test on :8081",
	} {
		if got[label] != want {
			t.Errorf("%s is at %q, want %q", label, got[label], want)
		}
	}
}

// TestDeclarationsThatRepeatAreNotTrusted holds that what is not one declaration, as a config from
// elsewhere may have it, does not make two sites one.
func TestDeclarationsThatRepeatAreNotTrusted(t *testing.T) {
	const one = `{"handler":"probe","declared_at":"x:1","declared_in":"d"}`
	for _, test := range []struct {
		name, servers string
		want          []string
	}{
		{"on one server", `"one":{"listen":[":8080"],"routes":[
			{"match":[{"host":["a.test"]}],"handle":[` + one + `]},
			{"match":[{"host":["b.test"]}],"handle":[` + one + `]}]}`, []string{"a.test_8080", "b.test_8080"}},
		{"without a site block", `"one":{"listen":[":8080"],"routes":[{"handle":[{"handler":"probe","declared_at":"x:1"}]}]},
			"two":{"listen":[":8081"],"routes":[{"handle":[{"handler":"probe","declared_at":"x:1"}]}]}`, []string{"_8080", "_8081"}},
		{"in other site blocks", `"one":{"listen":[":8080"],"routes":[{"handle":[` + one + `]}]},
			"two":{"listen":[":8081"],"routes":[{"handle":[` + strings.Replace(one, `"d"`, `"e"`, 1) + `]}]}`, []string{"_8080", "_8081"}},
		{"in one site block", `"one":{"listen":[":8080"],"routes":[{"handle":[` + one + `]}]},
			"two":{"listen":[":8081"],"routes":[{"handle":[` + one + `]}]}`, []string{"_8080_8081"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{` + test.servers + `}}}}`
			if got := names(probeJSON(t, []byte(config))); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestCaddyfilesThatAreMerged holds that sites of two Caddyfiles, which say the same at the same
// lines, are strangers where their JSON is put into one config.
func TestCaddyfilesThatAreMerged(t *testing.T) {
	for _, test := range []struct {
		name, one, two string
		want           []string
	}{
		{"ports", ":8001 {\n probe\n}", ":8002 {\n probe\n}", []string{"_8001", "_8002"}},
		{"ports of a host", "http://localhost:8001 {\n probe\n}", "http://localhost:8002 {\n probe\n}", []string{"localhost_8001", "localhost_8002"}},
		{"several ports of a host", "http://localhost:8001, http://localhost:8003 {\n probe\n}", "http://localhost:8002, http://localhost:8004 {\n probe\n}",
			[]string{"localhost_8001_8003", "localhost_8002_8004"}},
		{"interfaces", "http://a.test {\n bind 127.0.0.1\n probe\n}", "http://a.test {\n bind 127.0.0.2\n probe\n}", []string{"a.test_80__", "a.test_80__"}},
		{"interfaces for all", "{\n default_bind 127.0.0.1\n}\nhttp://a.test {\n probe\n}", "{\n default_bind 127.0.0.2\n}\nhttp://a.test {\n probe\n}",
			[]string{"a.test_80__", "a.test_80__"}},
		{"ports for all", "{\n http_port 8001\n}\nhttp://a.test, http://b.test {\n probe\n}", "{\n http_port 8002\n}\nhttp://a.test, http://b.test {\n probe\n}",
			[]string{"a.test_8001__", "a.test_8002__"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := names(probeJSON(t, merged(t, test.one, test.two)))
			for i, name := range got {
				if beginning, _, found := strings.Cut(name, "__"); found {
					got[i] = beginning + "__"
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// merged adapts Caddyfiles by themselves, and puts their servers into one config.
func merged(t *testing.T, texts ...string) []byte {
	t.Helper()
	servers := make(map[string]any)
	for i, text := range texts {
		config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Apps struct {
				HTTP struct{ Servers map[string]any }
			}
		}
		if err := json.Unmarshal(config, &parsed); err != nil {
			t.Fatal(err)
		}
		for name, server := range parsed.Apps.HTTP.Servers {
			servers[fmt.Sprint(name, " of ", i)] = server
		}
	}
	config, err := json.Marshal(map[string]any{
		"admin": map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"apps":  map[string]any{"http": map[string]any{"http_port": 9, "servers": servers}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestHostsWithinASite holds that a host matcher within a site makes it no other one.
func TestHostsWithinASite(t *testing.T) {
	for _, test := range []struct {
		name, site, want string
	}{
		{"wider", "http://a.example.com {\n @all host *.example.com\n handle @all {\n  probe\n }\n}", "a.example.com_80"},
		{"elsewhere", "http://a.example.com {\n @b host b.example.com\n handle @b {\n  probe\n }\n}", "a.example.com_80"},
		{"narrower", "http://*.example.com {\n @a host a.example.com b.example.org\n handle @a {\n  probe\n }\n}", "a.example.com_80"},
		{"across", "http://*.example.com {\n @a host a.*.com\n handle @a {\n  probe\n }\n}", "a.example.com_80"},
		{"not one", "http://*.example.com {\n @a not host a.example.com\n handle @a {\n  probe\n }\n}", "_.example.com_80"},
	} {
		if got := names(probeCaddyfile(t, test.site)); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestOutsideOfASite holds that a handler which is in no HTTP server is told so.
func TestOutsideOfASite(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	_, release, err := Find(ctx, "probe", Declaration{})
	if !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	release()
}
