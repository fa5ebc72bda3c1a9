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

// authRulesOf tells who may come into which namespace, in a form that can be compared.
func authRulesOf(namespaces []namespaceSettings) map[string]string {
	rules := make(map[string]string, len(namespaces))
	for _, ns := range namespaces {
		rules[ns.name] = ns.auth.fingerprint()
	}
	return rules
}

// recheckAuth has the clients asked again who they are that are in namespaces of which the config,
// which has started, says something else than the one before. When it says the same, nobody is
// asked. It does not wait for that.
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
