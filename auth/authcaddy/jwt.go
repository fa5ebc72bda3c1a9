package authcaddy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(JWT)) }

// JWT knows clients by the JSON Web Tokens they show. A token must name its subject and when it
// expires. Exactly one of jwks, secret, public_key and issuers is needed.
type JWT struct {
	// Issuers are those whose tokens hold, each with keys of its own: a token holds with the keys
	// of the issuer that it names, and with no others. Where there is more than one, the identity
	// is "<iss>#<sub>", so that clients of different issuers are never the same.
	Issuers []*JWTIssuer `json:"issuers,omitempty"`

	// JWKS are the URLs of the key sets of one issuer. They are fetched in the background, by
	// https, or by http from this machine, and used for up to 24 hours while the issuer is down.
	// More than one need Issuer.
	JWKS []string `json:"jwks,omitempty"`

	// TLSCA are PEM files with the certificates of the authorities that the servers of JWKS must be
	// known by, in place of those that the system trusts. They are read when the config is loaded.
	// Default: none.
	TLSCA []string `json:"tls_ca,omitempty"`

	// Secret is the key of tokens that are signed with one: 32 bytes at least. Best a placeholder,
	// such as {env.NAME}.
	Secret string `json:"secret,omitempty"`

	// PublicKey is a PEM file with a public key or a certificate. It is read when the config is
	// loaded.
	PublicKey string `json:"public_key,omitempty"`

	// Issuer is what the claim "iss" must be, with the keys of JWKS, Secret or PublicKey. Default:
	// anything.
	Issuer string `json:"issuer,omitempty"`

	// Audience are the values of which the claim "aud" must have one. Default: anything.
	Audience []string `json:"audience,omitempty"`

	// Algorithms are those that tokens may be signed with. Default: all that go with the kind of
	// key: HS256, HS384 and HS512 with a secret, and never with any other.
	Algorithms []string `json:"algorithms,omitempty"`

	// Leeway is how far apart clocks may be, and how long a client stays when its token has
	// expired. Zero means the default. Default: 30s.
	Leeway caddy.Duration `json:"leeway,omitempty"`

	// From are the places where a token is looked for, in order; the first one that has one counts:
	// "auth.NAME" is a field of what a client sends to connect, "query.NAME" a query parameter of
	// its first request, "header" the Authorization header with the scheme Bearer, "cookie:NAME" a
	// cookie. Default: ["auth.token", "header"].
	From []string `json:"from,omitempty"`

	// Claims name the claims that say what a client may do.
	Claims *JWTClaims `json:"claims,omitempty"`

	// Keep are the claims that are kept with the identity, for event sets. Default: none.
	Keep []string `json:"keep,omitempty"`

	verifier *auth.JWT
	warnings warnings
	// fingerprint tells what the placeholders and the file stand for.
	fingerprint string
	// acquired are the key sets that this instance has.
	acquired []*acquiredKeySet
}

