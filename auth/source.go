package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Source is a place where a client may put its token.
type Source struct {
	kind sourceKind
	name string
}

type sourceKind uint8

const (
	fromPayload sourceKind = iota
	fromQuery
	fromHeader
	fromCookie
)

// DefaultSources are where a token is looked for unless something else is
// said: in the payload of CONNECT, which no log and no address shows, and in
// the Authorization header.
func DefaultSources() []string { return []string{"auth.token", "header"} }

// ParseSource parses a source: "auth.NAME" is a field of the payload of
// CONNECT, "query.NAME" a query parameter of the first request, "header" its
// header Authorization with the scheme Bearer, and "cookie:NAME" a cookie.
func ParseSource(text string) (Source, error) {
	if text == "header" {
		return Source{kind: fromHeader}, nil
	}
	for prefix, kind := range map[string]sourceKind{"auth.": fromPayload, "query.": fromQuery, "cookie:": fromCookie} {
		name, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		if kind == fromCookie && (&http.Cookie{Name: name}).Valid() != nil || name == "" || strings.ContainsAny(name, " \t\r\n") {
			return Source{}, fmt.Errorf("%q names no field, parameter or cookie", text)
		}
		return Source{kind: kind, name: name}, nil
	}
	return Source{}, fmt.Errorf("unknown source %q: write auth.<field>, query.<parameter>, header or cookie:<name>", text)
}

// String returns the source as ParseSource takes it.
func (s Source) String() string {
	switch s.kind {
	case fromPayload:
		return "auth." + s.name
	case fromQuery:
		return "query." + s.name
	case fromCookie:
		return "cookie:" + s.name
	default:
		return "header"
	}
}

var (
	errTwice   = errors.New("it is given twice")
	errNoText  = errors.New("it is no text")
	errNoToken = errors.New("no token was given")
)

// find returns the token that a source has. It is empty when there is none. One
// that is there twice is nobody's: who set the other one is not known.
func (s Source) find(c *streaming.Credentials) (token string, err error) {
	switch s.kind {
	case fromPayload:
		field := c.Auth.Field(s.name)
		if field == nil || string(field) == "null" {
			return "", nil
		}
		text, ok := c.Auth.Text(s.name)
		if !ok {
			return "", errNoText
		}
		return text, nil
	case fromQuery:
		return only(c.Handshake.Query()[s.name])
	case fromHeader:
		value, err := only(c.Handshake.Header["Authorization"])
		scheme, token, _ := strings.Cut(value, " ")
		if err != nil || !strings.EqualFold(scheme, "Bearer") {
			// Another scheme is not meant for this.
			return "", err
		}
		return strings.TrimSpace(token), nil
	default:
		r := http.Request{Header: http.Header{"Cookie": c.Handshake.Header["Cookie"]}}
		var values []string
		for _, cookie := range r.CookiesNamed(s.name) {
			values = append(values, cookie.Value)
		}
		return only(values)
	}
}

func only(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", errTwice
	}
}

// refreshSource is where a client puts the token with which it refreshes.
var refreshSource = Source{kind: fromPayload, name: "token"}

// findToken returns the token of the first source that has one. There is no
// second try: a token that does not hold is not made up for by another one.
func findToken(c *streaming.Credentials, sources []Source) (string, error) {
	if c.Refresh {
		sources = []Source{refreshSource}
	}
	for _, source := range sources {
		token, err := source.find(c)
		if err != nil {
			return "", fmt.Errorf("the token from %s: %w", source, err)
		}
		if token != "" {
			return token, nil
		}
	}
	return "", errNoToken
}
