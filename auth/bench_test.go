package auth

import (
	"testing"
)

// BenchmarkVerify is what a token costs, from its text to an identity.
func BenchmarkVerify(b *testing.B) {
	rsaKeys, err := PublicKey(publicPEM)
	if err != nil {
		b.Fatal(err)
	}
	ecKeys, err := PublicKey(publicEC)
	if err != nil {
		b.Fatal(err)
	}
	claims := payload(map[string]any{"iss": "https://issuer.example.com", "aud": "chat", "rooms": []string{"stream:a", "stream:b-*"}})
	options := JWTOptions{Issuers: []Issuer{{Name: "https://issuer.example.com"}}, Audience: []string{"chat"}, RoomsClaim: "rooms"}
	for _, test := range []struct {
		name  string
		keys  *Keys
		token string
	}{
		{"HS256", nil, sign(hs256, claims, []byte(testSecret))},
		{"RS256", rsaKeys, sign(rs256, claims, testRSA)},
		{"ES256", ecKeys, sign(`{"alg":"ES256"}`, claims, testEC)},
		{"false", nil, sign(hs256, claims, nil)},
		{"garbage", nil, long(MaxToken)},
	} {
		b.Run(test.name, func(b *testing.B) {
			options := options
			options.Issuers = []Issuer{{Name: options.Issuers[0].Name, Keys: test.keys}}
			j := newJWT(b, options)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = verify(j, test.token)
			}
		})
	}
}
