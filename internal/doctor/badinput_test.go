package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/testport"
)

func TestBadInputIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, address string
		options       Options
		words         string
	}{
		{"nothing", "", Options{}, "https://example.com"},
		{"no address", "nonsense", Options{}, "does not begin with https://"},
		{"a host alone", "example.com", Options{}, "does not begin with https://"},
		{"no host", "https://", Options{}, "does not begin with https://"},
		{"another scheme", "ftp://example.com", Options{}, "does not begin with https://"},
		{"a WebSocket", "wss://example.com", Options{}, "write https://"},
		{"a plain WebSocket", "ws://example.com", Options{}, "write http://"},
		{"a space", "https://exa mple.com", Options{}, "cannot be read"},
		{"a control character", "https://example.com/\x00", Options{}, "cannot be read"},
		{"a port out of range", "https://example.com:99999", Options{}, "port 99999"},
		{"port zero", "https://example.com:0", Options{}, "port 0"},
		{"a port in words", "https://example.com:web", Options{}, "cannot be read"},
		{"a query", "https://example.com/?token=x", Options{}, "query"},
		{"a relative path", "https://example.com", Options{Paths: []string{"socket.io"}}, "--path"},
		{"a path with a query", "https://example.com", Options{Paths: []string{"/socket.io/?a=b"}}, "--path"},
		{"a path that is a host", "https://example.com", Options{Paths: []string{"//other.example.com/"}}, "--path"},
		{"many paths", "https://example.com", Options{Paths: []string{"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"}}, "9 times"},
		{"a namespace without a slash", "https://example.com", Options{Namespace: "chat"}, "--namespace"},
		{"a namespace with a comma", "https://example.com", Options{Namespace: "/a,b"}, "--namespace"},
		{"an origin with a slash", "https://example.com", Options{Origin: "https://app.example.com/"}, "no slash at the end"},
		{"an origin without a scheme", "https://example.com", Options{Origin: "app.example.com"}, "--origin"},
		{"auth that is no JSON", "https://example.com", Options{Auth: "{"}, "--auth"},
		{"auth that is no object", "https://example.com", Options{Auth: "[1]"}, "--auth"},
		{"auth that is null", "https://example.com", Options{Auth: "null"}, "--auth"},
		{"a header of the visit's own", "https://example.com", Options{Header: http.Header{"Upgrade": {"x"}}}, "--header Upgrade"},
		{"the origin as a header", "https://example.com", Options{Header: http.Header{"Origin": {"x"}}}, "use --origin"},
		{"a negative timeout", "https://example.com", Options{Timeout: -1}, "--timeout"},
		{"a timeout without end", "https://example.com", Options{Timeout: time.Hour}, "--timeout"},
		{"a negative wait", "https://example.com", Options{Wait: -1}, "--wait"},
		{"a wait without end", "https://example.com", Options{Wait: 24 * time.Hour}, "--wait"},
		{"a port for HTTP out of range", "https://example.com", Options{HTTPPort: 70000}, "--http-port"},
		{"a relative health path", "https://example.com", Options{Health: "health"}, "--health"},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := Examine(t.Context(), test.address, test.options)
			if err == nil {
				t.Fatalf("the visit ran: %+v", report)
			}
			if !strings.Contains(err.Error(), test.words) {
				t.Errorf("the error is %q, want %q in it", err, test.words)
			}
		})
	}
}

func TestPasswordInABadAddressIsNotRepeated(t *testing.T) {
	for _, address := range []string{"https://me:secret-word@exa mple.com", "https://me:secret-word@example.com:99999", "https://me:secret-word@example.com/?a"} {
		_, err := Examine(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("%v", err)
		}
	}
}

func TestHeaderLines(t *testing.T) {
	for _, line := range []string{"", "Name", ": value", "Na me: value", "Name: a\r\nOther: b"} {
		if _, _, err := parseHeaderLine(line); err == nil {
			t.Errorf("%q was taken for a header", line)
		}
	}
	if name, value, err := parseHeaderLine("Authorization: Bearer a:b"); name != "Authorization" || value != "Bearer a:b" || err != nil {
		t.Errorf("%q %q %v", name, value, err)
	}
}

func TestCommandEndsWithItsStatus(t *testing.T) {
	good := newSite(t, noOptions, nil)
	bad := newSite(t, noOptions, instead(always, answering(404, "", "")))
	for _, test := range []struct {
		name      string
		arguments []string
		ends      string // the error
	}{
		{"good", []string{good.front.URL, "--wait", "0"}, ""},
		{"a problem", []string{bad.front.URL, "--wait", "0"}, errProblem.Error()},
		{"no argument", nil, "exiting with status 2"},
		{"two arguments", []string{"https://example.com", "https://example.com"}, "exiting with status 2"},
		{"no address", []string{"nonsense"}, "exiting with status 2"},
		{"an unknown flag", []string{"--nonsense"}, "exiting with status 2"},
		{"a flag of the wrong kind", []string{"--wait", "long"}, "exiting with status 2"},
		{"a header without a value", []string{good.front.URL, "--header", "x"}, "exiting with status 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := NewCommand()
			command.SilenceUsage = true
			var out, errors bytes.Buffer
			command.SetOut(&out)
			command.SetErr(&errors)
			command.SetArgs(test.arguments)
			if test.arguments == nil {
				command.SetArgs([]string{})
			}
			err := command.ExecuteContext(t.Context())
			if got := fmt.Sprint(err); err != nil && got != test.ends || err == nil && test.ends != "" {
				t.Errorf("ends with %v, want %q", err, test.ends)
			}
			if test.ends == "exiting with status 2" && !strings.HasPrefix(errors.String(), "Error: ") {
				t.Errorf("says %q", errors.String())
			}
		})
	}
}

