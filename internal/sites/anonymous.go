package sites

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Anonymous reports whether it is certain that nothing in front of the handler says who clients are, on
// the way of requests below a path: neither {http.auth.user.id} nor a verified client certificate is
// there. forward_auth by itself says it to nobody but handlers that read headers.
func (p *Place) Anonymous(path string) bool {
	c := p.look([]string{path})
	return !c.maps && !verifies(p.server) && !slices.ContainsFunc(c.guards(), Guard.mayName)
}

// mayName reports whether the guard may say who a client is. What is not Caddy's own may.
func (g Guard) mayName() bool {
	switch g.Kind {
	case basicAuth, authentication, clientAuth:
		return true
	default:
		return !g.Sure && !strings.HasPrefix(g.Kind, matcherKind)
	}
}

// verifies reports whether a server verifies the certificates of clients that have one.
func verifies(server *caddyhttp.Server) bool {
	for _, policy := range server.TLSConnPolicies {
		if a := policy.ClientAuthentication; a != nil && a.Mode == "verify_if_given" {
			return true
		}
	}
	return false
}
