package auth

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// issuer is a real HTTP server that publishes keys, and does whatever a test
// wants of it.
type issuer struct {
	*httptest.Server
	door    *door
	fetches atomic.Int32

	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request)
}

func newIssuer(t testing.TB, answer func(http.ResponseWriter, *http.Request)) *issuer {
	i := &issuer{answer: answer}
	i.Server = httptest.NewUnstartedServer(i)
	i.door = &door{Listener: i.Listener}
	i.Listener = i.door
	i.Start()
	t.Cleanup(func() {
		i.CloseClientConnections()
		i.Close()
	})
	return i
}

// door is an issuer's listener. While it is shut it turns away whoever comes,
// and its address stays the issuer's.
type door struct {
	net.Listener
	shut atomic.Bool
}

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || !d.shut.Load() {
			return conn, err
		}
		_ = conn.Close()
	}
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	answer := i.answer
	i.mu.Unlock()
	answer(w, r)
	i.fetches.Add(1)
}

func (i *issuer) now(answer func(http.ResponseWriter, *http.Request)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// stop has the issuer answer nobody, and start has it back.
func (i *issuer) stop() {
	i.door.shut.Store(true)
	i.CloseClientConnections()
}

func (i *issuer) start() { i.door.shut.Store(false) }

func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

var (
	firstKey  = jwk(&testRSA.PublicKey, `,"kid":"first","alg":"RS256","use":"sig"`)
	secondKey = jwk(&otherRSA.PublicKey, `,"kid":"second"`)
	firstBy   = `{"alg":"RS256","kid":"first"}`
	secondBy  = `{"alg":"RS256","kid":"second"}`
)

// never is a time that no test reaches.
const never = time.Hour

// quiet are times at which nothing happens by itself after the first fetch.
var quiet = keyTimes{refresh: never, firstRetry: never, lastRetry: never, ask: time.Nanosecond, fetch: 5 * time.Second, stale: never}

// newSet returns an authenticator with the keys of an issuer, whose first fetch
// is over.
func newSet(t testing.TB, address string, times keyTimes) (*JWT, *KeySet, *logRecorder) {
	t.Helper()
	logger, logs := newLog()
	set, err := newKeySet(address, nil, logger, times)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	eventually(t, "the first fetch", func() bool {
		set.mu.Lock()
		defer set.mu.Unlock()
		return set.fetching == nil && (set.keys != nil || set.err != nil)
	})
	return newJWT(t, JWTOptions{Issuers: by(FromKeySets(set))}), set, logs
}

func TestIssuerRotates(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	j, _, _ := newSet(t, i.URL, quiet)
	if identity, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil || identity.ID != "ada" {
		t.Fatalf("%+v %v", identity, err)
	}
	if _, err := verify(j, sign(firstBy, payload(nil), otherRSA)); codeOf(t, err) != streaming.CodeInvalidToken {
		t.Error("another's signature holds", err)
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for keys that are known", n)
	}
	// The second key comes, and is found without a restart.
	i.now(says(keySet(firstKey, secondKey)))
	for _, token := range []string{sign(secondBy, payload(nil), otherRSA), sign(firstBy, payload(nil), testRSA)} {
		if _, err := verify(j, token); err != nil {
			t.Error(err)
		}
	}
	// The first one goes, which is noticed by the next fetch.
	i.now(says(keySet(secondKey)))
	if _, err := verify(j, sign(`{"alg":"RS256","kid":"third"}`, payload(nil), otherRSA)); codeOf(t, err) != streaming.CodeInvalidToken {
		t.Error("an unknown key", err)
	}
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); codeOf(t, err) != streaming.CodeInvalidToken {
		t.Error("a key that was withdrawn holds", err)
	}
	// A token that names no key is held against all of them.
	if _, err := verify(j, sign(rs256, payload(nil), otherRSA)); err != nil {
		t.Error(err)
	}
	if _, err := verify(j, sign(rs256, payload(nil), testRSA)); codeOf(t, err) != streaming.CodeInvalidToken {
		t.Error(err)
	}
	if _, err := verify(j, sign(`{"alg":"ES256"}`, payload(nil), testEC)); codeOf(t, err) != streaming.CodeInvalidToken {
		t.Error(err)
	}
}

