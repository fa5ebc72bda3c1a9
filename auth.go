package socketiostream

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/auth/authcaddy"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// authKey is the JSON key that names an authenticator.
const authKey = "method"

// authenticator is a guest module that says who the clients of a Socket.IO namespace are.
type authenticator interface {
	caddy.Module
	streaming.Authenticator
}

// authentication is an authenticator as an event set: a namespace takes it like the others.
type authentication struct {
	authenticator
	// config is the module's JSON, for comparing.
	config json.RawMessage
}

// Register implements streaming.EventSet.
func (a *authentication) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.Authenticate(a.authenticator)
}

// loadAuth loads the authenticator of a namespace, or of the handler. It is nil where there is
// none. The raw configuration is kept, as in loadEventSets.
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
	if _, none := module.(*authcaddy.None); none {
		return nil, true, nil
	}
	guest, ok := module.(authenticator)
	if !ok {
		return nil, true, fmt.Errorf("module %T is no authenticator", module)
	}
	return &authentication{authenticator: guest, config: raw}, true, nil
}

// String returns the authentication in a form that can be compared, and shown.
func (a *authentication) String() string {
	if a == nil {
		return "none"
	}
	return fmt.Sprintf("%s with options %.8s", a.CaddyModule().ID.Name(), auth.Fingerprint(a.config))
}

// captures lists what those of the namespaces' authenticators do that have to see requests.
func captures(namespaces []namespaceSettings) (list []func(*http.Request, map[string]string)) {
	seen := make(map[auth.Captor]bool)
	for _, ns := range namespaces {
		if ns.auth == nil {
			continue
		}
		if captor, ok := ns.auth.authenticator.(auth.Captor); ok && !seen[captor] {
			seen[captor] = true
			list = append(list, captor.Capture)
		}
	}
	return list
}

// unmarshalAuth hands the tokens after "auth" to the guest module they name.
func unmarshalAuth(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	method := d.Val()
	id := authcaddy.Namespace + "." + method
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.Errf("unknown auth method '%s': there is no module %s in this build", method, id)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, authKey, method, nil), nil
}

// Interface guard.
var _ streaming.EventSet = (*authentication)(nil)
