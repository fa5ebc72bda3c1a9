package engineio

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

func TestAddressesAreTakenForWhoTheyAre(t *testing.T) {
	l := Limits{Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48")}}
	key := func(remote string) addressKey {
		t.Helper()
		key, limited := l.keyOf(ClientAddr{Addr: remote})
		if !limited {
			t.Fatalf("%s is not limited", remote)
		}
		return key
	}
	shared := func(remote string) netip.Prefix { return (&Handshake{RemoteAddr: remote}).Address() }
	for _, pair := range [][2]string{
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"},
		{"fe80::1%eth0", "fe80::2%eth1"},
	} {
		if key(pair[0]) != key(pair[1]) || shared(pair[0]) != shared(pair[1]) {
			t.Errorf("%s and %s are different", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{
		{"192.0.2.1", "192.0.2.2"}, {"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"192.0.2.1", "2001:db8::c000:201"},
	} {
		if key(pair[0]) == key(pair[1]) || shared(pair[0]) == shared(pair[1]) {
			t.Errorf("%s and %s are the same", pair[0], pair[1])
		}
	}
	for _, remote := range []string{"127.0.0.1", "127.9.9.9", "::ffff:127.0.0.1", "2001:db8:ffff:1::1"} {
		if _, limited := l.keyOf(ClientAddr{Addr: remote}); limited {
			t.Errorf("%q is limited", remote)
		}
		if _, limited := l.keyOf(ClientAddr{Addr: remote, NotExempt: true}); !limited {
			t.Errorf("%q is not limited, though its client may have made it up", remote)
		}
	}
	for _, remote := range []string{"", "@", "/run/caddy.sock", "example.com", "1.2.3", "192.0.2.1:80", "unknown"} {
		if key(remote) != noAddressKey || shared(remote) != (netip.Prefix{}) {
			t.Errorf("%q is taken for an address", remote)
		}
	}
	if key("0.1.0.0") == noAddressKey || key("::") == noAddressKey || !shared("0.0.0.0").IsValid() || !shared("::").IsValid() {
		t.Error("an address is taken for none")
	}
}

// comeFrom makes a handshake from an address, over a server without a network.
func (s *testServer) comeFrom(t testing.TB, remote string) (status int, retry string, refusal error) {
	t.Helper()
	r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil)
	w := &statusRecorder{header: make(http.Header)}
	refusal = s.Server.ServeHTTP(w, r, Inbound{RemoteAddr: remote})
	return w.status, w.header.Get("Retry-After"), refusal
}

// loopback is what tests come from over a network.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// statusRecorder is a response writer that keeps little.
type statusRecorder struct {
	header http.Header
	status int
	body   []byte
}

func (w *statusRecorder) Header() http.Header { return w.header }
func (w *statusRecorder) WriteHeader(s int)   { w.status = s }
func (w *statusRecorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.body = append(w.body, b...)
	return len(b), nil
}
func (w *statusRecorder) SetReadDeadline(time.Time) error  { return nil }
func (w *statusRecorder) SetWriteDeadline(time.Time) error { return nil }

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{Connections: 3}})
	for i := range 3 {
		if status, _, _ := s.comeFrom(t, "192.0.2.1"); status != 200 {
			t.Fatalf("connection %d: %d", i, status)
		}
	}
	status, retry, _ := s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 429)
	if seconds, err := strconv.Atoi(retry); err != nil || seconds < 1 {
		t.Errorf("Retry-After %q", retry)
	}
	expect(t, "counter", s.Metrics().Limited.Of(string(LimitConnections)), 1)
	if status, _, _ := s.comeFrom(t, "192.0.2.2"); status != 200 {
		t.Errorf("another address: %d", status)
	}
	// The end of one makes room for one.
	s.recorders[0].session.Close(ReasonForcedClose)
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status with room again", status, 200)
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status without", status, 429)
}

func TestRefusalOverALimitIsDocumented(t *testing.T) {
	s := newServer(t, Options{Limits: Limits{Connections: 1}})
	s.connect(t)
	want := `{"code":4,"message":"Too many requests"}`
	conn, err := s.client.Connect(t.Context())
	answer := refused(t, conn, err)
	if answer.Status != 429 || answer.Body != want || answer.Header.Get("Retry-After") == "" || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("WebSocket: %d %q %v", answer.Status, answer.Body, answer.Header)
	}
	answer = need(s.client.Do(t.Context(), http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil, nil))(t)
	if answer.Status != 429 || answer.Body != want {
		t.Errorf("polling: %d %q", answer.Status, answer.Body)
	}
}