// TestIssuerRotatesInTheBackground holds that keys that are withdrawn stop to
// hold without anybody asking.
func TestIssuerRotatesInTheBackground(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	times := quiet
	times.refresh, times.ask = 10*time.Millisecond, never
	j, _, _ := newSet(t, i.URL, times)
	i.now(says(keySet(secondKey)))
	eventually(t, "the new key", func() bool {
		_, err := verify(j, sign(secondBy, payload(nil), otherRSA))
		return err == nil
	})
	shown := time.Now()
	eventually(t, "a fetch after the token was shown", func() bool {
		_, err := j.Verify(t.Context(), sign(firstBy, payload(nil), testRSA), shown)
		return codeOf(t, err) == streaming.CodeInvalidToken
	})
}

func TestIssuerIsDown(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	times := quiet
	times.refresh, times.firstRetry, times.lastRetry = 10*time.Millisecond, time.Millisecond, 20*time.Millisecond
	j, set, logs := newSet(t, i.URL, times)
	i.stop()
	eventually(t, "a fetch that fails", func() bool { return strings.Contains(logs.String(), "keys cannot be fetched") })
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
		t.Errorf("a key that is known does not hold while the issuer is down: %v", err)
	}
	// Whether there is such a key is not known now.
	if _, err := verify(j, sign(secondBy, payload(nil), otherRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Error(err)
	}
	// For ever they are not used.
	set.mu.Lock()
	set.fetched = set.fetched.Add(-2 * never)
	set.mu.Unlock()
	for _, header := range []string{firstBy, rs256} {
		if _, err := verify(j, sign(header, payload(nil), testRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
			t.Errorf("keys that are too old: %v", err)
		}
	}
	i.start()
	i.now(says(keySet(secondKey)))
	eventually(t, "the issuer to be back", func() bool {
		_, err := verify(j, sign(secondBy, payload(nil), otherRSA))
		return err == nil
	})
	eventually(t, "a line", func() bool { return strings.Contains(logs.String(), "keys can be fetched again") })
}

func TestIssuerWasNeverThere(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	i.stop()
	j, _, _ := newSet(t, i.URL, quiet)
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Error(err)
	}
	i.start()
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
		t.Error(err)
	}
}

