package hub

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// maxLoggedOrigins bounds how many origins a reload names in the log, each on a line of its own.
const maxLoggedOrigins = 20

// recheckOrigins closes the connections of clients whose origin the plans of a config, which has
// started, no longer allow. A client stays if any handler that serves the path it came by allows
// its origin. When the config says of origins what the one before said, there is nothing to look
// for.
func (hub *hub) recheckOrigins(plans []*Plan, logger *slog.Logger) {
	rules := originRules(plans)
	hub.mu.Lock()
	same := hub.originRules == rules
	hub.originRules = rules
	hub.mu.Unlock()
	if !same {
		hub.closeByOrigin(plans, logger)
	}
}

// closeByOrigin closes the connections of clients whose origin none of the plans allows.
func (hub *hub) closeByOrigin(plans []*Plan, logger *slog.Logger) {
	revoked := make(map[string]int)
	hub.server.CloseIf(engineio.ReasonOriginRevoked, func(handshake *engineio.Handshake) bool {
		if allowsOrigin(plans, handshake) {
			return false
		}
		revoked[handshakeOrigin(handshake)]++
		return true
	})
	logged := 0
	for origin, clients := range revoked {
		if logged++; logged > maxLoggedOrigins {
			logger.Warn("more origins are no longer allowed", "hub", hub.name, "origins", len(revoked)-maxLoggedOrigins)
			return
		}
		logger.Warn("clients disconnected", "reason", string(engineio.ReasonOriginRevoked), "hub", hub.name,
			"origin", fmt.Sprintf("%.*q", maxLoggedOrigin, origin), "clients", clients)
	}
}

// originRules tells what the plans say of origins, in a form that can be compared.
func originRules(plans []*Plan) string {
	rules := make([]string, 0, len(plans))
	for _, p := range plans {
		rules = append(rules, fmt.Sprint(p.Paths, p.Origins))
	}
	slices.Sort(rules)
	return strings.Join(rules, "\n")
}

// allowsOrigin reports whether any of the plans would let the client in again by the path it came
// by. Where none serves that path any more, all of them are asked: it is origins that this is
// about.
func allowsOrigin(plans []*Plan, handshake *engineio.Handshake) bool {
	sent := handshakeOrigin(handshake)
	if sent == "" {
		return true
	}
	allows := func(p *Plan) bool { return p.Origins.DecideAgain(sent, handshake.SameOrigin).OK() }
	served := false
	for _, p := range plans {
		if p.serves(handshake.URL) {
			served = true
			if allows(p) {
				return true
			}
		}
	}
	return !served && slices.ContainsFunc(plans, allows)
}

// handshakeOrigin returns the Origin header of a client's first request, or "" if it had none.
func handshakeOrigin(handshake *engineio.Handshake) string { return handshake.Header.Get("Origin") }
