package hub

import (
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/internal/migrate"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// hubs holds the hubs by name. A hub outlives a config as long as the next one names it too.
var hubs = caddy.NewUsagePool()

// hub is a Socket.IO server and what the handlers that name it have asked for.
type hub struct {
	name   string
	server *streaming.Server
	logger *logline.Switch
	// refusals logs the requests that the handlers of the hub refuse.
	refusals *refusalLog
	// events logs the events that come.
	events *eventLog
	// addresses finds out where clients come from.
	addresses *addresses

	departure departure
	snapshots snapshots
	// wasShown is true once a config that has the hub runs.
	wasShown atomic.Bool

	// capture is the Capture of the plan in force.
	capture atomic.Pointer[[]func(*http.Request, map[string]string)]

	mu     sync.Mutex
	claims []*Claim
	// originRules is what the config in force says of origins, see recheckOrigins.
	originRules string
	// frontRules is what stands in front of the handlers of the config in force, see recheckFronts.
	frontRules string
	// authRules is what the config in force says of who may come into which namespace, see
	// recheckAuth.
	authRules map[string]string
	// drain and grace are drain and grace_period of the config in force.
	drain, grace time.Duration
}

func newHub(ctx caddy.Context, p *Plan) (*hub, error) {
	logger := logline.NewSwitch(ctx.Slogger(), slog.String("hub", p.Hub))
	hub := &hub{
		name:      p.Hub,
		server:    streaming.New(p.Server, slog.New(logger)),
		logger:    logger,
		refusals:  newRefusalLog(slog.New(logger)),
		events:    &eventLog{logger: slog.New(logger)},
		addresses: newAddresses(slog.New(logger)),
		departure: departure{gone: make(chan struct{})},
		drain:     p.Drain,
		authRules: p.rules(),
	}
	hub.snapshots.hub, hub.snapshots.interval = hub, snapshotInterval
	if p.Storage != nil {
		// Who asks for it first makes it. Later, others of this process ask at the same time.
		_, _ = caddy.InstanceID()
	}
	hub.addresses.use(p)
	hub.events.use(p.LogEvents, hub.server)
	p.connect()
	if leaving := departures.find(p.Hub); leaving != nil {
		// What an address has there it has not here besides.
		hub.server.CountWith(leaving.server)
	}
	if err := hub.useEvents(p); err != nil {
		hub.server.Close()
		return nil, err
	}
	return hub, nil
}

// take registers a claim, unless the plan of another one of the same config wants something else of
// the hub.
func (hub *hub) take(c *Claim) error {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	doubted := false
	for _, other := range hub.claims {
		if other.generation == c.generation {
			if err := other.plan.Disagreement(c.plan); err != nil {
				return err
			}
			if doubt := other.plan.doubt(c.plan); doubt != "" && !doubted {
				doubted = true
				c.logger.Warn("handlers share a hub, and it cannot be told whether the same clients can come to them; "+
					"put the same in front of both, or give one of them a hub of its own", "hub", hub.name,
					"differing", doubt, "declared_at", other.plan.DeclaredAt, "and_at", c.plan.DeclaredAt)
			}
		}
	}
	hub.claims = append(hub.claims, c)
	return nil
}

// release gives up a claim.
func (hub *hub) release(c *Claim) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	hub.claims = slices.DeleteFunc(hub.claims, func(other *Claim) bool { return other == c })
}

// plansOf returns the plans of one config for the hub.
func (hub *hub) plansOf(generation any) (plans []*Plan) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	for _, c := range hub.claims {
		if c.generation == generation {
			plans = append(plans, c.plan)
		}
	}
	return plans
}

// inbound returns what Caddy knows of a request, and what the hub asks of it. It names no connection:
// a proxy in front takes the answer to a poll at once, so that its connection says nothing of a slow
// client behind it.
func (hub *hub) inbound(r *http.Request) engineio.Inbound {
	in := engineio.Inbound{
		ClientAddr:    hub.addresses.finder,
		SameOrigin:    cors.IsSameOrigin(r),
		OriginChecked: true,
		Hold:          handover.pass,
		Release:       migrate.Release,
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if ok && server.WriteTimeout > 0 {
		// The server's write timeout counts from the request. A poll has to end before it.
		in.MaxHold = time.Duration(server.WriteTimeout) * 3 / 4
	}
	return in
}

// attributes returns what is to be kept of a request, or nil where nothing is.
func (hub *hub) attributes(r *http.Request) func() map[string]string {
	list := hub.capture.Load()
	if list == nil || len(*list) == 0 {
		return nil
	}
	return func() map[string]string {
		attributes := make(map[string]string)
		for _, capture := range *list {
			capture(r, attributes)
		}
		return attributes
	}
}

// Destruct ends the hub: nobody names it any more. A reload does not wait for that; the end of the
// process does, for a bounded time.
func (hub *hub) Destruct() error {
	hub.refusals.flush()
	if !caddy.Exiting() {
		hub.logger.Use(activeLogger())
		hub.depart(0, engineio.Farewell{Over: hub.drainTime(), Reason: engineio.ReasonHubRemoved})
		return nil
	}
	hub.depart(0, engineio.Farewell{Reason: engineio.ReasonShutdown})
	<-hub.departure.gone
	return nil
}

// Interface guard.
var _ caddy.Destructor = (*hub)(nil)
