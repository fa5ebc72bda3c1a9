package hub

import (
	"fmt"
	"time"
)

// apply puts a plan in force. grace is grace_period of its config.
func (hub *hub) apply(c *Claim, grace time.Duration) {
	hub.mu.Lock()
	hub.drain, hub.grace = c.plan.Drain, grace
	hub.mu.Unlock()
	hub.logger.Use(c.logger)
	c.plan.connect()
	hub.snapshots.begin(c.plan)
	hub.server.SetOptions(c.plan.Server)
	hub.snapshots.use(c.plan, false)
	hub.addresses.use(c.plan)
	hub.events.use(c.plan.LogEvents, hub.server)
	plans := hub.plansOf(c.generation)
	hub.recheckOrigins(plans, c.logger)
	if err := hub.useEvents(c.plan); err != nil {
		// The handler has tried these sets: only a guest module that changes its mind comes here.
		c.logger.Error("event sets were not changed", "hub", hub.name, "error", err)
		return
	}
	hub.recheckAuth(c.plan)
	hub.recheckFronts(plans, c.logger)
	for _, ns := range hub.server.Namespaces() {
		if !c.plan.names(ns.Name()) {
			sockets := hub.server.Remove(ns.Name())
			c.logger.Info("namespace removed", "hub", hub.name, "namespace", ns.Name(), "sockets", sockets)
		}
	}
}

// useEvents gives the hub's namespaces their event sets, and says who may come in.
func (hub *hub) useEvents(p *Plan) error {
	hub.capture.Store(&p.Capture)
	for _, ns := range p.Namespaces {
		if _, err := hub.server.Use(ns.Name, ns.Sets...); err != nil {
			return fmt.Errorf("namespace %q: %w", ns.Name, err)
		}
	}
	return nil
}

// recheckAuth has the clients asked again who they are that are in namespaces of which the plan of
// a config, which has started, says something else than the one before. When it says the same,
// nobody is asked. It does not wait for that.
func (hub *hub) recheckAuth(p *Plan) {
	rules := p.rules()
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
