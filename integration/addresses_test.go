package integration

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/internal/documents"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

// letOff is what an address exempts its client from.
type letOff string

const (
	fromAll    letOff = "limits and `status`"
	fromLimits letOff = "limits, where the `allow` is theirs"
	fromStatus letOff = "`status`"
	fromNone   letOff = "nothing"
)

// arrival is a way for requests to come to Caddy.
type arrival struct {
	// how and with are the first cells of its row in docs/limits.md: how requests come, and what the
	// config says of that. counts is the third one: which address they count for.
	how, with, counts string
	letOff            letOff
	// servers are options of the server, and limits those of limits.
	servers, limits string
	unix            bool
	// head comes before the first request, and forwardedFor is X-Forwarded-For, line by line.
	head         string
	forwardedFor []string
	// address is the one that the log names for IPv4 and IPv6 alike. Default: that of the
	// connection.
	address string
}

const (
	trustedProxies = "trusted_proxies static 127.0.0.1 ::1"
	trustedUnix    = "trusted_proxies_unix"
	proxyHead      = "PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
	ownHead        = "PROXY TCP4 127.0.0.1 192.0.2.1 4711 80\r\n"
)

// fromProxies is the option by which the listener takes PROXY headers from some addresses.
func fromProxies(addresses string) string {
	return "listener_wrappers {\n proxy_protocol {\n allow " + addresses + "\n }\n tls\n }"
}

// waysToArrive are the rows of the table in docs/limits.md. Rows that say the same differ in what the
// client has made up.
func waysToArrive() []arrival {
	named, unnamed := fromProxies("127.0.0.0/8 ::1/128"), fromProxies("192.0.2.0/24")
	direct := arrival{how: "directly, from this machine", with: "anything", counts: "its own", letOff: fromAll}
	silent := arrival{how: "by a proxy on this machine that adds no field at all", with: "anything", counts: "that of the proxy, for all its clients", letOff: fromAll}
	unnamedProxy := arrival{how: "by a proxy", with: "", counts: "that of the proxy, for all its clients", letOff: fromNone}
	proxy := arrival{how: "by a proxy", with: "`trusted_proxies` with the proxy", counts: "the client's own", letOff: fromNone, servers: trustedProxies}
	private := arrival{how: "by a proxy, from a private network", with: proxy.with, counts: proxy.counts, letOff: fromStatus, servers: trustedProxies}
	local := arrival{how: "by a proxy, from this machine", with: proxy.with, counts: proxy.counts, letOff: fromNone, servers: trustedProxies}
	allowed := arrival{how: "by a proxy, from an address in `allow`", with: proxy.with, counts: proxy.counts, letOff: fromLimits, servers: trustedProxies, limits: "allow 203.0.113.0/24"}
	nameless := arrival{how: "by a proxy that does not say from where", with: proxy.with, counts: "one for all of these", letOff: fromNone, servers: trustedProxies, address: "unknown"}
	unixAlone := arrival{how: "by a Unix socket", with: "", counts: nameless.counts, letOff: fromNone, unix: true, address: "@"}
	unix := arrival{how: "by a Unix socket, by a proxy", with: "`trusted_proxies_unix`", counts: proxy.counts, letOff: fromNone, unix: true, servers: trustedUnix}
	unixPrivate := arrival{how: "by a Unix socket, by a proxy, from a private network", with: unix.with, counts: proxy.counts, letOff: fromStatus, unix: true, servers: trustedUnix}
	head := arrival{how: "with a PROXY header", with: "`proxy_protocol` that allows the proxy", counts: proxy.counts, letOff: fromNone, servers: named}
	headPrivate := arrival{how: "with a PROXY header, from a private network", with: head.with, counts: head.counts, letOff: fromStatus, servers: named}
	ignored := arrival{how: "with a PROXY header", with: "`proxy_protocol` that ignores the proxy", counts: unnamedProxy.counts, letOff: fromNone, servers: unnamed}
	noHead := arrival{how: "without a PROXY header, from this machine", with: head.with, counts: "its own", letOff: fromAll, servers: named}
	return []arrival{
		direct, direct.trusting(trustedProxies), silent, silent.trusting(trustedProxies),
		unnamedProxy.says("203.0.113.9"), unnamedProxy.says("127.0.0.1, 203.0.113.9"), unnamedProxy.says("::1"), unnamedProxy.says("garbage"), unnamedProxy.says(""),
		proxy.says("203.0.113.9").is("203.0.113.9"),
		proxy.says("127.0.0.1, 203.0.113.9").is("203.0.113.9"),
		proxy.says("127.0.0.1", "203.0.113.9").is("203.0.113.9"),
		proxy.says("::1, 2001:db8::9").is("2001:db8::9"),
		proxy.says("10.1.2.3, ::ffff:203.0.113.9").is("203.0.113.9"),
		proxy.says("127.0.0.1, 203.0.113.9, 127.0.0.1").is("203.0.113.9"),
		proxy.says("unknown, 203.0.113.9:4711").is("203.0.113.9"),
		private.says("10.1.2.3").is("10.1.2.3"),
		private.says("203.0.113.9, fd12::1").is("fd12::1"),
		local.says("127.0.0.1").is("127.0.0.1"),
		local.says("203.0.113.8, 127.0.0.2").is("127.0.0.2"),
		local.says("::1").is("::1"),
		local.says("::ffff:127.0.0.1").is("127.0.0.1"),
		allowed.says("203.0.113.9"),
		nameless.says("203.0.113.9, unix:"), nameless.says("garbage"), nameless.says("127.0.0.1, 127.1"),
		unixAlone, unixAlone.says("203.0.113.9"), unixAlone.trusting(trustedProxies).says("127.0.0.1"),
		unix.says("203.0.113.9").is("203.0.113.9"),
		unix.says("127.0.0.1, 203.0.113.9").is("203.0.113.9"),
		unix.says("127.0.0.1").is("127.0.0.1"),
		unixPrivate.says("10.1.2.3").is("10.1.2.3"), unixPrivate.says("127.0.0.1, fd12::1").is("fd12::1"),
		{how: "by a Unix socket, without a proxy", with: unix.with, counts: nameless.counts, letOff: fromNone, unix: true, servers: trustedUnix, address: "@"},
		head.sends(proxyHead).is("203.0.113.9"),
		head.sends("PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n").is("2001:db8::9"),
		head.sends(proxyHead).says("127.0.0.1").is("203.0.113.9"),
		head.sends(ownHead).is("127.0.0.1"),
		head.sends("PROXY TCP6 ::1 ::1 4711 80\r\n").is("::1"),
		headPrivate.sends("PROXY TCP4 10.1.2.3 192.0.2.1 4711 80\r\n").is("10.1.2.3"),
		headPrivate.sends("PROXY TCP6 fd12::1 2001:db8::1 4711 80\r\n").is("fd12::1"),
		ignored.sends(proxyHead), ignored.sends(ownHead), ignored,
		{how: "with a PROXY header that names nobody", with: head.with, counts: unnamedProxy.counts, letOff: fromNone, servers: named, head: "PROXY UNKNOWN\r\n"},
		noHead,
	}
}

