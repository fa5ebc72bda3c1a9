package socketiostream

import (
	"encoding/hex"
	"fmt"
	"hash/maphash"
)

// Distinct is an Authenticator whose configuration does not say exactly whom it lets in: another file or another
// environment variable makes another one of it, and not every option does.
type Distinct interface {
	// Fingerprint is the same as long as everybody is let in as before. It may be compared, within this process, and must
	// not give secrets away. It is called once the authenticator is provisioned.
	Fingerprint() string
}

// fingerprintOf hashes what an authenticator goes by, for the rest of this process alone.
func fingerprintOf(parts ...any) string {
	var h maphash.Hash
	h.SetSeed(authSeed)
	_, _ = fmt.Fprintf(&h, "%q", parts)
	return hex.EncodeToString(h.Sum(nil))
}

// fingerprint is the same for authentications that let in the same clients in the same way.
func (a *authentication) fingerprint() string {
	if a == nil {
		return "none"
	}
	rules := string(a.config)
	if d, ok := a.Authenticator.(Distinct); ok {
		rules = d.Fingerprint()
	}
	return fingerprintOf(string(a.CaddyModule().ID), rules)
}

// authRulesOf tells who may come into which namespace, in a form that can be compared.
func authRulesOf(namespaces []namespaceSettings) map[string]string {
	rules := make(map[string]string, len(namespaces))
	for _, ns := range namespaces {
		rules[ns.name] = ns.auth.fingerprint()
	}
	return rules
}

// recheckAuth has the clients asked again who they are that are in namespaces of which the config, which has started, says
// something else than the one before. When it says the same, nobody is asked. It does not wait for that.
func (hub *hub) recheckAuth(h *Handler) {
	rules := authRulesOf(h.settings.namespaces)
	hub.mu.Lock()
	before := hub.authRules
	hub.authRules = rules
	hub.mu.Unlock()
	for name, rule := range rules {
		if known, ok := before[name]; !ok || known == rule {
			// There was no such namespace, and so nobody in it.
			continue
		}
		if ns := hub.server.Lookup(name); ns != nil {
			ns.Recheck()
		}
	}
}
