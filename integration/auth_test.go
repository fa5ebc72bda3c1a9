package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"
)

const jwtSecret = "a secret of more than 32 bytes, for tests"

// signed makes a token that lives an hour, for a subject, with more claims.
func signed(t testing.TB, method jwt.SigningMethod, key any, kid, subject string, more jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": subject, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range more {
		claims[name] = value
	}
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// try connects to a namespace with a token on a connection of its own, and returns the answer.
func (s *server) connectAs(namespace, auth string) string {
	s.t.Helper()
	c, err := s.dial("/socket.io/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.conn.Close()
	prefix := ""
	if namespace != "/" {
		prefix = namespace + ","
	}
	c.send("40" + prefix + auth)
	return c.wait("4")
}

func accepted(answer string) bool { return strings.HasPrefix(answer, "40") }

func refusedWith(answer, code string) bool {
	return strings.HasPrefix(answer, "44") && strings.HasSuffix(answer, `,"data":{"code":"`+code+`"}}`)
}

// TestAuthOfNamespaces holds that the handler's auth is that of each namespace which has none of
// its own.
func TestAuthOfNamespaces(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	log := newLogFile(t, "log")
	s := startServer(t, `socketio_stream {
		status /status
		auth jwt {
			secret {env.TEST_JWT_SECRET}
			claim publish events
		}
		namespace / {
			events relay chat other
		}
		namespace /public {
			events relay chat
			auth none
		}
		namespace /caddy {
			auth caddy
			events relay chat
		}
	}`, log.own())
	token := signed(t, jwt.SigningMethodHS256, []byte(jwtSecret), "", "ada", jwt.MapClaims{"events": []string{"chat"}})
	if got := s.connectAs("/", `{"token":"`+token+`"}`); !accepted(got) {
		t.Errorf("with a token: %s", got)
	}
	if got := s.connectAs("/", ``); got != `44{"message":"not authorized","data":{"code":"unauthorized"}}` {
		t.Errorf("without a token: %s", got)
	}
	if got := s.connectAs("/", `{"token":"not-to-be-logged"}`); !refusedWith(got, "invalid_token") {
		t.Errorf("with a false token: %s", got)
	}
	if got := s.connectAs("/public", ``); !accepted(got) {
		t.Errorf("without auth: %s", got)
	}
	if got := s.connectAs("/caddy", `{"token":"`+token+`"}`); !refusedWith(got, "unauthorized") {
		t.Errorf("without a user: %s", got)
	}

	c, err := s.dial("/socket.io/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.send(`40{"token":"` + token + `"}`)
	c.wait("40")
	c.send(`421["chat","hi"]`)
	if got := c.wait("43"); got != `431[{"success":true}]` {
		t.Errorf("an event that is allowed: %s", got)
	}
	c.send(`422["other","hi"]`)
	if got := c.wait("43"); !strings.Contains(got, `"code":"forbidden"`) {
		t.Errorf("an event that is not allowed: %s", got)
	}
	eventually(t, "a status of the one who is still there", func() bool {
		_, body := s.request("GET", "/status", "")
		return strings.Contains(body, `"identified":1,"authRefused":3,"authExpired":0`)
	})
	for _, want := range []string{`"error":"no token was given"`, "one segments in place of three", `"no handler in front has identified a user`} {
		want = strings.Replace(want, "one segments", "1 segments", 1)
		eventually(t, "the line "+want, func() bool { return strings.Contains(log.text(), want) })
	}
	if text := log.text(); strings.Contains(text, token) || strings.Contains(text, "not-to-be-logged") || strings.Contains(text, jwtSecret) {
		t.Errorf("credentials are in the log: %s", text)
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestAuthOptionsThatAreRefused holds what a config with bad values of auth says, and that it gives
// no secret away.
func TestAuthOptionsThatAreRefused(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	t.Setenv("TEST_SHORT", "hunter2")
	t.Setenv("TEST_PLAIN_URL", "http://issuer.example.com/keys")
	t.Setenv("TEST_ALGORITHM", "RS256")
	t.Setenv("TEST_TWO_URLS", "https://a.example.com/keys https://b.example.com/keys")
	t.Setenv("TEST_HASH", "a#b")
	s := startServer(t, `respond "up"`)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"auth jwt {\n secret {env.TEST_SHORT}\n}":                                                                                         "must have 32 at least",
		"auth jwt {\n secret {env.TEST_NOT_SET}\n}":                                                                                       "secret",
		"auth jwt {\n public_key /nonexistent/key.pem\n}":                                                                                 "no such file",
		"auth jwt {\n public_key " + file + "\n}":                                                                                         "no PEM block",
		"auth jwt {\n jwks {env.TEST_PLAIN_URL}\n}":                                                                                       "https",
		"auth jwt {\n secret {env.TEST_JWT_SECRET}\n algorithms {env.TEST_ALGORITHM}\n}":                                                  "does not go with a secret",
		"auth jwt {\n jwks https://issuer.example.com/keys\n tls_ca " + file + "\n}":                                                      file + ": line 1: there is no certificate",
		"auth http https://backend.example.com/ {\n tls_ca /nonexistent/ca.pem\n}":                                                        "/nonexistent/ca.pem: no such file",
		"auth jwt {\n jwks {env.TEST_PLAIN_URL}\n tls_ca " + file + "\n}":                                                                 "asked by https",
		"auth jwt {\n jwks https://a.example.com/keys https://b.example.com/keys\n}":                                                      "issuer <issuer> { jwks https://a.example.com/keys } and issuer <issuer> { jwks https://b.example.com/keys }",
		"auth jwt {\n jwks {env.TEST_TWO_URLS}\n}":                                                                                        "issuer <issuer> { jwks https://a.example.com/keys } and",
		"auth jwt {\n issuer {env.TEST_HASH} {\n jwks https://a.example.com/keys\n}\n issuer b {\n jwks https://b.example.com/keys\n}\n}": "a name has no #",
		"auth http {env.TEST_SHORT}":                                                                                                      "no URL",
		"auth jwt {\n secret {env.TEST_JWT_SECRET}\n}\n namespace / {\n auth none\n auth none\n events streaming\n}":                      "twice",
	} {
		err := s.load("socketio_stream {\n" + config + "\n}")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		} else if strings.Contains(err.Error(), jwtSecret) || strings.Contains(err.Error(), "hunter2") && !strings.Contains(config, "http") {
			t.Errorf("%s: the error gives the secret away: %v", config, err)
		}
	}
	// Handlers that share a hub must agree on who comes in.
	err := s.load("handle /a/* {\n socketio_stream {\n path /a/\n auth jwt {\n secret " + strings.ReplaceAll(jwtSecret, " ", "-") + "\n}\n}\n}\n handle {\n socketio_stream\n}")
	if err == nil || !strings.Contains(err.Error(), "auth of namespace /") || strings.Contains(err.Error(), "more-than-32") {
		t.Errorf("two handlers: %v", err)
	}
}

// keyIssuer is an HTTP server that publishes keys.
type keyIssuer struct {
	*httptest.Server
	fetches atomic.Int32
	mu      sync.Mutex
	answer  http.HandlerFunc
}

func newKeyIssuer(t *testing.T, answer http.HandlerFunc) *keyIssuer {
	i := &keyIssuer{answer: answer}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		answer := i.answer
		i.mu.Unlock()
		i.fetches.Add(1)
		answer(w, r)
	}))
	t.Cleanup(func() {
		i.CloseClientConnections()
		i.Close()
	})
	return i
}

