package sites

import "testing"

// TestAnonymous holds of which handlers it is certain that nothing in front of them says who clients
// are.
func TestAnonymous(t *testing.T) {
	certificate := newCertificate(t)
	for _, test := range []struct {
		name, site string
		want       bool
	}{
		{"nothing", "probe p", true},
		{"what names nobody", "encode\n header X y\n vars a b\n probe p", true},
		{"basic_auth", "basic_auth {\n  ada " + hash + "\n }\n probe p", false},
		{"basic_auth at the path", "basic_auth /socket.io/* {\n  ada " + hash + "\n }\n probe p", false},
		{"basic_auth elsewhere", "basic_auth /admin/* {\n  ada " + hash + "\n }\n probe p", true},
		{"basic_auth behind", "route {\n  probe p\n  basic_auth {\n   ada " + hash + "\n  }\n }", true},
		{"forward_auth, which sets headers alone", "forward_auth 127.0.0.1:9 {\n  uri /auth\n  copy_headers Remote-User\n }\n probe p", true},
		{"forward_auth, and a map that may take its headers", "map {http.request.header.Remote-User} {http.auth.user.id} {\n  ~(.+) ${1}\n }\n" +
			"forward_auth 127.0.0.1:9 {\n  uri /auth\n }\n probe p", false},
		{"addresses", "@in remote_ip 10.0.0.0/8\n probe @in p", true},
		{"another matcher", "@in header X y\n probe @in p", true},
		{"certificates that clients must have", "tls internal {\n  client_auth {\n   mode require_and_verify\n   trust_pool file " + certificate + "\n  }\n }\n probe p", false},
		{"certificates that clients may have", "tls internal {\n  client_auth {\n   mode verify_if_given\n   trust_pool file " + certificate + "\n  }\n }\n probe p", false},
		{"certificates that nobody verifies", "tls internal {\n  client_auth {\n   mode request\n  }\n }\n probe p", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := probeCaddyfile(t, "https://site.test {\n"+test.site+"\n}")
			if len(found) != 1 || found[0].err != nil {
				t.Fatalf("found %+v", found)
			}
			if got := found[0].place.Anonymous("/socket.io/"); got != test.want {
				t.Errorf("anonymous: %t, want %t", got, test.want)
			}
		})
	}
}
