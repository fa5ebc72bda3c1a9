package authcaddy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(Caddy)) }

// Caddy knows clients by what Caddy knows of their first request: the user that a handler in front
// has identified, {http.auth.user.id}, or else the TLS client certificate, if it was verified.
//
// The connection of a client is closed when its certificate ends, or at max_age, and when a reload
// changes what stands in front of the handler. The client comes back by itself, and what stands in
// front is asked again.
type Caddy struct {
	// MaxAge is how old a connection may become. Zero means that it may become as old as it likes.
	// Default: 0.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// The names of what is captured.
const (
	attributeUser        = "auth.caddy.user"
	attributeSubject     = "auth.caddy.tls.subject"
	attributeFingerprint = "auth.caddy.tls.fingerprint"
	attributeUnverified  = "auth.caddy.tls.unverified"
	// attributeNotAfter is when the certificate ends, in seconds since 1970.
	attributeNotAfter = "auth.caddy.tls.not_after"
)

// ByFront reports whether an authenticator lets in those alone whom something in front has identified.
func ByFront(a streaming.Authenticator) bool {
	_, ok := a.(*Caddy)
	return ok
}

// CaddyModule returns the Caddy module information.
func (*Caddy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".caddy",
		New: func() caddy.Module { return new(Caddy) },
	}
}

// Provision checks the options.
func (a *Caddy) Provision(caddy.Context) error {
	if a.MaxAge < 0 {
		return fmt.Errorf("auth caddy: max_age must not be negative, is %s", time.Duration(a.MaxAge))
	}
	return nil
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
	attributes[attributeNotAfter] = strconv.FormatInt(r.TLS.PeerCertificates[0].NotAfter.Unix(), 10)
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
func (a *Caddy) Authenticate(
	_ context.Context, c *streaming.Credentials,
) (*streaming.Identity, error) {
	identity, err := identityOf(c.Handshake.Attributes)
	if err != nil {
		return nil, err
	}
	identity.OfConnection = true
	identity.Expires = a.end(c.Handshake.Time, c.Handshake.Attributes)
	return identity, nil
}

// end is when a connection must end that began at a time with a request of which something was
// captured. Zero is never.
func (a *Caddy) end(began time.Time, known map[string]string) (end time.Time) {
	if a.MaxAge > 0 {
		end = began.Add(time.Duration(a.MaxAge))
	}
	if seconds, err := strconv.ParseInt(known[attributeNotAfter], 10, 64); err == nil {
		if notAfter := time.Unix(seconds, 0); end.IsZero() || notAfter.Before(end) {
			end = notAfter
		}
	}
	return end
}

// identityOf says who a client is by what was captured.
func identityOf(known map[string]string) (*streaming.Identity, error) {
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
//	auth caddy {
//		max_age <duration>
//	}
func (a *Caddy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	if err := option.BlockOnly(d, "auth caddy"); err != nil {
		return err
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "max_age":
			a.MaxAge, err = option.Duration(d)
		default:
			err = option.Unknown(d, "auth caddy", "max_age")
		}
		return err
	})
}

// Interface guards.
var (
	_ streaming.Authenticator = (*Caddy)(nil)
	_ auth.Captor             = (*Caddy)(nil)
	_ caddy.Provisioner       = (*Caddy)(nil)
	_ caddyfile.Unmarshaler   = (*Caddy)(nil)
)
