package hub

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Bounds, in bytes, of what gets into the log of what a client sends.
const (
	maxLoggedOrigin  = 200
	maxLoggedPath    = 100
	maxLoggedMethod  = 16
	maxLoggedReason  = 200
	maxLoggedAddress = 100
)

// refusalLog logs the requests that the handlers of a hub refuse, at warn level. Anyone can have
// requests refused at no cost, and after a restart every client has one, so floods are counted: see
// logline.Limiter. It belongs to the hub, so that a flood stays one across a reload.
type refusalLog struct {
	logger  *slog.Logger
	limiter *logline.Limiter
}

func newRefusalLog(logger *slog.Logger) *refusalLog {
	return &refusalLog{logger: logger, limiter: logline.NewLimiter(func(reason string, more int64) {
		logger.Warn("more requests refused", "reason", reason, "count", more)
	})}
}

// flush logs what is counted so far.
func (l *refusalLog) flush() { l.limiter.Flush() }

// byEngine logs a request that the Engine.IO server has refused.
func (l *refusalLog) byEngine(r *http.Request, err error) {
	reason, status, text := "error", 0, err.Error()
	if refusal := (*engineio.RequestError)(nil); errors.As(err, &refusal) {
		reason, status, text = refusal.Cause(), refusal.Status, refusal.Reason
	}
	l.log(r, reason, "request refused",
		slog.String("reason", reason),
		slog.String("error", logline.Text(text, maxLoggedReason)),
		slog.Int("status", status))
}

// byOrigin logs a request of an origin that is not let in.
func (l *refusalLog) byOrigin(r *http.Request, d cors.Decision) {
	l.log(r, d.Reason, "origin refused",
		slog.String("origin", logline.Text(strings.Join(r.Header["Origin"], ", "), maxLoggedOrigin)),
		slog.String("reason", d.Reason),
		slog.String("host", logline.Text(r.Host, maxLoggedOrigin)))
}

// byStatus logs a request of a client that may not read the status, which is for the addresses in an
// allow-list.
func (l *refusalLog) byStatus(r *http.Request, client clientaddr.Client, allow []netip.Prefix) {
	reason, remedy := "the address is not in status allow", "add it there if it is to read the status"
	switch {
	case client.In(allow):
		reason, remedy = string(client.Doubt), client.Doubt.Remedy()
	case !client.Addr.IsValid():
		reason, remedy = "the client has no address that can be read", "connect by TCP; of a proxy on a Unix socket say trusted_proxies_unix"
	}
	l.log(r, reason, "status refused", slog.String("reason", reason), slog.String("remedy", remedy))
}

// byKey logs a request to publish that shows no key, or one that is not known.
func (l *refusalLog) byKey(r *http.Request) {
	const reason = "the key is missing or not known"
	l.log(r, reason, "publishing refused", slog.String("reason", reason),
		slog.String("remedy", "send Authorization: Bearer and one of the keys of publish"))
}

// log writes a line, unless there are too many with that reason. The query holds the session's id,
// so it is left out.
func (l *refusalLog) log(r *http.Request, reason, message string, attrs ...slog.Attr) {
	if !l.logger.Enabled(r.Context(), slog.LevelWarn) || !l.limiter.Allow(reason) {
		return
	}
	attrs = append(attrs,
		slog.String("method", logline.Text(r.Method, maxLoggedMethod)),
		slog.String("path", logline.Text(r.URL.Path, maxLoggedPath)),
		slog.String("client_ip", logline.Text(clientaddr.Of(r).String(), maxLoggedAddress)))
	l.logger.LogAttrs(r.Context(), slog.LevelWarn, message, attrs...)
}
