package hub

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// attributeFront is what was in front of a handler when the client came by it.
const attributeFront = "hub.front"

// captured returns what is to be kept of a request that came by a claim, or nil where nothing is.
func (c *Claim) captured(r *http.Request) func() map[string]string {
	capture := c.hub.attributes(r)
	if capture == nil {
		return nil
	}
	return func() map[string]string {
		attributes := capture()
		if len(attributes) > 0 {
			attributes[attributeFront] = c.plan.Front
		}
		return attributes
	}
}

// recheckFronts closes the connections of clients of whom something was captured that a handler in
// front has said, if no handler of the config that has started has the same in front. They come back
// by themselves, and what is in front now is asked.
func (hub *hub) recheckFronts(plans []*Plan, logger *slog.Logger) {
	rules := frontRules(plans)
	hub.mu.Lock()
	same := hub.frontRules == rules
	hub.frontRules = rules
	hub.mu.Unlock()
	if !same {
		hub.closeByFront(plans, logger)
	}
}

// closeByFront closes the connections of clients of whom something was captured, if none of the plans
// has in front what was in front when they came.
func (hub *hub) closeByFront(plans []*Plan, logger *slog.Logger) {
	ended := hub.server.CloseIf(engineio.ReasonFrontChanged, func(handshake *engineio.Handshake) bool {
		front, ok := handshake.Attributes[attributeFront]
		return ok && !slices.ContainsFunc(plans, func(p *Plan) bool { return p.Front == front })
	})
	if ended > 0 {
		logger.Info("clients have to come again", "reason", string(engineio.ReasonFrontChanged), "hub", hub.name, "clients", ended)
	}
}

// frontRules tells what is in front of the handlers of plans, in a form that can be compared.
func frontRules(plans []*Plan) string {
	rules := make([]string, 0, len(plans))
	for _, p := range plans {
		rules = append(rules, p.Front)
	}
	slices.Sort(rules)
	return strings.Join(slices.Compact(rules), "\n")
}
