package doctor

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

var noOptions streaming.Options

func TestGoodSite(t *testing.T) {
	s := newSite(t, noOptions, nil)
	s.options.Wait = 50 * time.Millisecond
	report := s.examine()
	if !report.Healthy || report.Problems+report.Warnings > 0 {
		t.Errorf("%s", text(t, report))
	}
	for _, code := range []string{"connected", "clock-ok", "handshake-ok", "compression-ok", "polling-ok", "sessions-found", "body-ok",
		"websocket-ok", "upgrade-ok", "own-origin-allowed", "websocket-held", "poll-held"} {
		finding(t, report, code)
	}
	if f := finding(t, report, "path-not-served"); f.Path != "/streaming/socket.io/" || f.Status != Note {
		t.Errorf("%+v", f)
	}
}

// TestHeartbeatsAreAnswered holds connections until they have been pinged twice, however long that
// takes on this machine: the second ping comes after the answer to the first.
func TestHeartbeatsAreAnswered(t *testing.T) {
	s := newSite(t, streaming.Options{Engine: engineio.Options{PingInterval: 50 * time.Millisecond, PingTimeout: patience}}, nil)
	pinged := func(report *Report) bool {
		return !slices.ContainsFunc([]string{"websocket-held", "poll-held"}, func(code string) bool {
			return !strings.Contains(finding(t, report, code).Summary, "pings")
		})
	}
	s.options.Wait = 200 * time.Millisecond
	report := s.examine()
	for !pinged(report) && s.options.Wait < patience {
		s.options.Wait *= 2
		report = s.examine()
	}
	for _, code := range []string{"websocket-held", "poll-held"} {
		expected{code: code, status: OK, words: "pings"}.check(t, report)
	}
}

// stripped passes on requests for WebSockets without their headers.
func stripped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		next.ServeHTTP(w, r)
	})
}

