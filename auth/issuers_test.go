package auth

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// twoIssuers returns an authenticator for the tokens of two issuers, whose first fetches
// are over.
func twoIssuers(t *testing.T, a, b string) *JWT {
	t.Helper()
	_, first, _ := newSet(t, a, quiet)
	_, second, _ := newSet(t, b, quiet)
	return newJWT(t, JWTOptions{Issuers: []Issuer{{a, FromKeySets(first)}, {b, FromKeySets(second)}}})
}

func issuedBy(issuer string) string { return payload(map[string]any{"iss": issuer}) }

// TestTwoIssuersMayNameTheirKeysAlike holds that a key ID is that of one issuer.
func TestTwoIssuersMayNameTheirKeysAlike(t *testing.T) {
	a := newIssuer(t, says(keySet(jwk(&testRSA.PublicKey, `,"kid":"1"`))))
	b := newIssuer(t, says(keySet(jwk(&otherRSA.PublicKey, `,"kid":"1"`))))
	j := twoIssuers(t, a.URL, b.URL)
	const by = `{"alg":"RS256","kid":"1"}`
	for issuer, key := range map[string]*rsa.PrivateKey{a.URL: testRSA, b.URL: otherRSA} {
		identity, err := verify(j, sign(by, issuedBy(issuer), key))
		if err != nil {
			t.Errorf("%s: %v", issuer, err)
		} else if identity.ID != issuer+"#ada" {
			t.Errorf("%s: the ID is %q", issuer, identity.ID)
		}
	}
}

