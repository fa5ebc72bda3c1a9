package socketiostream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/auth"
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

	departure departure

	// captors have to see the first requests of clients.
	captors atomic.Pointer[[]auth.Captor]

	mu     sync.Mutex
	claims []hubClaim
	// applied is the claim whose handler's options are in force.
	applied hubClaim
	// originRules is what the config in force says of origins, see recheckOrigins.
	originRules string
	// authRules is what the config in force says of who may come into which namespace, see recheckAuth.
	authRules map[string]string
	// drain and grace are drain and grace_period of the config in force.
	drain, grace time.Duration
}

// hubClaim is one provisioned handler's claim on a hub.
type hubClaim struct {
	handler *Handler
	// generation is the same for all handlers of one config, and for no others.
	generation any
	logger     *slog.Logger
}

// hubOption is one of the options that handlers sharing a hub must agree on.
type hubOption struct {
	name  string
	value string
}

// hubOptions lists the options that belong to the hub, in a form that can be compared.
func (h *Handler) hubOptions() []hubOption {
	s := &h.settings
	cookie := "off"
	if s.cookie != nil {
		cookie = fmt.Sprintf("%s path=%s domain=%s same_site=%s http_only=%t max_age=%s secure=%s", s.cookie.name, s.cookie.path,
			s.cookie.domain, s.cookie.sameSite, s.cookie.httpOnly, s.cookie.maxAge, optional(s.cookie.secure))
	}
	options := []hubOption{
		{"transports", fmt.Sprint(slices.Sorted(slices.Values(s.transports)))},
		{"allow_upgrades", fmt.Sprint(s.allowUpgrades)},
		{"ping_interval", s.pingInterval.String()},
		{"ping_timeout", s.pingTimeout.String()},
		{"connect_timeout", s.connectTimeout.String()},
		{"upgrade_timeout", s.upgradeTimeout.String()},
		{"max_http_buffer_size", fmt.Sprint(s.maxHTTPBufferSize)},
		{"cookie", cookie},
		{"send_buffer", fmt.Sprint(s.sendBuffer)},
		{"hub_buffer", fmt.Sprint(s.hubBuffer)},
		{"write_timeout", s.writeTimeout.String()},
		{"max_connections", fmt.Sprint(s.maxConnections)},
		{"handshake_rate", s.handshakeRate.String()},
		{"drain", s.drain.String()},
		{"limits", s.limits.String()},
		{"per_message_deflate", s.perMessageDeflate.String()},
		{"http_compression", s.httpCompression.String()},
		{"log_connections", s.logConnections},
	}
	for _, ns := range s.namespaces {
		sets := make([]string, 0, len(ns.sets))
		for _, set := range ns.sets {
			config, _ := json.Marshal(set)
			sets = append(sets, set.CaddyModule().ID.Name()+string(config))
		}
		options = append(options, hubOption{"namespace " + ns.name, fmt.Sprint(sets)},
			hubOption{"auth of namespace " + ns.name, ns.auth.String()})
	}
	return options
}

func optional(value *bool) string {
	if value == nil {
		return "default"
	}
	return fmt.Sprint(*value)
}

// String returns the settings in a form that can be compared.
func (c *compressionSettings) String() string {
	if c == nil {
		return "off"
	}
	return fmt.Sprintf("on from %d bytes", c.threshold)
}

// disagreement says in which option two handlers of one hub differ, or returns nil.
func disagreement(a, b *Handler) error {
	ours, theirs := a.hubOptions(), b.hubOptions()
	find := func(options []hubOption, name string) string {
		for _, option := range options {
			if option.name == name {
				return option.value
			}
		}
		return "absent"
	}
	for _, option := range slices.Concat(ours, theirs) {
		x, y := find(ours, option.name), find(theirs, option.name)
		if x != y {
			return fmt.Errorf("hub %q is declared with different options: %s is %s at %s and %s at %s; make them equal, or give one of them a hub of its own",
				a.settings.hub, option.name, x, a.place(), y, b.place())
		}
	}
	return nil
}

// place names where the handler was declared.
func (h *Handler) place() string {
	if h.DeclaredAt != "" {
		return h.DeclaredAt
	}
	return "the handler with path " + h.settings.firstPath
}

