package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// TestTokensThatDoNotHold holds, for each way to make a false token, that it is
// refused with a code from the closed list.
func TestTokensThatDoNotHold(t *testing.T) {
	secret := []byte(testSecret)
	now := time.Now().Unix()
	plain := JWTOptions{}
	strict := JWTOptions{Issuers: []Issuer{{Name: "https://issuer.example.com"}}, Audience: []string{"chat", "video"}, RoomsClaim: "rooms", PublishClaim: "https://example.com/publish"}
	fits := map[string]any{"iss": "https://issuer.example.com", "aud": "chat"}
	with := func(name string, value any) string {
		changed := map[string]any{name: value}
		for key, value := range fits {
			if key != name {
				changed[key] = value
			}
		}
		return payload(changed)
	}
	good := sign(hs256, payload(nil), secret)
	parts := strings.Split(good, ".")
	nested := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)

	for _, test := range []struct {
		name    string
		options JWTOptions
		token   string
		code    string
	}{
		{"no alg", plain, sign(`{"typ":"JWT"}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg none", plain, sign(`{"alg":"none"}`, payload(nil), nil), streaming.CodeInvalidToken},
		{"alg None", plain, sign(`{"alg":"None"}`, payload(nil), nil), streaming.CodeInvalidToken},
		{"alg NONE, signed", plain, sign(`{"alg":"NONE"}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg empty", plain, sign(`{"alg":""}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg a number", plain, sign(`{"alg":256}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg a list", plain, sign(`{"alg":["HS256"]}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg null", plain, sign(`{"alg":null}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg twice", plain, sign(`{"alg":"none","alg":"HS256"}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg twice, one escaped", plain, sign(`{"alg":"none","\u0061lg":"HS256"}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"alg of another kind of key", plain, sign(rs256, payload(nil), testRSA), streaming.CodeInvalidToken},
		{"alg that was not asked for", JWTOptions{Algorithms: []string{"HS512"}}, good, streaming.CodeInvalidToken},
		{"another secret", plain, sign(hs256, payload(nil), []byte(testSecret+".")), streaming.CodeInvalidToken},
		{"no signature", plain, parts[0] + "." + parts[1] + ".", streaming.CodeInvalidToken},
		{"another's signature", plain, parts[0] + "." + parts[1] + "." + strings.Split(sign(hs256, payload(map[string]any{"sub": "bob"}), secret), ".")[2], streaming.CodeInvalidToken},
		{"a changed payload", plain, parts[0] + "." + encode([]byte(payload(map[string]any{"sub": "root"}))) + "." + parts[2], streaming.CodeInvalidToken},
		{"a cut signature", plain, good[:len(good)-4], streaming.CodeInvalidToken},
		{"a key in the header", plain, sign(`{"alg":"RS256","jwk":`+jwk(&otherRSA.PublicKey, "")+`}`, payload(nil), otherRSA), streaming.CodeInvalidToken},
		{"an address of keys in the header", plain, sign(`{"alg":"RS256","jku":"http://127.0.0.1:1/jwks"}`, payload(nil), otherRSA), streaming.CodeInvalidToken},
		{"critical extensions", plain, sign(`{"alg":"HS256","crit":["exp"]}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"no critical extensions", plain, sign(`{"alg":"HS256","crit":[]}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"an encoding of its own", plain, sign(`{"alg":"HS256","b64":false}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"kid a number", plain, sign(`{"alg":"HS256","kid":1}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"kid null", plain, sign(`{"alg":"HS256","kid":null}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"kid with control characters", plain, sign(`{"alg":"HS256","kid":"a\u0000b"}`, payload(nil), secret), streaming.CodeInvalidToken},
		{"kid too long", plain, sign(`{"alg":"HS256","kid":"`+long(300)+`"}`, payload(nil), secret), streaming.CodeInvalidToken},

		{"empty", plain, "", streaming.CodeInvalidToken},
		{"dots", plain, "..", streaming.CodeInvalidToken},
		{"two segments", plain, parts[0] + "." + parts[1], streaming.CodeInvalidToken},
		{"four segments", plain, good + ".", streaming.CodeInvalidToken},
		{"five segments, as of an encrypted one", plain, "a.b.c.d.e", streaming.CodeInvalidToken},
		{"thousands of dots", plain, strings.Repeat(".", MaxToken), streaming.CodeInvalidToken},
		{"a line break", plain, good[:10] + "\n" + good[10:], streaming.CodeInvalidToken},
		{"a line break in the signature", plain, good + "\r\n", streaming.CodeInvalidToken},
		{"padding", plain, parts[0] + "=." + parts[1] + "." + parts[2], streaming.CodeInvalidToken},
		{"ordinary base64", plain, strings.ReplaceAll(good, "_", "/") + "/", streaming.CodeInvalidToken},
		{"bits beyond the end", plain, "e31." + parts[1] + "." + parts[2], streaming.CodeInvalidToken},
		{"a header that is no JSON", plain, sign(`alg`, payload(nil), secret), streaming.CodeInvalidToken},
		{"a header that is a list", plain, sign(`[{"alg":"HS256"}]`, payload(nil), secret), streaming.CodeInvalidToken},
		{"a header and more", plain, sign(hs256+"{}", payload(nil), secret), streaming.CodeInvalidToken},
		{"a payload that is no JSON", plain, sign(hs256, "{", secret), streaming.CodeInvalidToken},
		{"a payload that is null", plain, sign(hs256, "null", secret), streaming.CodeInvalidToken},
		{"a payload that is text", plain, sign(hs256, `"sub"`, secret), streaming.CodeInvalidToken},
		{"a payload that is no UTF-8", plain, sign(hs256, "{\"sub\":\"a\xff\"}", secret), streaming.CodeInvalidToken},
		{"a payload that nests", plain, sign(hs256, nested, secret), streaming.CodeInvalidToken},
		{"a subject twice", plain, sign(hs256, fmt.Sprintf(`{"sub":"ada","exp":%d,"sub":"root"}`, now+60), secret), streaming.CodeInvalidToken},
		{"a nested name twice", plain, sign(hs256, fmt.Sprintf(`{"sub":"ada","exp":%d,"a":{"b":1,"b":2}}`, now+60), secret), streaming.CodeInvalidToken},
		{"too large", plain, sign(hs256, payload(map[string]any{"x": long(MaxToken)}), secret), streaming.CodeInvalidToken},
		{"far too large", plain, long(1 << 20), streaming.CodeInvalidToken},

		{"expired", plain, sign(hs256, payload(map[string]any{"exp": now - 3600}), secret), streaming.CodeTokenExpired},
		{"expired, with a false signature", plain, sign(hs256, payload(map[string]any{"exp": now - 3600}), []byte("x"+testSecret)), streaming.CodeInvalidToken},
		{"expired, of another issuer", strict, sign(hs256, payload(map[string]any{"exp": now - 3600, "iss": "x", "aud": "chat"}), secret), streaming.CodeInvalidToken},
		{"expired at the beginning of time", plain, sign(hs256, payload(map[string]any{"exp": 0}), secret), streaming.CodeTokenExpired},
		{"not yet valid", plain, sign(hs256, payload(map[string]any{"nbf": now + 3600}), secret), streaming.CodeInvalidToken},
		{"issued in the future", plain, sign(hs256, payload(map[string]any{"iat": now + 3600}), secret), streaming.CodeInvalidToken},
		{"no end", plain, sign(hs256, payload(map[string]any{"exp": nil}), secret), streaming.CodeInvalidToken},
		{"an end that is null", plain, sign(hs256, `{"sub":"ada","exp":null}`, secret), streaming.CodeInvalidToken},
		{"an end that is text", plain, sign(hs256, payload(map[string]any{"exp": fmt.Sprint(now + 60)}), secret), streaming.CodeInvalidToken},
		{"an end beyond all dates", plain, sign(hs256, `{"sub":"ada","exp":1e300}`, secret), streaming.CodeInvalidToken},
		{"an end beyond all numbers", plain, sign(hs256, `{"sub":"ada","exp":1e999}`, secret), streaming.CodeInvalidToken},
		{"an end before all dates", plain, sign(hs256, `{"sub":"ada","exp":-1}`, secret), streaming.CodeInvalidToken},
		{"a beginning that is no number", plain, sign(hs256, payload(map[string]any{"nbf": true}), secret), streaming.CodeInvalidToken},
		{"an issue that is no number", plain, sign(hs256, payload(map[string]any{"iat": []int{1}}), secret), streaming.CodeInvalidToken},
		{"no subject", plain, sign(hs256, payload(map[string]any{"sub": nil}), secret), streaming.CodeInvalidToken},
		{"an empty subject", plain, sign(hs256, payload(map[string]any{"sub": ""}), secret), streaming.CodeInvalidToken},
		{"a subject that is a number", plain, sign(hs256, payload(map[string]any{"sub": 7}), secret), streaming.CodeInvalidToken},
		{"a subject that is too long", plain, sign(hs256, payload(map[string]any{"sub": long(300)}), secret), streaming.CodeInvalidToken},
		{"a subject with a line break", plain, sign(hs256, payload(map[string]any{"sub": "ada\nroot"}), secret), streaming.CodeInvalidToken},
		{"a subject with half a character", plain, sign(hs256, fmt.Sprintf(`{"sub":"a\ud800","exp":%d}`, now+60), secret), streaming.CodeInvalidToken},

		{"another issuer", strict, sign(hs256, with("iss", "https://issuer.example.com/"), secret), streaming.CodeInvalidToken},
		{"no issuer", strict, sign(hs256, with("iss", nil), secret), streaming.CodeInvalidToken},
		{"a list of issuers", strict, sign(hs256, with("iss", []string{"https://issuer.example.com"}), secret), streaming.CodeInvalidToken},
		{"another audience", strict, sign(hs256, with("aud", "Chat"), secret), streaming.CodeInvalidToken},
		{"other audiences", strict, sign(hs256, with("aud", []string{"mail", "cha"}), secret), streaming.CodeInvalidToken},
		{"no audience", strict, sign(hs256, with("aud", nil), secret), streaming.CodeInvalidToken},
		{"an empty audience", strict, sign(hs256, with("aud", []string{}), secret), streaming.CodeInvalidToken},
		{"an audience that is a number", strict, sign(hs256, with("aud", 7), secret), streaming.CodeInvalidToken},
		{"an audience with a number", strict, sign(hs256, with("aud", []any{"chat", 7}), secret), streaming.CodeInvalidToken},
		{"an audience that is an object", strict, sign(hs256, with("aud", map[string]any{"chat": true}), secret), streaming.CodeInvalidToken},
		{"rooms that are a number", strict, sign(hs256, with("rooms", 7), secret), streaming.CodeInvalidToken},
		{"rooms that are null", strict, sign(hs256, strings.TrimSuffix(with("x", 1), "}")+`,"rooms":null}`, secret), streaming.CodeInvalidToken},
		{"rooms that are an object", strict, sign(hs256, with("rooms", map[string]any{"*": true}), secret), streaming.CodeInvalidToken},
		{"rooms with a list", strict, sign(hs256, with("rooms", []any{[]string{"*"}}), secret), streaming.CodeInvalidToken},
		{"rooms with null", strict, sign(hs256, with("rooms", []any{nil}), secret), streaming.CodeInvalidToken},
		{"publish that is true", strict, sign(hs256, with("https://example.com/publish", true), secret), streaming.CodeInvalidToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			identity, err := verify(newJWT(t, test.options), test.token)
			if got := codeOf(t, err); got != test.code {
				t.Errorf("the code is %q, want %q: %v, %+v", got, test.code, err, identity)
			}
			if err != nil && len(parts) > 2 && strings.Contains(err.Error(), parts[2]) {
				t.Errorf("the reason has the signature: %v", err)
			}
		})
	}
}

// TestKeyConfusion holds that a public key is never used as a secret, however a
// token asks for it, and no kind of key with the algorithm of another.
func TestKeyConfusion(t *testing.T) {
	for name, file := range map[string][]byte{"RSA": publicPEM, "EC": publicEC} {
		keys, err := PublicKey(file)
		if err != nil {
			t.Fatal(err)
		}
		j := newJWT(t, JWTOptions{Issuers: by(keys)})
		for form, secret := range map[string][]byte{
			"the file": file, "the file without its end": file[:len(file)-1], "the empty secret": {},
		} {
			if _, err := verify(j, sign(hs256, payload(nil), secret)); codeOf(t, err) != streaming.CodeInvalidToken {
				t.Errorf("%s: a token signed with %s as the secret: %v", name, form, err)
			}
		}
		if _, err := NewJWT(JWTOptions{Issuers: by(keys), Algorithms: []string{"HS256"}}); err == nil {
			t.Errorf("%s: HS256 goes with a public key", name)
		}
	}
	if _, err := Secret(string(publicPEM)); err == nil || !strings.Contains(err.Error(), "public_key") {
		t.Errorf("a key file is a secret: %v", err)
	}
	keys, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA", "none", "hs256", ""} {
		if _, err := NewJWT(JWTOptions{Issuers: by(keys), Algorithms: []string{algorithm}}); err == nil {
			t.Errorf("%s goes with a secret", algorithm)
		}
	}
	// The curve of a key is part of its kind.
	keys, err = PublicKey(pemOf(&test384.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewJWT(JWTOptions{Issuers: by(keys), Algorithms: []string{"ES256"}}); err == nil {
		t.Error("ES256 goes with a key of P-384")
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	for name, data := range map[string]string{
		"empty":       "",
		"text":        "key",
		"two":         string(publicPEM) + string(publicEC),
		"more":        string(publicPEM) + "more",
		"private":     "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"RSA private": "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"garbage":     "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"other":       "-----BEGIN MESSAGE-----\nAAAA\n-----END MESSAGE-----\n",
		"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		if _, err := PublicKey([]byte(data)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := Secret(long(31)); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestTokensThatHold(t *testing.T) {
	keysOf := func(file []byte) *Keys {
		keys, err := PublicKey(file)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	end := time.Now().Add(time.Hour).Unix()
	for name, test := range map[string]struct {
		options JWTOptions
		token   string
	}{
		"secret":             {JWTOptions{}, sign(hs256, payload(nil), []byte(testSecret))},
		"RSA":                {JWTOptions{Issuers: by(keysOf(publicPEM))}, sign(rs256, payload(nil), testRSA)},
		"EC":                 {JWTOptions{Issuers: by(keysOf(publicEC))}, sign(`{"alg":"ES256"}`, payload(nil), testEC)},
		"Ed25519":            {JWTOptions{Issuers: by(keysOf(pemOf(testEd25519.Public())))}, sign(`{"alg":"EdDSA"}`, payload(nil), testEd25519)},
		"one audience":       {JWTOptions{Audience: []string{"a", "b"}}, sign(hs256, payload(map[string]any{"aud": "b"}), []byte(testSecret))},
		"one of many":        {JWTOptions{Audience: []string{"b"}}, sign(hs256, payload(map[string]any{"aud": []string{"a", "b"}}), []byte(testSecret))},
		"an end with a part": {JWTOptions{}, sign(hs256, fmt.Sprintf(`{"sub":"ada","exp":%d.5}`, end), []byte(testSecret))},
		"within the leeway":  {JWTOptions{Leeway: time.Minute}, sign(hs256, payload(map[string]any{"exp": time.Now().Unix() - 30, "nbf": time.Now().Unix() + 30, "iat": time.Now().Unix() + 30}), []byte(testSecret))},
	} {
		identity, err := verify(newJWT(t, test.options), test.token)
		if err != nil || identity.ID != "ada" || identity.Method != "jwt" || !identity.Rooms.Allow("any") || !identity.Publish.Allow("any") {
			t.Errorf("%s: %+v %v", name, identity, err)
		}
	}
}

func TestRightsOfTokens(t *testing.T) {
	j := newJWT(t, JWTOptions{RoomsClaim: "rooms", PublishClaim: "scope", Keep: []string{"name", "absent"}, Leeway: time.Second})
	identity, err := verify(j, sign(hs256, payload(map[string]any{"rooms": []string{"stream:a", "b*"}, "scope": "chat typing", "name": "Ada"}), []byte(testSecret)))
	if err != nil {
		t.Fatal(err)
	}
	if !identity.Rooms.Allow("stream:a") || !identity.Rooms.Allow("bc") || identity.Rooms.Allow("a") ||
		!identity.Publish.Allow("typing") || identity.Publish.Allow("chat typing") || identity.Leeway != time.Second {
		t.Errorf("%+v", identity)
	}
	if len(identity.Claims) != 1 || string(identity.Claims["name"]) != `"Ada"` {
		t.Errorf("kept %s", identity.Claims)
	}
	if !reflect.DeepEqual(identity.Start, streaming.Rights{}) {
		t.Errorf("rights to start that no claim is named for: %+v", identity.Start)
	}
	starts := newJWT(t, JWTOptions{RoomsClaim: "rooms", StartClaim: "own"})
	for token, allowed := range map[string]bool{
		sign(hs256, payload(map[string]any{"own": "stream:ada-*"}), []byte(testSecret)):   true,
		sign(hs256, payload(map[string]any{"rooms": "stream:ada-*"}), []byte(testSecret)): false,
	} {
		if identity, err := verify(starts, token); err != nil || identity.Start.Allow("stream:ada-1") != allowed {
			t.Errorf("%+v %v", identity, err)
		}
	}
	identity, err = verify(j, sign(hs256, payload(nil), []byte(testSecret)))
	if err != nil || identity.Rooms.Allow("stream:a") || identity.Publish.Allow("chat") || identity.Claims != nil {
		t.Errorf("a token without the claims: %+v %v", identity, err)
	}
}

func TestSources(t *testing.T) {
	token := sign(hs256, payload(nil), []byte(testSecret))
	other := sign(hs256, payload(map[string]any{"sub": "bob"}), []byte(testSecret))
	all := []string{"auth.token", "query.jwt", "header", "cookie:session"}
	for _, test := range []struct {
		name    string
		from    []string
		auth    string
		query   string
		header  http.Header
		refresh bool
		want    string // the ID, or the code
	}{
		{name: "nothing", from: all, auth: `{}`, want: streaming.CodeUnauthorized},
		{name: "payload", from: all, auth: `{"token":"` + token + `"}`, want: "ada"},
		{name: "payload null", from: all, auth: `{"token":null}`, want: streaming.CodeUnauthorized},
		{name: "payload empty", from: all, auth: `{"token":""}`, want: streaming.CodeUnauthorized},
		{name: "payload a number", from: all, auth: `{"token":7}`, want: streaming.CodeInvalidToken},
		{name: "payload an object", from: all, auth: `{"token":{"token":"` + token + `"}}`, want: streaming.CodeInvalidToken},
		{name: "payload twice counts as every client reads it", from: all, auth: `{"token":"` + other + `","token":"` + token + `"}`, want: "ada"},
		{name: "query", from: all, auth: `{}`, query: "&jwt=" + token, want: "ada"},
		{name: "query twice", from: all, auth: `{}`, query: "&jwt=" + token + "&jwt=" + token, want: streaming.CodeInvalidToken},
		{name: "query that was not named", from: []string{"header"}, auth: `{}`, query: "&jwt=" + token, want: streaming.CodeUnauthorized},
		{name: "header", from: all, auth: `{}`, header: http.Header{"Authorization": {"bearer  " + token}}, want: "ada"},
		{name: "header twice", from: all, auth: `{}`, header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, want: streaming.CodeInvalidToken},
		{name: "header of another scheme", from: all, auth: `{}`, header: http.Header{"Authorization": {"Basic YTpi"}}, want: streaming.CodeUnauthorized},
		{name: "header without a scheme", from: all, auth: `{}`, header: http.Header{"Authorization": {token}}, want: streaming.CodeUnauthorized},
		{name: "cookie", from: all, auth: `{}`, header: http.Header{"Cookie": {"a=b; session=" + token}}, want: "ada"},
		{name: "cookie twice", from: all, auth: `{}`, header: http.Header{"Cookie": {"session=" + other + "; session=" + token}}, want: streaming.CodeInvalidToken},
		{name: "the first one counts", from: all, auth: `{"token":"` + token + `"}`, query: "&jwt=" + other, want: "ada"},
		{name: "and is not made up for", from: all, auth: `{"token":"false"}`, query: "&jwt=" + token, want: streaming.CodeInvalidToken},
		{name: "in their order", from: []string{"query.jwt", "auth.token"}, auth: `{"token":"` + token + `"}`, query: "&jwt=" + other, want: "bob"},
		{name: "refresh", from: []string{"header"}, auth: `{"token":"` + token + `"}`, header: http.Header{"Authorization": {"Bearer " + other}}, refresh: true, want: "ada"},
		{name: "refresh with nothing", from: all, auth: `{}`, header: http.Header{"Authorization": {"Bearer " + token}}, refresh: true, want: streaming.CodeUnauthorized},
		{name: "defaults", auth: `{}`, query: "&token=" + token, header: http.Header{"Cookie": {"token=" + token}}, want: streaming.CodeUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := shows(t, test.auth)
			c.Handshake.URL += test.query
			c.Refresh = test.refresh
			if test.header != nil {
				c.Handshake.Header = test.header
			}
			identity, err := newJWT(t, JWTOptions{From: test.from}).Authenticate(context.Background(), c)
			got := codeOf(t, err)
			if err == nil {
				got = identity.ID
			}
			if got != test.want {
				t.Errorf("got %q, want %q: %v", got, test.want, err)
			}
		})
	}
	for _, source := range []string{"", "auth", "auth.", "query.", "cookie:", "cookie:a b", "cookie:a;b", "header:x", "body", "auth.a b"} {
		if _, err := ParseSource(source); err == nil {
			t.Errorf("the source %q is taken", source)
		}
	}
}

// FuzzToken shows anything as a token. It must be refused with a code from the
// closed list, in bounded time, and never panic; and nothing holds that was not
// signed.
func FuzzToken(f *testing.F) {
	for _, token := range []string{
		"", ".", "..", "a.b.c",
		sign(hs256, payload(nil), nil), sign(`{"alg":"none"}`, payload(nil), nil),
		sign(`{"alg":"HS256","crit":["x"],"kid":"../../etc/passwd"}`, `{"sub":"a","exp":1e308,"aud":["a",1]}`, nil),
		sign(`{"alg":"HS256","kid":"' OR 1=1 --"}`, `{"sub":"a","sub":"b"}`, nil), sign(hs256, `[[[[[[[[[[[]]]]]]]]]]]`, nil),
	} {
		f.Add(token, []byte(token))
	}
	keys, err := Secret(testSecret)
	if err != nil {
		f.Fatal(err)
	}
	j, err := NewJWT(JWTOptions{Issuers: []Issuer{{"i", keys}}, Audience: []string{"a"}, RoomsClaim: "rooms", PublishClaim: "publish", Keep: []string{"name"}})
	if err != nil {
		f.Fatal(err)
	}
	codes := map[string]bool{streaming.CodeInvalidToken: true, streaming.CodeTokenExpired: true, streaming.CodeUnauthorized: true}
	f.Fuzz(func(t *testing.T, token string, claims []byte) {
		if identity, err := verify(j, token); err == nil || !codes[codeOf(t, err)] {
			t.Fatalf("%+v %v", identity, err)
		}
		// The same claims, signed as they should be: they are all that is left to
		// be refused, or hold.
		text := encode([]byte(hs256)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		signed := sign(hs256, string(claims), []byte(testSecret))
		if !strings.HasPrefix(signed, text) {
			t.Fatal("the token was not signed as it is")
		}
		identity, err := verify(j, signed)
		switch {
		case err != nil && !codes[codeOf(t, err)]:
			t.Fatalf("%v", err)
		case err == nil && (identity.ID == "" || identity.Expires.IsZero()):
			t.Fatalf("%+v", identity)
		}
	})
}

// FuzzKeySet reads anything as a key set. Whatever key is taken can be used.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + jwk(&testRSA.PublicKey, `,"kid":"a"`) + `]}`))
	f.Add([]byte(`{"keys":[` + jwk(&testEC.PublicKey, `,"kid":"a","use":"sig"`) + `]}`))
	f.Add([]byte(`{"keys":[` + jwk(testEd25519.Public().(ed25519.PublicKey), `,"key_ops":["verify"]`) + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"` + long(200) + `","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeySet(data)
		if err != nil {
			return
		}
		for _, key := range keys {
			if kind, err := typeOf(key.Key()); err != nil || kind == secretKey {
				t.Fatalf("a key that is none was taken: %v", err)
			}
		}
	})
}