// TestAnIssuerSignsForItselfAlone holds that a key is bound to its issuer, and that a
// token of nobody's issuer is refused.
func TestAnIssuerSignsForItselfAlone(t *testing.T) {
	a := newIssuer(t, says(keySet(firstKey)))
	b := newIssuer(t, says(keySet(secondKey)))
	j := twoIssuers(t, a.URL, b.URL)
	for name, token := range map[string]string{
		"B's signature under A's name":       sign(secondBy, issuedBy(a.URL), otherRSA),
		"the same, without the ID of a key":  sign(rs256, issuedBy(a.URL), otherRSA),
		"the same, with the ID of A's key":   sign(firstBy, issuedBy(a.URL), otherRSA),
		"no issuer":                          sign(secondBy, payload(nil), otherRSA),
		"another issuer":                     sign(secondBy, issuedBy("https://c.example.com"), otherRSA),
		"an issuer that is no text":          sign(secondBy, payload(map[string]any{"iss": []string{b.URL}}), otherRSA),
		"an issuer with a slash at its end":  sign(secondBy, issuedBy(b.URL+"/"), otherRSA),
		"an issuer that begins as the other": sign(secondBy, issuedBy(b.URL+"#ada"), otherRSA),
	} {
		if _, err := verify(j, token); codeOf(t, err) != streaming.CodeInvalidToken {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify(j, sign(secondBy, issuedBy(b.URL), otherRSA)); err != nil {
		t.Error(err)
	}
}

// TestOneIssuerThatIsDownIsItsOwnTrouble holds that an issuer that has never answered
// keeps no client of another one out, with the ID of a key or without, and its own
// clients are not told that their tokens do not hold.
func TestOneIssuerThatIsDownIsItsOwnTrouble(t *testing.T) {
	for name, header := range map[string]string{"with the ID of a key": firstBy, "without": rs256} {
		t.Run(name, func(t *testing.T) {
			a := newIssuer(t, says(keySet(firstKey)))
			b := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
			j := twoIssuers(t, a.URL, b.URL)
			fetches := b.fetches.Load()
			if _, err := verify(j, sign(header, issuedBy(a.URL), testRSA)); err != nil {
				t.Errorf("a token of A: %v", err)
			}
			if b.fetches.Load() != fetches {
				t.Error("B was asked for a token of A")
			}
			if _, err := verify(j, sign(header, issuedBy(b.URL), testRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
				t.Errorf("a token of B: %v", err)
			}
		})
	}
}

// TestOneOfAnIssuersKeySetsIsDown holds that tokens hold that a key is there for, and
// that the others are not told that theirs do not.
func TestOneOfAnIssuersKeySetsIsDown(t *testing.T) {
	a := newIssuer(t, says(keySet(firstKey)))
	b := newIssuer(t, says(keySet(secondKey)))
	b.stop()
	_, first, _ := newSet(t, a.URL, quiet)
	_, second, _ := newSet(t, b.URL, quiet)
	j := newJWT(t, JWTOptions{Issuers: by(FromKeySets(first, second))})
	for _, header := range []string{firstBy, rs256} {
		if _, err := verify(j, sign(header, payload(nil), testRSA)); err != nil {
			t.Errorf("a key that is there: %v", err)
		}
	}
	for _, header := range []string{secondBy, rs256} {
		if _, err := verify(j, sign(header, payload(nil), otherRSA)); codeOf(t, err) != streaming.CodeAuthUnavailable {
			t.Errorf("a key that may be in the set that is down: %v", err)
		}
	}
	b.start()
	for _, header := range []string{secondBy, rs256} {
		if _, err := verify(j, sign(header, payload(nil), otherRSA)); err != nil {
			t.Errorf("when it is there: %v", err)
		}
	}
}

// TestWhatABadTokenCostsIsBounded holds that a token which names no key is held against
// a few keys at most.
func TestWhatABadTokenCostsIsBounded(t *testing.T) {
	var keys []string
	for n := range maxTried {
		keys = append(keys, jwk(&otherRSA.PublicKey, fmt.Sprintf(`,"kid":"k%d"`, n)))
	}
	i := newIssuer(t, says(keySet(append(keys, firstKey)...)))
	j, _, _ := newSet(t, i.URL, quiet)
	_, err := verify(j, sign(rs256, payload(nil), testRSA))
	if codeOf(t, err) != streaming.CodeInvalidToken || !strings.Contains(err.Error(), "at most 8 are tried") {
		t.Errorf("a token that names no key: %v", err)
	}
	if _, err := verify(j, sign(firstBy, payload(nil), testRSA)); err != nil {
		t.Errorf("one that names its key: %v", err)
	}
}

// TestIssuersThatAreRefused holds which issuers cannot be told apart.
func TestIssuersThatAreRefused(t *testing.T) {
	keys, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for want, issuers := range map[string][]Issuer{
		"there is no issuer":                {},
		`issuer "a" is given twice`:         {{"a", keys}, {"a", keys}},
		`issuer "": a name has`:             {{"a", keys}, {"", keys}},
		`issuer "a#b": a name has no #`:     {{"a#b", keys}, {"a", keys}},
		`"a\nb": a name has no # and no`:    {{"a\nb", keys}, {"a", keys}},
		"a name has 1 to 256 bytes":         {{long(257), keys}, {"a", keys}},
		"none of the algorithms RS256 goes": nil,
	} {
		options := JWTOptions{Issuers: issuers}
		if issuers == nil {
			options = JWTOptions{Issuers: []Issuer{{"a", keys}, {"b", keys}}, Algorithms: []string{"RS256"}}
		}
		if _, err := NewJWT(options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestAClientIsKnownByAnotherIssuersList holds that a client is the same when a second
// issuer is named, though it has another ID then.
func TestAClientIsKnownByAnotherIssuersList(t *testing.T) {
	keys, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(hs256, issuedBy("a"), []byte(testSecret))
	alone, err := verify(newJWT(t, JWTOptions{Issuers: by(keys)}), token)
	if err != nil {
		t.Fatal(err)
	}
	among, err := verify(newJWT(t, JWTOptions{Issuers: []Issuer{{"a", keys}, {"b", keys}}}), token)
	if err != nil {
		t.Fatal(err)
	}
	if alone.ID != "ada" || among.ID != "a#ada" || alone.Key != among.Key || alone.Key == "" {
		t.Errorf("%+v and %+v", alone, among)
	}
}

// TestAlgorithmsAreThoseOfTheIssuer holds that a token whose algorithm no key of its issuer can go with
// is refused at once, whatever keys other issuers have: nobody waits or asks for new keys.
func TestAlgorithmsAreThoseOfTheIssuer(t *testing.T) {
	a := newIssuer(t, says(keySet(firstKey)))
	_, set, _ := newSet(t, a.URL, quiet)
	secret, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	const shared = "https://shared.example.com"
	issuers := []Issuer{{a.URL, FromKeySets(set)}, {shared, secret}}
	j := newJWT(t, JWTOptions{Issuers: issuers})
	for range 3 {
		if _, err := verify(j, sign(hs256, issuedBy(a.URL), []byte(testSecret))); codeOf(t, err) != streaming.CodeInvalidToken ||
			!strings.Contains(err.Error(), "HS256 does not go with") {
			t.Errorf("a secret's algorithm under the name of an issuer with public keys: %v", err)
		}
	}
	if _, err := verify(j, sign(hs256, issuedBy(shared), []byte(testSecret))); err != nil {
		t.Error(err)
	}
	if _, err := NewJWT(JWTOptions{Issuers: issuers, Algorithms: []string{"ES256"}}); err == nil ||
		!strings.Contains(err.Error(), `none of the algorithms ES256 goes with`) || !strings.Contains(err.Error(), shared) {
		t.Errorf("algorithms that leave an issuer none: %v", err)
	}
	if _, err := NewJWT(JWTOptions{Issuers: issuers, Algorithms: []string{"ES256", "HS256"}}); err != nil {
		t.Error(err)
	}
}