func TestFaults(t *testing.T) {
	html := "<!DOCTYPE html><title>My shop</title>"
	old := `96:0{"sid":"dBXJpF8w0Y1xAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}2:40`
	noWebSocket := streaming.Options{Engine: engineio.Options{Transports: []engineio.Transport{engineio.Polling}}}
	noPolling := streaming.Options{Engine: engineio.Options{Transports: []engineio.Transport{engineio.WebSocket}}}
	noUpgrade := streaming.Options{Engine: engineio.Options{DisableUpgrades: true}}
	for _, test := range []struct {
		name    string
		server  streaming.Options
		options Options
		wrap    wrapper
		want    expected
	}{
		{"a path that nothing knows, behind nginx", noOptions, Options{}, from("Server: nginx/1.22.1", instead(always, answering(404, "text/html", "<html>404"))),
			expected{"handshake-not-found", Problem, "nginx does not know this path", "answered 404, Server: nginx/1.22.1", "location /socket.io/ {"}},
		{"a path that nothing knows, behind Apache", noOptions, Options{}, from("Server: Apache/2.4", instead(always, answering(404, "text/html", "<html>404"))),
			expected{"handshake-not-found", Problem, "Apache does not know this path", "404", "ProxyPass /socket.io/ http://127.0.0.1:3000/socket.io/ upgrade=websocket"}},
		{"a path that nothing knows, behind Caddy", noOptions, Options{}, from("Server: Caddy", instead(always, answering(404, "", ""))),
			expected{"handshake-not-found", Problem, "Caddy does not know this path", "404", "path /socket.io/"}},
		{"a path that Node does not know", noOptions, Options{}, instead(always, answering(404, "text/html", "<pre>Cannot GET /socket.io/</pre>")),
			expected{"handshake-not-found", Problem, "Node does not know this path", "404", `new Server(httpServer, { path: "/socket.io/" })`}},
		{"the wrong path", noOptions, Options{Paths: []string{"/socketio"}}, nil,
			expected{"handshake-not-found", Problem, "There is a Socket.IO server at /socket.io/.", "GET /socketio/?EIO=4&transport=polling answered 404", `io({ path: "/socket.io/" })`}},
		{"a page in place of the server", noOptions, Options{}, instead(always, answering(200, "text/html", html)),
			expected{"handshake-html", Problem, "web page", "200", "reverse_proxy /socket.io/* 127.0.0.1:3000"}},
		{"an empty page", noOptions, Options{}, from("Server: Caddy", instead(always, answering(200, "", ""))),
			expected{"handshake-empty", Problem, "empty page", "200", "path /socket.io/"}},
		{"garbage", noOptions, Options{}, instead(always, answering(200, "text/plain", "hello \x1b[31mworld")),
			expected{"handshake-garbage", Problem, "hello ", "200", ""}},
		{"Socket.IO 2", noOptions, Options{}, instead(isHandshake, answering(200, "text/plain", old)),
			expected{"engineio-3", Problem, "Engine.IO 3", "200", `"socket.io": "^4.8.0"`}},
		{"a refused version", noOptions, Options{}, instead(isHandshake, answering(400, "application/json", `{"code":5,"message":"Unsupported protocol version"}`)),
			expected{"engineio-version", Problem, "does not speak Engine.IO 4", `"code":5`, ""}},
		{"a proxy that points nowhere", noOptions, Options{}, from("Server: nginx", instead(isHandshake, answering(502, "text/html", "<html>502"))),
			expected{"bad-gateway", Problem, "gets no answer from the server behind it", "502", "proxy_pass http://127.0.0.1:3000;"}},
		{"a full server", noOptions, Options{}, instead(isHandshake, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(503)
		}), expected{"server-full", Problem, "takes no new connections", "503", ""}},
		{"a server that fails", noOptions, Options{}, instead(isHandshake, answering(500, "text/plain", "oops")),
			expected{"server-error", Problem, "500", "oops", ""}},
		{"a password", noOptions, Options{}, instead(always, answering(401, "", "")),
			expected{"handshake-unauthorized", Problem, "password", "401", ""}},
		{"a rate limit", noOptions, Options{}, instead(isHandshake, answering(429, "", "")),
			expected{"rate-limited", Problem, "limits how often", "429", ""}},
		{"TLS on the port", noOptions, Options{}, instead(isHandshake, answering(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n")),
			expected{"tls-expected", Problem, "https://", "400", ""}},
		{"no upgrade headers, behind nginx", noOptions, Options{}, from("Server: nginx/1.22.1", stripped),
			expected{"websocket-headers-stripped", Problem, "Upgrade and Connection", "answered 400, Server: nginx/1.22.1", "proxy_set_header Upgrade $http_upgrade;"}},
		{"no upgrade headers, behind Apache", noOptions, Options{}, from("Server: Apache", stripped),
			expected{"websocket-headers-stripped", Problem, "Upgrade and Connection", "400", "ProxyPass /socket.io/ http://127.0.0.1:3000/socket.io/ upgrade=websocket"}},
		{"no upgrade headers, behind HAProxy", noOptions, Options{}, from("Via: 1.1 haproxy", stripped),
			expected{"websocket-headers-stripped", Problem, "Upgrade and Connection", "400", "timeout tunnel 1h"}},
		{"no upgrade headers, behind Caddy's proxy", noOptions, Options{}, from("Via: 1.1 Caddy", stripped),
			expected{"websocket-headers-stripped", Problem, "Upgrade and Connection", "400", "reverse_proxy /socket.io/* 127.0.0.1:3000"}},
		{"a WebSocket to another place", noOptions, Options{}, instead(isUpgrade, answering(404, "", "")),
			expected{"websocket-not-found", Problem, "different places", "404", ""}},
		{"a proxy that gets no WebSocket", noOptions, Options{}, instead(isUpgrade, answering(502, "", "")),
			expected{"websocket-bad-gateway", Problem, "while polling works", "502", ""}},
		{"a WebSocket that is redirected", noOptions, Options{}, instead(isUpgrade, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }),
			expected{"websocket-redirected", Problem, "do not follow", "302", ""}},
		{"a WebSocket answered by a page", noOptions, Options{}, instead(isUpgrade, answering(200, "text/html", html)),
			expected{"websocket-headers-stripped", Problem, "as an ordinary one", "200", ""}},
		{"a WebSocket for sessions refused", noOptions, Options{}, instead(func(r *http.Request) bool { return isUpgrade(r) && r.URL.Query().Get("sid") != "" }, answering(500, "", "")),
			expected{"upgrade-refused", Problem, "refused for a session on polling", "500", ""}},
		{"WebSocket off", noWebSocket, Options{}, nil,
			expected{"websocket-off", Warning, "stay on polling", `"code":0`, "transports polling websocket"}},
		{"polling off", noPolling, Options{}, nil,
			expected{"polling-off", Warning, `transports: ["websocket"]`, `"code":0`, `io({ transports: ["websocket"] })`}},
		{"upgrades off", noUpgrade, Options{}, nil,
			expected{"upgrade-not-offered", Warning, "no upgrade", "", "allow_upgrades on"}},
		{"an unknown namespace", noOptions, Options{Namespace: "/chat"}, nil,
			expected{"namespace-refused", Problem, "Invalid namespace", "200", "namespace /chat {"}},
		{"no POST", noOptions, Options{}, from("Server: nginx", instead(func(r *http.Request) bool { return r.Method == http.MethodPost && !isFarewell(r) }, answering(405, "", ""))),
			expected{"post-not-allowed", Problem, "POST does not", "405", "limit_except GET POST OPTIONS { deny all; }"}},
		{"POST answered by something else", noOptions, Options{}, instead(func(r *http.Request) bool { return r.Method == http.MethodPost && !isFarewell(r) }, answering(200, "text/html", html)),
			expected{"post-answer", Problem, "My shop", "200", ""}},
		{"bodies that are too large for the proxy", noOptions, Options{}, from("Server: nginx", instead(func(r *http.Request) bool { return r.ContentLength > 100_000 }, answering(413, "text/html", ""))),
			expected{"body-limit", Problem, "lower", "413", "client_max_body_size 1m;"}},
		{"an encoding that is none", noOptions, Options{}, instead(isHandshake, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `0{"sid":"x"}`)
		}), expected{"encoding-broken", Problem, "says gzip", "200", ""}},
		{"an encoding that was not asked for", noOptions, Options{}, gzipped, expected{"encoding-unasked", Problem, "gzip", "200", ""}},
		{"a clock that is wrong", noOptions, Options{}, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(-3*time.Hour).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		}, expected{"clock-skew", Warning, "behind", "", "timedatectl set-ntp true"}},
		{"a server going down", noOptions, Options{}, instead(func(r *http.Request) bool { return r.URL.Path == "/health" }, answering(503, "application/json", `{"status":"stopping"}`)),
			expected{"health-stopping", Warning, "stopping", "503", ""}},
		{"no health where it was asked for", noOptions, Options{Health: "/healthy"}, nil,
			expected{"health-missing", Problem, "/healthy answers 404", "404", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.server, test.wrap)
			test.options.Timeout = s.options.Timeout
			s.options = test.options
			test.want.check(t, s.examine())
		})
	}
}