// joinHub makes the handler one of its hub's, which it makes if need be. A hub that is there already is not changed before
// the new config has started, since it may still fail.
func (h *Handler) joinHub(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	events := app.(*caddyevents.App)

	value, loaded, err := hubs.LoadOrNew(h.settings.hub, func() (caddy.Destructor, error) { return newHub(ctx, h) })
	if err != nil {
		return err
	}
	hub := value.(*hub)
	claim := hubClaim{handler: h, generation: events, logger: ctx.Slogger()}
	if err := hub.claim(claim, !loaded); err != nil {
		_, _ = hubs.Delete(h.settings.hub)
		return err
	}
	h.hub = hub
	h.engine = hub
	h.stats = hub.server
	h.refusals = hub.refusals
	generation := joinGeneration(ctx, events)
	h.generation = events

	if err := events.On("started", eventHandler(func() { hub.start(claim, ctx) })); err != nil {
		return err
	}
	return events.On("stopping", eventHandler(func() {
		if exiting() {
			delay, _ := shutdownTimes(ctx)
			leaveAll(delay)
			return
		}
		generation.gather()
	}))
}

// leaveHub gives up what joinHub has claimed. Requests of this handler that are under way still need its fields.
func (h *Handler) leaveHub() error {
	if h.hub == nil {
		return nil
	}
	h.hub.release(h)
	_, err := hubs.Delete(h.settings.hub)
	_, _ = generations.Delete(h.generation)
	return err
}

// eventHandler makes a function a subscriber of Caddy's events.
type eventHandler func()

// Handle implements caddyevents.Handler.
func (f eventHandler) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

func newHub(ctx caddy.Context, h *Handler) (*hub, error) {
	logger := logline.NewSwitch(ctx.Slogger(), slog.String("hub", h.settings.hub))
	hub := &hub{
		name: h.settings.hub, logger: logger, refusals: newRefusalLog(slog.New(logger)),
		server:    streaming.New(h.streamingOptions(), slog.New(logger)),
		departure: departure{gone: make(chan struct{})}, drain: h.settings.drain, authRules: authRulesOf(h.settings.namespaces),
	}
	if err := hub.useEvents(h); err != nil {
		hub.server.Close()
		return nil, err
	}
	hub.show()
	return hub, nil
}

// claim registers a handler, unless another of the same config wants something else of the hub. made tells that the hub
// was made for it, with its options.
func (hub *hub) claim(claim hubClaim, made bool) error {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	for _, other := range hub.claims {
		if other.generation == claim.generation {
			if err := disagreement(other.handler, claim.handler); err != nil {
				return err
			}
		}
	}
	hub.claims = append(hub.claims, claim)
	if made {
		hub.applied = claim
	}
	return nil
}

// release gives up a handler's claim. A config can fail even after it has started; the one before it goes on then, and its
// options are put back in force.
func (hub *hub) release(h *Handler) {
	hub.mu.Lock()
	hub.claims = slices.DeleteFunc(hub.claims, func(c hubClaim) bool { return c.handler == h })
	orphaned := len(hub.claims) > 0 && !slices.ContainsFunc(hub.claims, func(c hubClaim) bool {
		return c.generation == hub.applied.generation
	})
	var last hubClaim
	if orphaned {
		last = hub.claims[len(hub.claims)-1]
	}
	hub.mu.Unlock()
	if orphaned {
		hub.apply(last)
	}
}

// handlersOf returns the handlers of one config that name the hub.
func (hub *hub) handlersOf(generation any) (handlers []*Handler) {
	hub.mu.Lock()
	defer hub.mu.Unlock()
	for _, c := range hub.claims {
		if c.generation == generation {
			handlers = append(handlers, c.handler)
		}
	}
	return handlers
}

// start brings a config that has started to the hub.
func (hub *hub) start(claim hubClaim, ctx caddy.Context) {
	_, grace := shutdownTimes(ctx)
	hub.useTimes(claim.handler.settings.drain, grace)
	hub.apply(claim)
}

// apply puts a handler's options in force.
func (hub *hub) apply(claim hubClaim) {
	h, logger := claim.handler, claim.logger
	hub.mu.Lock()
	hub.applied = claim
	hub.mu.Unlock()
	hub.logger.Use(logger)
	hub.server.SetOptions(h.streamingOptions())
	hub.recheckOrigins(hub.handlersOf(claim.generation), logger)
	if err := hub.useEvents(h); err != nil {
		// checkEventSets has accepted these sets: only a guest module that changes its mind comes here.
		logger.Error("event sets were not changed", "hub", hub.name, "error", err)
		return
	}
	hub.recheckAuth(h)
	for _, ns := range hub.server.Namespaces() {
		if !slices.ContainsFunc(h.settings.namespaces, func(wanted namespaceSettings) bool { return wanted.name == ns.Name() }) {
			sockets := hub.server.Remove(ns.Name())
			logger.Info("namespace removed", "hub", hub.name, "namespace", ns.Name(), "sockets", sockets)
		}
	}
}

