package sites

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hash is a password that basic_auth takes.
const hash = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"

// newCertificate writes a certificate to a file.
func newCertificate(t *testing.T) (file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// guardsOf returns what stands in front of the probes of a Caddyfile, by their labels: the kinds,
// those that are not sure with a question mark.
func guardsOf(t *testing.T, caddyfile string) (kinds map[string]string, guards map[string][]Guard) {
	t.Helper()
	kinds, guards = make(map[string]string), make(map[string][]Guard)
	for _, f := range probeCaddyfile(t, caddyfile) {
		if f.err != nil {
			t.Fatal(f.label, f.err)
		}
		var list []string
		guards[f.label] = f.place.Guards([]string{"/socket.io/"})
		for _, guard := range guards[f.label] {
			kind := guard.Kind
			if !guard.Sure {
				kind += "?"
			}
			list = append(list, kind)
		}
		kinds[f.label] = strings.Join(list, ", ")
	}
	return kinds, guards
}

// TestGuards holds what is taken for something that keeps clients from a handler.
func TestGuards(t *testing.T) {
	certificate := newCertificate(t)
	for _, test := range []struct{ name, site, want string }{
		{"nothing", "probe p", ""},
		{"what lets everyone through", "encode\n header X y\n vars a b\n rewrite /x /y\n try_files {path} /index.html\n probe p\n file_server", ""},
		{"basic_auth", "basic_auth {\n  ada " + hash + "\n }\n probe p", "basic_auth"},
		{"basic_auth elsewhere", "basic_auth /admin/* {\n  ada " + hash + "\n }\n probe p", ""},
		{"basic_auth elsewhere, and paths that change behind it", "basic_auth /admin/* {\n  ada " + hash + "\n }\n handle_path /admin/* {\n  probe p\n }", "basic_auth"},
		{"basic_auth elsewhere, and paths that change before it", "rewrite /x/* /y\n try_files {path} /index.html\n basic_auth /admin/* {\n  ada " + hash + "\n }\n probe p", ""},
		{"basic_auth below the path", "basic_auth /socket.io/* {\n  ada " + hash + "\n }\n probe p", "basic_auth"},
		{"basic_auth at the path", "basic_auth /socket.io/ {\n  ada " + hash + "\n }\n probe p", "basic_auth"},
		{"basic_auth in another block", "handle /a/* {\n  basic_auth {\n   ada " + hash + "\n  }\n }\n handle {\n  probe p\n }", ""},
		{"basic_auth in a block around", "route {\n  basic_auth {\n   ada " + hash + "\n  }\n  handle {\n   probe p\n  }\n }", "basic_auth"},
		{"forward_auth", "forward_auth 127.0.0.1:9 {\n  uri /auth\n }\n probe p", "forward_auth, forward_auth?"},
		{"an ordinary proxy", "route {\n  reverse_proxy /api/* 127.0.0.1:9\n  probe p\n }", ""},
		{"addresses by a matcher", "@in remote_ip 10.0.0.0/8\n probe @in p", "remote_ip"},
		{"addresses around", "@in client_ip 10.0.0.0/8\n handle @in {\n  probe p\n }", "remote_ip"},
		{"others are refused", "@out not remote_ip 10.0.0.0/8\n respond @out 403\n route {\n  probe p\n }\n", ""},
		{"others are refused before", "@out not remote_ip 10.0.0.0/8\n route {\n  respond @out 403\n  probe p\n }\n", "remote_ip"},
		{"others are cut off", "@out not client_ip 10.0.0.0/8\n route {\n  abort @out\n  probe p\n }\n", "remote_ip"},
		{"others get an error", "@out not client_ip 10.0.0.0/8\n route {\n  error @out 403\n  probe p\n }\n", "remote_ip"},
		{"others are sent elsewhere", "@old header User-Agent old\n redir @old /old\n probe p", "the matcher header?"},
		{"a header", "@in header X-Secret s\n probe @in p", "the matcher header?"},
		{"who has no cookie is refused", "@out not header Cookie *a=b*\n route {\n  respond @out 403\n  probe p\n }", "the matcher header?"},
		{"only methods", "@in method GET POST\n probe @in p", ""},
		{"a handler nobody knows", "route {\n  probe_unknown\n  probe p\n }", "probe_unknown?"},
		{"certificates", "tls internal {\n  client_auth {\n   mode require_and_verify\n   trust_pool file " + certificate + "\n  }\n }\n probe p", "client_auth"},
		{"certificates if there are any", "tls internal {\n  client_auth {\n   mode verify_if_given\n   trust_pool file " + certificate + "\n  }\n }\n probe p", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			// On a server of its own Caddy provisions what stands in front first.
			for _, address := range []string{"a.test", "https://"} {
				kinds, _ := guardsOf(t, address+" {\n "+test.site+"\n}\n")
				if kinds["p"] != test.want {
					t.Errorf("%s: got %q, want %q", address, kinds["p"], test.want)
				}
			}
		})
	}
}