// TestIssuerAnswersGarbage holds that what is no key set changes nothing: keys
// that were fetched go on to be used, and none are taken from it.
func TestIssuerAnswersGarbage(t *testing.T) {
	elsewhere := newIssuer(t, says(keySet(secondKey)))
	many := make([]string, maxKeys+1)
	for n := range many {
		many[n] = jwk(&testEC.PublicKey, fmt.Sprintf(`,"kid":"k%d"`, n))
	}
	weak := `{"kty":"RSA","kid":"second","n":"` + encode([]byte(long(64))) + `","e":"AQAB"}`
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"empty":                  says(""),
		"text":                   says("<html>Sorry</html>"),
		"half":                   says(keySet(firstKey)[:100]),
		"null":                   says("null"),
		"a list":                 says("[" + secondKey + "]"),
		"a key and no set":       says(secondKey),
		"keys that are no list":  says(`{"keys":{"a":` + secondKey + `}}`),
		"no keys":                says(`{"keys":[]}`),
		"keys null":              says(`{"keys":null}`),
		"keys twice":             says(`{"keys":[` + secondKey + `],"keys":[` + secondKey + `]}`),
		"a name twice":           says(keySet(secondKey, secondKey)),
		"a field twice":          says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"second","kid":"second"`))),
		"too many":               says(keySet(many...)),
		"null as a key":          says(`{"keys":[null,7,"x",[],{}]}`),
		"secrets":                says(`{"keys":[{"kty":"oct","kid":"second","k":"` + encode([]byte(testSecret)) + `"}]}`),
		"for encryption":         says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"second","use":"enc"`))),
		"for signing alone":      says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"second","key_ops":["sign"]`))),
		"of another algorithm":   says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"second","alg":"HS256"`))),
		"alg none":               says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"second","alg":"none"`))),
		"a weak key":             says(keySet(weak)),
		"an exponent of one":     says(`{"keys":[{"kty":"RSA","kid":"second","n":"` + encode(otherRSA.N.Bytes()) + `","e":"AQ"}]}`),
		"an exponent that wraps": says(`{"keys":[{"kty":"RSA","kid":"second","n":"` + encode(otherRSA.N.Bytes()) + `","e":"AQAAAAAAAQAB"}]}`),
		"a point beyond":         says(`{"keys":[{"kty":"EC","kid":"second","crv":"P-256","x":"` + long(400) + `","y":"` + long(400) + `"}]}`),
		"a point off the curve":  says(`{"keys":[{"kty":"EC","kid":"second","crv":"P-256","x":"AQ","y":"AQ"}]}`),
		"an unknown curve":       says(`{"keys":[{"kty":"EC","kid":"second","crv":"P-1","x":"AQ","y":"AQ"}]}`),
		"a short Ed25519 key":    says(`{"keys":[{"kty":"OKP","kid":"second","crv":"Ed25519","x":"AQ"}]}`),
		"a key for agreement":    says(`{"keys":[{"kty":"OKP","kid":"second","crv":"X25519","x":"` + encode([]byte(long(32))) + `"}]}`),
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"pad":"`+long(2*maxKeySet)+`","keys":[`+secondKey+`]}`)
		},
		"nested":       says(strings.Repeat("[", 10_000)),
		"nested in it": says(`{"keys":[` + secondKey + `],"x":` + strings.Repeat(`{"x":`, 1000) + "1" + strings.Repeat("}", 1000) + `}`),
		"status 500":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, keySet(secondKey), 500) },
		"status 404":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, keySet(secondKey), 404) },
		"status 204":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"redirect to itself": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		},
		"a connection that breaks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, keySet(secondKey)[:50])
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, says(keySet(firstKey)))
			j, set, logs := newSet(t, i.URL, quiet)
			i.now(answer)
			_, err := verify(j, sign(secondBy, payload(nil), otherRSA))
			if codeOf(t, err) != streaming.CodeAuthUnavailable {
				t.Errorf("%v", err)
			}
			if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
				t.Errorf("the key that was there before: %v", err)
			}
			set.mu.Lock()
			failed := set.err
			set.mu.Unlock()
			if failed == nil {
				t.Error("the fetch has not failed")
			}
			eventually(t, "a line", func() bool { return strings.Contains(logs.String(), "keys cannot be fetched") })
			i.now(says(keySet(secondKey)))
			if _, err := verify(j, sign(secondBy, payload(nil), otherRSA)); err != nil {
				t.Errorf("when it is over: %v", err)
			}
		})
	}
	if n := elsewhere.fetches.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// TestOneBadKeyDoesNoHarmToOthers holds that a set may have keys that are of no
// use here.
func TestOneBadKeyDoesNoHarmToOthers(t *testing.T) {
	i := newIssuer(t, says(keySet(`{"kty":"oct","kid":"x","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"`+long(300)+`","y":"AA"}`, `null`,
		jwk(&testEC.PublicKey, `,"kid":"enc","use":"enc"`), firstKey)))
	j, _, _ := newSet(t, i.URL, quiet)
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
		t.Error(err)
	}
	for _, kid := range []string{"x", "enc", "../../../etc/passwd", "file:///etc/passwd", "' OR '1'='1", "first\\u0000", "", "First", "http://127.0.0.1/"} {
		for _, key := range []any{testRSA, []byte(""), nil} {
			if _, err := verify(j, sign(`{"alg":"RS256","kid":"`+kid+`"}`, payload(nil), key)); codeOf(t, err) != streaming.CodeInvalidToken {
				t.Errorf("kid %q: %v", kid, err)
			}
		}
	}
}

