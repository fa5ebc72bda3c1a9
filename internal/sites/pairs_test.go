package sites

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// verdictOf says what becomes of a hub that two sites share.
func verdictOf(t *testing.T, list []found) string {
	t.Helper()
	if len(list) != 2 {
		t.Fatalf("there are %d probes", len(list))
	}
	for _, f := range list {
		if f.err != nil {
			t.Fatal(f.err)
		}
	}
	paths := []string{"/socket.io/"}
	sure, unsure := Difference(list[0].place.Guards(paths), list[1].place.Guards(paths))
	switch {
	case len(sure) > 0:
		return "differs by " + Kinds(sure)
	case len(unsure) > 0:
		return "unsure of " + Kinds(unsure)
	default:
		return "same"
	}
}

const (
	ada = "basic_auth {\n ada " + hash + "\n}\n"
	// asked asks a backend in front of all.
	asked = "forward_auth 127.0.0.1:9 {\n uri /auth\n copy_headers Remote-User\n}\n"
)

// adaIf is basic_auth for what a matcher matches.
func adaIf(matcher string) string {
	return strings.Replace(ada, "basic_auth", "basic_auth "+matcher, 1)
}

// inOrder has directives in the order in which they are written, with the probe behind them.
func inOrder(directives string) string { return "route {\n" + directives + "probe\n}\n" }

