package socketiostream

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/documents"
	"github.com/caddy-socketio/socketio-stream/internal/memory"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery/recoverycaddy"
)

// recordingClaim stands in for what the handler has of a hub, and counts what reaches it.
type recordingClaim struct {
	unkeyed  int
	requests int
	// refused are the origins' decisions that refused a request.
	refused []cors.Decision
	// kept are the clients that may not read the status.
	kept    []clientaddr.Client
	metrics streaming.Metrics
}

func (c *recordingClaim) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.requests++
	w.WriteHeader(http.StatusOK)
}

func (c *recordingClaim) RefuseOrigin(w http.ResponseWriter, _ *http.Request, d cors.Decision) {
	c.refused = append(c.refused, d)
	w.WriteHeader(http.StatusForbidden)
}

func (c *recordingClaim) RefuseStatus(_ *http.Request, client clientaddr.Client, _ []netip.Prefix) {
	c.kept = append(c.kept, client)
}

func (c *recordingClaim) RefusePublish(*http.Request) { c.unkeyed++ }

func (c *recordingClaim) Server() *streaming.Server { return nil }

func (c *recordingClaim) Metrics() streaming.Metrics { return c.metrics }

func (c *recordingClaim) Leave() error { return nil }

// resolveOnly does what Provision does before it takes a hub.
func resolveOnly(t *testing.T, h *Handler) error {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := h.prepare(ctx); err != nil {
		return h.declared(err)
	}
	return h.Validate()
}

// newTestHandler resolves h, and gives it a claim that records, on a hub of three clients, and a
// logger that observes.
func newTestHandler(t *testing.T, h *Handler) (*Handler, *recordingClaim, *observer.ObservedLogs) {
	t.Helper()
	if err := resolveOnly(t, h); err != nil {
		t.Fatalf("resolving: %v", err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	claim := &recordingClaim{metrics: streaming.Metrics{
		Engine: engineio.Metrics{
			Sessions: 3, BufferedBytes: 1234, SlowClients: 5, VolatileDropped: 67,
			Refusals: engineio.ReasonCounts{{Reason: "max_connections", Count: 8}, {Reason: "hub_buffer", Count: 90}},
		},
		Auth: streaming.AuthMetrics{Identified: 2, Refused: 11, Expired: 12, Refreshed: 13, Revoked: 14},
		Limited: engineio.ReasonCounts{
			{Reason: string(engineio.LimitHandshakes), Count: 11}, {Reason: string(streaming.LimitEvents), Count: 12},
		},
	}}
	h.logger, h.claim = zap.New(core), claim
	return h, claim, logs
}

// serve sends r through h as Caddy would, over a connection from clientIP. A HandlerError
// becomes its status.
func serve(t *testing.T, h *Handler, r *http.Request, clientIP string) (recorder *httptest.ResponseRecorder, passedOn bool) {
	t.Helper()
	r.RemoteAddr = clientIP
	recorder = httptest.NewRecorder()
	err := h.ServeHTTP(recorder, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		passedOn = true
		return nil
	}))
	if err != nil {
		refusal, ok := err.(caddyhttp.HandlerError)
		if !ok {
			t.Fatalf("ServeHTTP: %v", err)
		}
		recorder.WriteHeader(refusal.StatusCode)
	}
	return recorder, passedOn
}

