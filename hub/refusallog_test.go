package hub

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// newObservedLog makes a log of refusals whose lines can be looked at.
func newObservedLog() (*refusalLog, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return newRefusalLog(slog.New(zapslog.NewHandler(core))), logs
}

// newRequest makes a request as Caddy would, over a connection from clientIP.
func newRequest(method, target, clientIP string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = net.JoinHostPort(clientIP, "1234")
	return r
}

func TestRefusalsHaveReasonsFromAClosedSet(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&engineio.RequestError{Status: 400, Code: engineio.CodeUnknownTransport}, "unknown_transport"},
		{&engineio.RequestError{Status: 400, Code: engineio.CodeUnknownSID}, "unknown_sid"},
		{&engineio.RequestError{Status: 101, Code: engineio.CodeUnknownSID}, "unknown_sid"},
		{&engineio.RequestError{Status: 400, Code: engineio.CodeBadHandshakeMethod}, "bad_handshake_method"},
		{&engineio.RequestError{Status: 400, Code: engineio.CodeBadRequest}, "bad_request"},
		{&engineio.RequestError{Status: 403, Code: engineio.CodeForbidden}, "forbidden"},
		{&engineio.RequestError{Status: 400, Code: engineio.CodeUnsupportedVersion}, "unsupported_version"},
		{&engineio.RequestError{Status: 503, Code: -1}, "unavailable"},
		{&engineio.RequestError{Status: 413, Code: -1}, "too_large"},
		{&engineio.RequestError{Status: 101, Code: -1}, "internal_error"},
		{&engineio.RequestError{Status: 500, Code: -1}, "internal_error"},
		{errors.New("else"), "error"},
	} {
		t.Run(fmt.Sprint(test.want, " ", test.err), func(t *testing.T) {
			refusals, logs := newObservedLog()
			refusals.byEngine(newRequest("GET", "/socket.io/?sid=secret", "192.0.2.1"), test.err)
			entries := logs.FilterMessage("request refused").All()
			if len(entries) != 1 || entries[0].Level != zapcore.WarnLevel {
				t.Fatalf("logged %v", entries)
			}
			fields := entries[0].ContextMap()
			if fields["reason"] != test.want || fields["client_ip"] != "192.0.2.1" || fields["path"] != "/socket.io/" {
				t.Errorf("fields %v", fields)
			}
		})
	}
}

// TestRefusalsAreBounded holds that a client cannot make a line long, nor put control characters
// into it.
func TestRefusalsAreBounded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	refusals, logs := newObservedLog()
	r := newRequest("GET", "/socket.io/", "192.0.2.1")
	r.Method, r.URL.Path, r.Host = "M\n"+long, "/socket.io/\x1b[2J"+long, "h\r"+long
	refusals.byEngine(r, &engineio.RequestError{Status: 400, Code: engineio.CodeBadRequest, Reason: "method " + long})
	r.Header.Set("Origin", "https://"+long+"\x01")
	refusals.byOrigin(r, new(cors.Policy).Decide(r))
	entries := logs.All()
	if len(entries) != 2 {
		t.Fatalf("%d lines", len(entries))
	}
	for _, entry := range entries {
		if text := fmt.Sprint(entry.ContextMap()); len(text) > 1000 || strings.ContainsAny(text, "\n\r\x1b\x01") {
			t.Errorf("line %q", text)
		}
	}
	if got := len(entries[1].ContextMap()["origin"].(string)); got > maxLoggedOrigin+len("…") {
		t.Errorf("%d bytes of the origin in the log", got)
	}
}

// TestRefusedStatusIsLogged holds that the log says why a client may not read the status, and what to
// do.
func TestRefusedStatusIsLogged(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, test := range []struct{ address, forwarded, reason, remedy string }{
		{"192.0.2.1", "", "the address is not in status allow", "add it there"},
		{"192.0.2.1", "127.0.0.1", "the address is not in status allow", "add it there"},
		{"127.0.0.1", "192.0.2.1", string(clientaddr.UnnamedProxy), "trusted_proxies"},
		{"@", "", "the client has no address that can be read", "trusted_proxies_unix"},
	} {
		refusals, logs := newObservedLog()
		r := newRequest("GET", "/status?secret", test.address)
		if test.address == "@" {
			r.RemoteAddr = test.address
		}
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		for range 1000 {
			refusals.byStatus(r, clientaddr.Of(r), allow)
		}
		entries := logs.FilterMessage("status refused").All()
		if len(entries) != logline.First || entries[0].Level != zapcore.WarnLevel {
			t.Fatalf("%s: %d lines", test.address, len(entries))
		}
		fields := entries[0].ContextMap()
		remedy, _ := fields["remedy"].(string)
		if fields["reason"] != test.reason || !strings.Contains(remedy, test.remedy) || fields["client_ip"] != test.address || fields["path"] != "/status" {
			t.Errorf("fields %v", fields)
		}
	}
}

// TestFloodOfEachReasonIsCountedByItself holds that a flood of one reason does not hide another.
func TestFloodOfEachReasonIsCountedByItself(t *testing.T) {
	const flood = 1000
	refusals, logs := newObservedLog()
	refuse := func(code engineio.ErrorCode) {
		refusals.byEngine(newRequest("GET", "/socket.io/", "192.0.2.1"), &engineio.RequestError{Status: 400, Code: code})
	}
	for range flood {
		refuse(engineio.CodeUnknownSID)
		r := newRequest("GET", "/socket.io/", "192.0.2.1")
		r.Header.Set("Origin", "https://evil.example.com")
		refusals.byOrigin(r, new(cors.Policy).Decide(r))
	}
	refuse(engineio.CodeBadRequest)
	refusals.flush()
	if got := logs.FilterMessage("request refused").Len(); got != logline.First+1 {
		t.Errorf("%d lines about requests", got)
	}
	if got := logs.FilterMessage("origin refused").Len(); got != logline.First {
		t.Errorf("%d lines about origins", got)
	}
	counts := make(map[any]any)
	for _, entry := range logs.FilterMessage("more requests refused").All() {
		counts[entry.ContextMap()["reason"]] = entry.ContextMap()["count"]
	}
	const rest = int64(flood - logline.First)
	if len(counts) != 2 || counts["unknown_sid"] != rest || counts[cors.ReasonNoCORS] != rest {
		t.Errorf("counts %v", counts)
	}
}
