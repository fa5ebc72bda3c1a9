package socketiostream

import (
	"cmp"
	"encoding/json"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// serviceName is how the service calls itself in its health and status answers.
const serviceName = "socket-io-streaming"

// retryAfter is how many seconds a load balancer is asked to wait once the process is going down.
const retryAfter = "5"

// isoMilliseconds is ISO 8601 in UTC with milliseconds, as JavaScript's toISOString writes it.
const isoMilliseconds = "2006-01-02T15:04:05.000Z"

// exiting reports whether the process is going down; a variable so that a test can tell it so.
var exiting = caddy.Exiting

// rootHealth is the answer of a health path at the root, such as /health.
type rootHealth struct {
	Status      string `json:"status"`
	Service     string `json:"service"`
	Port        string `json:"port"`
	Timestamp   string `json:"timestamp"`
	Version     string `json:"version"`
	Connections int    `json:"connections"`
}

// prefixHealth is the answer of a health path below a prefix, such as /streaming/health.
type prefixHealth struct {
	Status    string `json:"status"`
	Service   string `json:"service"`
	Path      string `json:"path"`
	Timestamp string `json:"timestamp"`
}

// serveHealth tells whether the service is up: 200 "ok", or 503 "stopping" once the process is going down.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request, prefix string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, r)
	}
	code, status := http.StatusOK, "ok"
	if exiting() || isShuttingDown(r) {
		code, status = http.StatusServiceUnavailable, "stopping"
		w.Header().Set("Retry-After", retryAfter)
	}
	timestamp := time.Now().UTC().Format(isoMilliseconds)
	if prefix != "" {
		return writeJSON(w, r, code, prefixHealth{
			Status: status, Service: serviceName, Path: prefix, Timestamp: timestamp,
		})
	}
	return writeJSON(w, r, code, rootHealth{
		Status:      status,
		Service:     serviceName,
		Port:        localPort(r),
		Timestamp:   timestamp,
		Version:     version(),
		Connections: h.claim.Metrics().Engine.Sessions,
	})
}

// isShuttingDown reports whether the server that r came to is about to stop, as Caddy tells during shutdown_delay.
func isShuttingDown(r *http.Request) bool {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	value, _ := replacer.Get("http.shutting_down")
	stopping, _ := value.(bool)
	return stopping
}

// writeJSON answers with payload, which no cache may keep.
func writeJSON(w http.ResponseWriter, r *http.Request, code int, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
	return nil
}

// localPort returns the port r came in on, or "" where there is none, as on a Unix socket.
func localPort(r *http.Request) string {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return ""
	}
	return port
}

// version returns the version this module was built at, "(devel)" for a build from a working tree.
var version = sync.OnceValue(func() string {
	const modulePath = "github.com/caddy-socketio/socketio-stream"
	const development = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return development
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path != modulePath {
			continue
		}
		if module.Replace != nil {
			module = module.Replace
		}
		return cmp.Or(module.Version, development)
	}
	return development
})
