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
	"net/netip"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Bounds of what is asked of a backend.
const (
	// DefaultBackendTimeout is how long an answer may take.
	DefaultBackendTimeout = 2 * time.Second
	// maxBackendAnswer bounds an answer, in bytes.
	maxBackendAnswer = 64 << 10
	// keepRefusals is how long a refusal is used again for the same question: a client
	// that shows the same again and again has it asked no more often.
	keepRefusals = time.Second
)

// BackendOptions say whom to ask, and what to tell.
type BackendOptions struct {
	// URL is the address that is asked, with http or https. It is needed.
	URL string
	// Authorities are those that the server is known by. Nil stands for those
	// of the system.
	Authorities *Authorities
	// Timeout is how long an answer may take, from the moment on when the question is
	// asked. Zero means DefaultBackendTimeout.
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
//
// A few questions are under way at the same time. The others wait for their turn, for
// as long as their clients do; that is not the time of the backend. Equal questions
// that are under way at the same time are one.
type Backend struct {
	options BackendOptions
	client  *http.Client
	places  *places
	// known has the answers that let a client in, refused those that refuse one.
	known, refused *cache
	figures        backendFigures

	mu sync.Mutex
	// calls are the questions that are under way, or wait, and that others may share.
	calls map[cacheKey]*call
	// forgets counts the calls of Forget: an answer to what was asked before one is not kept.
	forgets int
}

// call is a question that is under way, or waits for its turn.
type call struct {
	// done is closed once the question is answered, and verdict and err are what came
	// of it.
	done    chan struct{}
	verdict verdict
	err     error
	// clients is how many wait for the answer. Nobody asks on when there are none.
	clients int
	end     context.CancelFunc
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
	// Rooms and Publish allow everything when they are absent, and Start what Rooms
	// allow. Null is refused: many backends write an empty list so.
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

// MadeUpHeaders returns those of some headers that stand for who a client is or where it
// comes from, and that a client can send just as well as a proxy.
func MadeUpHeaders(names []string) (list []string) {
	for _, name := range names {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		for _, prefix := range []string{"Forwarded", "X-Forwarded-", "X-Real-Ip", "X-Client-Ip", "X-User", "X-Remote-", "Remote-User", "True-Client-Ip", "Cf-Connecting-Ip"} {
			if strings.HasPrefix(canonical, prefix) {
				list = append(list, canonical)
				break
			}
		}
	}
	return list
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
	b := &Backend{
		options: options, client: newClient(options.Timeout, options.Authorities), places: newPlaces(maxAsking),
		refused: newCache(keepRefusals), calls: make(map[cacheKey]*call),
	}
	if options.Cache > 0 {
		b.known = newCache(options.Cache)
	}
	return b, nil
}

// Close lets go of idle connections. Questions under way are still answered.
func (b *Backend) Close() { b.client.CloseIdleConnections() }

// Forget implements streaming.Forgetter.
func (b *Backend) Forget(identity string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgets++
	// Whom they let in is not known yet.
	clear(b.calls)
	b.known.forget(identity)
}

// Authenticate implements streaming.Authenticator.
func (b *Backend) Authenticate(ctx context.Context, c *streaming.Credentials) (*streaming.Identity, error) {
	body, header, err := b.question(c)
	if err != nil {
		return nil, &streaming.Refusal{Code: streaming.CodeInvalidToken, Reason: err.Error()}
	}
	key := keyOf(body, header)
	for _, kept := range []*cache{b.known, b.refused} {
		if v, ok := kept.get(key); ok {
			return v.identity, v.err()
		}
	}
	figures := b.figures.of(c.Namespace)
	q := b.call(key, func() (*http.Request, error) { return b.request(body, header) }, c.Handshake.Address(), figures)
	select {
	case <-q.done:
		if q.err != nil {
			return nil, q.err
		}
		return q.verdict.identity, q.verdict.err()
	case <-ctx.Done():
		b.leave(key, q)
		figures.add(figureGivenUp)
		return nil, &streaming.Refusal{Code: streaming.CodeAuthUnavailable, Reason: fmt.Sprintf(
			"the client did not wait for the answer: %d questions are asked at a time, and %d wait here", maxAsking, b.places.length())}
	}
}

// call returns a question that is under way, which is a new one unless there is an equal
// one.
func (b *Backend) call(key cacheKey, request func() (*http.Request, error), address netip.Prefix, figures *namespaceFigures) *call {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.calls[key]; q != nil {
		q.clients++
		figures.add(figureShared)
		return q
	}
	ctx, end := context.WithCancel(context.Background())
	q := &call{done: make(chan struct{}), clients: 1, end: end}
	b.calls[key] = q
	forgets := b.forgets
	go func() {
		defer end()
		q.verdict, q.err = b.wait(ctx, request, address, figures)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.calls[key] == q {
			delete(b.calls, key)
		}
		switch {
		case q.err != nil:
		case q.verdict.refusal != nil:
			b.refused.put(key, address, q.verdict)
		case forgets == b.forgets:
			b.known.put(key, address, q.verdict)
		}
		close(q.done)
	}()
	return q
}

// leave takes note that a client does not wait for an answer any more.
func (b *Backend) leave(key cacheKey, q *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.clients--; q.clients > 0 {
		return
	}
	if b.calls[key] == q {
		delete(b.calls, key)
	}
	q.end()
}

// wait waits for a place, and asks.
func (b *Backend) wait(
	ctx context.Context, request func() (*http.Request, error), address netip.Prefix, figures *namespaceFigures,
) (v verdict, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = b.unavailable(fmt.Sprintf("the question has panicked: %v", r))
		}
	}()
	figures.waits(1)
	err = b.places.take(ctx, address)
	figures.waits(-1)
	if err != nil {
		return verdict{}, &streaming.Refusal{Code: streaming.CodeAuthUnavailable, Reason: fmt.Sprintf("not asked yet: %v", err)}
	}
	defer b.places.give()
	figures.add(figureAsked)
	ctx, cancel := context.WithTimeout(ctx, b.options.Timeout)
	defer cancel()
	r, err := request()
	if err != nil {
		return verdict{}, b.unavailable(withoutURL(err).Error())
	}
	return b.ask(r.WithContext(ctx))
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

// request is a question as it is sent.
func (b *Backend) request(body []byte, header http.Header) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodPost, b.options.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	if r.Header["Accept"] == nil {
		r.Header.Set("Accept", "application/json")
	}
	if r.Header["User-Agent"] == nil {
		r.Header.Set("User-Agent", "socketio-stream")
	}
	return r, nil
}

