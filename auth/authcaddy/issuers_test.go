package authcaddy

import (
	"strings"
	"testing"
)

// TestIssuersShareNoKey holds that of two issuers none has the key of the other.
func TestIssuersShareNoKey(t *testing.T) {
	for name, test := range map[string]struct {
		one, other JWTIssuer
		want       string
	}{
		"one secret":     {JWTIssuer{Secret: "s"}, JWTIssuer{Secret: "s"}, "have one secret"},
		"one file":       {JWTIssuer{PublicKey: "k.pem"}, JWTIssuer{PublicKey: "k.pem"}, "have one public_key"},
		"two secrets":    {JWTIssuer{Secret: "s"}, JWTIssuer{Secret: "r"}, ""},
		"different ways": {JWTIssuer{Secret: "s"}, JWTIssuer{PublicKey: "s"}, ""},
		"one key set, which is one signer's": {
			JWTIssuer{JWKS: []string{"https://a.example.com/keys"}}, JWTIssuer{JWKS: []string{"https://a.example.com/keys"}}, "",
		},
	} {
		test.one.Issuer, test.other.Issuer = "https://a.example.com", "https://b.example.com"
		switch err := checkShared([]*JWTIssuer{&test.one, &test.other}); {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.other.Issuer)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