func (i *keyIssuer) now(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func publishes(keys map[string]*ecdsa.PrivateKey) http.HandlerFunc {
	var list []string
	for kid, key := range keys {
		list = append(list, fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}`, kid,
			base64.RawURLEncoding.EncodeToString(key.X.FillBytes(make([]byte, 32))),
			base64.RawURLEncoding.EncodeToString(key.Y.FillBytes(make([]byte, 32)))))
	}
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"keys":[%s]}`, strings.Join(list, ",")) }
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestIssuerRotatesStopsAndAnswersGarbage holds that clients with a key that is known come in
// whatever becomes of the issuer, that a new key is found without a restart, and that a reload
// fetches nothing anew.
func TestIssuerRotatesStopsAndAnswersGarbage(t *testing.T) {
	first, second := newKey(t), newKey(t)
	issuer := newKeyIssuer(t, publishes(map[string]*ecdsa.PrivateKey{"first": first}))
	config := "socketio_stream {\n connect_timeout 1s\n auth jwt {\n jwks " + issuer.URL + "/keys\n issuer https://issuer.example.com\n audience chat\n}\n}"
	s := startServer(t, config)
	claims := jwt.MapClaims{"iss": "https://issuer.example.com", "aud": "chat"}
	with := func(key *ecdsa.PrivateKey, kid string, claims jwt.MapClaims) string {
		return s.connectAs("/", `{"token":"`+signed(t, jwt.SigningMethodES256, key, kid, "ada", claims)+`"}`)
	}
	if got := with(first, "first", claims); !accepted(got) {
		t.Fatal(got)
	}
	if got := with(first, "first", jwt.MapClaims{"iss": "https://issuer.example.com", "aud": "mail"}); !refusedWith(got, "invalid_token") {
		t.Error(got)
	}
	if got := with(second, "first", claims); !refusedWith(got, "invalid_token") {
		t.Error(got)
	}
	if n := issuer.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}

	issuer.now(publishes(map[string]*ecdsa.PrivateKey{"first": first, "second": second}))
	if got := with(second, "second", claims); !accepted(got) {
		t.Errorf("after the rotation: %s", got)
	}
	before := issuer.fetches.Load()
	if err := s.load(config + "\nheader X-Config second"); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		issuer.now(answer)
		if got := with(first, "first", claims); !accepted(got) {
			t.Errorf("after a reload: %s", got)
		}
		// Whether there is such a key is not known now.
		s.waitsInVain(tokenAuth(signed(t, jwt.SigningMethodES256, second, "third", "ada", claims)))
	}
	if n := issuer.fetches.Load(); n > before+1 {
		t.Errorf("%d fetches after the reload, %d before", n, before)
	}
	issuer.CloseClientConnections()
	issuer.Listener.Close()
	if got := with(second, "second", claims); !accepted(got) {
		t.Errorf("while the issuer is down: %s", got)
	}
}