func TestHalfOpenSessionsOfOneAddressAreBounded(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{HalfOpen: 2}})
	for range 2 {
		if status, _, _ := s.comeFrom(t, "192.0.2.1"); status != 200 {
			t.Fatal(status)
		}
	}
	status, _, _ := s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 429)
	expect(t, "counter", s.Metrics().Limited.Of(string(LimitHalfOpen)), 1)
	s.recorders[0].session.Settle()
	s.recorders[0].session.Settle()
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status once one has settled", status, 200)
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 429)
	// The end of one that has settled makes no room among the half-open ones.
	s.recorders[0].session.Close(ReasonForcedClose)
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 429)
	s.recorders[1].session.Close(ReasonForcedClose)
	s.recorders[1].session.Settle()
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 200)
	status, _, _ = s.comeFrom(t, "192.0.2.1")
	expect(t, "status", status, 429)
}

func TestHandshakesOfOneAddressAreBounded(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{Handshakes: &Rate{Amount: 1, Per: time.Minute, Burst: 5}}})
	for i := range 20 {
		status, retry, _ := s.comeFrom(t, "2001:db8::"+strconv.Itoa(i))
		want := 200
		if i >= 5 {
			want = 429
			if seconds, _ := strconv.Atoi(retry); seconds < 55 || seconds > 61 {
				t.Errorf("Retry-After %q", retry)
			}
		}
		expect(t, "status", status, want)
	}
	expect(t, "counter", s.Metrics().Limited.Of(string(LimitHandshakes)), 15)
}

func TestExemptAddressesAreNotLimited(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{
		Connections: 1, HalfOpen: 1, Handshakes: &Rate{Amount: 1, Per: time.Hour, Burst: 1},
		Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}})
	for range 50 {
		for _, remote := range []string{"10.1.2.3", "::ffff:10.1.2.3"} {
			if status, _, _ := s.comeFrom(t, remote); status != 200 {
				t.Fatalf("%s: %d", remote, status)
			}
		}
	}
	expect(t, "addresses that are known", s.callers.size(), 0)
}

// TestClientsWithoutAddressAreOneAddress holds that those whose address cannot be read
// share what one address may have, whatever is exempt, give it back, and are told of in
// the log as what they are.
func TestClientsWithoutAddressAreOneAddress(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{
		Connections: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	}})
	for _, remote := range []string{"@", "unknown"} {
		if status, _, _ := s.comeFrom(t, remote); status != 200 {
			t.Fatalf("%s: %d", remote, status)
		}
	}
	status, _, refusal := s.comeFrom(t, "/run/client.sock")
	expect(t, "status", status, 429)
	if refusal == nil || !strings.Contains(refusal.Error(), "trusted_proxies_unix") {
		t.Errorf("the log says %v", refusal)
	}
	if status, _, _ := s.comeFrom(t, "192.0.2.1"); status != 200 {
		t.Errorf("an address that can be read: %d", status)
	}
	if !s.recorders[0].session.Limited() {
		t.Error("the limits of a session do not hold for a client without an address")
	}
	s.recorders[0].session.Close(ReasonForcedClose)
	status, _, _ = s.comeFrom(t, "@")
	expect(t, "status with room again", status, 200)
}

// TestAddressThatMayBeMadeUpIsNotExempt holds that an address exempts nobody when the
// server in front says so, and counts all the same.
func TestAddressThatMayBeMadeUpIsNotExempt(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{Connections: 1, Exempt: loopback}})
	come := func(notExempt bool) error {
		r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil)
		return s.Server.ServeHTTP(&statusRecorder{header: make(http.Header)}, r, Inbound{
			ClientAddr: func(*http.Request) ClientAddr { return ClientAddr{Addr: "127.0.0.1", NotExempt: notExempt} },
		})
	}
	if err := come(true); err != nil {
		t.Fatal(err)
	}
	if err := come(true); err == nil {
		t.Error("the second one was let in")
	}
	for range 5 {
		if err := come(false); err != nil {
			t.Fatal(err)
		}
	}
	if s.recorders[1].session.Limited() || !s.recorders[0].session.Limited() {
		t.Error("the limits of a session hold for the wrong one")
	}
	expect(t, "address", s.recorders[0].session.Handshake().RemoteAddr, "127.0.0.1")
}

