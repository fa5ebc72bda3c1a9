// Package greet is the event set that docs/extending.md shows: this file from its next line on.
package greet

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(Greet)) }

// Greet tells everyone else in the namespace when a client says hello.
type Greet struct{}

// CaddyModule says under which name the set is known, and how one is made.
func (*Greet) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream.events.greet",
		New: func() caddy.Module { return new(Greet) },
	}
}

// Register adds the set's handlers to those of a namespace.
func (*Greet) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.On("hello", func(e *streaming.Event) {
		_ = e.Socket.Broadcast().EmitArgs("greeted", e.Args)
	})
}

// UnmarshalCaddyfile takes "greet", which has no options: more on its line, or a block, is refused.
func (*Greet) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.Next() {
		return d.Errf("greet has no options, unexpected %q", d.Val())
	}
	return nil
}
