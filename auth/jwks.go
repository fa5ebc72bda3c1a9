package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// How a key set is kept up to date.
const (
	// refreshInterval is the time between two fetches that succeed.
	refreshInterval = 10 * time.Minute
	// firstRetry is the time to the next try after one that failed. It doubles
	// with each, up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute
	// askInterval is the time between two fetches that tokens with unknown keys
	// ask for, whoever sends them.
	askInterval = 10 * time.Second
	// fetchTimeout bounds one fetch.
	fetchTimeout = 5 * time.Second
	// maxStale is how long keys are used without having been fetched anew.
	maxStale = 24 * time.Hour
	// maxKeySet bounds the answer, in bytes, and maxKeys the keys in it.
	maxKeySet = 256 << 10
	maxKeys   = 100
)

// errUnavailable is a question that cannot be answered now.
var errUnavailable = errors.New("the keys are not available")

// KeySet is the JSON Web Key Set (RFC 7517) of an issuer, which is fetched from
// a URL and kept up to date in the background. While the issuer is down, the
// keys that were fetched last are used, for up to 24 hours. It is made with
// [NewKeySet] and ended with Close.
type KeySet struct {
	url    string
	client *http.Client
	logger *slog.Logger
	// failures limits the lines about fetches that fail.
	failures *logline.Limiter
	end      context.CancelFunc
	ctx      context.Context
	// times are those above, unless a test has others.
	times keyTimes

	mu sync.Mutex
	// keys are nil until they were fetched once.
	keys []jwkset.JWK
	// fetched is when they were, and begun when that fetch began.
	fetched, begun time.Time
	// fetching is closed when the fetch under way is over; nil when none is.
	fetching chan struct{}
	// asked is when tokens have asked for a fetch last.
	asked time.Time
	err   error
}

type keyTimes struct{ refresh, firstRetry, lastRetry, ask, fetch, stale time.Duration }

var defaultKeyTimes = keyTimes{refreshInterval, firstRetry, lastRetry, askInterval, fetchTimeout, maxStale}

// CheckKeySetURL refuses an address from which keys must not be fetched:
// whoever can change them on their way lets in whom they like. Plain HTTP is
// for this machine alone.
func CheckKeySetURL(text string) error {
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && !isLoopback(u) {
		return fmt.Errorf("%s: keys are fetched by https, or by http from this machine alone", u.Redacted())
	}
	return nil
}

// parseURL parses the address of a server that is asked.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is no URL with https or http and a host", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("%s: a URL must not hold a password", u.Redacted())
	case u.Fragment != "":
		return nil, fmt.Errorf("%s: a URL of a server has no fragment", u.Redacted())
	}
	return u, nil
}

func isLoopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(u.Hostname())
	return err == nil && address.IsLoopback()
}

// IsPlain reports whether what is sent to a URL can be read on its way.
func IsPlain(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && !isLoopback(u)
}

// NewKeySet returns the key set of a URL, and begins to fetch it. It does not
// wait for that. The server is known by authorities. An error is about the URL.
func NewKeySet(address string, authorities *Authorities, logger *slog.Logger) (*KeySet, error) {
	return newKeySet(address, authorities, logger, defaultKeyTimes)
}

func newKeySet(address string, authorities *Authorities, logger *slog.Logger, times keyTimes) (*KeySet, error) {
	if err := CheckKeySetURL(address); err != nil {
		return nil, err
	}
	k := &KeySet{url: address, logger: logger, times: times, client: newClient(times.fetch, authorities)}
	k.failures = logline.NewLimiter(func(_ string, more int64) {
		logger.Warn("more fetches of keys failed", "url", k.shown(), "count", more)
	})
	k.ctx, k.end = context.WithCancel(context.Background())
	go k.run()
	return k, nil
}

// newClient returns a client that follows no redirects: they would lead to a
// server that nobody has named.
func newClient(timeout time.Duration, authorities *Authorities) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        authorities.tls(),
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    maxAsking,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    timeout,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// shown is the URL as it may be logged.
func (k *KeySet) shown() string { return shownURL(k.url) }

// shownURL is a URL without its query, which may hold a key.
func shownURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.Redacted()
}

// Close ends the fetching. Keys that are there can still be used.
func (k *KeySet) Close() {
	k.end()
	k.failures.Flush()
	k.client.CloseIdleConnections()
}

// run fetches the keys again and again.
func (k *KeySet) run() {
	retry := k.times.firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.ctx.Done():
			return
		}
		k.mu.Lock()
		fetching := k.fetchLocked()
		k.mu.Unlock()
		<-fetching
		k.mu.Lock()
		err := k.err
		k.mu.Unlock()
		if err == nil {
			retry = k.times.firstRetry
			timer.Reset(k.times.refresh)
			continue
		}
		timer.Reset(retry)
		retry = min(2*retry, k.times.lastRetry)
	}
}

// fetchLocked begins a fetch, unless one is under way. What it returns is
// closed when that is over.
func (k *KeySet) fetchLocked() <-chan struct{} {
	if k.fetching == nil {
		k.fetching = make(chan struct{})
		go k.fetch(k.fetching)
	}
	return k.fetching
}

