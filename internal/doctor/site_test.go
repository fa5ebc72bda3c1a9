package doctor

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// site is a real Socket.IO server with something in front of it.
type site struct {
	t       *testing.T
	server  *streaming.Server
	front   *httptest.Server
	options Options
}

// wrapper puts something in front of a server.
type wrapper func(next http.Handler) http.Handler

// newServer starts a Socket.IO server with the namespace "/". It ends with the test, which fails if
// a session was left.
func newServer(t *testing.T, options streaming.Options) *streaming.Server {
	t.Helper()
	server := streaming.New(options, nil)
	server.Of("/")
	if err := server.Of("/").Use(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx, engineio.Farewell{}); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return server
}

// handlerOf makes an http.Handler of a server, at /socket.io/. About origins the
// wrappers of a site decide.
func handlerOf(server *streaming.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		_ = server.ServeHTTP(w, r, engineio.Inbound{OriginChecked: true})
	})
	return mux
}

// newSite starts a server behind a wrapper, which may be nil.
func newSite(t *testing.T, options streaming.Options, wrap wrapper) *site {
	t.Helper()
	s := &site{t: t, server: newServer(t, options), options: quick()}
	handler := handlerOf(s.server)
	if wrap != nil {
		handler = wrap(handler)
	}
	s.front = httptest.NewServer(handler)
	t.Cleanup(s.front.Close)
	return s
}

// quick are options for servers on this machine that have faults.
func quick() Options { return Options{Timeout: 5 * time.Second} }

// examine visits the site, and checks that no session is left behind.
func (s *site) examine() *Report {
	s.t.Helper()
	report := examine(s.t, s.front.URL, s.options)
	awaitEmpty(s.t, s.server)
	return report
}

func examine(t *testing.T, address string, options Options) *Report {
	t.Helper()
	report, err := Examine(t.Context(), address, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func awaitEmpty(t *testing.T, server *streaming.Server) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for server.Connections() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions were left behind", server.Connections())
		}
		time.Sleep(time.Millisecond)
	}
}

// finding returns the finding of that code.
func finding(t *testing.T, report *Report, code string) Finding {
	t.Helper()
	i := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.Code == code })
	if i < 0 {
		t.Fatalf("no finding %q:\n%s", code, text(t, report))
	}
	return report.Findings[i]
}

// lacks fails when there is a finding of that code.
func lacks(t *testing.T, report *Report, code string) {
	t.Helper()
	if slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Code == code }) {
		t.Errorf("finding %q:\n%s", code, text(t, report))
	}
}

func text(t *testing.T, report *Report) string {
	t.Helper()
	var b strings.Builder
	if err := report.WriteText(&b, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// expected is what a fault must lead to.
type expected struct {
	code   string
	status Status
	// words are in the summary, seen is in where it was seen, line is among the lines that mend it;
	// each may be empty.
	words, seen, line string
}

func (want expected) check(t *testing.T, report *Report) {
	t.Helper()
	f := finding(t, report, want.code)
	if f.Status != want.status {
		t.Errorf("%s is of status %q, want %q", want.code, f.Status, want.status)
	}
	if !strings.Contains(f.Summary, want.words) {
		t.Errorf("%s says %q, want %q in it", want.code, f.Summary, want.words)
	}
	if !strings.Contains(f.Seen, want.seen) {
		t.Errorf("%s was seen at %q, want %q in it", want.code, f.Seen, want.seen)
	}
	if want.line != "" && !slices.ContainsFunc(f.Mend, func(m Mend) bool { return slices.Contains(m.Lines, want.line) }) {
		t.Errorf("%s is mended by %+v, want the line %q", want.code, f.Mend, want.line)
	}
	if !report.Complete || report.Healthy != (report.Problems == 0) {
		t.Errorf("healthy is %v with %d problems", report.Healthy, report.Problems)
	}
	if want.status == Problem && report.Healthy {
		t.Error("a site with a problem is healthy")
	}
}

// isPoll tells a GET of a session that exists.
func isPoll(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Get("sid") != "" && !isUpgrade(r)
}

func isHandshake(r *http.Request) bool {
	return r.Method == http.MethodGet && r.URL.Query().Get("sid") == "" && !isUpgrade(r)
}

func isUpgrade(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// from makes a wrapper that names the software of its answers.
func from(name string, wrap wrapper) wrapper {
	return func(next http.Handler) http.Handler {
		inner := wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header, value, _ := strings.Cut(name, ": ")
			w.Header().Set(header, value)
			inner.ServeHTTP(w, r)
		})
	}
}

// instead makes a wrapper that answers some requests itself.
func instead(when func(*http.Request) bool, answer http.HandlerFunc) wrapper {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if when(r) {
				answer(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func always(*http.Request) bool { return true }

func answering(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// newTLSFront serves a handler with a certificate.
func newTLSFront(t *testing.T, handler http.Handler, certificate tls.Certificate) *httptest.Server {
	t.Helper()
	front := httptest.NewUnstartedServer(handler)
	front.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse a certificate are the point
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	return front
}