// useEvents gives the hub's namespaces their event sets, and says who may come in.
func (hub *hub) useEvents(h *Handler) error {
	list := captors(h.settings.namespaces)
	hub.captors.Store(&list)
	for _, ns := range h.settings.namespaces {
		if _, err := hub.server.Use(ns.name, ns.registered()...); err != nil {
			return fmt.Errorf("namespace %q: %w", ns.name, err)
		}
	}
	return nil
}

// ServeHTTP implements engineHandler.
func (hub *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	var in engineio.Inbound
	in.Attributes = hub.capture(r)
	in.RemoteAddr, _ = caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	in.SameOrigin = cors.IsSameOrigin(r)
	in.OriginChecked = true
	in.Gate = handover
	in.Release = migrate.Release
	if server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.WriteTimeout > 0 {
		// The server's write timeout counts from the request. A poll has to end before it.
		in.MaxHold = time.Duration(server.WriteTimeout) * 3 / 4
	}
	return hub.server.ServeHTTP(w, r, in)
}

// Destruct ends the hub: nobody names it any more. A reload does not wait for that; the end of the process does, for a
// bounded time.
func (hub *hub) Destruct() error {
	hub.refusals.flush()
	if !exiting() {
		hub.logger.Use(activeLogger())
		hub.depart(0, engineio.Drain{Over: hub.drainTime(), Unserved: true, Reason: engineio.ReasonHubRemoved})
		return nil
	}
	hub.depart(0, engineio.Drain{Unserved: true, Reason: engineio.ReasonShutdown})
	<-hub.departure.gone
	return nil
}

// streamingOptions translates the settings.
func (h *Handler) streamingOptions() streaming.Options {
	s := &h.settings
	options := streaming.Options{
		ConnectTimeout: s.connectTimeout,
		Limits:         s.limits.streaming(),
		Engine: engineio.Options{
			DisableUpgrades: !s.allowUpgrades,
			PingInterval:    s.pingInterval,
			PingTimeout:     s.pingTimeout,
			UpgradeTimeout:  s.upgradeTimeout,
			MaxPayload:      s.maxHTTPBufferSize,
			SendBuffer:      int(s.sendBuffer),
			ServerBuffer:    s.hubBuffer,
			Deflate:         s.perMessageDeflate.engine(),
			HTTPCompression: s.httpCompression.engine(),
			WriteTimeout:    s.writeTimeout,
			MaxSessions:     s.maxConnections,
			Limits:          s.limits.engine(),
			LogConnections:  connectionLogs[s.logConnections],
			HandshakeRate:   s.handshakeRate.engine(),
		},
	}
	for _, transport := range s.transports {
		options.Engine.Transports = append(options.Engine.Transports, engineio.Transport(transport))
	}
	if s.cookie != nil {
		options.Engine.Cookie = s.cookie.make
	}
	return options
}

// connectionLogs translates the values of log_connections.
var connectionLogs = map[string]engineio.ConnectionLog{
	logAll: engineio.LogAll, logSampled: engineio.LogSampled, logFaults: engineio.LogFaults,
}

// engine translates the settings.
func (c *compressionSettings) engine() *engineio.Compression {
	if c == nil {
		return nil
	}
	return &engineio.Compression{Threshold: int(c.threshold)}
}

// make makes the cookie of a session.
func (c *cookieSettings) make(r *http.Request, sid string) *http.Cookie {
	cookie := &http.Cookie{
		Name: c.name, Value: sid, Path: c.path, Domain: c.domain, HttpOnly: c.httpOnly, MaxAge: int(c.maxAge / time.Second),
		SameSite: map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode}[c.sameSite],
	}
	if c.secure != nil {
		cookie.Secure = *c.secure
	} else {
		cookie.Secure = r.TLS != nil || c.sameSite == "none"
	}
	return cookie
}

// Interface guards.
var (
	_ caddy.Destructor    = (*hub)(nil)
	_ engineHandler       = (*hub)(nil)
	_ caddyevents.Handler = (eventHandler)(nil)
)
