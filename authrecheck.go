package socketiostream

import "github.com/caddy-socketio/socketio-stream/auth"

// fingerprint is the same for authentications that let in the same clients in the same way.
func (a *authentication) fingerprint() string {
	if a == nil {
		return "none"
	}
	rules := string(a.config)
	if d, ok := a.authenticator.(auth.Distinct); ok {
		rules = d.Fingerprint()
	}
	return auth.Fingerprint(string(a.CaddyModule().ID), rules)
}
