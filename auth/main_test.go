package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

const testSecret = "a secret of more than 32 bytes, for tests"

// Keys of the tests, made once.
var (
	testRSA, _          = rsa.GenerateKey(rand.Reader, 2048)
	otherRSA, _         = rsa.GenerateKey(rand.Reader, 2048)
	testEC, _           = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	test384, _          = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, testEd25519, _   = ed25519.GenerateKey(rand.Reader)
	publicPEM, publicEC = pemOf(&testRSA.PublicKey), pemOf(&testEC.PublicKey)
)

func pemOf(key any) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// sign makes a token of any header and payload, as they are written. The key
// is []byte for a secret, nil for no signature.
func sign(header, payload string, key any) string {
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch key := key.(type) {
	case nil:
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, sum[:])
		if err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(text))
	}
	if err != nil {
		panic(err)
	}
	return text + "." + encode(signature)
}

const hs256, rs256 = `{"alg":"HS256","typ":"JWT"}`, `{"alg":"RS256","typ":"JWT"}`

// payload makes claims that hold, changed by those that are given; nil removes
// one.
func payload(changes map[string]any) string {
	claims := map[string]any{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	data, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// by is whoever has keys, whatever it calls itself.
func by(keys *Keys) []Issuer { return []Issuer{{Keys: keys}} }

// newJWT returns an authenticator. An issuer without keys has the secret of the tests.
func newJWT(t testing.TB, options JWTOptions) *JWT {
	t.Helper()
	keys, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if len(options.Issuers) == 0 {
		options.Issuers = by(keys)
	}
	for i := range options.Issuers {
		if options.Issuers[i].Keys == nil {
			options.Issuers[i].Keys = keys
		}
	}
	j, err := NewJWT(options)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// codeOf is the code of a refusal, and "" of none.
func codeOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *streaming.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("the error is no refusal: %v", err)
	}
	return r.Code
}

// shows makes credentials of a payload of CONNECT.
func shows(t testing.TB, auth string) *streaming.Credentials {
	t.Helper()
	object, err := packet.NewObject([]byte(auth))
	if err != nil {
		t.Fatal(err)
	}
	return &streaming.Credentials{Namespace: "/", Auth: object, Handshake: &engineio.Handshake{
		Header: http.Header{}, URL: "/socket.io/?EIO=4&transport=websocket&sid=secret-sid", RemoteAddr: "192.0.2.7", Secure: true,
	}}
}

// logRecorder keeps what is logged, as text.
type logRecorder struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLog() (*slog.Logger, *logRecorder) {
	l := new(logRecorder)
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), l
}

func (l *logRecorder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logRecorder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func verify(j *JWT, token string) (*streaming.Identity, error) {
	return j.Verify(context.Background(), token, time.Time{})
}

// long is a text of that many bytes.
func long(n int) string { return strings.Repeat("x", n) }

// jwk writes a public key as a JSON Web Key, with more fields.
func jwk(key any, more string) string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q%s}`, encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes()), more)
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q%s}`, key.Curve.Params().Name,
			encode(key.X.FillBytes(make([]byte, size))), encode(key.Y.FillBytes(make([]byte, size))), more)
	case ed25519.PublicKey:
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q%s}`, encode(key), more)
	}
	panic("no key")
}
