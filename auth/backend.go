package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Bounds of what is asked of a backend.
const (
	// DefaultBackendTimeout is how long an answer may take.
	DefaultBackendTimeout = 2 * time.Second
	// maxAsking is how many questions are asked at the same time.
	maxAsking = 64
	// maxBackendAnswer bounds an answer, in bytes.
	maxBackendAnswer = 64 << 10
)

// BackendOptions say whom to ask, and what to tell.
type BackendOptions struct {
	// URL is the address that is asked, with http or https. It is needed.
	URL string
	// Authorities are those that the server is known by. Nil stands for those
	// of the system.
	Authorities *Authorities
	// Timeout is how long a client waits for an answer. Zero means
	// DefaultBackendTimeout.
	Timeout time.Duration
	// ForwardHeaders name the headers of a client's first request that the
	// question has too.
	ForwardHeaders []string
	// Cache is how long an answer that lets a client in is used again for the
	// same question. Zero means that every client is asked for.
	Cache time.Duration
}

// Backend asks another server who a client is. The question is a POST of what
// the client shows, see the fields of question; the answer is status 200 with
// who it is, see the fields of answer, or status 401 or 403.
type Backend struct {
	options BackendOptions
	client  *http.Client
	// asking has a place for each question under way.
	asking chan struct{}
	cache  *cache
}

// question is what a backend is asked.
type question struct {
	Namespace string          `json:"namespace"`
	Auth      json.RawMessage `json:"auth"`
	Refresh   bool            `json:"refresh"`
	Handshake handshake       `json:"handshake"`
}

type handshake struct {
	Address string              `json:"address"`
	Secure  bool                `json:"secure"`
	Query   map[string][]string `json:"query"`
}

// answer is what a backend answers.
type answer struct {
	ID string `json:"id"`
	// Rooms and Publish allow everything when they are absent or null, and Start
	// what Rooms allow.
	Rooms   json.RawMessage `json:"rooms"`
	Start   json.RawMessage `json:"start"`
	Publish json.RawMessage `json:"publish"`
	// Expires is in seconds since 1970, as in a token; absent or null means
	// that the identity does not end.
	Expires *float64                   `json:"expires"`
	Claims  map[string]json.RawMessage `json:"claims"`
}

// CheckBackendURL refuses what is no address of a server.
func CheckBackendURL(text string) error {
	_, err := parseURL(text)
	return err
}

// ownHeaders are those that a question has already, and those that belong to a
// connection.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// CheckForwardHeader refuses headers that cannot be passed on.
func CheckForwardHeader(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	if canonical := textproto.CanonicalMIMEHeaderKey(name); slices.Contains(ownHeaders, canonical) || strings.HasPrefix(canonical, "Sec-Websocket-") {
		return fmt.Errorf("the header %s belongs to the connection and cannot be passed on", canonical)
	}
	return nil
}

// NewBackend returns an authenticator. An error says which option is wrong.
func NewBackend(options BackendOptions) (*Backend, error) {
	if err := CheckBackendURL(options.URL); err != nil {
		return nil, err
	}
	if options.Timeout == 0 {
		options.Timeout = DefaultBackendTimeout
	}
	headers := make([]string, 0, len(options.ForwardHeaders))
	for _, name := range options.ForwardHeaders {
		if err := CheckForwardHeader(name); err != nil {
			return nil, err
		}
		headers = append(headers, textproto.CanonicalMIMEHeaderKey(name))
	}
	slices.Sort(headers)
	options.ForwardHeaders = slices.Compact(headers)
	b := &Backend{options: options, client: newClient(options.Timeout, options.Authorities), asking: make(chan struct{}, maxAsking)}
	if options.Cache > 0 {
		b.cache = newCache(options.Cache)
	}
	return b, nil
}

// Close lets go of idle connections. Questions under way are still answered.
func (b *Backend) Close() { b.client.CloseIdleConnections() }

// Authenticate implements streaming.Authenticator.
func (b *Backend) Authenticate(ctx context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	body, header, err := b.question(c)
	if err != nil {
		return nil, &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	}
	key := keyOf(body, header)
	if identity := b.cache.get(key); identity != nil {
		return identity, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.options.Timeout)
	defer cancel()
	select {
	case b.asking <- struct{}{}:
		defer func() { <-b.asking }()
	case <-ctx.Done():
		return nil, b.unavailable("too many questions at the same time")
	}
	identity, size, err := b.ask(ctx, body, header)
	if err != nil {
		return nil, err
	}
	b.cache.put(key, identity, size)
	return identity, nil
}

