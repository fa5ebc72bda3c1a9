package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Claim is what one provisioned handler has of its hub.
type Claim struct {
	hub  *hub
	plan *Plan
	// generation is the same for all handlers of one config, and for no others.
	generation any
	logger     *slog.Logger
}

// Join makes a handler one of the hub that its plan names, which is made if need be. A hub that is
// there already is not changed before the config that has it ends, since the new one may still fail,
// even when it has started. It is an error if another handler of the same config wants something
// else of the hub.
func Join(ctx caddy.Context, p *Plan) (*Claim, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("getting the events app: %w", err)
	}
	events := app.(*caddyevents.App)
	clientaddr.Watch(ctx)

	value, _, err := hubs.LoadOrNew(p.Hub, func() (caddy.Destructor, error) { return newHub(ctx, p) })
	if err != nil {
		return nil, err
	}
	c := &Claim{hub: value.(*hub), plan: p, generation: events, logger: ctx.Slogger()}
	if err := c.hub.take(c); err != nil {
		_, _ = hubs.Delete(p.Hub)
		return nil, err
	}
	generation := joinGeneration(ctx, events)
	generation.add(c)
	if err := c.follow(ctx, events, generation); err != nil {
		return nil, errors.Join(err, c.Leave())
	}
	return c, nil
}

// follow has the hub do what a config's start and end ask for.
func (c *Claim) follow(ctx caddy.Context, events *caddyevents.App, g *generation) error {
	err := events.On("started", eventHandler(func() {
		_, grace := shutdownTimes(ctx)
		g.start(grace)
	}))
	if err != nil {
		return err
	}
	return events.On("stopping", eventHandler(func() {
		if caddy.Exiting() {
			delay, _ := shutdownTimes(ctx)
			leaveAll(delay)
			return
		}
		beginNext(g)
		g.gather()
	}))
}

// eventHandler makes a function a subscriber of Caddy's events.
type eventHandler func()

// Handle implements caddyevents.Handler.
func (f eventHandler) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// Leave gives the claim up. The hub ends with the last one. Requests that are under way may still
// use the claim.
func (c *Claim) Leave() error {
	c.hub.release(c)
	_, err := hubs.Delete(c.plan.Hub)
	if ended, _ := generations.Delete(c.generation); ended {
		// Should the config have ended without saying so, the next one begins now.
		beginNext(nil)
	}
	return err
}

// ServeHTTP answers a request that is Engine.IO's. The CORS headers are set, and the origin has
// been checked, before it is called. One that is refused is logged.
func (c *Claim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.hub.snapshots.begin(c.plan)
	in := c.hub.inbound(r)
	in.Attributes = c.captured(r)
	if err := c.hub.server.ServeHTTP(w, r, in); err != nil {
		c.hub.refusals.byEngine(r, err)
	}
}

// RefuseOrigin answers 403 as the reference server does, and tells the reason to the log only.
func (c *Claim) RefuseOrigin(w http.ResponseWriter, r *http.Request, d cors.Decision) {
	c.hub.refusals.byOrigin(r, d)
	c.hub.server.CountRefusal(engineio.CodeForbidden)
	engineio.WriteError(w, http.StatusForbidden, engineio.CodeForbidden)
}

// RefuseStatus logs that a client may not read the status, which is for the addresses in an
// allow-list.
func (c *Claim) RefuseStatus(r *http.Request, client clientaddr.Client, allow []netip.Prefix) {
	c.hub.addresses.doubt(client, allow)
	c.hub.refusals.byStatus(r, client, allow)
}

// RefusePublish logs a request to publish that shows no key, or an unknown one.
func (c *Claim) RefusePublish(r *http.Request) { c.hub.refusals.byKey(r) }

// Server returns the server of the hub.
func (c *Claim) Server() *streaming.Server { return c.hub.server }

// Metrics returns what the hub has counted.
func (c *Claim) Metrics() streaming.Metrics { return c.hub.server.Metrics() }

// Interface guard.
var _ caddyevents.Handler = (eventHandler)(nil)
