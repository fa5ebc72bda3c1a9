package authcaddy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// JWTIssuer is somebody who signs tokens. Exactly one of jwks, secret and public_key is needed.
type JWTIssuer struct {
	// Issuer is what the claim "iss" must be. It has no "#". It is needed.
	Issuer string `json:"issuer,omitempty"`

	// JWKS are the URLs of its key sets, as those of JWT.
	JWKS []string `json:"jwks,omitempty"`

	// Secret is the key of tokens that are signed with one, as that of JWT.
	Secret string `json:"secret,omitempty"`

	// PublicKey is a PEM file with its public key or a certificate, as that of JWT.
	PublicKey string `json:"public_key,omitempty"`
}

// issuers are the issuers, however they are written.
func (a *JWT) issuers() []*JWTIssuer {
	if len(a.Issuers) > 0 {
		return a.Issuers
	}
	return []*JWTIssuer{{Issuer: a.Issuer, JWKS: a.JWKS, Secret: a.Secret, PublicKey: a.PublicKey}}
}

// kinds is how many kinds of keys an issuer has.
func (i *JWTIssuer) kinds() (kinds int) {
	for _, given := range []bool{len(i.JWKS) > 0, i.Secret != "", i.PublicKey != ""} {
		if given {
			kinds++
		}
	}
	return kinds
}

// keyOption is how the Caddyfile writes the kind of keys that the issuer has.
func (i *JWTIssuer) keyOption() string {
	switch {
	case i.Secret != "":
		return "secret <secret>"
	case i.PublicKey != "":
		return "public_key <file>"
	default:
		return "jwks <url>"
	}
}

// check refuses an issuer that has not exactly one kind of keys, and one that cannot be beside those
// before it.
func (i *JWTIssuer) check(before []*JWTIssuer) error {
	if i.kinds() != 1 {
		return fmt.Errorf("auth jwt: issuer %q needs exactly one of jwks, secret and public_key: "+
			"write issuer %s { %s }", i.Issuer, i.Issuer, i.keyOption())
	}
	for _, name := range option.WithoutPlaceholders([]string{i.Issuer}) {
		if err := auth.CheckIssuer(name); err != nil {
			return fmt.Errorf("auth jwt: %w", err)
		}
	}
	for _, other := range before {
		if other.Issuer == i.Issuer {
			return fmt.Errorf("auth jwt: issuer %q is given twice: write all its jwks in one block", i.Issuer)
		}
	}
	return i.checkShared(before)
}

// checkIssuers refuses issuers that have no keys, or keys that are not bound to an issuer.
func (a *JWT) checkIssuers() error {
	alone := &JWTIssuer{JWKS: a.JWKS, Secret: a.Secret, PublicKey: a.PublicKey}
	switch {
	case len(a.Issuers) > 0 && a.Issuer != "":
		return fmt.Errorf("auth jwt: issuer %q has no keys: write issuer %s { %s }", a.Issuer, a.Issuer, alone.keyOption())
	case len(a.Issuers) > 0 && alone.kinds() > 0:
		return fmt.Errorf("auth jwt: where an issuer has keys in a block of its own, all keys stand in one: "+
			"write issuer <issuer> { %s } for the others too", alone.keyOption())
	case len(a.Issuers) == 0 && alone.kinds() != 1:
		return errors.New("auth jwt needs exactly one of jwks, secret and public_key: write jwks <url>, or issuer <issuer> { jwks <url> }")
	case len(a.JWKS) > 1 && a.Issuer == "":
		return errUnbound(a.JWKS)
	}
	for i, issuer := range a.Issuers {
		if issuer == nil {
			return errors.New("auth jwt: an issuer is null")
		}
		if err := issuer.check(a.Issuers[:i]); err != nil {
			return err
		}
	}
	return nil
}

// errUnbound refuses several key sets without issuers, and has the lines to write.
func errUnbound(urls []string) error {
	lines := make([]string, 0, len(urls))
	for _, address := range urls {
		lines = append(lines, fmt.Sprintf("issuer <issuer> { jwks %s }", address))
	}
	return fmt.Errorf("auth jwt: with several jwks each could sign in the other's name: write for each the issuer, "+
		"which is the claim iss of its tokens: %s", strings.Join(lines, " and "))
}

// resolveIssuers returns the issuers with their placeholders replaced.
func (a *JWT) resolveIssuers(t *option.Resolver) (resolved []*JWTIssuer) {
	for _, issuer := range a.issuers() {
		resolved = append(resolved, &JWTIssuer{
			Issuer:    t.One("issuer", issuer.Issuer),
			JWKS:      t.All("jwks", issuer.JWKS),
			Secret:    t.One("secret", issuer.Secret),
			PublicKey: t.One("public_key", issuer.PublicKey),
		})
	}
	return resolved
}