func (a arrival) says(lines ...string) arrival { a.forwardedFor = lines; return a }

func (a arrival) sends(head string) arrival { a.head = head; return a }

func (a arrival) is(address string) arrival { a.address = address; return a }

func (a arrival) trusting(servers string) arrival { a.servers = servers; return a }

// row is the arrival's row in docs/limits.md.
func (a arrival) row() string {
	row := fmt.Sprintf("| %s | %s | %s | %s |\n", a.how, a.with, a.counts, a.letOff)
	return strings.Replace(row, "|  |", "| |", 1)
}

// TestWhoIsLetOff holds for each way to come to Caddy, over IPv4, IPv6 and Unix sockets, with and
// without trusted_proxies_strict, which address requests count for and whom it lets off, and that
// the table in docs/limits.md says so.
func TestWhoIsLetOff(t *testing.T) {
	table := documents.Section(t, "Who is let off")
	rows := make(map[string]bool)
	configs := make(map[string][]arrival)
	for _, a := range waysToArrive() {
		if rows[a.row()] = true; !strings.Contains(table, a.row()) {
			t.Errorf("docs/limits.md has no row %s", a.row())
		}
		for _, strict := range []string{"", "\ntrusted_proxies_strict"} {
			configs[a.servers+strict] = append(configs[a.servers+strict], a)
		}
	}
	if told := strings.Count(table, "\n| ") - 1; told != len(rows) {
		t.Errorf("docs/limits.md has %d rows, and %d are tried", told, len(rows))
	}
	for servers, list := range configs {
		t.Run(servers, func(t *testing.T) { checkArrivals(t, servers, list) })
	}
}