// isFarewell tells the POST that closes a session; it is read ahead for that.
func isFarewell(r *http.Request) bool {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return string(body) == "1"
}

// gzipped compresses the answers to handshakes, whoever asks.
func gzipped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isHandshake(r) {
			next.ServeHTTP(w, r)
			return
		}
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		w.Header().Set("Content-Encoding", "gzip")
		zipped := gzip.NewWriter(w)
		_, _ = zipped.Write(recorder.Body.Bytes())
		_ = zipped.Close()
	})
}

func TestSeveralServersWithoutStickiness(t *testing.T) {
	one, other := newServer(t, noOptions), newServer(t, noOptions)
	handlers := []http.Handler{handlerOf(one), handlerOf(other)}
	var n atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "nginx")
		handlers[n.Add(1)%2].ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	report := examine(t, front.URL, quick())
	expected{code: "sessions-not-sticky", status: Problem, words: "several servers", line: "ip_hash;"}.check(t, report)
	lacks(t, report, "post-refused")
	awaitEmpty(t, one)
	awaitEmpty(t, other)
}

func TestStickinessByCookie(t *testing.T) {
	one, other := newServer(t, noOptions), newServer(t, noOptions)
	handlers := map[string]http.Handler{"one": handlerOf(one), "two": handlerOf(other)}
	names := []string{"one", "two"}
	var n atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("SERVER")
		if err != nil {
			cookie = &http.Cookie{Name: "SERVER", Value: names[n.Add(1)%2]}
			http.SetCookie(w, cookie)
		}
		handlers[cookie.Value].ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	report := examine(t, front.URL, quick())
	expected{code: "sticky-by-cookie", status: Warning, words: "Without its cookie", line: "io({ withCredentials: true })"}.check(t, report)
	if !report.Healthy {
		t.Errorf("%s", text(t, report))
	}
	awaitEmpty(t, one)
	awaitEmpty(t, other)
}

