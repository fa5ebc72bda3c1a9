//go:build unix

package migrate

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what has to happen.
const patience = 30 * time.Second

// site is an address that one server after the other serves.
type site struct {
	t       *testing.T
	address string
	tls     *tls.Config
	handler http.Handler
	// adjust changes what is not as in other tests.
	adjust func(*http.Server)
	// before and after are called when a server notes a state, before or after this package hears
	// of it.
	before func(state http.ConnState)
	after  atomic.Pointer[func(state http.ConnState)]
	// connecting is held while a socket is closed: the system resets a connection that is made in
	// the very moment.
	connecting sync.RWMutex
	// latest is the connection that came last.
	latest atomic.Pointer[Conn]
	kind   string
	next   int
}

// generation is one of the servers.
type generation struct {
	*http.Server
	site     *site
	listener *Listener
	served   chan error
}

func newSite(t *testing.T, handler http.HandlerFunc) *site {
	return &site{t: t, address: "127.0.0.1:0", handler: handler}
}

// start makes a server that listens beside those there are. Its answers carry its number.
func (s *site) start() *generation {
	s.t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		})
	}}
	ln, err := config.Listen(context.Background(), "tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	if s.tls != nil {
		ln = tls.NewListener(ln, s.tls)
	}
	s.next++
	number := fmt.Sprint(s.next)
	g := &generation{site: s, listener: Listen(ln, s.kind), served: make(chan error, 1)}
	g.Server = &http.Server{
		ConnState: s.note, ConnContext: Context, ReadHeaderTimeout: patience, IdleTimeout: patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Caddy's handler does so as well.
			_ = r.Context().Value(http.ServerContextKey)
			w.Header().Set("Generation", number)
			s.handler.ServeHTTP(w, r)
		}),
	}
	if s.adjust != nil {
		s.adjust(g.Server)
	}
	go func() { g.served <- g.Serve(g.listener) }()
	s.t.Cleanup(func() { _ = g.Close() })
	return g
}

// note is the servers' ConnState.
func (s *site) note(conn net.Conn, state http.ConnState) {
	if state == http.StateNew {
		s.latest.Store(asConn(conn))
	}
	if s.before != nil {
		s.before(state)
	}
	NoteState(conn, state)
	if after := s.after.Load(); after != nil {
		(*after)(state)
	}
}

// hold makes the next note of a state wait, after it has been taken.
func (s *site) hold(state http.ConnState) (reached <-chan struct{}, proceed func()) {
	noted, gate := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	after := func(now http.ConnState) {
		if now == state && once.CompareAndSwap(false, true) {
			close(noted)
			<-gate
		}
	}
	s.after.Store(&after)
	return noted, func() { close(gate) }
}

// pending returns how many bytes the latest connection keeps.
func (s *site) pending() int {
	c := s.latest.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head == nil {
		return 0
	}
	return len(*c.head)
}

// settled waits until the latest connection has answered and is idle.
func (s *site) settled() {
	s.t.Helper()
	s.await("the connection to be idle", func() bool { return s.latest.Load().is(between) })
}

// stop shuts the server down and returns when nothing is left of it.
func (g *generation) stop() {
	g.site.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		g.site.t.Errorf("shutting down: %v", err)
	}
}

// begin shuts the server down and returns when it has stopped listening.
func (g *generation) begin() (ended <-chan struct{}) {
	g.site.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.stop()
	}()
	g.site.await("the server to stop listening", func() bool {
		select {
		case <-g.listener.done:
			return true
		default:
			return false
		}
	})
	return done
}

func (s *site) await(what string, condition func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// client is one that sees each byte.
type client struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func (s *site) dial() *client {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.tls != nil {
		conn = insecure(conn)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &client{Conn: conn, t: s.t, reader: bufio.NewReader(conn)}
}

// insecure speaks TLS with whoever is there.
func insecure(conn net.Conn) net.Conn {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is the test's own
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

const get = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"

func post(body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// answer reads an answer, and returns which server gave it and its body.
func (c *client) answer() (generation, body string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("the answer breaks off: %v", err)
	}
	return response.Header.Get("Generation"), string(content)
}

// expect reads an answer that has to come from that server.
func (c *client) expect(generation, body string) {
	c.t.Helper()
	if g, b := c.answer(); g != generation || b != body {
		c.t.Fatalf("server %s answered %.60q, want server %s and %.60q", g, b, generation, body)
	}
}

// closed checks that the connection has ended and that nothing came before.
func (c *client) closed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.reader); len(rest) > 0 || isTimeout(err) {
		c.t.Fatalf("the connection did not end at once: %.200q, %v", rest, err)
	}
}

// echo answers with the method and the body, and counts what it has seen.
type echo struct {
	mu   sync.Mutex
	seen map[string]int
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e.mu.Lock()
	if e.seen == nil {
		e.seen = make(map[string]int)
	}
	e.seen[string(body)]++
	e.mu.Unlock()
	_, _ = io.WriteString(w, r.Method+" "+string(body))
}

// count tells how often a body was seen.
func (e *echo) count(body string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen[body]
}

// selfSigned makes a TLS configuration with a certificate of its own.
func selfSigned(t *testing.T, protocols ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		NextProtos:   protocols, MinVersion: tls.VersionTLS12,
	}
}

func long(n int) string { return strings.Repeat("0123456789abcdef", n/16) }
