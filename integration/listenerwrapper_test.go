package integration

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/migrate"
	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

func init() {
	caddy.RegisterModule(takeover{})
	httpcaddyfile.RegisterHandlerDirective("test_takeover", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return takeover{}, nil
	})
}

// takeover is a handler that takes the connection from the server, and says to the client what it
// is.
type takeover struct{}

func (takeover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_takeover", New: func() caddy.Module { return new(takeover) }}
}

func (takeover) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn, _ = migrate.Release(conn)
	_, err = fmt.Fprintf(conn, "%T, TLS %v", conn, r.TLS != nil)
	return err
}

// wrappedSite is a Caddy with the listener wrapper, on a port of its own.
type wrappedSite struct {
	t             *testing.T
	port, storage string
	secure        bool
	options       string
	// certificates makes the site ask clients for theirs.
	certificates bool
	tls          *tls.Config
}

// startWrapped runs Caddy. options are for its HTTP servers.
func startWrapped(t *testing.T, secure bool, options string) *wrappedSite {
	t.Helper()
	s := &wrappedSite{t: t, port: testport.Reserve(t), storage: t.TempDir(), secure: secure, options: options}
	if err := s.load(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	if secure {
		root, err := os.ReadFile(filepath.Join(s.storage, "pki", "authorities", "local", "root.crt"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(root)
		s.tls = &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
		// The certificate is obtained in the background: until then handshakes fail.
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, s.tls)
			if err == nil {
				_ = conn.Close()
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	return s
}

// load makes Caddy run a config whose answers carry its number.
func (s *wrappedSite) load(generation int) error {
	scheme, issuer := "http", ""
	if s.secure {
		scheme, issuer = "https", "tls internal"
		if s.certificates {
			issuer = "tls {\n issuer internal\n client_auth {\n mode request\n }\n }"
		}
	}
	config, _, err := caddyAdapter().Adapt(fmt.Appendf(nil, `{
	admin off
	persist_config off
	auto_https disable_redirects
	skip_install_trust
	grace_period 1s
	storage file_system %s
	servers {
		%s
	}
}
%s://localhost:%s {
	bind 127.0.0.1
	%s
	header X-Generation %d
	handle /takeover {
		route {
			test_takeover
		}
	}
	socketio_stream
	respond "{http.request.proto} {http.request.tls.version}"
}`, s.storage, s.options, scheme, s.port, issuer, generation), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	// Until then the server of the config before may still answer.
	(&server{t: s.t, port: s.port}).settle()
	return nil
}

const withWrapper = "listener_wrappers {\n socketio_stream\n }"

// dial opens a connection that speaks HTTP/1.1.
func (s *wrappedSite) dial() *keptConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.secure {
		config := s.tls.Clone()
		config.NextProtos = []string{"http/1.1"}
		conn = tls.Client(conn, config)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { _ = conn.Close() })
	return &keptConn{Conn: conn, t: s.t, reader: bufio.NewReader(conn)}
}

// keptConn is a connection that one request after the other goes by.
type keptConn struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func (c *keptConn) send(method, path, body string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads an answer, which has to be that generation's.
func (c *keptConn) expect(generation int, body string) {
	c.t.Helper()
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	content, _ := io.ReadAll(response.Body)
	if got := response.Header.Get("X-Generation"); got != fmt.Sprint(generation) || !strings.HasPrefix(string(content), body) {
		c.t.Fatalf("generation %s answered %q, want %d and %q", got, content, generation, body)
	}
}

// closed checks that the server ends the connection.
func (c *keptConn) closed() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.reader); len(rest) > 0 || os.IsTimeout(err) {
		c.t.Fatalf("got %q, %v", rest, err)
	}
}

// TestListenerWrapper holds that connections go over to the server of the next config, with TLS and
// without, and what they are to the handlers.
func TestListenerWrapper(t *testing.T) {
	for name, options := range map[string]string{"": withWrapper, ", HTTP/1.1 only": withWrapper + "\nprotocols h1"} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("tls %v%s", secure, name), func(t *testing.T) {
				s := startWrapped(t, secure, options)
				idle, fresh, partly := s.dial(), s.dial(), s.dial()
				for _, c := range []*keptConn{idle, partly} {
					c.send("GET", "/", "")
					c.expect(1, "HTTP/1.1")
				}
				answer := "HTTP/1.1 "
				if secure {
					answer += "tls1.3"
				}
				_, _ = io.WriteString(partly, "GET / HT")
				for generation := 2; generation <= 4; generation++ {
					if err := s.load(generation); err != nil {
						t.Fatal(err)
					}
					idle.send("POST", "/", strings.Repeat("x", 10_000*generation))
					idle.expect(generation, answer)
				}
				_, _ = io.WriteString(partly, "TP/1.1\r\nHost: localhost\r\n\r\n")
				partly.expect(4, answer)
				fresh.send("GET", "/", "")
				fresh.expect(4, answer)

				idle.send("GET", "/takeover", "")
				told, err := io.ReadAll(idle.reader)
				want := "*net.TCPConn, TLS false"
				if secure {
					want = "*tls.Conn, TLS true"
				}
				if string(told) != want {
					t.Errorf("a handler took over %q, want %q (%v)", told, want, err)
				}
			})
		}
	}
}