// waitsInVain holds that a client with these credentials is told nothing, and that its connection is
// closed, so that it comes back by itself.
func (s *server) waitsInVain(auth string) {
	s.t.Helper()
	if got := s.outcome(auth); got != "" {
		s.t.Errorf("it got %s", got)
	}
}

// outcome is what a client with these credentials is answered, or "" where its connection is closed
// without a word.
func (s *server) outcome(auth string) string {
	s.t.Helper()
	c, err := s.dial("/socket.io/", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.conn.Close()
	c.send("40" + auth)
	packet, _ := c.next()
	return packet
}

// next returns the next message. open is false when the server closes the WebSocket first.
func (c *socket) next() (message string, open bool) {
	c.s.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.s.t.Fatal(err)
	}
	for {
		frame, err := ws.ReadFrame(c.rest)
		switch packet := string(frame.Payload); {
		case err != nil:
			c.s.t.Fatalf("waiting for a message or the close frame: %v", err)
		case frame.Header.OpCode == ws.OpClose:
			return "", false
		case frame.Header.OpCode == ws.OpText && strings.HasPrefix(packet, "4"):
			return packet, true
		case packet == "2":
			c.send("3")
		}
	}
}

// TestConfigLoadsWithoutTheIssuer holds that a config whose issuer cannot be reached is loaded, and
// no client let in.
func TestConfigLoadsWithoutTheIssuer(t *testing.T) {
	s := startServer(t, "socketio_stream {\n connect_timeout 500ms\n auth jwt {\n jwks http://127.0.0.1:1/keys\n audience chat\n}\n}")
	token := signed(t, jwt.SigningMethodES256, newKey(t), "any", "ada", jwt.MapClaims{"aud": "chat"})
	s.waitsInVain(tokenAuth(token))
}

