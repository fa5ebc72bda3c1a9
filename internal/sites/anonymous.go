package sites

import (
	"slices"
	"strings"
)

// Anonymous reports whether it is certain that nothing in front of the handler says who clients
// are, on the way of requests to a path: neither {http.auth.user.id} nor a verified client
// certificate is there. forward_auth by itself says it to nobody but handlers that read headers.
func (p *Place) Anonymous(path string) bool {
	return !verifies(p.server) && !slices.ContainsFunc(p.ways, func(each way) bool {
		walk := p.walk(each, []string{path})
		return walk.maps || slices.ContainsFunc(walk.guards, Guard.mayName)
	})
}

// mayName reports whether the guard may say who a client is. What is not Caddy's own may.
func (g Guard) mayName() bool {
	switch g.Kind {
	case basicAuth, authentication, clientAuth:
		return true
	case forwardAuth:
		return false
	default:
		return !g.Sure && !strings.HasPrefix(g.Kind, matcherKind)
	}
}

// verifies reports whether a server verifies the certificates of clients that have one.
func verifies(s *server) bool {
	return slices.ContainsFunc(s.Policies, func(p tlsPolicy) bool { return p.mode() == "verify_if_given" })
}