func TestCachedHandshake(t *testing.T) {
	var mu sync.Mutex
	var kept []byte
	s := newSite(t, noOptions, from("Server: nginx", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isHandshake(r) {
				next.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if kept == nil {
				recorder := httptest.NewRecorder()
				next.ServeHTTP(recorder, r)
				kept = recorder.Body.Bytes()
			}
			_, _ = w.Write(kept)
		})
	}))
	expected{code: "handshake-cached", status: Problem, words: "cache", line: "proxy_cache off;"}.check(t, s.examine())
}

func TestAnswersThatAreHeldBack(t *testing.T) {
	t.Run("for a while", func(t *testing.T) {
		s := newSite(t, noOptions, from("Server: nginx", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				recorder := w
				if isPoll(r) {
					held := httptest.NewRecorder()
					next.ServeHTTP(held, r)
					timer := time.NewTimer(200 * time.Millisecond)
					defer timer.Stop()
					<-timer.C
					_, _ = recorder.Write(held.Body.Bytes())
					return
				}
				next.ServeHTTP(w, r)
			})
		}))
		s.options.late = 50 * time.Millisecond
		expected{code: "poll-late", status: Problem, words: "holds answers back", line: "proxy_buffering off;"}.check(t, s.examine())
	})
	t.Run("for ever", func(t *testing.T) {
		s := newSite(t, noOptions, from("Server: nginx", instead(isPoll, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })))
		s.options.Timeout = time.Second
		report := s.examine()
		expected{code: "poll-not-answered", status: Problem, words: "holds answers back", line: "proxy_buffering off;"}.check(t, report)
		expected{code: "upgrade-poll-held", status: Problem, words: "does not end", line: "proxy_buffering off;"}.check(t, report)
	})
}

// silent lets nobody in and refuses nobody, as an authenticator whose backend is down.
type silent struct{}

func (silent) Authenticate(context.Context, *streaming.Credentials) (*streaming.Identity, error) {
	return nil, &streaming.Refusal{Code: streaming.CodeAuthUnavailable, Reason: "the backend is down"}
}

func (a silent) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(a)
}

// strict lets in who shows a token.
type strict struct{}

func (strict) Authenticate(_ context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	if token, ok := c.Auth.Text("token"); !ok || token != "good" {
		return nil, &streaming.Refusal{Code: streaming.CodeUnauthorized, Reason: "the token is not good"}
	}
	return &streaming.Identity{ID: "ada"}, nil
}

func (a strict) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(a)
}