// fetch fetches the keys. What it cannot use changes nothing.
func (k *KeySet) fetch(done chan struct{}) {
	var keys []jwkset.JWK
	begun := time.Now()
	err := errors.New("the fetch did not end")
	defer func() {
		if r := recover(); r != nil {
			k.logger.Error("panic while fetching keys", "url", k.shown(), "panic", r, "stack", string(debug.Stack()))
		}
		k.mu.Lock()
		failed := k.err != nil
		k.err = err
		if err == nil {
			k.keys, k.fetched, k.begun = keys, time.Now(), begun
		}
		age := time.Since(k.fetched)
		had := k.keys != nil
		k.fetching = nil
		k.mu.Unlock()
		close(done)
		k.log(err, failed, had, age, len(keys))
	}()
	ctx, cancel := context.WithTimeout(k.ctx, k.times.fetch)
	defer cancel()
	keys, err = k.get(ctx)
}

func (k *KeySet) log(err error, failed, had bool, age time.Duration, keys int) {
	switch {
	case err == nil && failed:
		k.logger.Info("keys can be fetched again", "url", k.shown(), "keys", keys)
	case err == nil:
		k.logger.Debug("keys fetched", "url", k.shown(), "keys", keys)
	case k.ctx.Err() != nil:
		// Nobody wants them any more.
	case k.failures.Allow(""):
		attrs := []any{"url", k.shown(), "error", logline.Text(err.Error(), 256)}
		if had {
			attrs = append(attrs, "age", age.Round(time.Second).String(), "used_until", k.times.stale.String())
		}
		k.logger.Warn("keys cannot be fetched", attrs...)
	}
}

// get fetches a key set and returns the keys of use in it.
func (k *KeySet) get(ctx context.Context) ([]jwkset.JWK, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := k.client.Do(r)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		return nil, fmt.Errorf("status %d, a redirect: give the address it leads to", answer.StatusCode)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	body, err := readAll(answer.Body, maxKeySet)
	if err != nil {
		return nil, err
	}
	return parseKeySet(body)
}

// withoutURL is the error of a request without the address, which may hold what
// is not for a log.
func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// readAll reads an answer that has a bound.
func readAll(body io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, withoutURL(err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("the answer has more than %d bytes", most)
	}
	return data, nil
}

// parseKeySet returns the keys that can verify tokens. Others are passed over,
// but a set that has none is an error.
func parseKeySet(data []byte) ([]jwkset.JWK, error) {
	if err := checkObject(data); err != nil {
		return nil, fmt.Errorf("no key set: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("no key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, and may have %d", len(set.Keys), maxKeys)
	}
	var keys []jwkset.JWK
	reason := "it is empty"
	seen := make(map[string]bool)
	for _, raw := range set.Keys {
		key, err := parseKey(raw)
		if err != nil {
			reason = err.Error()
			continue
		}
		// Of two keys of one name, neither is the one that is meant.
		if id := key.Marshal().KID; id != "" {
			if seen[id] {
				return nil, fmt.Errorf("the key set has two keys of the ID %.40q", id)
			}
			seen[id] = true
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the key set has no key that can verify tokens: %s", reason)
	}
	return keys, nil
}

// parseKey returns a public key for signatures.
func parseKey(raw json.RawMessage) (jwkset.JWK, error) {
	var marshaled jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &marshaled); err != nil {
		return jwkset.JWK{}, errors.New("a key is no JSON Web Key")
	}
	if marshaled.USE != "" && marshaled.USE != jwkset.UseSig {
		return jwkset.JWK{}, fmt.Errorf("a key is for %.20q", marshaled.USE)
	}
	verifies := len(marshaled.KEYOPS) == 0
	for _, operation := range marshaled.KEYOPS {
		verifies = verifies || operation == jwkset.KeyOpsVerify
	}
	if !verifies {
		return jwkset.JWK{}, errors.New("a key is not for verifying")
	}
	if len(marshaled.KID) > maxKeyID || checkText(marshaled.KID) != nil {
		return jwkset.JWK{}, errors.New("a key has an ID that is none")
	}
	// Certificates are not looked at: the keys are trusted for where they come
	// from. The library's own checks encode the key again, which panics for one
	// that is larger than its curve: typeOf checks it.
	marshaled.X5C, marshaled.X5U = nil, ""
	key, err := jwkset.NewJWKFromMarshal(marshaled, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipAll: true})
	if err != nil {
		return jwkset.JWK{}, err
	}
	if public, ok := key.Key().(*rsa.PublicKey); ok && (len(strings.TrimRight(marshaled.E, "=")) > 6 || public.E <= 0) {
		return jwkset.JWK{}, errors.New("an RSA key has an exponent that is none")
	}
	kind, err := typeOf(key.Key())
	if err != nil {
		return jwkset.JWK{}, err
	}
	if kind == secretKey {
		return jwkset.JWK{}, errors.New("a key is a secret")
	}
	if algorithm := marshaled.ALG.String(); algorithm != "" && !fits(algorithm, key.Key()) {
		return jwkset.JWK{}, fmt.Errorf("a key is for the algorithm %.20q", algorithm)
	}
	return key, nil
}
