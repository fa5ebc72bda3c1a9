package authcaddy

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(Caddy)) }

// Caddy knows clients by what Caddy knows of their first request: the user that a handler in front
// has identified, {http.auth.user.id}, or else the TLS client certificate, if it was verified.
type Caddy struct{}

// The names of what is captured.
const (
	attributeUser        = "auth.caddy.user"
	attributeSubject     = "auth.caddy.tls.subject"
	attributeFingerprint = "auth.caddy.tls.fingerprint"
	attributeUnverified  = "auth.caddy.tls.unverified"
)

// CaddyModule returns the Caddy module information.
func (*Caddy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".caddy",
		New: func() caddy.Module { return new(Caddy) },
	}
}

// Capture implements auth.Captor. The placeholders are the request's, which is over when a client
// connects to a namespace.
func (*Caddy) Capture(r *http.Request, attributes map[string]string) {
	replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	if user, ok := replacer.GetString("http.auth.user.id"); ok && user != "" {
		attributes[attributeUser] = user
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return
	}
	if len(r.TLS.VerifiedChains) == 0 {
		// Anyone can make a certificate of any subject.
		attributes[attributeUnverified] = "true"
		return
	}
	for name, placeholder := range map[string]string{
		attributeSubject:     "http.request.tls.client.subject",
		attributeFingerprint: "http.request.tls.client.fingerprint",
	} {
		if value, ok := replacer.GetString(placeholder); ok && value != "" {
			attributes[name] = value
		}
	}
}

// Authenticate implements streaming.Authenticator.
func (*Caddy) Authenticate(
	_ context.Context, c *streaming.Credentials,
) (*streaming.Identity, error) {
	known := c.Handshake.Attributes
	if user := known[attributeUser]; user != "" {
		return &streaming.Identity{ID: user, Method: "caddy"}, nil
	}
	if subject := known[attributeSubject]; subject != "" {
		claims := make(map[string]json.RawMessage)
		for name, value := range map[string]string{
			"subject":     subject,
			"fingerprint": known[attributeFingerprint],
		} {
			encoded, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			claims[name] = encoded
		}
		return &streaming.Identity{ID: subject, Method: "caddy certificate", Claims: claims}, nil
	}
	reason := "no handler in front has identified a user, and there is no client certificate"
	if known[attributeUnverified] != "" {
		reason = "the client certificate was not verified: tls needs client_auth with the mode " +
			"require_and_verify or verify_if_given"
	}
	return nil, &streaming.Refusal{Code: streaming.CodeUnauthorized, Reason: reason}
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	auth caddy
func (*Caddy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.RefuseBlock(d)
}

// Interface guards.
var (
	_ streaming.Authenticator = (*Caddy)(nil)
	_ auth.Captor             = (*Caddy)(nil)
	_ caddyfile.Unmarshaler   = (*Caddy)(nil)
)