// TestPairsOfSites holds which sites may share a hub: those that let in the same clients. Each pair
// has the directives of two sites.
func TestPairsOfSites(t *testing.T) {
	for _, test := range []struct{ name, one, two, want string }{
		// What lets everyone through.
		{"nothing", "probe\n", "probe\n", "same"},
		{"encode, header, log", "encode\nheader X-A b\nlog\nprobe\n", "probe\n", "same"},
		{"request_header", "request_header X-A b\nprobe\n", "probe\n", "same"},
		{"request_body", "request_body {\n max_size 1MB\n}\nprobe\n", "probe\n", "same"},
		{"vars and map", "vars a b\nmap {path} {x} {\n default y\n}\nprobe\n", "probe\n", "same"},
		{"tracing", "tracing {\n span s\n}\nprobe\n", "probe\n", "same"},
		{"metrics and templates", "metrics /metrics\ntemplates\nprobe\n", "probe\n", "same"},
		{"another root", "root * /srv/a\nprobe\nfile_server\n", "root * /srv/b\nprobe\nfile_server\n", "same"},
		{"a fallback behind it", "handle /socket.io/* {\n probe\n}\nhandle {\n root * /srv\n try_files {path} /index.html\n file_server\n}\n", "probe\n", "same"},
		{"a site that is a page by files", "try_files {path} /index.html\nprobe\nfile_server\n", "probe\n", "same"},
		{"files first", "@static file\nhandle @static {\n file_server\n}\nhandle {\n probe\n}\n", "probe\n", "same"},
		{"a proxy behind it", "probe\nreverse_proxy 127.0.0.1:9\n", "probe\n", "same"},
		{"a proxy of other paths", inOrder("reverse_proxy /api/* 127.0.0.1:9\n"), "probe\n", "same"},
		{"answers at other paths", "respond /health 200\nredir /old /new\nprobe\n", "probe\n", "same"},
		{"answers to other hosts", "@www host www.a.test\nredir @www https://a.test{uri}\nprobe\n", "probe\n", "same"},
		{"answers to preflights", "@options method OPTIONS\nrespond @options 204\nprobe\n", "probe\n", "same"},
		{"rewrites of other paths", "rewrite /old/* /new\nuri /x/* strip_prefix /x\nprobe\n", "probe\n", "same"},
		{"below a prefix", "handle_path /app/* {\n probe\n}\n", "handle /socket.io/* {\n probe\n}\n", "same"},
		{"blocks in blocks", "route {\n handle {\n  handle /socket.io/* {\n   probe\n  }\n }\n}\n", "probe\n", "same"},
		{"a matcher for the path", "@s path /socket.io/*\nprobe @s\n", "@s path_regexp ^/socket\\.io/\nprobe @s\n", "same"},
		{"a matcher for the methods", "@s method GET POST OPTIONS\nprobe @s\n", "probe\n", "same"},
		{"a matcher for another path", "@s not path /admin/*\nprobe @s\n", "probe\n", "same"},

		// Guards that are the same.
		{"basic_auth", ada + "probe\n", ada + "probe\n", "same"},
		{"basic_auth for the path", adaIf("/socket.io/*") + "probe\n", ada + "probe\n", "same"},
		{"basic_auth for a regular expression", "@s path_regexp ^/socket\n" + adaIf("@s") + "probe\n", ada + "probe\n", "same"},
		{"basic_auth for all but another path", "@s not path /health\n" + adaIf("@s") + "probe\n", ada + "probe\n", "same"},
		{"basic_auth in a block", "handle /socket.io/* {\n" + ada + "probe\n}\n", "route {\n" + ada + "handle {\n probe\n}\n}\n", "same"},
		{"basic_auth below a prefix", adaIf("/app/*") + "handle_path /app/* {\n probe\n}\n", ada + "probe\n", "same"},
		{"basic_auth with another realm", "basic_auth bcrypt realm {\n ada " + hash + "\n}\nprobe\n", "basic_auth bcrypt other {\n ada " + hash + "\n}\nprobe\n", "same"},
		{"basic_auth narrowed in the same way", "@s method POST\n" + adaIf("@s") + "probe\n", "@t method POST\n" + adaIf("@t") + "probe\n", "same"},
		{"forward_auth", asked + "probe\n", asked + "probe\n", "same"},
		{"addresses in two ways", "@in remote_ip 10.0.0.0/8\nprobe @in\n", "@out not remote_ip 10.0.0.0/8\n" + inOrder("abort @out\n"), "same"},
		{"refused in two ways", "@x header X y\n" + inOrder("respond @x 403\n"), "@x header X y\nhandle @x {\n redir https://a.test\n}\nhandle {\n probe\n}\n", "same"},

		// Guards that are in front of one only.
		{"basic_auth at one", ada + "probe\n", "probe\n", "differs by basic_auth"},
		{"basic_auth elsewhere", adaIf("/admin/*") + "probe\n", "probe\n", "same"},
		{"basic_auth at the path without its slash", adaIf("/socket.io") + "probe\n", "probe\n", "same"},
		{"basic_auth for all but the path", "@s not path /socket.io/*\n" + adaIf("@s") + "probe\n", "probe\n", "same"},
		{"basic_auth for methods that nobody needs", "@s method PUT DELETE\n" + adaIf("@s") + "probe\n", "probe\n", "same"},
		{"basic_auth in another block of a group", "handle /socket.io/* {\n probe\n}\nhandle {\n" + ada + "respond x\n}\n", "probe\n", "same"},
		{"a block that nothing comes to", "handle /socket.io/* {\n header X y\n probe\n}\n", inOrder("handle /socket.io/* {\n header X y\n}\nhandle {\n" + ada + "}\n"), "same"},
		{"forward_auth at one", asked + "probe\n", "probe\n", "differs by forward_auth"},
		{"addresses at one", "@in client_ip 10.0.0.0/8\nprobe @in\n", "probe\n", "differs by remote_ip"},
		{"addresses and a header at one", "@in {\n remote_ip 10.0.0.0/8\n header X y\n}\nprobe @in\n", "probe\n", "differs by remote_ip"},
		{"a block for others", "@out not remote_ip 10.0.0.0/8\nhandle @out {\n respond 403\n}\nhandle {\n probe\n}\n", "probe\n", "differs by remote_ip"},
		{"addresses lead elsewhere", "@out not remote_ip 10.0.0.0/8\n" + inOrder("reverse_proxy @out 127.0.0.1:9\n"), "probe\n", "differs by remote_ip"},

		// Guards that one can go around.
		{"basic_auth for a method", "@s method POST\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth for a method, and none", "@s method POST\n" + adaIf("@s") + "probe\n", "probe\n", "unsure of basic_auth"},
		{"basic_auth for a protocol", "@s protocol http\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth where there is a file", "@s file /locked\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth for a query", "@s query transport=polling\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth for an expression", "@s expression {http.request.method} == 'POST'\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth for another regular expression", "@s path_regexp ^/admin\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"basic_auth for addresses", "@s not remote_ip 10.0.0.0/8\n" + adaIf("@s") + "probe\n", ada + "probe\n", "differs by basic_auth"},
		{"forward_auth for a method", "@s method POST\n" + strings.Replace(asked, "forward_auth", "forward_auth @s", 1) + "probe\n", asked + "probe\n", "differs by forward_auth"},
		{"another path becomes this one", inOrder(adaIf("/socket.io/*") + "rewrite /ws /socket.io/\n"), ada + "probe\n", "differs by basic_auth"},
		{"a prefix is taken off behind it", inOrder(adaIf("/socket.io/*") + "uri strip_prefix /x\n"), ada + "probe\n", "differs by basic_auth"},
		{"a prefix without its slash is taken off behind it", inOrder(adaIf("/app/*") + "uri strip_prefix /app\n"), ada + "probe\n", "differs by basic_auth"},
		{"a path is made behind it", inOrder(adaIf("/socket.io/*") + "uri replace /ws /socket.io\n"), ada + "probe\n", "differs by basic_auth"},

		// What answers some requests.
		{"a redirect", "@s header User-Agent *bot*\nredir @s /bots\nprobe\n", "probe\n", "unsure of the matcher header"},
		{"an answer", "@s query key=1\n" + inOrder("respond @s \"no\" 200\n"), "probe\n", "unsure of the matcher query"},
		{"an error", "@s not header X-Key 1\n" + inOrder("error @s 401\n"), "probe\n", "unsure of the matcher header"},
		{"an abort", "@s not header X-Key 1\n" + inOrder("abort @s\n"), "probe\n", "unsure of the matcher header"},
		{"a proxy", "@s header X-No 1\n" + inOrder("reverse_proxy @s 127.0.0.1:9\n"), "probe\n", "unsure of the matcher header"},
		{"a rewrite", "@s header X-No 1\n" + inOrder("rewrite @s /no\n"), "probe\n", "unsure of the matcher header"},
		{"a block", "@s header X-No 1\nhandle @s {\n" + ada + "respond no\n}\nhandle {\n probe\n}\n", "probe\n", "unsure of the matcher header"},
		{"an error for a method", "@s method POST\n" + inOrder("error @s 401\n"), "probe\n", "unsure of the matcher method"},
		{"a header that everyone has been given", "request_header X-Key 1\n@s header X-Key 1\nprobe @s\n", "@s header X-Key 1\nprobe @s\n", "unsure of headers"},
		{"a variable that differs", "vars door open\n@s vars {door} open\nprobe @s\n", "vars door closed\n@s vars {door} open\nprobe @s\n", "unsure of vars"},

		// What differs in more than chosen options.
		{"forward_auth that says more", asked + "probe\n", strings.Replace(asked, "uri /auth", "uri /auth\n header_up X-Role admin", 1) + "probe\n", "unsure of forward_auth"},
		{"forward_auth that copies other headers", asked + "probe\n", strings.Replace(asked, "Remote-User", "Remote-Name", 1) + "probe\n", "unsure of forward_auth"},
		{"forward_auth of another URI", asked + "probe\n", strings.Replace(asked, "/auth", "/other", 1) + "probe\n", "differs by forward_auth"},
		{"a proxy with other answers", inOrder("reverse_proxy 127.0.0.1:9 {\n @ok status 200\n handle_response @ok {\n  vars a b\n }\n}\n"),
			inOrder("reverse_proxy 127.0.0.1:9 {\n @ok status 2xx\n handle_response @ok {\n  vars a b\n }\n}\n"), "unsure of forward_auth"},
		{"other upstreams that are looked up", inOrder("reverse_proxy {\n dynamic a one.test 80\n @ok status 200\n handle_response @ok {\n  vars a b\n }\n}\n"),
			inOrder("reverse_proxy {\n dynamic a two.test 80\n @ok status 200\n handle_response @ok {\n  vars a b\n }\n}\n"), "differs by forward_auth"},
		{"behind a proxy's answer", "reverse_proxy 127.0.0.1:9 {\n @ok status 200\n handle_response @ok {\n  probe\n }\n}\n", "probe\n", "differs by forward_auth"},
		{"a handler of which nothing is known", inOrder("probe_unknown\n"), "probe\n", "unsure of probe_unknown"},
		{"other accounts", ada + "probe\n", strings.Replace(ada, "ada", "bob", 1) + "probe\n", "differs by basic_auth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, addresses := range [][2]string{{"http://a.test", "http://b.test"}, {"http://:8001", "http://:8002"}, {"http://:8001", "http://a.test:8002"}} {
				list := probeCaddyfile(t, fmt.Sprintf("%s {\n%s}\n%s {\n%s}\n", addresses[0], test.one, addresses[1], test.two))
				if got := verdictOf(t, list); got != test.want {
					t.Errorf("%v: got %q, want %q", addresses, got, test.want)
				}
			}
		})
	}
}