// ask sends a question. The error is one that says that there is no answer now.
func (b *Backend) ask(r *http.Request) (verdict, error) {
	response, err := b.client.Do(r)
	if err != nil {
		return verdict{}, b.unavailable(withoutURL(err).Error())
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return b.refuses(streaming.CodeUnauthorized, "answers 401"), nil
	case http.StatusForbidden:
		return b.refuses(streaming.CodeForbidden, "answers 403"), nil
	default:
		return verdict{}, b.unavailable(fmt.Sprintf("status %d", response.StatusCode))
	}
	data, err := readAll(response.Body, maxBackendAnswer)
	if err != nil {
		return verdict{}, b.unavailable(err.Error())
	}
	identity, err := parseAnswer(data)
	if err != nil {
		return verdict{}, b.unavailable("the answer " + err.Error())
	}
	if !identity.Expires.IsZero() && !identity.Expires.After(time.Now()) {
		return b.refuses(streaming.CodeTokenExpired, "answers with an identity that has expired"), nil
	}
	return verdict{identity: identity, size: len(data)}, nil
}

// refuses is the verdict of a backend that does not let a client in.
func (b *Backend) refuses(code, what string) verdict {
	return verdict{refusal: &streaming.Refusal{Code: code, Reason: shownURL(b.options.URL) + " " + what}, size: len(what)}
}

// wrongType says which field of an answer is of a wrong type.
func wrongType(err error) error {
	wrong := (*json.UnmarshalTypeError)(nil)
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return errors.New("has a field of a wrong type")
	}
	wants := map[reflect.Kind]string{reflect.String: "text", reflect.Float64: "a number", reflect.Map: "an object"}[wrong.Type.Kind()]
	return fmt.Errorf("has %.40q of a wrong type: it has to be %s", wrong.Field, wants)
}

// parseAnswer makes an identity of an answer.
func parseAnswer(data []byte) (*streaming.Identity, error) {
	if err := checkObject(data); err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, wrongType(err)
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
		switch string(right.raw) {
		case "":
			continue
		case "null":
			return nil, fmt.Errorf("has null as %s, which is neither everything nor nothing: leave it out for everything, or say [] for nothing", right.name)
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
