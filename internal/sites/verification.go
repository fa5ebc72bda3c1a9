package sites

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Verification tells how the server of a handler that is being provisioned verifies the certificates
// of clients, in a form that is only compared: what client_auth says, and what is in the files with
// authorities that it names. It is "" where certificates are not asked for.
func Verification(ctx caddy.Context) string {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil {
		return ""
	}
	digest, asked := sha256.New(), false
	for _, policy := range server.TLSConnPolicies {
		if policy.ClientAuthentication == nil {
			continue
		}
		asked = true
		_, _ = digest.Write(encode(policy.MatchersRaw))
		_, _ = digest.Write(canonical(encode(policy.ClientAuthentication)))
		var pool struct {
			Files []string `json:"pem_files"`
		}
		_ = json.Unmarshal(policy.ClientAuthentication.CARaw, &pool)
		files := append(pool.Files, policy.ClientAuthentication.TrustedCACertPEMFiles...) //nolint:staticcheck // Caddy still reads it
		for _, name := range files {
			// Caddy refuses the config by itself where a file cannot be read.
			content, _ := os.ReadFile(name)
			sum := sha256.Sum256(content)
			_, _ = digest.Write(sum[:])
		}
	}
	if !asked {
		return ""
	}
	return hex.EncodeToString(digest.Sum(nil)[:8])
}