func (b *Backend) unavailable(reason string) *streaming.Refusal {
	return &streaming.Refusal{Code: streaming.CodeAuthUnavailable, Reason: shownURL(b.options.URL) + ": " + reason}
}

// protocolParameters are those that are Engine.IO's, and the session's ID.
var protocolParameters = []string{"EIO", "transport", "sid", "t", "b64", "j"}

// question says what a client shows.
func (b *Backend) question(c *streaming.Credentials) (body []byte, header http.Header, err error) {
	query := c.Handshake.Query()
	for _, name := range protocolParameters {
		query.Del(name)
	}
	auth := c.Auth.JSON()
	if err := checkObject(auth); err != nil {
		return nil, nil, fmt.Errorf("what the client shows: %w", err)
	}
	body, err = json.Marshal(question{
		Namespace: c.Namespace, Auth: auth, Refresh: c.Refresh,
		Handshake: handshake{Address: c.Handshake.RemoteAddr, Secure: c.Handshake.Secure, Query: query},
	})
	header = make(http.Header)
	for _, name := range b.options.ForwardHeaders {
		if values := c.Handshake.Header[name]; len(values) > 0 {
			header[name] = slices.Clone(values)
		}
	}
	return body, header, err
}

// keyOf names a question without giving it away.
func keyOf(body []byte, header http.Header) cacheKey {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(body), body)
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(h, "%q:%q", name, header[name])
	}
	return cacheKey(h.Sum(nil))
}

// ask sends a question, and returns the identity and the size of the answer.
func (b *Backend) ask(ctx context.Context, body []byte, header http.Header) (*streaming.Identity, int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.options.URL, bytes.NewReader(body))
	if err != nil {
		return nil, 0, b.unavailable(withoutURL(err).Error())
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	if r.Header["Accept"] == nil {
		r.Header.Set("Accept", "application/json")
	}
	if r.Header["User-Agent"] == nil {
		r.Header.Set("User-Agent", "socketio-stream")
	}
	response, err := b.client.Do(r)
	if err != nil {
		return nil, 0, b.unavailable(withoutURL(err).Error())
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, 0, &streaming.Refusal{Code: streaming.CodeUnauthorized, Reason: shownURL(b.options.URL) + " answers 401"}
	case http.StatusForbidden:
		return nil, 0, &streaming.Refusal{Code: streaming.CodeForbidden, Reason: shownURL(b.options.URL) + " answers 403"}
	default:
		return nil, 0, b.unavailable(fmt.Sprintf("status %d", response.StatusCode))
	}
	data, err := readAll(response.Body, maxBackendAnswer)
	if err != nil {
		return nil, 0, b.unavailable(err.Error())
	}
	identity, err := parseAnswer(data)
	if err != nil {
		return nil, 0, b.unavailable("the answer " + err.Error())
	}
	if !identity.Expires.IsZero() && !identity.Expires.After(time.Now()) {
		return nil, 0, &streaming.Refusal{Code: streaming.CodeTokenExpired, Reason: shownURL(b.options.URL) + " answers with an identity that has expired"}
	}
	return identity, len(data), nil
}

// parseAnswer makes an identity of an answer.
func parseAnswer(data []byte) (*streaming.Identity, error) {
	if err := checkObject(data); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, errors.New("has a field of a wrong type")
	}
	if err := checkID(a.ID); err != nil {
		return nil, fmt.Errorf("has an id that is none: it %w", err)
	}
	identity := &streaming.Identity{ID: a.ID, Method: "http", Claims: a.Claims}
	for _, right := range []struct {
		name string
		raw  json.RawMessage
		to   *streaming.Rights
	}{{"rooms", a.Rooms, &identity.Rooms}, {"start", a.Start, &identity.Start}, {"publish", a.Publish, &identity.Publish}} {
		if right.raw == nil || string(right.raw) == "null" {
			continue
		}
		patterns, err := decodeTexts(right.raw)
		if err != nil {
			return nil, fmt.Errorf("has a field %s that %w", right.name, err)
		}
		*right.to = streaming.LimitTo(patterns...)
	}
	if a.Expires != nil {
		if *a.Expires < 0 || *a.Expires > maxDate {
			return nil, errors.New("has a field expires that is no date")
		}
		whole, part := math.Modf(*a.Expires)
		identity.Expires = time.Unix(int64(whole), int64(part*1e9))
	}
	return identity, nil
}