func TestNoSuchHost(t *testing.T) {
	t.Parallel()
	report := examine(t, "https://no-such-host.invalid", quick())
	if !report.hasAt("no-such-host", "") && !report.hasAt("lookup-failed", "") {
		t.Errorf("%+v", report.Findings)
	}
	if report.Healthy {
		t.Error("healthy")
	}
}

func TestRefusedPort(t *testing.T) {
	expected{code: "connection-refused", status: Problem, words: "Nothing listens"}.check(t, examine(t, "http://"+testport.Silent(t), quick()))
}

// newTCP serves each connection by a function, which ends with the test.
func newTCP(t *testing.T, serve func(context.Context, net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				defer func() { _ = conn.Close() }()
				serve(ctx, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// drained reads what comes until the peer is gone.
func drained(_ context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func TestServersThatAreNone(t *testing.T) {
	reply := func(text string) func(context.Context, net.Conn) {
		return func(ctx context.Context, conn net.Conn) {
			_, _ = conn.Write([]byte(text))
			drained(ctx, conn)
		}
	}
	endless := func(_ context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
		block := bytes.Repeat([]byte("x"), 32<<10)
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}
	for _, test := range []struct {
		name  string
		serve func(context.Context, net.Conn)
		want  expected
		// timeout is for those that are waited for in vain.
		timeout time.Duration
	}{
		{"garbage", reply("SSH-2.0-something\r\n\r\n"), expected{code: "not-http", words: "not HTTP"}, 0},
		{"silence", drained, expected{code: "no-answer", words: "no answer within"}, 300 * time.Millisecond},
		{"an end at once", func(context.Context, net.Conn) {}, expected{code: "connection-cut", words: "closed before"}, 0},
		{"half an answer", reply("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0{"), expected{code: "answer-unfinished", words: "not ended"}, time.Second},
		{"an endless body", endless, expected{code: "body-endless", words: "does not end"}, 0},
		{"endless headers", func(_ context.Context, conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(conn, "X-%d: y\r\n", i); err != nil {
					return
				}
			}
		}, expected{code: "request-failed"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := quick()
			options.Timeout = test.timeout
			if options.Timeout == 0 {
				options.Timeout = patience
			}
			test.want.status = Problem
			test.want.check(t, examine(t, "http://"+newTCP(t, test.serve), options))
		})
	}
}

func TestRedirectsInACircle(t *testing.T) {
	s := newSite(t, noOptions, instead(isHandshake, func(w http.ResponseWriter, r *http.Request) {
		next := "/socket.io/?there"
		if r.URL.RawQuery == "there" {
			next = "/socket.io/?" + pollingQuery
		}
		http.Redirect(w, r, next, http.StatusFound)
	}))
	expected{code: "redirect-loop", status: Problem, words: "circle", seen: "302"}.check(t, s.examine())
}

func TestRedirectsWithoutEnd(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, noOptions, instead(isHandshake, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("/socket.io/?n=%d", n.Add(1)), http.StatusFound)
	}))
	expected{code: "redirect-loop", status: Problem, words: "more than 5"}.check(t, s.examine())
}

func TestRedirectElsewhereTakesNoCredentialsAlong(t *testing.T) {
	var mu sync.Mutex
	var there []http.Header
	elsewhere := newSite(t, noOptions, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			there = append(there, r.Header.Clone())
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})
	s := newSite(t, noOptions, instead(isHandshake, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.front.URL+r.URL.RequestURI(), http.StatusPermanentRedirect)
	}))
	s.options.Header = http.Header{"Authorization": {"Bearer secret-word"}, "Cookie": {"a=secret-word"}}
	report := s.examine()
	expected{code: "handshake-redirected", status: Problem, words: elsewhere.front.URL, line: `io("` + elsewhere.front.URL + `/socket.io/")`}.check(t, report)
	awaitEmpty(t, elsewhere.server)
	mu.Lock()
	defer mu.Unlock()
	if len(there) == 0 {
		t.Error("the redirect was not followed")
	}
	for _, header := range there {
		if header.Get("Authorization") != "" || header.Get("Cookie") != "" {
			t.Errorf("credentials went to another site: %v", header)
		}
	}
}

func TestVisitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := newTCP(t, func(ctx context.Context, conn net.Conn) {
		buffer := make([]byte, 1)
		if _, err := conn.Read(buffer); err == nil {
			cancel()
		}
		drained(ctx, conn)
	})
	report, err := Examine(ctx, "http://"+address, Options{Timeout: maxTimeout})
	if err != nil {
		t.Fatal(err)
	}
	if report.Complete || report.Healthy || report.Problems > 0 {
		t.Errorf("%s", text(t, report))
	}
}
