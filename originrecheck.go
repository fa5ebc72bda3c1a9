package socketiostream

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// maxLoggedOrigins bounds how many origins a reload names in the log, each on a line of its own.
const maxLoggedOrigins = 20

// recheckOrigins closes the connections of clients whose origin the handlers of a config, which has started, no longer
// allow. A client stays if any handler that serves the path it came by allows its origin. When the config says of origins
// what the one before said, there is nothing to look for.
func (hub *hub) recheckOrigins(handlers []*Handler, logger *slog.Logger) {
	rules := originRules(handlers)
	hub.mu.Lock()
	same := hub.originRules == rules
	hub.originRules = rules
	hub.mu.Unlock()
	if same {
		return
	}
	revoked := make(map[string]int)
	hub.server.CloseIf(engineio.ReasonOriginRevoked, func(handshake *engineio.Handshake) bool {
		if allowsOrigin(handlers, handshake) {
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

// originRules tells what the handlers say of origins, in a form that can be compared.
func originRules(handlers []*Handler) string {
	rules := make([]string, 0, len(handlers))
	for _, h := range handlers {
		rules = append(rules, fmt.Sprint(h.settings.paths, h.settings.origins))
	}
	slices.Sort(rules)
	return strings.Join(rules, "\n")
}

// allowsOrigin reports whether any of the handlers would let the client in again by the path it came by. Where none
// serves that path any more, all of them are asked: it is origins that this is about.
func allowsOrigin(handlers []*Handler, handshake *engineio.Handshake) bool {
	sent := handshakeOrigin(handshake)
	if sent == "" {
		return true
	}
	served := false
	for _, h := range handlers {
		if h.serves(handshake.URL) {
			served = true
			if h.settings.origins.DecideAgain(sent, handshake.SameOrigin).OK() {
				return true
			}
		}
	}
	return !served && slices.ContainsFunc(handlers, func(h *Handler) bool {
		return h.settings.origins.DecideAgain(sent, handshake.SameOrigin).OK()
	})
}

// handshakeOrigin returns the Origin header of a client's first request, or "" if it had none.
func handshakeOrigin(handshake *engineio.Handshake) string { return handshake.Header.Get("Origin") }

// serves reports whether a request target lies below one of the handler's socket paths.
func (h *Handler) serves(target string) bool {
	parsed, err := url.ParseRequestURI(target)
	return err == nil && slices.ContainsFunc(h.settings.paths, func(p string) bool { return strings.HasPrefix(parsed.Path, p) })
}