// checkShared refuses issuers of which each could sign in the other's name, see the method.
func checkShared(issuers []*JWTIssuer) error {
	for i, issuer := range issuers {
		if err := issuer.checkShared(issuers[:i]); err != nil {
			return err
		}
	}
	return nil
}

// checkShared refuses an issuer if one before it, and it, could each sign in the other's name, since
// both know one secret or have one private key. One key set may be that of several: it is one signer
// with several names.
func (i *JWTIssuer) checkShared(before []*JWTIssuer) error {
	for _, other := range before {
		if i.Secret != "" && i.Secret == other.Secret {
			return fmt.Errorf("auth jwt: the issuers %q and %q have one secret, so that each could sign in the other's name: "+
				"give each a secret of its own", other.Issuer, i.Issuer)
		}
		if i.PublicKey != "" && i.PublicKey == other.PublicKey {
			return fmt.Errorf("auth jwt: the issuers %q and %q have one public_key, so that each could sign in the other's name: "+
				"give each a key of its own", other.Issuer, i.Issuer)
		}
	}
	return nil
}

// keySetURLs are the URLs of all issuers.
func keySetURLs(issuers []*JWTIssuer) (urls []string) {
	for _, issuer := range issuers {
		urls = append(urls, issuer.JWKS...)
	}
	return urls
}

// describeIssuers tells what issuers stand for, in a form that can be compared. What cannot be read
// is refused by others.
func describeIssuers(issuers []*JWTIssuer) string {
	var b strings.Builder
	for _, issuer := range issuers {
		key, _ := os.ReadFile(issuer.PublicKey)
		sum := sha256.Sum256(key)
		fmt.Fprintf(&b, "%q %q %q %s\n", issuer.Issuer, issuer.JWKS, issuer.Secret, hex.EncodeToString(sum[:]))
	}
	return b.String()
}

// keysOf returns the keys of an issuer.
func (a *JWT) keysOf(ctx caddy.Context, issuer *JWTIssuer, authorities *auth.Authorities) (*auth.Keys, error) {
	switch {
	case issuer.Secret != "":
		return auth.Secret(issuer.Secret)
	case issuer.PublicKey != "":
		key, err := os.ReadFile(issuer.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("public_key: %w", err)
		}
		keys, err := auth.PublicKey(key)
		if err != nil {
			return nil, fmt.Errorf("public_key %s: %w", issuer.PublicKey, err)
		}
		return keys, nil
	case len(issuer.JWKS) == 0:
		return nil, errors.New("exactly one of jwks, secret and public_key is needed, and is empty")
	}
	sets := make([]*auth.KeySet, 0, len(issuer.JWKS))
	for _, address := range issuer.JWKS {
		acquired, err := acquireKeySet(ctx, address, authorities)
		if err != nil {
			return nil, err
		}
		a.acquired = append(a.acquired, acquired)
		sets = append(sets, acquired.shared.set)
	}
	return auth.FromKeySets(sets...), nil
}

// unmarshalIssuer parses an issuer, with its keys in a block or without.
func (a *JWT) unmarshalIssuer(d *caddyfile.Dispenser) error {
	line := option.At(d, "<issuer> { jwks <url> }")
	given, err := line.ArgumentsBeforeBlock(d, 1, 1)
	if err != nil {
		return err
	}
	issuer, hasKeys := &JWTIssuer{Issuer: given[0]}, option.HasBlock(d)
	err = option.Each(d, func(name string) (err error) {
		switch name {
		case "jwks":
			issuer.JWKS, err = option.Checked(d, "<url...>", auth.CheckKeySetURL)
		case "secret":
			issuer.Secret, err = option.Text(d, "<secret>")
		case "public_key":
			issuer.PublicKey, err = option.Text(d, "<file>")
		default:
			err = option.Unknown(d, "issuer", "jwks", "secret", "public_key")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case hasKeys:
		err = line.Wrap(issuer.check(a.Issuers))
		a.Issuers = append(a.Issuers, issuer)
		return err
	case a.Issuer != "":
		return line.Wrap(fmt.Errorf("issuer %q is given beside issuer %q, and keys that stand in no block are those of one issuer: "+
			"write each with keys of its own, as in: issuer %s { %s }", issuer.Issuer, a.Issuer, issuer.Issuer,
			(&JWTIssuer{Secret: a.Secret, PublicKey: a.PublicKey}).keyOption()))
	default:
		a.Issuer = issuer.Issuer
	}
	return nil
}