// TestPairsInJSON is TestPairsOfSites for what a Caddyfile does not have. Each pair has the routes
// of two servers, with PROBE for the handler, or a whole server.
func TestPairsInJSON(t *testing.T) {
	const (
		terminal = `{"match":[{"header":{"X":["y"]}}],"terminal":true},{"handle":[PROBE]}`
		provider = `{"handle":[{"handler":"authentication","providers":{"http_basic":{"hash":{"algorithm":"bcrypt"},"accounts":[]}}},PROBE]}`
		open     = `{"handle":[PROBE]}`
		invoking = `"routes":[{"handle":[{"handler":"invoke","name":"door"},PROBE]}],"named_routes":{"door":`
		refusing = `{"match":[{"not":[{"remote_ip":{"ranges":["10.0.0.0/8"]}}]}],"handle":[{"handler":"static_response","abort":true}]}}`
	)
	for _, test := range []struct{ name, one, two, want string }{
		{"a route that ends", terminal, open, "unsure of the matcher header"},
		{"one of two conditions", `{"match":[{"remote_ip":{"ranges":["10.0.0.0/8"]}},{"header":{"X":["y"]}}],"handle":[PROBE]}`, open, "unsure of the matcher header, remote_ip"},
		{"one of two conditions, one for all", `{"match":[{"remote_ip":{"ranges":["10.0.0.0/8"]}},{"path":["/socket.io/*"]}],"handle":[PROBE]}`, open, "same"},
		{"two conditions that are one", `{"match":[{"header":{"X":["y"]}},{"header":{"X":["y"]}}],"handle":[PROBE]}`, `{"match":[{"header":{"X":["y"]}}],"handle":[PROBE]}`, "same"},
		{"not not", `{"match":[{"not":[{"not":[{"header":{"X":["y"]}}]}]}],"handle":[PROBE]}`, `{"match":[{"header":{"X":["y"]}}],"handle":[PROBE]}`, "same"},
		{"conditions within conditions", `{"match":[{"header":{"X":["y"]}}],"handle":[{"handler":"subroute","routes":[{"match":[{"query":{"a":["b"]}}],"handle":[PROBE]}]}]}`,
			`{"match":[{"query":{"a":["b"]}}],"handle":[{"handler":"subroute","routes":[{"match":[{"header":{"X":["y"]}}],"handle":[PROBE]}]}]}`, "same"},
		{"an empty matcher", `{"match":[{}],"handle":[PROBE]}`, open, "same"},
		{"the order of fields", `{"handle":[{"handler":"probe_unknown","a":1,"b":2},PROBE]}`, `{"handle":[{"b":2,"handler":"probe_unknown","a":1},PROBE]}`, "same"},
		{"the accounts", provider, open, "differs by basic_auth"},
		{"a named route", invoking + refusing, open, "differs by remote_ip"},
		{"named routes of one name", invoking + refusing, invoking + strings.Replace(refusing, "10.0.0.0/8", "10.0.0.0/9", 1), "differs by remote_ip"},
		{"named routes that are the same", invoking + refusing, invoking + refusing, "same"},
		{"a named route that invokes itself", invoking + `{"handle":[{"handler":"invoke","name":"door"}]}}`, open, "same"},
		{"proxies that are trusted", `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},"routes":[{"match":[{"client_ip":{"ranges":["192.0.2.0/24"]}}],"handle":[PROBE]}]`,
			`{"match":[{"client_ip":{"ranges":["192.0.2.0/24"]}}],"handle":[PROBE]}`, "unsure of trusted_proxies"},
		{"proxies that are trusted, and do not matter", `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},"routes":[` + open + `]`, open, "same"},
		{"a route for another host", `{"match":[{"host":["c.test"]}],"handle":[{"handler":"static_response","status_code":403}]},{"match":[{"host":["a.test"]}],"handle":[PROBE]}`, open, "same"},
		{"a proxy that answers in another way", `{"match":[{"path":["/socket.io/*"]},{"path":["/x"]}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:9"}],"handle_response":[{"status_code":"200"}]}]},` + open, open, "same"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := func(text, listen string) string {
				if !strings.Contains(text, `"routes":[`) || strings.HasPrefix(text, "{") {
					text = `"routes":[` + text + `]`
				}
				return `{"listen":["` + listen + `"],` + strings.ReplaceAll(text, "PROBE", `{"handler":"probe"}`) + `}`
			}
			for _, swapped := range []bool{false, true} {
				one, two := test.one, test.two
				if swapped {
					one, two = two, one
				}
				config := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"one":` +
					server(one, ":8001") + `,"two":` + server(two, ":8002") + `}}}}`
				if !json.Valid([]byte(config)) {
					t.Fatal(config)
				}
				if got := verdictOf(t, probeJSON(t, []byte(config))); got != test.want {
					t.Errorf("swapped %v: got %q, want %q", swapped, got, test.want)
				}
			}
		})
	}
}

// TestPairsByCertificate holds that sites differ by the certificates that clients have to show.
func TestPairsByCertificate(t *testing.T) {
	one, other := newCertificate(t), newCertificate(t)
	demand := func(mode, file string) string {
		return "tls internal {\n client_auth {\n  mode " + mode + "\n  trust_pool file " + file + "\n }\n}\nprobe\n"
	}
	const all, some = "require_and_verify", "verify_if_given"
	for _, test := range []struct{ name, one, two, want string }{
		{"the same", demand(all, one), demand(all, one), "same"},
		{"other authorities", demand(all, one), demand(all, other), "differs by client_auth"},
		{"if there is any", demand(all, one), demand(some, one), "differs by client_auth"},
		{"if there is any at both", demand(some, one), demand(some, other), "same"},
		{"none at one", demand(all, one), "tls internal\nprobe\n", "differs by client_auth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, addresses := range [][2]string{{"https://a.test", "https://b.test"}, {"https://a.test", "https://b.test:8443"}, {"https://a.test:8443", "https://a.test"}} {
				list := probeCaddyfile(t, fmt.Sprintf("%s {\n%s}\n%s {\n%s}\n", addresses[0], test.one, addresses[1], test.two))
				if got := verdictOf(t, list); got != test.want {
					t.Errorf("%v: got %q, want %q", addresses, got, test.want)
				}
			}
		})
	}
}

// TestDoorsOfANamedRoute holds that each way is seen by which a handler in a named route is invoked.
func TestDoorsOfANamedRoute(t *testing.T) {
	const invoked = "&(shared) {\n route {\n  header X y\n  probe\n }\n}\n"
	for _, test := range []struct {
		name, sites string
		want        []int
	}{
		{"open", "http://a.test {\n invoke shared\n}\nhttp://b.test {\n encode\n invoke shared\n}\n", []int{2, 0, 0}},
		{"one is guarded", "http://a.test {\n invoke shared\n}\nhttp://b.test {\n" + ada + " invoke shared\n}\n", []int{2, 1, 0}},
		{"both are", "http://a.test {\n" + ada + " invoke shared\n}\nhttp://b.test {\n" + ada + " invoke shared\n}\n", []int{2, 0, 0}},
		{"one is for some", "http://a.test {\n invoke shared\n}\nhttp://b.test {\n @x header X y\n invoke @x shared\n}\n", []int{2, 0, 1}},
		{"within another", "&(outer) {\n route {\n" + ada + " invoke shared\n }\n}\nhttp://a.test {\n invoke shared\n}\nhttp://b.test {\n invoke outer\n}\n", []int{2, 1, 0}},
		{"two of one site", "http://a.test {\n handle /x/* {\n  invoke shared\n }\n handle {\n  invoke shared\n }\n}\n", []int{1, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := probeCaddyfile(t, invoked+test.sites)
			if len(list) != 1 || !errors.Is(list[0].err, ErrUnknown) || list[0].place == nil {
				t.Fatalf("found %v", list)
			}
			doors := list[0].place.Doors([]string{"/socket.io/"})
			sure, unsure := Difference(doors[0].Guards, doors[len(doors)-1].Guards)
			if got := []int{len(doors), len(sure), len(unsure)}; !slices.Equal(got, test.want) {
				t.Errorf("doors, and what differs: %v, want %v: %v", got, test.want, doors)
			}
		})
	}
}

// TestDoorsByHost holds that a guard for one host of a site is seen.
func TestDoorsByHost(t *testing.T) {
	for _, test := range []struct {
		name, site string
		want       int
	}{
		{"one host is guarded", "http://a.test, http://b.test {\n@b host b.test\n" + adaIf("@b") + "probe\n}\n", 1},
		{"both are", "http://a.test, http://b.test {\n" + ada + "probe\n}\n", 0},
		{"another is", "http://a.test, http://b.test {\n@c host c.test\n" + adaIf("@c") + "probe\n}\n", 0},
		{"one host is for others", "http://a.test, http://b.test {\n@b host b.test\nredir @b http://a.test\nprobe\n}\n", 0},
	} {
		list := probeCaddyfile(t, test.site)
		if len(list) != 1 || list[0].err != nil {
			t.Fatal(list)
		}
		doors := list[0].place.Doors([]string{"/socket.io/"})
		sure, unsure := Difference(doors[0].Guards, doors[len(doors)-1].Guards)
		if len(sure) != test.want || len(unsure) != 0 {
			t.Errorf("%s: %v", test.name, doors)
		}
	}
}
