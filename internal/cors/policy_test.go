package cors

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBadOriginsAreRefused(t *testing.T) {
	for _, entry := range []string{
		"example.com", "https://", "://example.com", "https://example.com/", "https://example.com/path",
		"https://example.com?q", "https://user@example.com", "https://example.com:", "https://example.com:0",
		"https://example.com:65536", "https://example.com:080", "https://exa mple.com", "https://bücher.example.com",
		"1https://example.com", "https://a..example.com", "https://.example.com", "https://[::1", "https://[1.2.3.4]",
		"https://*", "*.", "**", "https://*example.com", "https://a.*.example.com", "*://example.com", "*.*.example.com",
		"https://*.example.com/", "https://*.example.com:x",
		"http://[fe80::1%eth0]", "http://[fe80::1%25eth0]", "http://[::1", "http://::1", "https://.", "https://a..",
		"ftp://example.com", "FTP://example.com", "file://", "file://host", "ftp://*.example.com", "mailto://a.example.com",
	} {
		if p, err := New([]string{entry}, false); err == nil {
			t.Errorf("%q was taken as %+v", entry, p)
		}
	}
}

// TestOriginsThatAreNeverMeantAreRefused holds that an entry which lets in nobody, or everybody, says
// so when the config is read.
func TestOriginsThatAreNeverMeantAreRefused(t *testing.T) {
	for _, test := range []struct{ entry, want string }{
		{"https://*.1", "addresses have no subdomains"},
		{"https://*.0.0.1", "addresses have no subdomains"},
		{"*.0x7f", "addresses have no subdomains"},
		{"https://*.[::1]", "addresses have no subdomains"},
		{"https://*.127.0.0.1:8443", "addresses have no subdomains"},
		{"https://*.com", "anybody can have a domain below com"},
		{"*.com", "anybody can have a domain below com"},
		{"https://*.COM.", "anybody can have a domain below com"},
		{"*.co.uk:8443", "anybody can have a domain below co.uk"},
		{"http://127.1", "four decimal numbers"},
		{"http://0x7f.1:3000", "four decimal numbers"},
		{"http://2130706433", "four decimal numbers"},
		{"http://127.0.0.01", "four decimal numbers"},
	} {
		_, err := New([]string{test.entry}, false)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `"`+test.entry+`"`) {
			t.Errorf("%s: %v", test.entry, err)
		}
	}
}