// TestClientsThatAreNotAuthorized holds that a namespace which asks for credentials is not taken for one that does
// not exist.
func TestClientsThatAreNotAuthorized(t *testing.T) {
	for auth, words := range map[string]string{"": "--auth sends", `{"token":"bad"}`: "refuses /"} {
		s := newSite(t, noOptions, nil)
		if err := s.server.Of("/").Use(strict{}); err != nil {
			t.Fatal(err)
		}
		s.options.Auth = auth
		report := s.examine()
		expected{code: "namespace-unauthorized", status: Problem, words: words, line: `--auth '{"token":"..."}'`}.check(t, report)
		lacks(t, report, "namespace-refused")
	}
	s := newSite(t, noOptions, nil)
	if err := s.server.Of("/").Use(strict{}); err != nil {
		t.Fatal(err)
	}
	s.options.Auth = `{"token":"good"}`
	lacks(t, s.examine(), "namespace-unauthorized")
}

// TestClientsThatAreNotJudged holds that a server which cannot find out who its clients are is not taken
// for a proxy that holds answers back.
func TestClientsThatAreNotJudged(t *testing.T) {
	s := newSite(t, noOptions, nil)
	if err := s.server.Of("/").Use(silent{}); err != nil {
		t.Fatal(err)
	}
	s.options.Timeout = time.Second
	report := s.examine()
	expected{code: "namespace-unjudged", status: Problem, words: "waits for an auth backend"}.check(t, report)
	if report.Problems != 1 {
		t.Errorf("other problems: %s", text(t, report))
	}
	for _, code := range []string{"websocket-ok", "handshake-ok"} {
		finding(t, report, code)
	}
}

func TestSilenceThatIsCut(t *testing.T) {
	const impatience = 100 * time.Millisecond
	s := newSite(t, noOptions, nil)
	to, err := url.Parse(s.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{ResponseHeaderTimeout: impatience}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusGatewayTimeout) }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "nginx")
		if isUpgrade(r) {
			cutWhenSilent(t, to.Host, impatience, w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Cleanup(proxy.Transport.(*http.Transport).CloseIdleConnections)
	s.options.Wait = patience
	report := examine(t, front.URL, s.options)
	expected{"websocket-idle-cut", Problem, "of silence", "answered 101", "proxy_read_timeout 44s;"}.check(t, report)
	expected{"poll-idle-cut", Problem, "ping interval of 25 s", "answered 504", "proxy_read_timeout 44s;"}.check(t, report)
	awaitEmpty(t, s.server)
}

// cutWhenSilent passes a WebSocket on until nothing comes from the server for a while.
func cutWhenSilent(t *testing.T, host string, after time.Duration, w http.ResponseWriter, r *http.Request) {
	server, err := net.Dial("tcp", host)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = server.Close() }()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = client.Close() }()
	r.Header.Set("Connection", "Upgrade")
	if err := r.Write(server); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, buffered)
		_ = server.Close()
	}()
	block := make([]byte, 4<<10)
	for {
		_ = server.SetReadDeadline(time.Now().Add(after))
		n, err := server.Read(block)
		if err != nil {
			return
		}
		if _, err := client.Write(block[:n]); err != nil {
			return
		}
	}
}

func TestRefusedPostsAreNoFoundSessions(t *testing.T) {
	s := newSite(t, noOptions, instead(func(r *http.Request) bool { return r.Method == http.MethodPost && !isFarewell(r) }, answering(405, "", "")))
	report := s.examine()
	finding(t, report, "post-not-allowed")
	lacks(t, report, "sessions-found")
}

func TestVisitIsBounded(t *testing.T) {
	var requests atomic.Int64
	s := newSite(t, noOptions, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	s.options.Paths = []string{"/socket.io/"}
	s.options.Wait = 50 * time.Millisecond
	s.examine()
	const atMost = 40
	if n := requests.Load(); n > atMost {
		t.Errorf("%d requests, want %d at most", n, atMost)
	} else {
		t.Logf("%d requests", n)
	}
}
