// Package authcaddy is the authenticators as guest modules of Caddy, a file each.
package authcaddy

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// Namespace is the module namespace of authenticators.
const Namespace = "http.handlers.socketio_stream.auth"

func init() { caddy.RegisterModule(new(None)) }

// None lets everyone into a namespace, where the handler has an authenticator for all others.
type None struct{}

// CaddyModule returns the Caddy module information.
func (*None) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".none", New: func() caddy.Module { return new(None) }}
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	auth none
func (*None) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	return option.Nothing(d, "auth none")
}

// Interface guards.
var (
	_ caddy.Module          = (*None)(nil)
	_ caddyfile.Unmarshaler = (*None)(nil)
)