// TestWithoutListenerWrapper holds that nothing of this happens by itself.
func TestWithoutListenerWrapper(t *testing.T) {
	s := startWrapped(t, false, "")
	c := s.dial()
	c.send("GET", "/", "")
	c.expect(1, "HTTP/1.1")
	if err := s.load(2); err != nil {
		t.Fatal(err)
	}
	c.closed()
}

// TestListenerWrapperThatChanges holds that connections are closed when the next config lets
// connections in by other rules.
func TestListenerWrapperThatChanges(t *testing.T) {
	for name, options := range map[string]string{
		"no wrapper":      "",
		"another wrapper": "listener_wrappers {\n proxy_protocol {\n timeout 3s\n }\n tls\n socketio_stream\n }",
	} {
		t.Run(name, func(t *testing.T) {
			s := startWrapped(t, false, withWrapper)
			c := s.dial()
			c.send("GET", "/", "")
			c.expect(1, "HTTP/1.1")
			s.options = options
			if err := s.load(2); err != nil {
				t.Fatal(err)
			}
			c.closed()
		})
	}
}

// TestListenerWrapperWithClientCertificates holds that connections end where clients have to show
// certificates, before the reload or after it.
func TestListenerWrapperWithClientCertificates(t *testing.T) {
	s := startWrapped(t, true, withWrapper)
	for generation := 2; generation <= 4; generation++ {
		c := s.dial()
		c.send("GET", "/", "")
		c.expect(generation-1, "HTTP/1.1 tls1.3")
		s.certificates = generation < 4
		if err := s.load(generation); err != nil {
			t.Fatal(err)
		}
		c.closed()
	}
}

// TestListenerWrapperWithHTTP2 holds that HTTP/2 works by wrapped connections, and that they end as
// they do otherwise.
func TestListenerWrapperWithHTTP2(t *testing.T) {
	s := startWrapped(t, true, withWrapper)
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{TLSClientConfig: s.tls, Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for generation := 1; generation <= 3; generation++ {
		if generation > 1 {
			if err := s.load(generation); err != nil {
				t.Fatal(err)
			}
		}
		// The client hears of the old server's end by a frame, and may send the first request just
		// before.
		for {
			r, err := http.NewRequestWithContext(ctx, "GET", "https://localhost:"+s.port+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if string(body) != "HTTP/2.0 tls1.3" {
				t.Fatalf("got %q", body)
			}
			if response.Header.Get("X-Generation") == fmt.Sprint(generation) {
				break
			}
		}
	}
}

// TestListenerWrapperInTheWrongPlace holds that a config is refused where the wrapper would see
// what is encrypted, or what others have read.
func TestListenerWrapperInTheWrongPlace(t *testing.T) {
	for list, next := range map[string]string{
		"socketio_stream\n tls": "put tls before it", "tls\n socketio_stream\n http_redirect": "put http_redirect before it",
		"socketio_stream\n socketio_stream": "put socketio_stream before it",
	} {
		s := &wrappedSite{t: t, port: testport.Reserve(t), storage: t.TempDir(), options: "listener_wrappers {\n " + list + "\n }"}
		err := s.load(1)
		if err == nil {
			_ = caddy.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), next) {
			t.Errorf("%q: got %v, want %q", list, err, next)
		}
	}
}