// TestDifference holds that guards of two sites are compared by whom they let in, wherever they
// stand.
func TestDifference(t *testing.T) {
	basic := func(names ...string) string {
		text := "basic_auth {\n"
		for _, name := range names {
			text += "  " + name + " " + hash + "\n"
		}
		return text + " }\n"
	}
	for _, test := range []struct {
		name, one, two string
		want           string
	}{
		{"both open", "", "encode\n", ""},
		{"one is open", basic("ada"), "", "basic_auth"},
		{"the same accounts", basic("ada", "bob"), basic("bob", "ada"), ""},
		{"other accounts", basic("ada", "bob"), basic("ada"), "basic_auth basic_auth"},
		{"the same backend", "forward_auth 127.0.0.1:9 {\n  uri /a\n }\n", "forward_auth 127.0.0.1:9 {\n  uri /a\n }\n", ""},
		{"other backends", "forward_auth 127.0.0.1:9 {\n  uri /a\n }\n", "forward_auth 127.0.0.1:9 {\n  uri /b\n }\n", "forward_auth forward_auth forward_auth? forward_auth?"},
		{"the same addresses", "@out not remote_ip 10.0.0.0/8\n abort @out\n", "@out not remote_ip 10.0.0.0/8\n abort @out\n", ""},
		{"other addresses", "@out not remote_ip 10.0.0.0/8\n abort @out\n", "@out not remote_ip 10.0.0.0/16\n abort @out\n", "remote_ip remote_ip"},
		{"one asks a header", "@out not header X y\n abort @out\n", "", "the matcher header?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, addresses := range [][2]string{{"http://a.test", "http://b.test"}, {"http://:8001", "http://:8002"}, {"http://:8001", "http://a.test:8002"}} {
				matchers := func(text string) string { // definitions stand outside of routes
					if definition, rest, found := strings.Cut(text, "\n"); found && strings.HasPrefix(text, "@") {
						return definition + "\n route {\n " + rest + " probe LABEL\n }"
					}
					return text + " probe LABEL"
				}
				one, two := strings.Replace(matchers(test.one), "LABEL", "one", 1), strings.Replace(matchers(test.two), "LABEL", "two", 1)
				_, guards := guardsOf(t, fmt.Sprintf("%s {\n %s\n}\n%s {\n %s\n}\n", addresses[0], one, addresses[1], two))
				sure, unsure := Difference(guards["one"], guards["two"])
				var got []string
				for _, guard := range sure {
					got = append(got, guard.Kind)
				}
				for _, guard := range unsure {
					got = append(got, guard.Kind+"?")
				}
				slices.Sort(got)
				if strings.Join(got, " ") != test.want {
					t.Errorf("%v: got %q, want %q", addresses, strings.Join(got, " "), test.want)
				}
			}
		})
	}
}

func TestPathsThatMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"/socket.io/", "/socket.io/", true},
		{"/socket.io", "/socket.io/", false},
		{"/Socket.IO/*", "/socket.io/", true},
		{"/*", "/socket.io/", true},
		{"*", "/socket.io/", true},
		{"*.io/", "/socket.io/", true},
		{"/socket.io/x*", "/socket.io/", false},
		{"/admin/*", "/socket.io/", false},
		{"/admin", "/socket.io/", false},
	} {
		if got := matchesPath([]string{test.pattern}, test.path); got != test.want {
			t.Errorf("%s and %s: %v", test.pattern, test.path, got)
		}
	}
}

func TestHostsInCommon(t *testing.T) {
	for _, test := range []struct{ a, b, want string }{
		{"a.test", "a.test", "a.test"}, {"*.test", "a.test", "a.test"}, {"*.test", "*.test", "*.test"}, {"*.test", "a.b.test", ""},
		{"a.test", "b.test", ""}, {"a.a.test", "a.b.test", ""}, {"*", "localhost", "localhost"}, {"a.*.test", "*.b.test", "a.b.test"},
	} {
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			if got, some := common(pair[0], pair[1]); got != test.want || some != (test.want != "") {
				t.Errorf("%s and %s: %s", pair[0], pair[1], got)
			}
		}
	}
}

// TestDoorsOfOneHost holds that what is asked for by https, and not by http, is seen.
func TestDoorsOfOneHost(t *testing.T) {
	list := probeCaddyfile(t, "http://a.test {\n probe\n}\nhttps://a.test {\n tls internal {\n  client_auth {\n   mode require_and_verify\n   trust_pool file "+
		newCertificate(t)+"\n  }\n }\n probe\n}\n")
	if len(list) != 2 || list[0].err != nil || list[1].err != nil {
		t.Fatalf("found %v", list)
	}
	sure, unsure := Difference(list[0].place.Guards(nil), list[1].place.Guards(nil))
	if len(sure) != 1 || sure[0].Kind != clientAuth || len(unsure) != 0 {
		t.Errorf("got %v and %v", sure, unsure)
	}
}