// TestIssuersOfTokens holds, with a config of two issuers, that each signs for itself alone, that one
// which is down is its own trouble, and that a reload which names a second one leaves the clients of
// the first one in.
func TestIssuersOfTokens(t *testing.T) {
	key, other := newKey(t), newKey(t)
	first := newKeyIssuer(t, publishes(map[string]*ecdsa.PrivateKey{"1": key}))
	second := newKeyIssuer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	const a, b = "https://a.example.com", "https://b.example.com"
	site := func(auth string) string {
		return "socketio_stream {\n log_connections all\n connect_timeout 500ms\n auth jwt {\n" + auth + "\n audience chat\n}\n}"
	}
	token := func(iss string, key *ecdsa.PrivateKey) string {
		return tokenAuth(signed(t, jwt.SigningMethodES256, key, "1", "ada", jwt.MapClaims{"aud": "chat", "iss": iss}))
	}
	log := newLogFile(t, "log")
	s := startServer(t, site("issuer "+a+"\n jwks "+first.URL+"/keys"), log.own())
	client := s.in(nil, token(a, key))
	two := site("issuer " + a + " {\n jwks " + first.URL + "/keys\n}\n issuer " + b + " {\n jwks " + second.URL + "/keys\n}")
	s.reload(two, log.own())
	eventually(t, "the recheck", func() bool { return len(log.lines("authorization checked again")) == 1 })
	client.stays("when there is a second issuer")
	client.conn.Close()
	eventually(t, "its end", func() bool { return len(log.lines("connection ended")) == 1 })
	if line := log.lines("connection ended")[0]; line["identity"] != a+"#ada" {
		t.Errorf("logged %v", line)
	}
	s.waitsInVain(token(b, other))
	if got := s.connectAs("/", token(a, key)); !accepted(got) {
		t.Errorf("while the other issuer is down: %s", got)
	}
	second.now(publishes(map[string]*ecdsa.PrivateKey{"1": other}))
	eventually(t, "the other issuer to be asked again", func() bool {
		return accepted(s.outcome(token(b, other)))
	})
	for name, auth := range map[string]string{"B's key for A": token(a, other), "A's key for B": token(b, key), "nobody's": token("https://c.example.com", key)} {
		if got := s.connectAs("/", auth); !refusedWith(got, "invalid_token") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := s.connectAs("/", token(b, other)); !accepted(got) {
		t.Errorf("B's key for B: %s", got)
	}
}

// TestAuthByAnotherServer holds what a backend is asked, and that its answer counts.
func TestAuthByAnotherServer(t *testing.T) {
	var asked atomic.Int32
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		switch {
		case bytes.Contains(body, []byte(`"password":"right"`)) && r.Header.Get("Cookie") == "a=b" && bytes.Contains(body, []byte(`"namespace":"/"`)):
			_, _ = io.WriteString(w, `{"id":"ada","publish":["stream:*"],"rooms":["stream:own-*"]}`)
		case bytes.Contains(body, []byte(`"password":"banned"`)):
			w.WriteHeader(403)
		case bytes.Contains(body, []byte(`"password":"crash"`)):
			w.WriteHeader(500)
		default:
			w.WriteHeader(401)
		}
	}))
	t.Cleanup(backend.Close)
	s := startServer(t, "socketio_stream {\n connect_timeout 500ms\n auth http "+backend.URL+"/auth {\n forward_headers Cookie\n cache 1m\n}\n}")
	s.waitsInVain(`{"password":"crash"}`)
	for password, code := range map[string]string{"wrong": "unauthorized", "banned": "forbidden"} {
		if got := s.connectAs("/", `{"password":"`+password+`"}`); !refusedWith(got, code) {
			t.Errorf("%s: %s", password, got)
		}
	}
	before := asked.Load()
	for range 3 {
		c, err := s.dial("/socket.io/", http.Header{"Cookie": {"a=b"}})
		if err != nil {
			t.Fatal(err)
		}
		c.send(`40{"password":"right"}`)
		c.wait("40")
		for id, test := range []struct{ event, want string }{
			{`["stream:join",{"streamId":"own-1"}]`, `"success":true`},
			{`["stream:join",{"streamId":"other"}]`, `"code":"forbidden"`},
			{`["message","x"]`, `"code":"forbidden"`},
		} {
			c.send(fmt.Sprintf("42%d%s", id+1, test.event))
			if got := c.wait(fmt.Sprintf("43%d", id+1)); !strings.Contains(got, test.want) {
				t.Errorf("%s: %s, want %s", test.event, got, test.want)
			}
		}
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("the backend was asked %d times for the same", n)
	}
}

// TestAuthByCaddysUser holds that the user whom a handler in front has found is the identity, on
// both transports, though that request is over when the client connects to the namespace.
func TestAuthByCaddysUser(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	log := newLogFile(t, "log")
	s := startServer(t, "@private path /socket.io/*\n basic_auth @private {\n ada "+string(hash)+"\n}\n socketio_stream {\n path /socket.io/ /open/\n log_connections all\n auth caddy\n}", log.own())
	if _, err := s.dial("/socket.io/", nil); err == nil {
		t.Error("a WebSocket without a user was let in")
	}
	c, err := s.dial("/socket.io/", http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("ada:password"))}})
	if err != nil {
		t.Fatal(err)
	}
	c.send("40")
	c.wait("40{")
	c.conn.Close()
	eventually(t, "the line of the end", func() bool { return len(log.lines("connection ended")) > 0 })
	if line := log.lines("connection ended")[0]; line["identity"] != "ada" {
		t.Errorf("logged %v", line)
	}
	// The same hub by a way without that handler.
	open, err := s.dial("/open/", nil)
	if err != nil {
		t.Fatal(err)
	}
	open.send("40")
	if got := open.wait("4"); !refusedWith(got, "unauthorized") {
		t.Error(got)
	}
}
