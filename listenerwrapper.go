package socketiostream

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddytls"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/internal/migrate"
	"github.com/caddy-socketio/socketio-stream/internal/option"
)

func init() {
	caddy.RegisterModule(new(ListenerWrapper))
}

// ListenerWrapper lets the HTTP/1.1 connections of a server go over to the server that takes its
// place at a reload, so that no request is lost that is under way at that moment, whoever would
// answer it. It has to come after "tls", which is where Caddy puts it when that is not named, and
// after all other wrappers.
//
// Connections go over to a server at the same address whose listener wrappers and TLS connection
// policies are the same. They do not where clients have to show certificates: only a new connection
// is judged by the new config. HTTP/2 and HTTP/3 need none of it.
type ListenerWrapper struct {
	// kind is what the servers have in common that connections go over between, or "" where they do
	// not.
	kind   string
	logger *zap.Logger
}

// CaddyModule implements caddy.Module.
func (*ListenerWrapper) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.listeners.socketio_stream",
		New: func() caddy.Module { return new(ListenerWrapper) },
	}
}

// Provision implements caddy.Provisioner. It is called before Caddy has loaded what it looks at
// here.
func (w *ListenerWrapper) Provision(ctx caddy.Context) error {
	w.logger = ctx.Logger()
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return errors.New("the listener wrapper socketio_stream is for HTTP servers only")
	}
	if err := checkPlace(server.ListenerWrappersRaw); err != nil {
		return err
	}
	if asksForCertificates(server.TLSConnPolicies) {
		w.logger.Info("connections do not go over to another server at a reload, as clients have to show certificates")
		return nil
	}
	admission, err := json.Marshal([]any{server.ListenerWrappersRaw, server.TLSConnPolicies})
	if err != nil {
		return err
	}
	server.RegisterConnState(migrate.NoteState)
	server.RegisterConnContext(migrate.Context)
	w.kind = fmt.Sprintf("%x", sha256.Sum256(admission))
	return nil
}

// checkPlace holds that the wrapper comes last, and once: it sees where requests begin and end,
// which it could not if others had read ahead, or if they were encrypted.
func checkPlace(wrappers []json.RawMessage) error {
	for i, raw := range wrappers {
		var wrapper struct {
			Name string `json:"wrapper"`
		}
		if err := json.Unmarshal(raw, &wrapper); err != nil {
			return err
		}
		if wrapper.Name != "socketio_stream" || i == len(wrappers)-1 {
			continue
		}
		var next struct {
			Name string `json:"wrapper"`
		}
		if err := json.Unmarshal(wrappers[i+1], &next); err != nil {
			return err
		}
		return fmt.Errorf("the listener wrapper socketio_stream must be the last one, after tls: put %s before it", next.Name)
	}
	return nil
}

func asksForCertificates(policies caddytls.ConnectionPolicies) bool {
	for _, policy := range policies {
		if policy.ClientAuthentication != nil {
			return true
		}
	}
	return false
}

// WrapListener implements caddy.ListenerWrapper.
func (w *ListenerWrapper) WrapListener(ln net.Listener) net.Listener {
	if w.kind == "" {
		return ln
	}
	return migrate.Listen(ln, w.kind)
}

// UnmarshalCaddyfile sets the wrapper up from Caddyfile tokens. It has no options. Syntax:
//
//	socketio_stream
func (*ListenerWrapper) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the wrapper's name
	if _, err := option.At(d, "").ArgumentsBeforeBlock(d, 0, 0); err != nil {
		return err
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("unrecognized option '%s' of the listener wrapper socketio_stream, which has none: write socketio_stream", d.Val())
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Module          = (*ListenerWrapper)(nil)
	_ caddy.Provisioner     = (*ListenerWrapper)(nil)
	_ caddy.ListenerWrapper = (*ListenerWrapper)(nil)
	_ caddyfile.Unmarshaler = (*ListenerWrapper)(nil)
)
