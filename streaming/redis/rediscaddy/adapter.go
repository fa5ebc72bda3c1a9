// Package rediscaddy has the modules that bring a hub together with others, as Caddy loads them.
package rediscaddy

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Namespace is the module namespace of adapters, and Key the JSON key that names one.
const (
	Namespace = "http.handlers.socketio_stream.adapters"
	Key       = "type"
)

// Adapter is a module that brings a hub together with others.
type Adapter interface {
	caddy.Module
	// Join makes the hub of that name one of the others, until the module is cleaned up. create is for
	// [streaming.Options.Adapter]; connect puts the module's options in force. Both are nil where
	// there are no others.
	Join(hub string) (create func(streaming.Local) (streaming.Adapter, error), connect func())
	// String returns the options in a form that can be compared, and shown.
	String() string
}

// Load loads the adapter that raw names, or [Memory] where that is empty.
func Load(ctx caddy.Context, raw json.RawMessage) (Adapter, error) {
	if len(raw) == 0 {
		return new(Memory), nil
	}
	holder := struct {
		Raw json.RawMessage `caddy:"namespace=http.handlers.socketio_stream.adapters inline_key=type"`
	}{raw}
	module, err := ctx.LoadModule(&holder, "Raw")
	if err != nil {
		return nil, fmt.Errorf("loading adapter: %w", err)
	}
	loaded, ok := module.(Adapter)
	if !ok {
		return nil, fmt.Errorf("module %T is no adapter", module)
	}
	return loaded, nil
}

func init() { caddy.RegisterModule(new(Memory)) }

// Memory brings a hub together with nothing: all that it knows is in this process.
type Memory struct{}

// CaddyModule returns the Caddy module information.
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".memory", New: func() caddy.Module { return new(Memory) }}
}

// Join returns nothing: the hub has no adapter.
func (*Memory) Join(string) (create func(streaming.Local) (streaming.Adapter, error), connect func()) {
	return nil, nil
}

// String names the module.
func (*Memory) String() string { return "memory" }

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	adapter memory
func (*Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the adapter
	return option.Nothing(d, "adapter memory")
}

// Interface guards.
var (
	_ Adapter               = (*Memory)(nil)
	_ caddyfile.Unmarshaler = (*Memory)(nil)
)
