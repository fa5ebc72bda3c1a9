package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// MaxToken is the size of the largest token that is looked at, in bytes.
const MaxToken = 8 << 10

// DefaultLeeway is how far apart clocks may be unless something else is said.
const DefaultLeeway = 30 * time.Second

// JWTOptions say which tokens hold.
type JWTOptions struct {
	// Issuers are those whose tokens hold. At least one is needed, and one without a
	// name must be the only one.
	Issuers []Issuer
	// Algorithms are the algorithms tokens may be signed with. None means all
	// that go with the keys.
	Algorithms []string
	// Audience, when not empty, are the values of which the claim "aud" must
	// have one.
	Audience []string
	// Leeway is how far the clock of whoever signs may be off, and how long a
	// client stays when its token has expired. Zero means DefaultLeeway.
	Leeway time.Duration
	// From are the places a token is looked for, in order. None means
	// DefaultSources.
	From []string
	// RoomsClaim, StartClaim and PublishClaim name the claims that list the rooms
	// a client may join, those in whose name it may begin something, and the
	// events it may send. Where one is named, a token without it allows nothing.
	// Where none is, all is allowed; what may be begun is then what may be joined.
	RoomsClaim, StartClaim, PublishClaim string
	// Keep names the claims that are kept with the identity.
	Keep []string

	// now is the clock; nil means time.Now.
	now func() time.Time
}

// Issuer is somebody who signs tokens.
type Issuer struct {
	// Name is what the claim "iss" must be. Empty allows anything.
	Name string
	// Keys are what the signatures of its tokens are held against, and those of no
	// others.
	Keys *Keys
}

// maxIssuer bounds the name of an issuer, in bytes.
const maxIssuer = 256

// CheckIssuer refuses what cannot be the name of one issuer among others: it stands
// before a "#" in the IDs of clients.
func CheckIssuer(name string) error {
	switch {
	case name == "" || len(name) > maxIssuer:
		return fmt.Errorf("issuer %.40q: a name has 1 to %d bytes", name, maxIssuer)
	case checkText(name) != nil || strings.Contains(name, "#"):
		return fmt.Errorf("issuer %.40q: a name has no # and no control characters", name)
	}
	return nil
}

// JWT knows clients by the JSON Web Tokens they show (RFC 7519). Where there are several
// issuers the ID of a client is "<iss>#<sub>", and otherwise "<sub>".
type JWT struct {
	options JWTOptions
	sources []Source
	parser  *jwt.Parser
}

// NewJWT returns an authenticator. An error says which option is wrong.
func NewJWT(options JWTOptions) (*JWT, error) {
	if options.Leeway == 0 {
		options.Leeway = DefaultLeeway
	}
	if len(options.From) == 0 {
		options.From = DefaultSources()
	}
	if options.now == nil {
		options.now = time.Now
	}
	algorithms, err := options.chooseAlgorithms()
	if err != nil {
		return nil, err
	}
	j := &JWT{options: options}
	for _, text := range options.From {
		source, err := ParseSource(text)
		if err != nil {
			return nil, err
		}
		j.sources = append(j.sources, source)
	}
	rules := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithLeeway(options.Leeway),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(options.now),
	}
	if len(options.Issuers) == 1 && options.Issuers[0].Name != "" {
		rules = append(rules, jwt.WithIssuer(options.Issuers[0].Name))
	}
	if len(options.Audience) > 0 {
		rules = append(rules, jwt.WithAudience(options.Audience...))
	}
	j.parser = jwt.NewParser(rules...)
	return j, nil
}

// chooseAlgorithms checks the issuers, and returns the algorithms of all of them, or
// those that were asked for.
func (o *JWTOptions) chooseAlgorithms() ([]string, error) {
	var there, what []string
	for i, issuer := range o.Issuers {
		if len(o.Issuers) > 1 {
			if err := CheckIssuer(issuer.Name); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(o.Issuers[:i], func(other Issuer) bool { return other.Name == issuer.Name }) {
			return nil, fmt.Errorf("issuer %q is given twice", issuer.Name)
		}
		if len(o.Issuers) > 1 && len(o.Algorithms) > 0 && !issuer.goesWith(o.Algorithms...) {
			return nil, fmt.Errorf("none of the algorithms %s goes with %s of issuer %q, but %s", strings.Join(o.Algorithms, ", "),
				issuer.Keys.what, issuer.Name, strings.Join(issuer.Keys.algorithms, ", "))
		}
		there = append(there, issuer.Keys.algorithms...)
		what = append(what, issuer.Keys.what)
	}
	if len(o.Issuers) == 0 {
		return nil, errors.New("there is no issuer, and so no key")
	}
	slices.Sort(there)
	return chooseAlgorithms(o.Algorithms, slices.Compact(there), strings.Join(slices.Compact(what), " or "))
}

// goesWith reports whether the keys of the issuer go with one of some algorithms.
func (i *Issuer) goesWith(algorithms ...string) bool {
	return slices.ContainsFunc(algorithms, func(name string) bool { return slices.Contains(i.Keys.algorithms, name) })
}

// issuerOf returns the issuer that a token says it is of. That is not known to be true
// before its signature was held against the keys of that issuer.
func (j *JWT) issuerOf(c *claims) (*Issuer, error) {
	if len(j.options.Issuers) == 1 {
		return &j.options.Issuers[0], nil
	}
	name, err := c.GetIssuer()
	if err != nil {
		return nil, err
	}
	for i := range j.options.Issuers {
		if j.options.Issuers[i].Name == name {
			return &j.options.Issuers[i], nil
		}
	}
	return nil, fmt.Errorf("there is no issuer %.80q", name)
}

// Authenticate implements streaming.Authenticator.
func (j *JWT) Authenticate(ctx context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	token, err := findToken(c, j.sources)
	switch {
	case errors.Is(err, errNoToken):
		return nil, &streaming.Refusal{Code: streaming.CodeUnauthorized, Reason: err.Error()}
	case err != nil:
		return nil, &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	}
	return j.Verify(ctx, token, c.Since)
}

// Verify says whose a token is, which the client has shown at a time. Zero is now. The
// error is a *streaming.Refusal.
func (j *JWT) Verify(ctx context.Context, token string, shown time.Time) (*streaming.Identity, error) {
	if shown.IsZero() {
		shown = time.Now()
	}
	if err := checkToken(token); err != nil {
		return nil, &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	}
	found := new(claims)
	var unsure error
	_, err := j.parser.ParseWithClaims(token, found, func(token *jwt.Token) (keys any, err error) {
		issuer, err := j.issuerOf(found)
		if err != nil {
			return nil, err
		}
		if algorithm := token.Method.Alg(); !issuer.goesWith(algorithm) {
			// No key of this issuer, not even a new one, would make it hold.
			return nil, fmt.Errorf("the algorithm %s does not go with %s of its issuer", algorithm, issuer.Keys.what)
		}
		keys, unsure, err = issuer.Keys.of(ctx, token, shown)
		return keys, err
	})
	if err != nil && unsure != nil && errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		return nil, &streaming.Refusal{Code: streaming.CodeAuthUnavailable, Reason: unsure.Error()}
	}
	if err != nil {
		return nil, refusal(err, found)
	}
	identity, err := j.identity(found)
	if err != nil {
		return nil, &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	}
	return identity, nil
}

