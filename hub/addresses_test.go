package hub

import (
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// TestDoubtsAreToldOnceInAWhile holds that what everybody behind a proxy brings about is one line in
// ten minutes, and that an address which would be let off nothing anyway is none.
func TestDoubtsAreToldOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		found := newAddresses(slog.New(zapslog.NewHandler(core)))
		loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		found.use(&Plan{Server: streaming.Options{Engine: engineio.Options{Limits: engineio.Limits{Exempt: loopback}}}})
		come := func(peer, forwardedFor string) engineio.ClientAddr {
			r := newRequest("GET", "/socket.io/", peer)
			if forwardedFor != "" {
				r.Header.Set("X-Forwarded-For", forwardedFor)
			}
			return found.find(r)
		}
		lines := func(want int) {
			t.Helper()
			if got := logs.Len(); got != want {
				t.Errorf("%d lines, want %d", got, want)
			}
		}
		if got := come("127.0.0.1", ""); got != (engineio.ClientAddr{Addr: "127.0.0.1"}) {
			t.Errorf("direct: %+v", got)
		}
		if got := come("203.0.113.9", "127.0.0.1"); got != (engineio.ClientAddr{Addr: "203.0.113.9", NotExempt: true}) {
			t.Errorf("a client that says it is forwarded: %+v", got)
		}
		lines(0)
		for range 1000 {
			if got := come("127.0.0.1", "203.0.113.9"); got != (engineio.ClientAddr{Addr: "127.0.0.1", NotExempt: true}) {
				t.Fatalf("forwarded: %+v", got)
			}
		}
		lines(1)
		fields := logs.All()[0].ContextMap()
		if fields["address"] != "127.0.0.1" || fields["reason"] != string(clientaddr.UnnamedProxy) || fields["remedy"] != clientaddr.UnnamedProxy.Remedy() {
			t.Errorf("logged %v", fields)
		}
		time.Sleep(doubtInterval - time.Second)
		come("127.0.0.1", "203.0.113.9")
		lines(1)
		time.Sleep(time.Second)
		come("127.0.0.1", "203.0.113.9")
		come("127.0.0.1", "203.0.113.9")
		lines(2)
		// Another reason has a line of its own.
		found.doubt(clientaddr.Client{Addr: netip.MustParseAddr("127.0.0.1"), Doubt: clientaddr.NoClient}, loopback)
		lines(3)
		found.doubt(clientaddr.Client{Addr: netip.MustParseAddr("10.0.0.1"), Doubt: clientaddr.LoopbackByHeader}, loopback)
		lines(3)
	})
}
