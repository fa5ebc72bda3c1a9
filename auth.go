package socketiostream

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// authNamespace is the module namespace of authenticators; authKey is the JSON key that names one.
const (
	authNamespace = "http.handlers.socketio_stream.auth"
	authKey       = "method"
)

func init() {
	caddy.RegisterModule(new(NoAuth))
}

// Authenticator is a guest module of the namespace http.handlers.socketio_stream.auth: it says who the clients of a
// Socket.IO namespace are.
type Authenticator interface {
	caddy.Module
	streaming.Authenticator
}

// Captor is an Authenticator that has to know of a client's first request what no later one tells, and what only Caddy
// knows: placeholders, and TLS.
type Captor interface {
	// Capture adds to attributes, which are kept for as long as the connection and are found in
	// [engineio.Handshake.Attributes]. They must be named after the module. It is called before the request is answered.
	Capture(r *http.Request, attributes map[string]string)
}

// NoAuth lets everyone into a namespace, where the handler has an authenticator for all others.
type NoAuth struct{}

// CaddyModule returns the Caddy module information.
func (*NoAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: authNamespace + ".none", New: func() caddy.Module { return new(NoAuth) }}
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	auth none
func (*NoAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.RefuseBlock(d)
}

// authentication is an authenticator as an event set: a namespace takes it like the others.
type authentication struct {
	Authenticator
	// config is the module's JSON, for comparing.
	config json.RawMessage
}

// Register implements streaming.EventSet.
func (a *authentication) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(a.Authenticator)
}

// loadAuth loads the authenticator of a namespace, or of the handler. It is nil where there is none. The raw
// configuration is kept, as in loadEventSets.
func loadAuth(ctx caddy.Context, raw json.RawMessage) (loaded *authentication, given bool, err error) {
	if len(raw) == 0 {
		return nil, false, nil
	}
	holder := struct {
		AuthRaw json.RawMessage `caddy:"namespace=http.handlers.socketio_stream.auth inline_key=method"`
	}{raw}
	module, err := ctx.LoadModule(&holder, "AuthRaw")
	if err != nil {
		return nil, true, fmt.Errorf("loading auth: %w", err)
	}
	if _, none := module.(*NoAuth); none {
		return nil, true, nil
	}
	authenticator, ok := module.(Authenticator)
	if !ok {
		return nil, true, fmt.Errorf("module %T is no authenticator", module)
	}
	return &authentication{Authenticator: authenticator, config: raw}, true, nil
}

// authSeed makes what String returns of no use outside of this process: a config may hold a secret.
var authSeed = maphash.MakeSeed()

// String returns the authentication in a form that can be compared, and shown.
func (a *authentication) String() string {
	if a == nil {
		return "none"
	}
	return fmt.Sprintf("%s with options %08x", a.CaddyModule().ID.Name(), uint32(maphash.Bytes(authSeed, a.config)))
}

// captors lists those of the namespaces' authenticators that have to see requests.
func captors(namespaces []namespaceSettings) []Captor {
	var list []Captor
	seen := make(map[Captor]bool)
	for _, ns := range namespaces {
		if ns.auth == nil {
			continue
		}
		if captor, ok := ns.auth.Authenticator.(Captor); ok && !seen[captor] {
			seen[captor] = true
			list = append(list, captor)
		}
	}
	return list
}

// capture returns what the captors want to be kept of a request, if there are any.
func (hub *hub) capture(r *http.Request) func() map[string]string {
	list := hub.captors.Load()
	if list == nil || len(*list) == 0 {
		return nil
	}
	return func() map[string]string {
		attributes := make(map[string]string)
		for _, captor := range *list {
			captor.Capture(r, attributes)
		}
		return attributes
	}
}

// unmarshalAuth hands the tokens after "auth" to the guest module they name.
func unmarshalAuth(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	method := d.Val()
	id := authNamespace + "." + method
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.Errf("unknown auth method '%s': there is no module %s in this build", method, id)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, authKey, method, nil), nil
}

// Interface guards.
var (
	_ caddy.Module          = (*NoAuth)(nil)
	_ caddyfile.Unmarshaler = (*NoAuth)(nil)
	_ streaming.EventSet    = (*authentication)(nil)
)