// TestIssuerIsSlow holds that clients whose keys are known do not wait for a
// slow issuer, those who wait are told within bounds, and one that leaves waits
// no longer.
func TestIssuerIsSlow(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	times := quiet
	times.fetch = 300 * time.Millisecond
	j, _, _ := newSet(t, i.URL, times)
	let := make(chan struct{})
	i.now(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[`)
		w.(http.Flusher).Flush()
		select {
		case <-let:
		case <-r.Context().Done():
		}
	})
	defer close(let)

	results := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := verify(j, sign(secondBy, payload(nil), otherRSA))
			results <- err
		}()
	}
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
		t.Errorf("a known key waits: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := j.Verify(ctx, sign(secondBy, payload(nil), otherRSA), time.Time{}); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Errorf("a client that has left: %v", err)
	}
	for range 10 {
		select {
		case err := <-results:
			if codeOf(t, err) != streaming.CodeAuthUnavailable {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("clients wait for ever")
		}
	}
}

// TestUnknownKeysCauseFewFetches holds that whoever sends tokens with keys that
// do not exist cannot have the issuer flooded, and that nobody is told that a token does
// not hold whose key may be a new one: only a fetch after it was shown says so.
func TestUnknownKeysCauseFewFetches(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	times := quiet
	times.ask = never
	j, _, _ := newSet(t, i.URL, times)
	var running sync.WaitGroup
	for n := range 200 {
		running.Go(func() {
			_, err := verify(j, sign(fmt.Sprintf(`{"alg":"RS256","kid":"k%d"}`, n), payload(nil), otherRSA))
			if code := codeOf(t, err); code != streaming.CodeInvalidToken && code != streaming.CodeAuthUnavailable {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
	// The issuer gets a new key a moment after that, and somebody has one who was here
	// before the last fetch.
	i.now(says(keySet(firstKey, secondKey)))
	_, err := verify(j, sign(secondBy, payload(nil), otherRSA))
	if codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Errorf("a key that may be new: %v", err)
	}
	_, err = j.Verify(t.Context(), sign(secondBy, payload(nil), otherRSA), time.Now().Add(-time.Hour))
	if codeOf(t, err) != streaming.CodeInvalidToken {
		t.Errorf("a key that was not there when it was looked for: %v", err)
	}
}

// TestIssuerChangesWhileClientsConnect rotates, stops, starts and garbles an
// issuer while clients show tokens: those with a key that all answers have are
// let in all the time.
func TestIssuerChangesWhileClientsConnect(t *testing.T) {
	i := newIssuer(t, says(keySet(firstKey)))
	times := quiet
	times.refresh, times.firstRetry, times.lastRetry = time.Millisecond, time.Millisecond, 5*time.Millisecond
	times.fetch = 200 * time.Millisecond
	j, _, _ := newSet(t, i.URL, times)
	good, unknown := sign(firstBy, payload(nil), testRSA), sign(secondBy, payload(nil), otherRSA)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := verify(j, good); err != nil {
					t.Error(err)
					return
				}
				if _, err := verify(j, unknown); err != nil && codeOf(t, err) == streaming.CodeUnauthorized {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		for _, answer := range []func(http.ResponseWriter, *http.Request){
			says(keySet(firstKey, secondKey)), says("garbage"), says(keySet(firstKey)),
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		} {
			before := i.fetches.Load()
			i.now(answer)
			eventually(t, "a fetch", func() bool { return i.fetches.Load() > before })
		}
		i.stop()
		i.now(says(keySet(firstKey)))
		i.start()
	}
	close(stop)
	running.Wait()
}

func TestKeySetURLs(t *testing.T) {
	for _, address := range []string{
		"", "keys", "/keys", "file:///etc/passwd", "ftp://example.com/keys", "https://", "https:///keys", "http://example.com/keys",
		"http://127.0.0.1.example.com/", "http://localhost.example.com/", "http://10.0.0.1/keys", "https://user:password@example.com/keys",
		"https://example.com/keys#x", "https:example.com", "://", "http://[::2]/", "https://exa mple.com/",
	} {
		err := CheckKeySetURL(address)
		if err == nil {
			t.Errorf("%q is taken", address)
		} else if strings.Contains(err.Error(), "password@") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	for _, address := range []string{"https://example.com/.well-known/jwks.json", "http://127.0.0.1:8080/keys", "http://localhost/keys", "http://[::1]:80/", "https://example.com/keys?v=1"} {
		if err := CheckKeySetURL(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestOneIssuerWithTwoKeySets holds that the keys of an issuer may be in two sets.
func TestOneIssuerWithTwoKeySets(t *testing.T) {
	first, second := newIssuer(t, says(keySet(firstKey))), newIssuer(t, says(keySet(secondKey)))
	_, a, _ := newSet(t, first.URL, quiet)
	_, b, _ := newSet(t, second.URL, quiet)
	j := newJWT(t, JWTOptions{Issuers: by(FromKeySets(a, b))})
	// One that is down does no harm to the tokens of the other.
	first.stop()
	if _, err := verify(j, sign(`{"alg":"RS256","kid":"third"}`, payload(nil), otherRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
		t.Error(err)
	}
	for _, token := range []string{sign(firstBy, payload(nil), testRSA), sign(secondBy, payload(nil), otherRSA)} {
		if _, err := verify(j, token); err != nil {
			t.Error(err)
		}
	}
}
