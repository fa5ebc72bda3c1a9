package authcaddy

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(HTTP)) }

// HTTP asks another server who a client is. The question is a POST of JSON with what the client
// shows:
//
//	{"namespace", "auth", "refresh", "handshake": {"address", "secure", "query"}}
//
// and the answer is status 200 with {"id", "rooms", "start", "publish", "expires", "claims"}, of
// which only "id" is needed, or status 401 or 403. Anything else is no answer: the client waits, and
// the server is asked again. Redirects are not followed.
type HTTP struct {
	// URL is the address that is asked, with http or https. It is needed.
	URL string `json:"url,omitempty"`

	// Timeout is how long an answer may take, from the moment on when the question is asked. Zero
	// means the default. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// TLSCA are PEM files with the certificates of the authorities that the server must be known
	// by, in place of those that the system trusts. They are read when the config is loaded.
	// Default: none.
	TLSCA []string `json:"tls_ca,omitempty"`

	// ForwardHeaders are the headers of the client's first request that the question has too, such
	// as "Cookie" and "Authorization". Default: none.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// Cache is how long an answer that lets a client in is used again for the same question. Zero
	// means not at all. Default: 0.
	Cache caddy.Duration `json:"cache,omitempty"`

	backend *auth.Backend
	// fingerprint tells what the placeholders stand for.
	fingerprint string
	warnings    warnings
}

// Warnings implements Warner.
func (a *HTTP) Warnings() []Warning { return a.warnings }

// CaddyModule returns the Caddy module information.
func (*HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".http",
		New: func() caddy.Module { return new(HTTP) },
	}
}

// Provision replaces placeholders and checks the options.
func (a *HTTP) Provision(ctx caddy.Context) error {
	t := option.NewResolver()
	options := auth.BackendOptions{
		URL:            t.One("auth http", a.URL),
		Timeout:        time.Duration(a.Timeout),
		ForwardHeaders: t.All("forward_headers", a.ForwardHeaders),
		Cache:          time.Duration(a.Cache),
	}
	files := t.All("tls_ca", a.TLSCA)
	if t.Err() != nil {
		return t.Err()
	}
	var err error
	if options.Authorities, err = readAuthorities(files, options.URL); err != nil {
		return fmt.Errorf("auth http: %w", err)
	}
	if options.Timeout < 0 || options.Cache < 0 {
		return errors.New("auth http: timeout and cache must not be negative")
	}
	backend, err := auth.NewBackend(options)
	if err != nil {
		return fmt.Errorf("auth http: %w", err)
	}
	a.backend = backend
	// How long an answer may take, or is kept, changes nobody's.
	a.fingerprint = auth.Fingerprint(
		options.URL, options.ForwardHeaders, options.Authorities.Fingerprint())
	if named := auth.MadeUpHeaders(options.ForwardHeaders); len(named) > 0 {
		a.warnings.warnOf("forward_headers names headers that any client can make up: the auth backend must not go by "+
			"them, unless a proxy in front overwrites them; handshake.address of the question is the client's address",
			zap.Strings("headers", named))
	}
	if auth.IsPlain(options.URL) {
		a.warnings.warnOf("what clients show goes to the auth backend by plain http", zap.String("method", "http"))
	}
	return nil
}

// Cleanup lets go of idle connections.
func (a *HTTP) Cleanup() error {
	if a.backend != nil {
		a.backend.Close()
	}
	return nil
}

// Fingerprint implements auth.Distinct.
func (a *HTTP) Fingerprint() string { return a.fingerprint }

// Measure implements auth.Measured.
func (a *HTTP) Measure(n *streaming.Namespace, h *streaming.Handlers) { a.backend.Measure(n, h) }

// Authenticate implements streaming.Authenticator.
func (a *HTTP) Authenticate(
	ctx context.Context, c *streaming.Credentials,
) (*streaming.Identity, error) {
	return a.backend.Authenticate(ctx, c)
}

// Forget implements streaming.Forgetter.
func (a *HTTP) Forget(identity string) { a.backend.Forget(identity) }

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	auth http <url> {
//		timeout         <duration>
//		tls_ca          <file...>
//		forward_headers <header...>
//		cache           <duration>
//	}
func (a *HTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	line := option.Named(d, "auth http", "<url>")
	given, err := line.ArgumentsBeforeBlock(d, 1, 1)
	if err != nil {
		return err
	}
	a.URL = given[0]
	for _, address := range option.WithoutPlaceholders([]string{a.URL}) {
		if err := auth.CheckBackendURL(address); err != nil {
			return d.WrapErr(err)
		}
	}
	err = option.Each(d, func(name string) (err error) {
		switch name {
		case "timeout":
			a.Timeout, err = option.Duration(d)
		case "tls_ca":
			a.TLSCA, err = parseAuthorities(d)
		case "forward_headers":
			a.ForwardHeaders, err = parseForwardHeaders(d)
		case "cache":
			a.Cache, err = option.Duration(d)
		default:
			err = option.Unknown(d, "auth http", "timeout", "tls_ca", "forward_headers", "cache")
		}
		return err
	})
	if err != nil {
		return err
	}
	return line.Wrap(checkAuthorities(a.TLSCA, a.URL))
}

func parseForwardHeaders(d *caddyfile.Dispenser) ([]string, error) {
	names, err := option.Texts(d, "<header...>")
	if err != nil {
		return nil, err
	}
	for i, name := range option.WithoutPlaceholders(names) {
		if err := auth.CheckForwardHeader(name); err != nil {
			return nil, d.WrapErr(err)
		}
		if slices.ContainsFunc(names[:i], func(other string) bool {
			return strings.EqualFold(other, textproto.CanonicalMIMEHeaderKey(name))
		}) {
			return nil, d.Errf("header %q is given twice", name)
		}
	}
	return names, nil
}

// Interface guards.
var (
	_ streaming.Authenticator = (*HTTP)(nil)
	_ auth.Distinct           = (*HTTP)(nil)
	_ auth.Measured           = (*HTTP)(nil)
	_ caddy.Provisioner       = (*HTTP)(nil)
	_ caddy.CleanerUpper      = (*HTTP)(nil)
	_ caddyfile.Unmarshaler   = (*HTTP)(nil)
)