// refusal makes a refusal of an error of the parser.
func refusal(err error, found *claims) *streaming.Refusal {
	r := &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	if !errors.Is(err, jwt.ErrTokenInvalidClaims) {
		if errors.Is(err, errUnavailable) {
			r.Code = streaming.CodeAuthUnavailable
		}
		return r
	}
	// The signature holds, so the claims are what the issuer has written.
	r.Reason += found.describe()
	if errors.Is(err, jwt.ErrTokenExpired) {
		r.Code = streaming.CodeTokenExpired
		for _, other := range []error{
			jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenNotValidYet,
			jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing, jwt.ErrInvalidType,
		} {
			if errors.Is(err, other) {
				// Another one of the kind would not hold either.
				r.Code = streaming.CodeInvalidToken
			}
		}
	}
	return r
}

// identity makes an identity of claims that hold.
func (j *JWT) identity(c *claims) (*streaming.Identity, error) {
	subject, err := c.GetSubject()
	if err != nil {
		return nil, err
	}
	if err := checkID(subject); err != nil {
		return nil, fmt.Errorf("the claim sub %w", err)
	}
	expires, err := c.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	identity := &streaming.Identity{ID: subject, Method: "jwt", Expires: expires.Time, Leeway: j.options.Leeway}
	if issuer, err := c.GetIssuer(); err == nil && issuer != "" {
		identity.Key = issuer + "#" + subject
	}
	if len(j.options.Issuers) > 1 {
		identity.ID = identity.Key
	}
	for _, right := range []struct {
		claim string
		to    *streaming.Rights
	}{
		{j.options.RoomsClaim, &identity.Rooms},
		{j.options.StartClaim, &identity.Start},
		{j.options.PublishClaim, &identity.Publish},
	} {
		if right.claim == "" {
			continue
		}
		var patterns []string
		if value, ok := c.values[right.claim]; ok {
			if patterns, err = decodeTexts(value); err != nil {
				return nil, fmt.Errorf("the claim %.40q %w", right.claim, err)
			}
		}
		*right.to = streaming.LimitTo(patterns...)
	}
	for _, name := range j.options.Keep {
		if value, ok := c.values[name]; ok {
			if identity.Claims == nil {
				identity.Claims = make(map[string]json.RawMessage)
			}
			identity.Claims[name] = value
		}
	}
	return identity, nil
}

// checkToken refuses what need not be looked at any further, or could be read
// in two ways.
func checkToken(token string) error {
	if len(token) > MaxToken {
		return fmt.Errorf("the token has %d bytes, and may have %d", len(token), MaxToken)
	}
	if strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return errors.New("the token has characters that no token has")
	}
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return fmt.Errorf("the token has %d segments in place of three", len(segments))
	}
	for i, name := range []string{"header", "payload"} {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(segments[i])
		if err != nil {
			return fmt.Errorf("the token's %s is no base64url", name)
		}
		if err := checkObject(decoded); err != nil {
			return fmt.Errorf("the token's %s: %w", name, err)
		}
		if i == 0 {
			if err := checkHeader(decoded); err != nil {
				return fmt.Errorf("the token's header: %w", err)
			}
		}
	}
	return nil
}

// maxKeyID bounds the ID of a key, in bytes.
const maxKeyID = 256

// checkHeader refuses extensions that must be understood, and are not. Keys in
// the header, and addresses of keys, are not looked at.
func checkHeader(header []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(header, &fields); err != nil {
		return errors.New("it is no JSON object")
	}
	if _, ok := fields["crit"]; ok {
		return errors.New("it has critical extensions, of which none is known here")
	}
	if _, ok := fields["b64"]; ok {
		return errors.New("it says how its payload is encoded")
	}
	if raw, ok := fields["kid"]; ok {
		id, err := decodeText(raw)
		if err != nil || len(id) > maxKeyID {
			return errors.New("its key ID is none")
		}
	}
	return nil
}
