package socketiostream

import (
	"cmp"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
)

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

// healthPage tells whether the service is up: 200 "ok", or 503 "stopping" once the process is going
// down.
type healthPage struct {
	// prefix is the path that the page stands below, or "" at the root.
	prefix string
}

// newHealthPage returns the page for a path.
func newHealthPage(at string) healthPage {
	return healthPage{strings.TrimSuffix(path.Dir(strings.TrimSuffix(at, "/")), "/")}
}

func (healthPage) kind() string { return "health" }

func (p healthPage) serve(w http.ResponseWriter, r *http.Request, hub claim) error {
	if err := refuseWriting(w, r); err != nil {
		return err
	}
	code, status := http.StatusOK, "ok"
	if exiting() || isShuttingDown(r) {
		code, status = http.StatusServiceUnavailable, "stopping"
		w.Header().Set("Retry-After", retryAfter)
	}
	timestamp := time.Now().UTC().Format(isoMilliseconds)
	if p.prefix != "" {
		return writeJSON(w, r, code, prefixHealth{
			Status: status, Service: serviceName, Path: p.prefix, Timestamp: timestamp,
		})
	}
	return writeJSON(w, r, code, rootHealth{
		Status:      status,
		Service:     serviceName,
		Port:        localPort(r),
		Timestamp:   timestamp,
		Version:     version(),
		Connections: hub.Metrics().Engine.Sessions,
	})
}

// isShuttingDown reports whether the server that r came to is about to stop, as Caddy tells during
// shutdown_delay.
func isShuttingDown(r *http.Request) bool {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	value, _ := replacer.Get("http.shutting_down")
	stopping, _ := value.(bool)
	return stopping
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

// Interface guard.
var _ page = healthPage{}