// TestRefusedOriginsSayWhatToWrite holds that an entry from which it can be told what was meant is
// refused with that.
func TestRefusedOriginsSayWhatToWrite(t *testing.T) {
	for entry, want := range map[string]string{
		"https://app.example.com/":       "not even a slash at its end: write https://app.example.com",
		"https://app.example.com:8443/a": "no path, query or user, not even a slash at its end: write https://app.example.com:8443",
		"https://*.example.com/":         "not even a slash at its end: write https://*.example.com",
		"*.example.com/":                 "not even a slash at its end: write https://*.example.com",
		"app.example.com":                "scheme://host or scheme://host:port: write https://app.example.com",
		"https://*.münchen.de":           "browsers send a host in its ASCII form: write https://*.xn--mnchen-3ya.de",
		"https://münchen.de:8443":        "browsers send a host in its ASCII form: write https://xn--mnchen-3ya.de:8443",
		"*.münchen.de":                   "browsers send a host in its ASCII form: write https://*.xn--mnchen-3ya.de",
		"ftp://app.example.com":          "pages have https or http, and those from a file the origin null",
		"file://*.example.com":           "pages have https or http, and those from a file the origin null",
	} {
		_, err := New([]string{entry}, false)
		if err == nil || !strings.HasPrefix(err.Error(), `cors origin "`+entry+`": `) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", entry, err)
		}
	}
	for _, entry := range []string{"capacitor://localhost", "ionic://localhost", "tauri://localhost", "chrome-extension://abcdef", "wss://app.example.com"} {
		if _, err := New([]string{entry}, false); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// TestDomainsOfManyCustomersAreTold holds that a wildcard over a provider's domain, which one may
// mean, is taken and can be warned of.
func TestDomainsOfManyCustomersAreTold(t *testing.T) {
	p, err := New([]string{"https://*.github.io", "*.vercel.app:8443", "https://*.example.com", "*.localhost", "http://*.lan", "https://a.github.io"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Shared(), " "); got != "github.io vercel.app" {
		t.Errorf("told of %q", got)
	}
}

func TestOriginDecision(t *testing.T) {
	const overTLS, plain = true, false
	for _, test := range []struct {
		name    string
		origins string
		origin  string
		host    string
		tls     bool
		ok      bool
	}{
		{"no origin", "", "", "example.com", overTLS, true},
		{"same origin", "", "https://example.com", "example.com", overTLS, true},
		{"same origin, letter case", "", "https://Example.com", "eXample.com", overTLS, true},
		{"same origin, default port in the host", "", "https://example.com", "example.com:443", overTLS, true},
		{"same origin, default port in the origin", "", "https://example.com:443", "example.com", overTLS, true},
		{"same origin, other port", "", "https://example.com:8443", "example.com:8443", overTLS, true},
		{"same origin, plain", "", "http://localhost:8080", "localhost:8080", plain, true},
		{"same origin, IPv6", "", "http://[::1]:8080", "[::1]:8080", plain, true},
		{"same origin, TLS ended by a proxy in front", "", "https://example.com", "example.com", plain, true},
		{"same origin, also with a list", "https://app.example.com", "https://example.com", "example.com", overTLS, true},
		{"plain page, TLS server", "", "http://example.com", "example.com", overTLS, false},
		{"port differs", "", "https://example.com:8443", "example.com", overTLS, false},
		{"port differs, plain", "", "http://localhost:3000", "localhost:8080", plain, false},
		{"host differs", "", "https://evil.example.net", "example.com", overTLS, false},
		{"host is a suffix", "", "https://notexample.com", "example.com", overTLS, false},
		{"null", "", "null", "example.com", overTLS, false},
		{"malformed", "", "https://example.com/", "example.com", overTLS, false},
		{"malformed host header", "", "https://example.com", "example.com/", overTLS, false},
		{"exact", "https://app.example.com", "https://app.example.com", "example.com", overTLS, true},
		{"exact, letter case", "https://App.example.com", "https://aPP.example.com", "example.com", overTLS, true},
		{"exact, default port", "https://app.example.com:443", "https://app.example.com", "example.com", overTLS, true},
		{"exact, scheme differs", "https://app.example.com", "http://app.example.com", "example.com", overTLS, false},
		{"exact, port differs", "https://app.example.com", "https://app.example.com:444", "example.com", overTLS, false},
		{"exact, longer host", "https://app.example.com", "https://app.example.com.evil.example.net", "example.com", overTLS, false},
		{"exact, native scheme", "capacitor://localhost", "capacitor://localhost", "example.com", overTLS, true},
		{"wildcard", "https://*.example.com", "https://a.example.com", "api.example.net", overTLS, true},
		{"wildcard, deep", "https://*.example.com", "https://a.b.example.com", "api.example.net", overTLS, true},
		{"wildcard, not the domain itself", "https://*.example.com", "https://example.com", "api.example.net", overTLS, false},
		{"wildcard, empty label", "https://*.example.com", "https://.example.com", "api.example.net", overTLS, false},
		{"wildcard, no dot", "https://*.example.com", "https://evilexample.com", "api.example.net", overTLS, false},
		{"wildcard, scheme differs", "https://*.example.com", "http://a.example.com", "api.example.net", overTLS, false},
		{"wildcard, port differs", "https://*.example.com", "https://a.example.com:8443", "api.example.net", overTLS, false},
		{"wildcard, port", "https://*.example.com:8443", "https://a.example.com:8443", "api.example.net", overTLS, true},
		{"wildcard without scheme", "*.example.com", "http://a.example.com", "api.example.net", overTLS, true},
		{"wildcard without scheme, native", "*.example.com", "app://a.example.com", "api.example.net", overTLS, false},
		{"wildcard without scheme, port", "*.example.com:3000", "http://a.example.com:3000", "api.example.net", overTLS, true},
		{"wildcard without scheme, port of https", "*.example.com:443", "https://a.example.com", "api.example.net", overTLS, true},
		{"wildcard without scheme, port of https, plain page", "*.example.com:443", "http://evil.example.com", "api.example.net", overTLS, false},
		{"wildcard without scheme, port of https, plain page at it", "*.example.com:443", "http://a.example.com:443", "api.example.net", overTLS, true},
		{"wildcard without scheme, port of http", "*.example.com:80", "http://a.example.com", "api.example.net", overTLS, true},
		{"wildcard without scheme, port of http, page over TLS at it", "*.example.com:80", "https://a.example.com:80", "api.example.net", overTLS, true},
		{"wildcard without scheme, port of http, page over TLS", "*.example.com:80", "https://a.example.com", "api.example.net", overTLS, false},
		{"wildcard without scheme, no port, page over TLS", "*.example.com", "https://a.example.com", "api.example.net", overTLS, true},
		{"wildcard without scheme, no port, other port", "*.example.com", "https://a.example.com:444", "api.example.net", overTLS, false},
		{"wildcard, the default port", "https://*.example.com:443", "https://a.example.com", "api.example.net", overTLS, true},
		{"wildcard, the other default port", "https://*.example.com:80", "https://a.example.com", "api.example.net", overTLS, false},
		{"wildcard, dot at the end", "https://*.example.com", "https://a.example.com.", "api.example.net", overTLS, true},
		{"wildcard over a development domain", "http://*.localhost:3000", "http://app.localhost:3000", "api.example.net", overTLS, true},
		{"IPv6 in another form", "http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000", "api.example.net", overTLS, true},
		{"IPv6 in upper case", "http://[2001:DB8::A]", "http://[2001:db8::a]", "api.example.net", overTLS, true},
		{"IPv4 in IPv6", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]", "api.example.net", overTLS, true},
		{"IPv4 in IPv6 is not IPv4", "http://[::ffff:127.0.0.1]", "http://127.0.0.1", "api.example.net", overTLS, false},
		{"another IPv6", "http://[::1]", "http://[::2]", "api.example.net", overTLS, false},
		{"IPv4", "http://127.0.0.1:3000", "http://127.0.0.1:3000", "api.example.net", overTLS, true},
		{"dot at the end of the entry", "https://example.com.", "https://example.com", "api.example.net", overTLS, true},
		{"dot at the end of the origin", "https://example.com", "https://example.com.", "api.example.net", overTLS, true},
		{"same origin, IPv6 in another form", "", "http://[0:0:0:0:0:0:0:1]:3000", "[::1]:3000", plain, true},
		{"same origin, dot at the end", "", "http://site.test", "site.test.", plain, true},
		{"same origin, WebSocket scheme, plain", "", "ws://site.test:8080", "site.test:8080", plain, true},
		{"same origin, WebSocket scheme, default port", "", "ws://site.test", "site.test:80", plain, true},
		{"own host under a scheme of another protocol, plain", "", "ftp://site.test", "site.test", plain, false},
		{"own host as an extension's id, plain", "", "chrome-extension://abcdef", "abcdef", plain, false},
		{"own host as an app's, plain", "", "capacitor://localhost", "localhost", plain, false},
		{"own host under a scheme of another protocol", "", "ftp://site.test", "site.test", overTLS, false},
		{"page over TLS, plain server at its port", "", "https://site.test", "site.test:443", plain, true},
		{"page over TLS, plain server at another port", "", "https://site.test", "site.test:80", plain, false},
		{"any", "*", "https://evil.example.net", "example.com", overTLS, true},
		{"any, null", "*", "null", "example.com", overTLS, true},
		{"null listed", "null", "null", "example.com", overTLS, true},
		{"null listed, other", "null", "https://app.example.com", "example.com", overTLS, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := New(strings.Fields(test.origins), false)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/socket.io/", nil)
			r.Host = test.host
			if test.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			if d := policy.Decide(r); d.OK() != test.ok {
				t.Errorf("allowed is %t, want %t (%q)", d.OK(), test.ok, d.Reason)
			}
		})
	}
}

func TestTwoOriginHeadersAreRefused(t *testing.T) {
	policy, err := New([]string{"*"}, false)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/socket.io/", nil)
	r.Header["Origin"] = []string{"https://a.example.com", "https://b.example.com"}
	if d := policy.Decide(r); d.OK() {
		t.Error("a request with two origins was let in")
	}
}

// TestScriptsOfForeignPages holds that a script element is of the page that Referer names, and that the
// answer to one is shared with nobody by a header.
func TestScriptsOfForeignPages(t *testing.T) {
	for _, test := range []struct {
		origins, referer, site string
		reason                 string
	}{
		{"", "https://example.com/page?x", "", ""},
		{"", "https://evil.example.net/", "", ReasonNoCORS},
		{"", "", "", ReasonNoReferer},
		{"", "", "cross-site", ReasonNoReferer},
		{"", "", "same-origin", ""},
		{"", "about:client", "", ReasonNoReferer},
		{"", "https://[::1", "", ReasonNoReferer},
		{"https://app.example.com", "https://app.example.com/", "", ""},
		{"https://app.example.com", "https://app.example.com.evil.example.net/", "", ReasonUnlisted},
		{"*", "", "", ""},
	} {
		p, err := New(strings.Fields(test.origins), false)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://example.com/socket.io/?EIO=3&transport=polling&j=0", nil)
		if test.referer != "" {
			r.Header.Set("Referer", test.referer)
		}
		if test.site != "" {
			r.Header.Set("Sec-Fetch-Site", test.site)
		}
		if d := p.Decide(r); !d.OK() {
			t.Errorf("%+v is refused where there are no scripts: %s", test, d.Reason)
		}
		p.Scripts = true
		if d := p.Decide(r); d.Reason != test.reason || d.listed {
			t.Errorf("%+v is decided %+v", test, d)
		}
		r.Header.Set("Origin", "https://evil.example.net")
		if d := p.Decide(r); d.OK() != (test.origins == "*") {
			t.Errorf("%+v: an Origin header does not count: %+v", test, d)
		}
	}
}
