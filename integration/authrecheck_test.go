package integration

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"
)

const authOfSecret = "auth jwt {\n secret {env.TEST_JWT_SECRET}\n claim publish events\n}\n"

// site is a config with an auth, or none. What else is in it makes it another.
func site(auth string, more ...string) string {
	return "socketio_stream {\n status /status\n" + auth + "\n}\n" + strings.Join(more, "\n")
}

func (s *server) reload(directives string, global ...string) {
	s.t.Helper()
	if err := s.load(directives, global...); err != nil {
		s.t.Fatal(err)
	}
}

// in connects a client to the main namespace, which must let it in.
func (s *server) in(header http.Header, auth string) *socket {
	s.t.Helper()
	c, err := s.dial("/socket.io/", header)
	if err != nil {
		s.t.Fatal(err)
	}
	c.send("40" + auth)
	if got := c.wait("4"); !accepted(got) {
		s.t.Fatal(got)
	}
	return c
}

// stays holds that a client is connected.
func (c *socket) stays(what string) {
	c.s.t.Helper()
	c.send(`429["stream:join",{"streamId":"none"}]`)
	for {
		switch got := c.wait("4"); {
		case got == "41":
			c.s.t.Fatalf("%s: disconnected", what)
		case strings.HasPrefix(got, "439["):
			return
		}
	}
}

// isOut holds that a client is disconnected, and was told a code before.
func (c *socket) isOut(what, code string) {
	c.s.t.Helper()
	if got := c.wait("4"); !strings.Contains(got, `42["error",`) || !strings.Contains(got, `"code":"`+code+`"`) {
		c.s.t.Errorf("%s: %s", what, got)
	}
	if got := c.wait("4"); got != "41" {
		c.s.t.Errorf("%s: %s", what, got)
	}
}

func tokenAuth(token string) string { return `{"token":"` + token + `"}` }

// TestReloadThatAddsAuthAsksThoseWhoAreIn holds that a config which asks for tokens disconnects
// those who are connected and have none that holds, and gives the others their rights. A config
// that says the same asks nobody.
func TestReloadThatAddsAuthAsksThoseWhoAreIn(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	log := newLogFile(t, "log")
	s := startServer(t, site(""), log.own())
	key := []byte(jwtSecret)
	good := signed(t, jwt.SigningMethodHS256, key, "", "ada", jwt.MapClaims{"events": []string{"stream:*"}})
	without := s.in(nil, "")
	foreign := s.in(nil, tokenAuth(signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("another ", 5)), "", "ada", nil)))
	expired := s.in(nil, tokenAuth(signed(t, jwt.SigningMethodHS256, key, "", "ada", jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()})))
	in := s.in(nil, tokenAuth(good))
	byHeader := s.in(http.Header{"Authorization": {"Bearer " + good}}, "")

	s.reload(site(authOfSecret), log.own())
	without.isOut("without a token", "unauthorized")
	foreign.isOut("with a foreign token", "invalid_token")
	expired.isOut("with an expired token", "token_expired")
	for range 2 {
		in.stays("with a token")
		byHeader.stays("with a token in the header")
	}
	eventually(t, "the rights of the token", func() bool {
		in.send(`421["message","x"]`)
		for {
			if got := in.wait("4"); strings.HasPrefix(got, "431") {
				return strings.Contains(got, `"code":"forbidden"`)
			}
		}
	})
	eventually(t, "the line of each", func() bool { return len(log.lines("client disconnected")) == 3 })
	for _, line := range log.lines("client disconnected") {
		if line["reason"] != "authorization no longer holds" || line["hub"] != onlyHub(t) || line["namespace"] != "/" || line["code"] == "" || line["error"] == "" {
			t.Errorf("logged %v", line)
		}
	}
	eventually(t, "the line of all", func() bool { return len(log.lines("authorization checked again")) == 1 })
	if line := log.lines("authorization checked again")[0]; line["sockets"] != 5.0 || line["stayed"] != 2.0 || line["disconnected"] != 3.0 {
		t.Errorf("logged %v", line)
	}
	_, status := s.request("GET", "/status", "")
	for _, want := range []string{
		`"authRevoked":3,`, `"identities_ended_total":[{"reason":"expired","value":0},{"reason":"revoked","value":3}]`,
		`"identities":[{"value":2}]`, `"auth_refusals_total":[{"code":"unauthorized","value":0}`,
	} {
		if !strings.Contains(status, want) {
			t.Errorf("the status has no %s: %s", want, status)
		}
	}
	if text := log.text(); strings.Contains(text, good) {
		t.Error("a token is in the log")
	}

	s.reload(site(authOfSecret, "header X-Config third"), log.own())
	s.reload(site(authOfSecret+"\nping_interval 20s"), log.own())
	// Of this one something would be heard.
	t.Setenv("TEST_JWT_SECRET", strings.Repeat("another ", 5))
	s.reload(site(authOfSecret), log.own())
	for _, c := range []*socket{in, byHeader} {
		for got := ""; got != "41"; got = c.wait("4") {
			if strings.HasPrefix(got, `42["error"`) && !strings.Contains(got, "forbidden") && !strings.Contains(got, "invalid_token") {
				t.Error(got)
			}
		}
	}
	eventually(t, "the line of all", func() bool { return len(log.lines("authorization checked again")) > 1 })
	if n := len(log.lines("authorization checked again")); n != 2 {
		t.Errorf("%d times it was asked again", n)
	}
}

