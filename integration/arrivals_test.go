package integration

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(arrivals{})
	httpcaddyfile.RegisterHandlerDirective("test_arrivals", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return arrivals{}, nil
	})
}

// polled holds the session of a poll that has come in.
var polled = make(chan string, 1)

// arrivals is a middleware that tells of polls, so that a test knows when one is pending.
type arrivals struct{}

func (arrivals) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_arrivals", New: func() caddy.Module { return new(arrivals) }}
}

func (arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if sid := r.URL.Query().Get("sid"); sid != "" && r.Method == http.MethodGet {
		select {
		case polled <- sid:
		default:
		}
	}
	return next.ServeHTTP(w, r)
}