// checkArrivals starts a Caddy with options of its servers, and comes to it in several ways, each of
// which has a path and a hub of its own.
func checkArrivals(t *testing.T, servers string, list []arrival) {
	// A Unix socket's path is at most some 100 bytes long.
	dir, err := os.MkdirTemp("", "sio")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	port, socket := testport.Reserve(t), filepath.Join(dir, "s")
	log := newLogFile(t, "caddy.log")
	var handlers strings.Builder
	for i, a := range list {
		for _, host := range a.hosts() {
			name := fmt.Sprintf("%d.%d", i, len(host))
			fmt.Fprintf(&handlers, "socketio_stream {\n hub hub%s\n path /%s/\n status /%s/status\n limits {\n connections_per_ip 2\n %s\n }\n }\n", name, name, name, a.limits)
		}
	}
	text := fmt.Sprintf("{\n admin off\n persist_config off\n grace_period 1s\n storage file_system %s\n %s\n servers {\n %s\n }\n}\nhttp://site.test:%s {\n bind 127.0.0.1 ::1 unix/%s\n%s}\n",
		t.TempDir(), log.own(), servers, port, socket, handlers.String())
	config, _, err := caddyAdapter().Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for i, a := range list {
		for _, host := range a.hosts() {
			v := &visitor{a, "tcp", net.JoinHostPort(host, port), fmt.Sprintf("%d.%d", i, len(host)), host}
			if a.unix {
				v.network, v.address = "unix", socket
			}
			t.Run(fmt.Sprintf("%s, %s, %q %q from %s", a.how, a.with, a.head, a.forwardedFor, host), func(t *testing.T) { v.check(t, log) })
		}
	}
}

// hosts are the addresses at which Caddy is reached, with a stand-in for its Unix socket.
func (a arrival) hosts() []string {
	if a.unix {
		return []string{""}
	}
	return []string{"127.0.0.1", "::1"}
}

// visitor comes to a handler in one way.
type visitor struct {
	arrival
	network, address string
	// name is in the names of the handler's paths and of its hub.
	name string
	// host is the address of the connection.
	host string
}

// check comes four times, where two are allowed.
func (v *visitor) check(t *testing.T, log *logFile) {
	letIn := 0
	for range 4 {
		if v.get(t, "/?"+rawclient.Query(rawclient.Polling, "")) == http.StatusOK {
			letIn++
		}
	}
	want := map[letOff][2]int{fromAll: {4, 200}, fromLimits: {4, 403}, fromStatus: {2, 200}, fromNone: {2, 403}}[v.letOff]
	if got := [2]int{letIn, v.get(t, "/status")}; got != want {
		t.Fatalf("%d of 4 are let in, and the status is %d, want %v", got[0], got[1], want)
	}
	if want[0] == 4 {
		return
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		for _, line := range log.lines("request refused") {
			if line["hub"] == "hub"+v.name {
				expectFields(t, line, map[string]any{"client_ip": cmp.Or(v.arrival.address, v.host), "reason": "connections_per_ip"})
				return
			}
		}
	}
	t.Errorf("no line of the log is about this: %s", log.text())
}

// get sends a request on a connection of its own, and returns the status of the answer.
func (v *visitor) get(t *testing.T, target string) int {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, v.network, v.address)
			if err == nil {
				_, err = io.WriteString(conn, v.head)
			}
			return conn, err
		},
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://site.test/"+v.name+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["X-Forwarded-For"] = v.forwardedFor
	response, err := (&http.Client{Timeout: patience, Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// TestUnnamedProxyIsTold holds that one line in the log says that a proxy on this machine which
// nobody has named lets nobody off, and that a client elsewhere cannot bring it about.
func TestUnnamedProxyIsTold(t *testing.T) {
	log := newLogFile(t, "caddy.log")
	const message = "an allowed address is not let off, as its client may be another"
	s := startServer(t, "socketio_stream {\n status /status\n}", log.own())
	for range 20 {
		s.expectHandshake("203.0.113.7", 200)
	}
	expectFields(t, log.wait(message, 1)[0], map[string]any{
		"level": "warn", "hub": onlyHub(t), "address": "127.0.0.1", "reason": "a proxy that is not in trusted_proxies has forwarded the request",
	})
	if response, body := s.request("GET", "/status", "", "X-Forwarded-For", "203.0.113.7"); response.StatusCode != 403 || !strings.HasPrefix(body, "The status is not for this client: ") {
		t.Errorf("status %d %s", response.StatusCode, body)
	}
	if response, _ := s.request("GET", "/status", ""); response.StatusCode != 200 {
		t.Errorf("status for this machine: %d", response.StatusCode)
	}
	// Once the proxy is named, its clients have addresses of their own.
	if err := s.load("socketio_stream {\n status /status\n}", trusting, log.own()); err != nil {
		t.Fatal(err)
	}
	s.expectHandshake("203.0.113.7", 200)
	if lines := log.lines(message); len(lines) != 1 {
		t.Errorf("%d lines: %v", len(lines), lines)
	}
}