// TestReloadWithAnotherKeyFile holds that a key file of the same name that holds another key is
// another auth.
func TestReloadWithAnotherKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	use := func(key *ecdsa.PrivateKey) {
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := newKey(t)
	use(key)
	config := site("auth jwt {\n public_key " + file + "\n}")
	s := startServer(t, config)
	c := s.in(nil, tokenAuth(signed(t, jwt.SigningMethodES256, key, "", "ada", nil)))
	s.reload(config + "\nheader X-Config second")
	c.stays("with the same key")
	use(newKey(t))
	s.reload(config)
	c.isOut("with another key", "invalid_token")
}

// TestReloadThatTakesAuthAway holds that clients stay beyond the end of a token that nobody asks
// for any more, and that a config which fails changes nothing.
func TestReloadThatTakesAuthAway(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	s := startServer(t, site(authOfSecret))
	c := s.in(nil, tokenAuth(signed(t, jwt.SigningMethodHS256, []byte(jwtSecret), "", "ada", jwt.MapClaims{"events": "stream:*"})))
	if err := s.load(site("auth caddy") + "\ntls_is_no_directive"); err == nil {
		t.Fatal("the config was loaded")
	}
	c.stays("after a config that failed")
	s.reload(site(""))
	eventually(t, "the identity to be dropped", func() bool {
		_, body := s.request("GET", "/status", "")
		return strings.Contains(body, `"identified":0`)
	})
	c.stays("without auth")
}

// TestReloadToAuthByAnotherServer holds that the backend is asked about those who are in, by few
// questions at a time, and that its failure disconnects nobody.
func TestReloadToAuthByAnotherServer(t *testing.T) {
	var under, most, failing atomic.Int32
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := under.Add(1)
		defer under.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		body, _ := io.ReadAll(r.Body)
		switch {
		case failing.Load() != 0:
			w.WriteHeader(int(failing.Load()))
		case strings.Contains(string(body), `"password":"right"`):
			_, _ = io.WriteString(w, `{"id":"ada"}`)
		default:
			w.WriteHeader(401)
		}
	}))
	t.Cleanup(backend.Close)
	log := newLogFile(t, "log")
	s := startServer(t, site(""), log.own())
	var right, wrong []*socket
	for range 15 {
		right = append(right, s.in(nil, `{"password":"right"}`))
		wrong = append(wrong, s.in(nil, `{"password":"wrong"}`))
	}
	failing.Store(503)
	s.reload(site("auth http "+backend.URL), log.own())
	eventually(t, "the backend to have failed", func() bool {
		lines := log.lines("authorization checked again")
		return len(lines) > 0 && lines[0]["unanswered"] == 30.0
	})
	right[0].stays("while the backend fails")
	wrong[0].stays("while the backend fails")
	failing.Store(0)
	s.reload(site("auth http "+backend.URL+"/other"), log.own())
	for _, c := range wrong {
		c.isOut("whom the backend refuses", "unauthorized")
	}
	for _, c := range right {
		c.stays("whom the backend lets in")
	}
	if n := most.Load(); n > 8 {
		t.Errorf("%d questions at the same time", n)
	}
}

// TestReloadToAuthByCaddysUser holds that a client whose first request had no user is disconnected,
// and that one that had stays, whatever else changes.
func TestReloadToAuthByCaddysUser(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	config := func(auth string) string {
		return "@user header Authorization *\n basic_auth @user {\n ada " + string(hash) + "\n}\n" + site(auth+"\nnamespace /other {\n auth caddy\n events relay chat\n}\nnamespace / {\n events streaming\n}")
	}
	s := startServer(t, config(""))
	user := s.in(http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("ada:password"))}}, "")
	nobody := s.in(nil, "")
	s.reload(config("auth caddy"))
	nobody.isOut("without a user", "unauthorized")
	user.stays("with a user")
	s.reload(config(fmt.Sprintf("auth jwt {\n secret %s\n}", strings.ReplaceAll(jwtSecret, " ", "-"))))
	user.isOut("with a user and no token", "unauthorized")
}

// TestCommandsByIdentity holds that an operator finds a client by who it is, and can put it out.
func TestCommandsByIdentity(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", jwtSecret)
	s, address := startAdmin(t, site("auth jwt {\n secret {env.TEST_JWT_SECRET}\n}"))
	as := func(id string) *socket {
		return s.in(nil, tokenAuth(signed(t, jwt.SigningMethodHS256, []byte(jwtSecret), "", id, nil)))
	}
	first, second, other := as("ada"), as("ada"), as("bob")
	out := mustCommand(t, "ls", "sockets", "--identity", "ada", "--address", address)
	if !strings.Contains(out, "IDENTITY") || strings.Count(out, "  ada  ") != 2 || strings.Contains(out, "bob") {
		t.Errorf("ls: %s", out)
	}
	if out := mustCommand(t, "ls", "sockets", "--identity", "eve", "--address", address); !strings.HasPrefix(out, "No socket is connected as eve.") {
		t.Errorf("ls: %s", out)
	}
	if out, err := command(t, "kick", "--identity", "eve", "--address", address); err == nil || !strings.Contains(err.Error(), "no socket is connected as eve") {
		t.Errorf("kick: %s %v", out, err)
	}
	if out := mustCommand(t, "kick", "--identity", "ada", "--namespace", "/", "--address", address); out != "Disconnected ada from 2 sockets\n" {
		t.Errorf("kick: %s", out)
	}
	for _, c := range []*socket{first, second} {
		for _, want := range []string{`42["error",{"message":"disconnected by an operator","code":"kicked"}]`, "41"} {
			if got := c.wait("4"); got != want {
				t.Error(got)
			}
		}
	}
	other.stays("another")
	if out := mustCommand(t, "kick", "--identity", "bob", "--close", "--json", "--address", address); out != `{"hub":"`+onlyHub(t)+`","sockets":1}`+"\n" {
		t.Errorf("kick: %s", out)
	}
	other.waitClosed()
}
