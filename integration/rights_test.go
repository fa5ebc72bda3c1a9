package integration

import (
	"crypto/ecdsa"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestManualTokensProtectStreams holds that the first site which the manual shows for `auth jwt` protects
// what it seems to: with a token that allows nothing one gets nothing of a stream, starts none and
// sends none, and what the rights of the manual's token are for is possible.
func TestManualTokensProtectStreams(t *testing.T) {
	const keySet, place = "https://issuer.example.com/.well-known/jwks.json", "/.well-known/jwks.json"
	key := newKey(t)
	issuer := newKeyIssuer(t, publishes(map[string]*ecdsa.PrivateKey{"one": key}))
	directives := manualSite(t, "`auth jwt`")
	if !strings.Contains(directives, keySet) {
		t.Fatalf("the site has no key set %s:\n%s", keySet, directives)
	}
	s := startServer(t, strings.ReplaceAll(directives, keySet, issuer.URL+place))
	as := func(subject string, rights jwt.MapClaims) *socket {
		t.Helper()
		claims := jwt.MapClaims{"iss": "https://issuer.example.com", "aud": "chat"}
		for name, value := range rights {
			claims[name] = value
		}
		return s.in(nil, tokenAuth(signed(t, jwt.SigningMethodES256, key, "one", subject, claims)))
	}
	every := []string{"stream:*"}
	ada := as("ada", jwt.MapClaims{"watch": every, "own": []string{"stream:ada-*"}, "events": every})
	viewer := as("bob", jwt.MapClaims{"watch": []string{"stream:ada-1"}, "own": []string{}, "events": []string{"stream:*"}})
	nothing := as("eve", nil)
	// One that may send events, and has no right to any room.
	sends := as("mallory", jwt.MapClaims{"events": []string{"stream:*", "message"}})

	answers := func(c *socket, event, want string) {
		t.Helper()
		c.send(`421` + event)
		if got := c.wait(`431[`); !strings.Contains(got, want) {
			t.Errorf("%s is answered %s, want %s", event, got, want)
		}
	}
	const allowed, forbidden = `"success":true`, `"code":"forbidden"`
	answers(ada, `["stream:start",{"streamId":"ada-1"}]`, allowed)
	answers(ada, `["stream:start",{"streamId":"bobs"}]`, forbidden)
	answers(viewer, `["stream:join",{"streamId":"ada-1"}]`, allowed)
	answers(viewer, `["stream:join",{"streamId":"ada-2"}]`, forbidden)
	answers(viewer, `["stream:start",{"streamId":"ada-1"}]`, forbidden)
	for _, c := range []*socket{nothing, sends} {
		answers(c, `["stream:join",{"streamId":"ada-1"}]`, forbidden)
		answers(c, `["stream:start",{"streamId":"ada-2"}]`, forbidden)
		answers(c, `["stream:data",{"streamId":"ada-1"}]`, forbidden)
		answers(c, `["stream:data",{"streamId":"ada-2"}]`, forbidden)
		answers(c, `["stream:data","of nobody"]`, forbidden)
	}
	answers(ada, `["stream:data",{"streamId":"ada-1","text":"minutes of the board"}]`, allowed)
	if got := viewer.wait(`42["stream:data"`); got != `42["stream:data",{"streamId":"ada-1","text":"minutes of the board"}]` {
		t.Errorf("the viewer got %s", got)
	}
	answers(ada, `["stream:stop",{"streamId":"ada-1"}]`, allowed)
	for _, c := range []*socket{nothing, sends} {
		c.send(`40/nowhere,`)
		for got := ""; !strings.HasPrefix(got, "44/nowhere,"); {
			if got = c.wait("4"); strings.Contains(got, "board") || strings.HasPrefix(got, `42["stream:`) {
				t.Errorf("who may join nothing got %s", got)
			}
		}
	}
}