func TestBadInputIsRefused(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_EMPTY", "")
	off, negative, hundred := false, -1, 100
	relay := func(events ...string) json.RawMessage {
		raw, err := json.Marshal(map[string]any{"set": "relay", "events": events})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	namespace := func(name string, events ...json.RawMessage) []*Namespace {
		return []*Namespace{{Name: name, EventsRaw: events}}
	}
	streaming := json.RawMessage(`{"set":"streaming"}`)

	for _, test := range []struct {
		name    string
		handler Handler
		want    string
	}{
		{"hub name", Handler{Hub: "a/b"}, `hub "a/b"`},
		{"hub placeholder unknown", Handler{Hub: "{nope}"}, "unrecognized placeholder"},
		{"hub placeholder empty", Handler{Hub: "{env.TEST_EMPTY}"}, "is empty"},
		{"path relative", Handler{Paths: []string{"socket.io"}}, "begins with a slash"},
		{"path empty", Handler{Paths: []string{"/a//b/"}}, "empty segment"},
		{"path twice after normalising", Handler{Paths: []string{"/a", "/a/"}}, "twice"},
		{"transport unknown", Handler{Transports: []string{"webtransport"}}, "unknown transport"},
		{"transport twice", Handler{Transports: []string{"polling", "polling"}}, "twice"},
		{"transport of blanks", Handler{Transports: []string{" "}}, "transports is empty"},
		{"ping_interval", Handler{PingInterval: -1}, "ping_interval must be"},
		{"ping_timeout", Handler{PingTimeout: caddy.Duration(-time.Second)}, "ping_timeout must be"},
		{"ping_timeout below what the handshake can tell", Handler{PingTimeout: 20}, "ping_timeout must be"},
		{"connect_timeout", Handler{ConnectTimeout: -1}, "connect_timeout must be"},
		{"upgrade_timeout", Handler{UpgradeTimeout: -1}, "upgrade_timeout must be"},
		{"write_timeout", Handler{WriteTimeout: -1}, "write_timeout must be"},
		{"max_http_buffer_size", Handler{MaxHTTPBufferSize: -1}, "max_http_buffer_size must be"},
		{"send_buffer", Handler{SendBuffer: 63_999}, "send_buffer must be at least 64 kB"},
		{"hub_buffer", Handler{HubBuffer: 3_999_999}, "hub_buffer must be at least send_buffer, which is 4000000 bytes"},
		{"hub_buffer below send_buffer", Handler{SendBuffer: 8_000_000, HubBuffer: 7_999_999}, "which is 8000000 bytes, is 7999999 bytes"},
		{"hub_buffer negative", Handler{HubBuffer: -1}, "hub_buffer must be at least send_buffer"},
		{"max_connections", Handler{MaxConnections: -1}, "max_connections must not be negative"},
		{"handshake_rate", Handler{HandshakeRate: &option.Rate{Amount: -1}}, "handshake_rate must let in at least one client"},
		{"handshake_rate burst", Handler{HandshakeRate: &option.Rate{Burst: -1}}, "handshake_rate must let in at least one client"},
		{"handshake_rate time", Handler{HandshakeRate: &option.Rate{Per: -1}}, "handshake_rate must count in at least 1ms"},
		{"drain", Handler{Drain: -1}, "drain must be at least 1ms"},
		{"per_message_deflate", Handler{PerMessageDeflate: &Compression{Threshold: -1}}, "per_message_deflate: the threshold must be"},
		{"http_compression", Handler{HTTPCompression: &Compression{Threshold: -1}}, "http_compression: the threshold must be"},
		{"limits connections_per_ip", Handler{Limits: &Limits{ConnectionsPerIP: &negative}}, "limits connections_per_ip must be from 0"},
		{"limits half_open_per_ip", Handler{Limits: &Limits{HalfOpenPerIP: &negative}}, "limits half_open_per_ip must be from 0"},
		{"limits handshakes_per_ip", Handler{Limits: &Limits{HandshakesPerIP: &option.Rate{Amount: -1}}}, "limits handshakes_per_ip must let"},
		{"limits events_per_socket", Handler{Limits: &Limits{EventsPerSocket: &option.Rate{Amount: 1, Burst: -1}}}, "limits events_per_socket must let"},
		{"limits bytes_per_socket", Handler{Limits: &Limits{BytesPerSocket: &option.Rate{Amount: 1, Per: 1}}}, "count in at least 1ms"},
		{"limits rooms_per_socket", Handler{Limits: &Limits{RoomsPerSocket: &negative}}, "limits rooms_per_socket must be from 0"},
		{"limits namespaces_per_socket", Handler{Limits: &Limits{NamespacesPerSocket: new(int)}}, "limits namespaces_per_socket must be from 1"},
		{"limits pending_acks", Handler{Limits: &Limits{PendingAcks: &negative}}, "limits pending_acks must be from 0"},
		{"limits attachments", Handler{Limits: &Limits{Attachments: &hundred}}, "limits attachments must be from 1 to 64, is 100"},
		{"limits allow", Handler{Limits: &Limits{Allow: []string{"10.0.0.0/99"}}}, "limits allow"},
		{"limits allow empty placeholder", Handler{Limits: &Limits{Allow: []string{"{env.TEST_EMPTY}"}}}, "limits allow"},
		{"recovery and a cluster", Handler{
			Recovery: &recoverycaddy.Options{Store: "storage"}, AdapterRaw: json.RawMessage(`{"type":"redis","url":["redis://127.0.0.1:1"]}`),
		}, "recovery store storage cannot be had with adapter redis"},
		{"log_connections", Handler{LogConnections: "off"}, "log_connections"},
		{"origin with a path", Handler{CORS: &CORS{Origins: []string{"https://example.com/"}}}, "not even a slash"},
		{"credentials without origins", Handler{CORS: &CORS{Credentials: true}}, "no effect without cors origins"},
		{"cookie name", Handler{Cookie: &Cookie{Name: "a b"}}, "cookie"},
		{"cookie path", Handler{Cookie: &Cookie{Path: "a"}}, "cookie path"},
		{"cookie path injection", Handler{Cookie: &Cookie{Path: "/; Domain=x"}}, "cookie"},
		{"cookie domain", Handler{Cookie: &Cookie{Domain: "exa mple"}}, "cookie"},
		{"cookie same_site", Handler{Cookie: &Cookie{SameSite: "no"}}, "same_site"},
		{"cookie none and not secure", Handler{Cookie: &Cookie{SameSite: "none", Secure: &off}}, "needs secure"},
		{"cookie max_age", Handler{Cookie: &Cookie{MaxAge: 1}}, "whole seconds"},
		{"serve_client missing", Handler{ServeClient: filepath.Join(folder, "gone")}, "neither cdn nor off"},
		{"serve_client a file", Handler{ServeClient: file}, "neither cdn nor off, nor a folder"},
		{"serve_client the wrong folder", Handler{ServeClient: folder}, "holds no socket.io.js"},
		{"health relative", Handler{Health: []string{"health"}}, "begins with a slash"},
		{"health twice", Handler{Health: []string{"/health", "/health"}}, "twice"},
		{"health is a socket path", Handler{Health: []string{"/socket.io"}}, "is a socket path too"},
		{"status is a socket path", Handler{Status: &Status{Paths: []string{"/socket.io/"}}}, "is a socket path too"},
		{"status without paths", Handler{Status: &Status{}}, "status has no paths"},
		{"status twice", Handler{Status: &Status{Paths: []string{"/s", "/s"}}}, "twice"},
		{"status is a health path", Handler{Health: []string{"/h"}, Status: &Status{Paths: []string{"/h"}}}, "both"},
		{"status allow", Handler{Status: &Status{Paths: []string{"/s"}, Allow: []string{"10.0.0.0/99"}}}, "status allow"},
		{"namespace without a slash", Handler{Namespaces: namespace("chat", streaming)}, "write /chat"},
		{"namespace with a comma", Handler{Namespaces: namespace("/a,b", streaming)}, "comma"},
		{"namespace null", Handler{Namespaces: []*Namespace{nil}}, "null"},
		{"namespace without events", Handler{Namespaces: namespace("/")}, "it has no events"},
		{"namespace twice", Handler{Namespaces: append(namespace("/", streaming), namespace("/", streaming)...)}, "twice"},
		{"event set unknown", Handler{Namespaces: namespace("/", json.RawMessage(`{"set":"nope"}`))}, "unknown module"},
		{"event set unnamed", Handler{Namespaces: namespace("/", json.RawMessage(`{}`))}, "module name not specified"},
		{"event set field unknown", Handler{Namespaces: namespace("/", json.RawMessage(`{"set":"streaming","viewers":1}`))}, "unknown field"},
		{"streaming audience", Handler{Namespaces: namespace("/", json.RawMessage(`{"set":"streaming","audience":"some"}`))}, "unknown audience"},
		{"streaming replay", Handler{Namespaces: namespace("/", json.RawMessage(`{"set":"streaming","replay":"last"}`))}, "unknown replay"},
		{"streaming max_streams", Handler{Namespaces: namespace("/", json.RawMessage(`{"set":"streaming","max_streams":-1}`))}, "max_streams"},
		{"relay nothing", Handler{Namespaces: namespace("/", relay())}, "names no event"},
		{"relay unnamed", Handler{Namespaces: namespace("/", relay(""))}, "without a name"},
		{"relay reserved", Handler{Namespaces: namespace("/", relay("disconnecting"))}, "reserved"},
		{"relay twice", Handler{Namespaces: namespace("/", relay("a", "a"))}, "twice"},
		{"two sets for one event", Handler{Namespaces: namespace("/", streaming, relay("message"))}, "handled by two event sets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.handler.DeclaredAt = "Caddyfile:7"
			err := resolveOnly(t, &test.handler)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
			if !strings.Contains(err.Error(), "Caddyfile:7") {
				t.Errorf("%v does not name the place of the declaration", err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	h := new(Handler)
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		got, want any
	}{
		{"paths", strings.Join(h.paths.socket, " "), "/socket.io/"},
		{"transports", strings.Join(h.Transports, " "), "polling websocket"},
		{"allow_upgrades", *h.AllowUpgrades, true},
		{"ping_interval", time.Duration(h.PingInterval), 25 * time.Second},
		{"ping_timeout", time.Duration(h.PingTimeout), 20 * time.Second},
		{"connect_timeout", time.Duration(h.ConnectTimeout), 45 * time.Second},
		{"upgrade_timeout", time.Duration(h.UpgradeTimeout), 10 * time.Second},
		{"max_http_buffer_size", h.MaxHTTPBufferSize, int64(1_000_000)},
		{"send_buffer", h.SendBuffer, int64(4_000_000)},
		{"write_timeout", time.Duration(h.WriteTimeout), 10 * time.Second},
		{"hub_buffer", h.HubBuffer, defaultHubBuffer(memory.Available(), 4_000_000)},
		{"max_connections", h.MaxConnections, 0},
		{"per_message_deflate", h.PerMessageDeflate == nil, true},
		{"http_compression", h.HTTPCompression == nil, true},
		{"serve_client", h.ServeClient, "cdn"},
		{"cookie", h.Cookie == nil, true},
		{"namespaces", len(h.Namespaces), 1},
		{"namespace", h.Namespaces[0].Name, "/"},
	} {
		if test.got != test.want {
			t.Errorf("%s is %v, want %v", test.name, test.got, test.want)
		}
	}
	set, ok := h.Namespaces[0].sets[0].(*eventscaddy.Streaming)
	if !ok || set.Audience != "all" || set.Replay != "none" || set.MaxStreams != 10_000 {
		t.Errorf("the default event set is %+v", h.Namespaces[0].sets[0])
	}
}

func TestPlaceholders(t *testing.T) {
	t.Setenv("TEST_HUB", "live")
	t.Setenv("TEST_PATHS", "/a /b/")
	t.Setenv("TEST_ORIGINS", "https://a.example.com, https://b.example.com")
	t.Setenv("TEST_ALLOW", "10.1.0.0/16,192.0.2.1")
	h := &Handler{
		Hub:    "{env.TEST_HUB}",
		Paths:  []string{"{env.TEST_PATHS}"},
		CORS:   &CORS{Origins: []string{"{env.TEST_ORIGINS}"}},
		Status: &Status{Paths: []string{"/status"}, Allow: []string{"{env.TEST_ALLOW}"}},
	}
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	if h.Hub != "live" || strings.Join(h.paths.socket, " ") != "/a/ /b/" {
		t.Errorf("hub %q, paths %q", h.Hub, h.paths.socket)
	}
	for _, origin := range []string{"https://a.example.com", "https://b.example.com"} {
		if d := h.origins.DecideAgain(origin, false); !d.OK() {
			t.Errorf("origin %s is refused: %s", origin, d.Reason)
		}
	}
	if page := h.paths.pages["/status"].(statusPage); len(page.allow) != 2 {
		t.Errorf("status allow %v", page.allow)
	}
}

func TestRouting(t *testing.T) {
	for _, test := range []struct {
		path     string
		passedOn bool
		engine   int
	}{
		{"/socket.io/?EIO=4&transport=polling", false, 1},
		{"/streaming/socket.io/?EIO=4&transport=polling", false, 1},
		{"/socket.io/anything", false, 0},
		{"/socket.io/socket.io.js", false, 0},
		{"/socket.io//", false, 0},
		{"/socket.io/%2e%2e/", false, 0},
		{"/socket.io/%2F", false, 0},
		{"/SOCKET.IO/", true, 0},
		{"/socket.io", true, 0},
		{"/socket.iox/", true, 0},
		{"/", true, 0},
		{"/health", false, 0},
		{"/health/", true, 0},
		{"/status", false, 0},
		{"/socket.io/health", false, 0},
		{"/other/socket.io/", true, 0},
	} {
		t.Run(test.path, func(t *testing.T) {
			h, engine, _ := newTestHandler(t, &Handler{
				Paths:  []string{"/socket.io/", "/streaming/socket.io"},
				Health: []string{"/health", "/socket.io/health"},
				Status: &Status{Paths: []string{"/status"}},
			})
			_, passedOn := serve(t, h, httptest.NewRequest("GET", "http://example.com"+test.path, nil), "127.0.0.1")
			if passedOn != test.passedOn || engine.requests != test.engine {
				t.Errorf("passed on %t, engine %d, want %t and %d", passedOn, engine.requests, test.passedOn, test.engine)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	h, _, logs := newTestHandler(t, &Handler{
		CORS:              &CORS{Origins: []string{"*"}, Credentials: true},
		SendBuffer:        100_000,
		MaxHTTPBufferSize: 200_000,
	})
	h.warn()
	if got := logs.FilterLevelExact(zapcore.WarnLevel).Len(); got != 2 {
		t.Errorf("%d warnings, want 2: %v", got, logs.All())
	}
}

// TestManualJSON holds that each handler in JSON that the manual shows is taken, whole and without
// unknown fields, and that all else it shows is JSON.
func TestManualJSON(t *testing.T) {
	handlers := 0
	for _, block := range documents.Blocks(t, "json") {
		var config struct {
			Module string `json:"handler"`
			Handler
		}
		if !json.Valid([]byte(block.Text)) {
			t.Errorf("%s: this is no JSON", block.Place)
			continue
		}
		if !strings.Contains(block.Text, `"handler"`) {
			continue
		}
		handlers++
		if err := caddy.StrictUnmarshalJSON([]byte(block.Text), &config); err != nil {
			t.Errorf("%s: %v", block.Place, err)
			continue
		}
		if err := resolveOnly(t, &config.Handler); err != nil {
			t.Errorf("%s: %v", block.Place, err)
		}
		if config.Module != "socketio_stream" {
			t.Errorf("%s: the handler is %q", block.Place, config.Module)
		}
	}
	if handlers == 0 {
		t.Error("the manual has no handler in JSON")
	}
}

func TestDefaultHubBuffer(t *testing.T) {
	for _, test := range []struct {
		name               string
		memory, sendBuffer int64
		want               int64
	}{
		{"a quarter", 8 << 30, 4_000_000, 2 << 30},
		{"no less than send_buffer", 8_000_000, 4_000_000, 4_000_000},
		{"next to no memory", 1, 64_000, 64_000},
		{"memory unknown", 0, 4_000_000, 0},
	} {
		if got := defaultHubBuffer(test.memory, test.sendBuffer); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestHubBufferFollowsTheRuntimesLimit(t *testing.T) {
	before := debug.SetMemoryLimit(3 << 30)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	h := new(Handler)
	if err := resolveOnly(t, h); err != nil {
		t.Fatal(err)
	}
	if h.HubBuffer != 3<<28 {
		t.Errorf("hub_buffer is %d with a limit of 3 GiB", h.HubBuffer)
	}
}

// TestHandlerOutsideOfASiteNeedsAHub holds that a handler whose site is not known is refused unless it
// names its hub, with what to write.
func TestHandlerOutsideOfASiteNeedsAHub(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	h := &Handler{DeclaredAt: "Caddyfile:3"}
	err := h.Provision(ctx)
	if err == nil || !strings.Contains(err.Error(), "Caddyfile:3") || !strings.Contains(err.Error(), "hub <name>") {
		t.Errorf("got %v", err)
	}
	if err := h.Cleanup(); err != nil {
		t.Error(err)
	}
}