// TestRefusedHandshakesTakeNoPlace holds that a handshake that is refused for
// another reason gives its place back.
func TestRefusedHandshakesTakeNoPlace(t *testing.T) {
	s := newServer(t, Options{MaxSessions: 1, Limits: Limits{Connections: 2}})
	s.connect(t)
	for range 10 {
		conn, err := s.client.Connect(t.Context())
		expect(t, "status", refused(t, conn, err).Status, 503)
	}
	// One that cannot be taken over.
	s.SetOptions(Options{Limits: Limits{Connections: 2}})
	for range 10 {
		r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.WebSocket, ""), nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
		if refusal := s.serve(&statusRecorder{header: make(http.Header)}, r, Inbound{RemoteAddr: "127.0.0.1"}); refusal == nil || refusal.Status != 101 {
			t.Fatal(refusal)
		}
	}
	s.connect(t)
}

func TestCountsComeBackToZero(t *testing.T) {
	s := newEngine(t, Options{Limits: Limits{Connections: 1000}})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				_, _, _ = s.comeFrom(t, "192.0.2."+strconv.Itoa(i%4))
			}
		})
	}
	group.Wait()
	for i, r := range s.recorders {
		group.Go(func() {
			if i%2 == 0 {
				r.session.Settle()
			}
			r.session.Close(ReasonForcedClose)
		})
	}
	group.Wait()
	eventually(t, "the sessions to end", func() bool { return s.Sessions() == 0 })
	for i := range s.callers.shards {
		for key, entry := range s.callers.shards[i].entries {
			if entry.open != 0 || entry.halfOpen != 0 {
				t.Errorf("%x: %+v", key, entry)
			}
		}
	}
}

// TestFloodFromManyAddressesIsBounded sends handshakes from much of a /44 of
// IPv6, 300,000 networks of 64 bits, while one address has much open.
func TestFloodFromManyAddressesIsBounded(t *testing.T) {
	c := newCallers()
	l := &Limits{Connections: 100, Handshakes: &Rate{Amount: 10, Per: time.Second, Burst: 100}}
	now := int64(time.Hour)
	for range 100 {
		if _, refusal := c.enter(ClientAddr{Addr: "192.0.2.1"}, l, now); refusal != nil {
			t.Fatal(refusal)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// They stay open, which is the most that an entry can be worth to keep.
	for i := range uint32(300_000) {
		var raw [16]byte
		binary.BigEndian.PutUint16(raw[:], 0x2001)
		binary.BigEndian.PutUint32(raw[4:], i)
		if _, refusal := c.enter(ClientAddr{Addr: netip.AddrFrom16(raw).String()}, l, now); refusal != nil {
			t.Fatal(refusal)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if size := c.size(); size > callerShards*callersPerShard {
		t.Errorf("%d addresses are known", size)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the table takes %d bytes", grown)
	}
	if _, refusal := c.enter(ClientAddr{Addr: "192.0.2.1"}, l, now); refusal == nil || refusal.Limit != LimitConnections {
		t.Errorf("who has much open was forgotten: %v", refusal)
	}
	runtime.KeepAlive(c)
}

// TestAddressesThatAreDoneAreForgotten holds that the table does not keep what
// says nothing any more.
func TestAddressesThatAreDoneAreForgotten(t *testing.T) {
	c := newCallers()
	l := &Limits{Connections: 100, Handshakes: &Rate{Amount: 10, Per: time.Second, Burst: 100}}
	for i := range 200_000 {
		now := int64(i) * int64(time.Millisecond)
		v, refusal := c.enter(ClientAddr{Addr: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}, l, now)
		if refusal != nil {
			t.Fatal(refusal)
		}
		v.end()
	}
	// Their buckets are full again after a tenth of a second.
	if size := c.size(); size > 5000 {
		t.Errorf("%d addresses are known", size)
	}
}

func BenchmarkEnter(b *testing.B) {
	b.ReportAllocs()
	c := newCallers()
	l := &Limits{Connections: 1 << 30, Handshakes: &Rate{Amount: 1 << 40, Per: time.Second, Burst: 1 << 40}, Exempt: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for b.Loop() {
		v, _ := c.enter(ClientAddr{Addr: "192.0.2.1"}, l, 1)
		v.end()
	}
}
