package hub_test

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/hub"
)

// Announce is a handler of Caddy that tells all clients in a room what it is asked for.
type Announce struct{}

func (Announce) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	server := hub.Find("default")
	if server == nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, errors.New("there is no such hub"))
	}
	news := server.Lookup("/news")
	if news == nil {
		return caddyhttp.Error(http.StatusNotFound, errors.New("the hub has no such namespace"))
	}
	if err := news.To("readers").Emit("headline", r.FormValue("text")); err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// A handler of Caddy's finds the server of a hub for each request.
func ExampleFind() {
	var _ caddyhttp.MiddlewareHandler = Announce{}
}
