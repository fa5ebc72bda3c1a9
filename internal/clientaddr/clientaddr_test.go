package clientaddr

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// newServer makes a Caddy server with options in JSON, such as trusted_proxies.
func newServer(t testing.TB, options string) *caddyhttp.Server {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: caddy.ModuleMap{"http": fmt.Appendf(nil,
		`{"servers": {"srv0": {"listen": [":0"], "automatic_https": {"disable": true}%s}}}`, options)}})
	if err != nil {
		t.Fatal(err)
	}
	value, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	return value.(*caddyhttp.App).Servers["srv0"]
}

const trustingLocal = `, "trusted_proxies": {"source": "static", "ranges": ["127.0.0.1", "::1", "10.0.0.0/8"]}`

// at returns where a request comes from that has come to a server over a connection from peer.
func at(server *caddyhttp.Server, peer string, header http.Header) Client {
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	r.RemoteAddr, r.Header = peer, header
	if header == nil {
		r.Header = make(http.Header)
	}
	return Of(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), server))
}

func forwardedFor(values ...string) http.Header { return http.Header{"X-Forwarded-For": values} }

// TestWhatProxiesSayIsReadFromTheEnd gives a trusted proxy's header what clients may put into it,
// whatever trusted_proxies_strict says.
func TestWhatProxiesSayIsReadFromTheEnd(t *testing.T) {
	long := func(entry string, n int) string { return strings.Repeat(entry+", ", n) }
	servers := map[string]*caddyhttp.Server{
		"": newServer(t, trustingLocal), ", strict": newServer(t, trustingLocal+`, "trusted_proxies_strict": 1`),
	}
	for _, test := range []struct {
		name   string
		values []string
		addr   string
		doubt  Doubt
	}{
		{"one address", []string{"203.0.113.9"}, "203.0.113.9", ""},
		{"what the client wrote comes first", []string{"198.51.100.5, 203.0.113.9"}, "203.0.113.9", ""},
		{"the client says it is loopback", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9", ""},
		{"the client says it is private", []string{"10.1.2.3, 203.0.113.9"}, "203.0.113.9", ""},
		{"the client writes a line of its own", []string{"127.0.0.1", "203.0.113.9"}, "203.0.113.9", ""},
		{"two proxies", []string{"198.51.100.5, 203.0.113.9, 10.0.0.7"}, "203.0.113.9", ""},
		{"two proxies, a line each", []string{"127.0.0.1", "203.0.113.9", "10.0.0.7"}, "203.0.113.9", ""},
		{"no spaces", []string{"127.0.0.1,203.0.113.9,10.0.0.7"}, "203.0.113.9", ""},
		{"empty entries", []string{", ,203.0.113.9 ,\t,", ""}, "203.0.113.9", ""},
		{"port", []string{"203.0.113.9:4711"}, "203.0.113.9", ""},
		{"IPv6", []string{"2001:db8::9"}, "2001:db8::9", ""},
		{"IPv6 in brackets", []string{"[2001:db8::9]"}, "2001:db8::9", ""},
		{"IPv6 and port", []string{"[2001:db8::9]:4711"}, "2001:db8::9", ""},
		{"IPv6 with a zone", []string{"fe80::9%eth0"}, "fe80::9", ""},
		{"IPv4 in IPv6", []string{"::ffff:203.0.113.9"}, "203.0.113.9", ""},
		{"proxy as IPv4 in IPv6", []string{"203.0.113.9, ::ffff:10.0.0.7"}, "203.0.113.9", ""},
		{"proxy with a port", []string{"203.0.113.9, 10.0.0.7:80"}, "203.0.113.9", ""},

		{"a host of this network by its address in IPv6", []string{"::ffff:127.0.0.2"}, "127.0.0.2", LoopbackByHeader},
		{"loopback that is no proxy", []string{"127.0.0.2"}, "127.0.0.2", LoopbackByHeader},
		{"loopback that is no proxy, behind one", []string{"127.8.8.8, 10.0.0.7"}, "127.8.8.8", LoopbackByHeader},

		{"nobody but proxies", []string{"10.0.0.8, 10.0.0.7"}, "10.0.0.8", NoClient},
		{"nobody but the machine itself", []string{"127.0.0.1"}, "127.0.0.1", NoClient},
		{"nobody but the machine itself, IPv6", []string{"::1"}, "::1", NoClient},
		{"IPv6 loopback in another form", []string{"0:0:0:0:0:0:0:1"}, "::1", NoClient},
		{"nobody", []string{""}, "127.0.0.1", NoClient},
		{"nobody, many times", []string{long("", 7000), long("", 7000)}, "127.0.0.1", NoClient},

		{"garbage", []string{"garbage"}, "", Unreadable},
		{"garbage after an address", []string{"203.0.113.9, garbage"}, "", Unreadable},
		{"a client on a Unix socket of the proxy", []string{"203.0.113.9, unix:"}, "", Unreadable},
		{"unknown", []string{"203.0.113.9, unknown"}, "", Unreadable},
		{"garbage before an address", []string{"garbage, 203.0.113.9"}, "203.0.113.9", ""},
		{"number", []string{"2130706433"}, "", Unreadable},
		{"short forms", []string{"127.1"}, "", Unreadable},
		{"octal", []string{"0177.0.0.1"}, "", Unreadable},
		{"CIDR", []string{"203.0.113.9/32"}, "", Unreadable},
		{"quoted", []string{`"203.0.113.9"`}, "", Unreadable},
		{"port alone", []string{":80"}, "", Unreadable},
		{"port that is none", []string{"203.0.113.9:99999"}, "", Unreadable},
		{"IPv4 in brackets", []string{"[203.0.113.9]"}, "", Unreadable},
		{"semicolon", []string{"203.0.113.9; 127.0.0.1"}, "", Unreadable},
		{"NUL", []string{"203.0.113.9\x00"}, "", Unreadable},
		{"very long", []string{strings.Repeat("1", 100_000)}, "", Unreadable},
		{"very long zone", []string{"fe80::1%" + strings.Repeat("z", 100_000)}, "", Unreadable},

		{"as many proxies as there may be", []string{"203.0.113.9, " + long("10.0.0.7", maxProxies-1)}, "203.0.113.9", ""},
		{"one proxy too many", []string{"203.0.113.9, " + long("10.0.0.7", maxProxies)}, "", Unreadable},
		{"very many", []string{long("10.0.0.7", 100_000)}, "", Unreadable},
		{"very many strangers", []string{long("203.0.113.8", 100_000) + "203.0.113.9"}, "203.0.113.9", ""},
	} {
		for strict, server := range servers {
			t.Run(test.name+strict, func(t *testing.T) {
				got := at(server, "127.0.0.1:1234", forwardedFor(test.values...))
				want := Client{Doubt: test.doubt, text: unknown}
				if test.addr != "" {
					want = Client{Addr: netip.MustParseAddr(test.addr), Doubt: test.doubt}
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

// TestAddressOfTheConnection holds what is said of requests that no trusted proxy has passed on.
func TestAddressOfTheConnection(t *testing.T) {
	const none = ""
	header := func(name, value string) http.Header { return http.Header{http.CanonicalHeaderKey(name): {value}} }
	for _, test := range []struct {
		name    string
		options string
		peer    string
		header  http.Header
		addr    string
		doubt   Doubt
	}{
		{"direct", none, "203.0.113.9:1234", nil, "203.0.113.9", ""},
		{"direct from loopback", none, "127.0.0.1:1234", nil, "127.0.0.1", ""},
		{"direct from IPv6 loopback", none, "[::1]:1234", nil, "::1", ""},
		{"direct, IPv4 in IPv6", none, "[::ffff:127.0.0.1]:1234", nil, "127.0.0.1", ""},
		{"direct, zone", none, "[fe80::1%eth0]:1234", nil, "fe80::1", ""},
		{"direct from a trusted proxy's address", trustingLocal, "127.0.0.1:1234", nil, "127.0.0.1", ""},
		{"direct, X-Forwarded-For of the client's own", none, "203.0.113.9:1234", forwardedFor("127.0.0.1"), "203.0.113.9", UnnamedProxy},
		{"unnamed proxy on this machine", none, "127.0.0.1:1234", forwardedFor("203.0.113.9"), "127.0.0.1", UnnamedProxy},
		{"unnamed proxy on this machine, IPv6", none, "[::1]:1234", forwardedFor("203.0.113.9"), "::1", UnnamedProxy},
		{"unnamed proxy among named ones", trustingLocal, "192.0.2.7:1234", forwardedFor("203.0.113.9"), "192.0.2.7", UnnamedProxy},
		{"empty header", none, "127.0.0.1:1234", forwardedFor(""), "127.0.0.1", UnnamedProxy},
		{"Forwarded", none, "127.0.0.1:1234", header("Forwarded", "for=203.0.113.9"), "127.0.0.1", UnnamedProxy},
		{"X-Real-IP", none, "127.0.0.1:1234", header("X-Real-IP", "203.0.113.9"), "127.0.0.1", UnnamedProxy},
		{"X-Forwarded-Proto alone", none, "127.0.0.1:1234", header("X-Forwarded-Proto", "https"), "127.0.0.1", UnnamedProxy},
		{"Via alone", none, "127.0.0.1:1234", header("Via", "1.1 cache"), "127.0.0.1", UnnamedProxy},
		{"field of client_ip_headers", `, "client_ip_headers": ["x-our-client"]`, "127.0.0.1:1234", header("X-Our-Client", "203.0.113.9"), "127.0.0.1", UnnamedProxy},
		{"trusted proxy that names nobody", trustingLocal, "127.0.0.1:1234", header("Forwarded", "for=203.0.113.9"), "127.0.0.1", NoClient},
		{"Unix socket", none, "@", nil, "", Unreadable},
		{"Unix socket, X-Forwarded-For", none, "@", forwardedFor("203.0.113.9"), "", Unreadable},
		{"Unix socket, trusted addresses alone", trustingLocal, "@", forwardedFor("203.0.113.9"), "", Unreadable},
		{"no address", none, "", nil, "", Unreadable},
		{"path", none, "/run/client.sock", nil, "", Unreadable},
		{"name", none, "localhost:80", nil, "", Unreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := at(newServer(t, test.options), test.peer, test.header)
			want := Client{Doubt: test.doubt, text: test.peer}
			if test.addr != "" {
				want = Client{Addr: netip.MustParseAddr(test.addr), Doubt: test.doubt}
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestTrustedUnixSockets holds that trusted_proxies_unix makes who connects by a Unix socket a
// trusted proxy, which has no address of its own.
func TestTrustedUnixSockets(t *testing.T) {
	server := newServer(t, trustingLocal+`, "trusted_proxies_unix": true`)
	for _, test := range []struct {
		name   string
		header http.Header
		want   string
		doubt  Doubt
	}{
		{"client", forwardedFor("127.0.0.1, 203.0.113.9"), "203.0.113.9", ""},
		{"client behind another proxy", forwardedFor("203.0.113.9, 10.0.0.7"), "203.0.113.9", ""},
		{"loopback", forwardedFor("127.0.0.2"), "127.0.0.2", LoopbackByHeader},
		{"loopback that is a proxy's", forwardedFor("127.0.0.1"), "127.0.0.1", NoClient},
		{"garbage", forwardedFor("203.0.113.9, unix:"), "unknown", Unreadable},
		{"nobody", nil, "@", Unreadable},
		{"nobody, forwarded", http.Header{"Via": {"1.1 cache"}}, "@", Unreadable},
	} {
		if got := at(server, "@", test.header); got.String() != test.want || got.Doubt != test.doubt {
			t.Errorf("%s: got %s %q, want %s %q", test.name, got, got.Doubt, test.want, test.doubt)
		}
	}
	// Without other trusted proxies.
	alone := newServer(t, `, "trusted_proxies_unix": true`)
	if got := at(alone, "@", forwardedFor("203.0.113.9, 10.0.0.7")); got.String() != "10.0.0.7" || got.Doubt != "" {
		t.Errorf("got %s %q", got, got.Doubt)
	}
}

// TestUnixSocketsHaveNoAddress holds that a client which binds its end of a Unix socket to a name
// that looks like an address does not have that address.
func TestUnixSocketsHaveNoAddress(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	r.RemoteAddr = "127.0.0.1:80"
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/caddy.sock", Net: "unix"})))
	got := Of(caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, newServer(t, "")))
	if got.Addr.IsValid() || got.Doubt != Unreadable {
		t.Errorf("got %+v", got)
	}
}

// TestOwnHeaderFields holds that the field that client_ip_headers names first, of those a request
// has, is the one that counts.
func TestOwnHeaderFields(t *testing.T) {
	server := newServer(t, trustingLocal+`, "client_ip_headers": ["CF-Connecting-IP", "x-forwarded-for"]`)
	for _, test := range []struct {
		header http.Header
		want   string
	}{
		{http.Header{"Cf-Connecting-Ip": {"203.0.113.9"}, "X-Forwarded-For": {"198.51.100.5"}}, "203.0.113.9"},
		{forwardedFor("198.51.100.5"), "198.51.100.5"},
		{http.Header{"Cf-Connecting-Ip": {"garbage"}, "X-Forwarded-For": {"198.51.100.5"}}, unknown},
	} {
		if got := at(server, "127.0.0.1:1234", test.header).String(); got != test.want {
			t.Errorf("%v: got %s, want %s", test.header, got, test.want)
		}
	}
}

// TestFieldThatWasTakenAway holds that a request is not taken for a direct one because a handler has
// removed the field that Caddy has had the address from.
func TestFieldThatWasTakenAway(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	r.RemoteAddr, r.Header = "127.0.0.1:1234", forwardedFor("203.0.113.9")
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, newServer(t, trustingLocal))
	r.Header.Del("X-Forwarded-For")
	if got := Of(r); got.Doubt != NoClient {
		t.Errorf("got %+v", got)
	}
}

// TestWithoutServer holds that what is not known of a server is not taken for trust.
func TestWithoutServer(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
	r.RemoteAddr, r.Header = "127.0.0.1:1234", forwardedFor("203.0.113.9")
	vars := map[string]any{caddyhttp.TrustedProxyVarKey: true, caddyhttp.ClientIPVarKey: "203.0.113.9"}
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
	if got := Of(r); got.String() != "127.0.0.1" || got.Doubt != UnnamedProxy {
		t.Errorf("got %+v", got)
	}
}

func TestExempt(t *testing.T) {
	list := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::1/128")}
	for _, test := range []struct {
		client     Client
		in, exempt bool
	}{
		{Client{Addr: netip.MustParseAddr("127.0.0.1")}, true, true},
		{Client{Addr: netip.MustParseAddr("::1")}, true, true},
		{Client{Addr: netip.MustParseAddr("::2")}, false, false},
		{Client{Addr: netip.MustParseAddr("127.0.0.1"), Doubt: UnnamedProxy}, true, false},
		{Client{Doubt: Unreadable, text: "127.0.0.1"}, false, false},
		{Client{}, false, false},
	} {
		if in, exempt := test.client.In(list), test.client.Exempt(list); in != test.in || exempt != test.exempt {
			t.Errorf("%+v: in %t, exempt %t", test.client, in, exempt)
		}
	}
}

// FuzzForwardedFor holds that the address is always the last one that can be told, and that no
// header makes a client of a proxy one that is let off.
func FuzzForwardedFor(f *testing.F) {
	server := newServer(f, trustingLocal)
	for _, seed := range []string{"203.0.113.9", "127.0.0.1, ::1", ",,[::1]:80", "10.0.0.1,10.0.0.2", "fe80::1%a"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got := at(server, "127.0.0.1:1234", forwardedFor(first, second))
		if got.Addr.IsLoopback() && got.Doubt == "" {
			t.Errorf("%q %q: loopback without a doubt", first, second)
		}
		if again := at(server, "127.0.0.1:1234", forwardedFor("127.0.0.1, "+first, second)); got.Doubt == "" && again != got {
			t.Errorf("%q %q: what comes first changes %+v to %+v", first, second, got, again)
		}
		if behind := at(server, "127.0.0.1:1234", forwardedFor(first, second, "203.0.113.9")); behind.String() != "203.0.113.9" || behind.Doubt != "" {
			t.Errorf("%q %q: a client of the proxy becomes %+v", first, second, behind)
		}
		entries := slices.Collect(backward([]string{first, second}))
		if len(entries) == 0 != (strings.Trim(first+second, ", \t") == "") {
			t.Errorf("%q %q: entries %q", first, second, entries)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	for name, header := range map[string]http.Header{"direct": {}, "forwarded": forwardedFor("198.51.100.5, 203.0.113.9")} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "http://example.com/", nil)
			r.RemoteAddr, r.Header = "127.0.0.1:1234", header
			r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, newServer(b, trustingLocal))
			b.ReportAllocs()
			for b.Loop() {
				Of(r)
			}
		})
	}
}