// JWTClaims name claims whose values are lists of names, each exact or with a * at its end. A token
// without a claim that is named here allows nothing.
type JWTClaims struct {
	// Rooms is the claim with the rooms a client may join. Default: none, and all rooms are
	// allowed.
	Rooms string `json:"rooms,omitempty"`

	// Start is the claim with the rooms in whose name a client may begin something: the streams it
	// may start, each as stream:<streamId>. Default: none, and what may be joined may be begun.
	Start string `json:"start,omitempty"`

	// Publish is the claim with the events a client may send. Default: none, and all events are
	// allowed.
	Publish string `json:"publish,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*JWT) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".jwt",
		New: func() caddy.Module { return new(JWT) },
	}
}

// Provision replaces placeholders, checks the options and takes the keys. It does not wait for keys
// to be fetched.
func (a *JWT) Provision(ctx caddy.Context) error {
	t := option.NewResolver()
	options := auth.JWTOptions{
		Audience:   t.All("audience", a.Audience),
		Algorithms: t.All("algorithms", a.Algorithms),
		Leeway:     time.Duration(a.Leeway),
		From:       t.All("from", a.From),
		Keep:       t.All("keep", a.Keep),
	}
	if a.Claims != nil {
		options.RoomsClaim = t.One("claim rooms", a.Claims.Rooms)
		options.StartClaim = t.One("claim start", a.Claims.Start)
		options.PublishClaim = t.One("claim publish", a.Claims.Publish)
	}
	if err := a.checkIssuers(); err != nil {
		return err
	}
	issuers := a.resolveIssuers(t)
	authorityFiles := t.All("tls_ca", a.TLSCA)
	if t.Err() != nil {
		return t.Err()
	}
	if err := checkShared(issuers); err != nil {
		return err
	}
	urls := keySetURLs(issuers)
	if len(issuers) == 1 && issuers[0].Issuer == "" && len(urls) > 1 {
		// One placeholder may stand for several.
		return errUnbound(urls)
	}
	if options.Leeway < 0 {
		return fmt.Errorf("auth jwt: leeway must not be negative, is %s", options.Leeway)
	}
	authorities, err := readAuthorities(authorityFiles, urls...)
	if err != nil {
		return fmt.Errorf("auth jwt: %w", err)
	}
	a.fingerprint = auth.Fingerprint(
		fmt.Sprintf("%+v", options), authorities.Fingerprint(), describeIssuers(issuers))
	for _, address := range urls {
		// A config that will be refused should have fetched nothing.
		if err := auth.CheckKeySetURL(address); err != nil {
			return fmt.Errorf("auth jwt: %w", err)
		}
	}
	for _, issuer := range issuers {
		keys, err := a.keysOf(ctx, issuer, authorities)
		if err != nil {
			return fmt.Errorf("auth jwt: %w", err)
		}
		options.Issuers = append(options.Issuers, auth.Issuer{Name: issuer.Issuer, Keys: keys})
	}
	if a.verifier, err = auth.NewJWT(options); err != nil {
		return fmt.Errorf("auth jwt: %w", err)
	}
	if len(urls) > 0 && len(options.Audience) == 0 {
		a.warnings.warnOf("auth jwt has no audience: tokens that the issuer has made for other services let their owners in " +
			"here too")
	}
	return nil
}

// Warnings implements Warner.
func (a *JWT) Warnings() []Warning { return a.warnings }

// Cleanup gives up the key sets. Those who are being looked at can still use their keys.
func (a *JWT) Cleanup() error {
	var errs []error
	for _, acquired := range a.acquired {
		errs = append(errs, acquired.release())
	}
	a.acquired = nil
	return errors.Join(errs...)
}

// Fingerprint implements auth.Distinct.
func (a *JWT) Fingerprint() string { return a.fingerprint }

// Authenticate implements streaming.Authenticator.
func (a *JWT) Authenticate(
	ctx context.Context, c *streaming.Credentials,
) (*streaming.Identity, error) {
	return a.verifier.Authenticate(ctx, c)
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	auth jwt {
//		jwks       <url...>
//		tls_ca     <file...>
//		secret     <secret>
//		public_key <file>
//		issuer     <issuer>
//		issuer     <issuer> {
//			jwks       <url...>
//			secret     <secret>
//			public_key <file>
//		}
//		audience   <audience...>
//		algorithms <algorithm...>
//		leeway     <duration>
//		from       auth.<field> query.<parameter> header cookie:<name>
//		claim      rooms   <claim>
//		claim      start   <claim>
//		claim      publish <claim>
//		keep       <claim...>
//	}
//
// Exactly one of jwks, secret and public_key is needed, or else one issuer or more, each with one
// of them in a block of its own.
func (a *JWT) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the method
	line := option.Named(d, "auth jwt", "{ ... }")
	if _, err := line.ArgumentsBeforeBlock(d, 0, 0); err != nil {
		return err
	}
	err := option.Each(d, func(name string) error { return a.unmarshalOption(d, name) }, "claim", "issuer")
	if err != nil {
		return err
	}
	if err := a.checkIssuers(); err != nil {
		return line.Wrap(err)
	}
	return line.Wrap(checkAuthorities(a.TLSCA, keySetURLs(a.issuers())...))
}

func (a *JWT) unmarshalOption(d *caddyfile.Dispenser, name string) (err error) {
	switch name {
	case "jwks":
		a.JWKS, err = option.Checked(d, "<url...>", auth.CheckKeySetURL)
	case "tls_ca":
		a.TLSCA, err = parseAuthorities(d)
	case "secret":
		a.Secret, err = option.Text(d, "<secret>")
	case "public_key":
		a.PublicKey, err = option.Text(d, "<file>")
	case "issuer":
		err = a.unmarshalIssuer(d)
	case "audience":
		a.Audience, err = option.Texts(d, "<audience...>")
	case "algorithms":
		a.Algorithms, err = option.Checked(d, "<algorithm...>", auth.CheckAlgorithm)
	case "leeway":
		a.Leeway, err = option.Duration(d)
	case "from":
		a.From, err = option.Checked(d, "auth.<field> query.<parameter> header cookie:<name>", func(source string) error {
			_, err := auth.ParseSource(source)
			return err
		})
	case "claim":
		err = a.unmarshalClaim(d)
	case "keep":
		a.Keep, err = option.Texts(d, "<claim...>")
	default:
		err = option.Unknown(d, "auth jwt", "jwks", "tls_ca", "secret", "public_key", "issuer", "audience", "algorithms", "leeway",
			"from", "claim", "keep")
	}
	return err
}

// unmarshalClaim parses what a claim stands for, and its name.
func (a *JWT) unmarshalClaim(d *caddyfile.Dispenser) error {
	given, err := option.At(d, "rooms|start|publish <claim>").Arguments(d, 2, 2)
	if err != nil {
		return err
	}
	right, claim := given[0], given[1]
	if a.Claims == nil {
		a.Claims = new(JWTClaims)
	}
	target := map[string]*string{
		"rooms": &a.Claims.Rooms, "start": &a.Claims.Start, "publish": &a.Claims.Publish,
	}[right]
	if target == nil {
		return d.Errf("unknown claim '%s': write rooms, start or publish", right)
	}
	if *target != "" {
		return d.Errf("claim %s is given twice: write it once, with one claim that lists all", right)
	}
	*target = claim
	return nil
}

// Interface guards.
var (
	_ streaming.Authenticator = (*JWT)(nil)
	_ auth.Distinct           = (*JWT)(nil)
	_ caddy.Provisioner       = (*JWT)(nil)
	_ caddy.CleanerUpper      = (*JWT)(nil)
	_ caddyfile.Unmarshaler   = (*JWT)(nil)
)
