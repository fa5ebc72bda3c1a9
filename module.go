// Package socketiostream makes Caddy itself a Socket.IO server: the HTTP handler
// http.handlers.socketio_stream answers Engine.IO and Socket.IO requests in Caddy's own process and
// passes everything else on.
package socketiostream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/admin"
	"github.com/caddy-socketio/socketio-stream/admin/metrics"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/clientfiles"
	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/memory"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/publish"
	"github.com/caddy-socketio/socketio-stream/publish/publishcaddy"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery/recoverycaddy"
	"github.com/caddy-socketio/socketio-stream/streaming/redis/rediscaddy"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler is a middleware that is a Socket.IO server. Requests for its paths, for what lies below
// them, and for its health and status paths are answered here; every other request goes to the next
// handler.
//
// The connections belong to a hub, which has a name and outlives a config reload. Handlers that
// name the same hub share its connections, and must agree on its options.
//
// Placeholders that are known when the config is loaded, such as {env.NAME}, are replaced in every
// text field.
type Handler struct {
	// Hub is the name of the hub that holds the connections: up to 64 letters, digits, dots, dashes
	// and underscores. Default: a hub that the handler's site has to itself, named by the site's
	// addresses.
	Hub string `json:"hub,omitempty"`

	// Paths are the URL paths of the Socket.IO endpoint. Each begins with a slash; a missing slash
	// at the end is added. Below them are the browser client's files, and nothing else. All of
	// them lead to the same hub. Default: ["/socket.io/"].
	Paths []string `json:"paths,omitempty"`

	// Transports are the transports a client may use: "polling", "websocket" or both. Default:
	// both.
	Transports []string `json:"transports,omitempty"`

	// AllowUpgrades tells whether a client may move from polling to WebSocket. Default: true.
	AllowUpgrades *bool `json:"allow_upgrades,omitempty"`

	// AllowEIO3 lets in clients of Socket.IO 1 and 2 too, which speak revision 3 of Engine.IO, and
	// long-polling by JSONP. Default: false.
	AllowEIO3 bool `json:"allow_eio3,omitempty"`

	// PingInterval is the time between two heartbeats the server sends. Zero means the default.
	// Default: 25s.
	PingInterval caddy.Duration `json:"ping_interval,omitempty"`

	// PingTimeout is how long a client may take to answer a heartbeat before it is disconnected.
	// Zero means the default. Default: 20s.
	PingTimeout caddy.Duration `json:"ping_timeout,omitempty"`

	// ConnectTimeout is how long a client may stay without having joined a namespace. Zero means
	// the default. Default: 45s.
	ConnectTimeout caddy.Duration `json:"connect_timeout,omitempty"`

	// UpgradeTimeout is how long a move from polling to WebSocket may take. Zero means the default.
	// Default: 10s.
	UpgradeTimeout caddy.Duration `json:"upgrade_timeout,omitempty"`

	// MaxHTTPBufferSize is the greatest size, in bytes, of one message or one POST body, whichever
	// the transport. A client that sends more is disconnected. Zero means the default. Default:
	// 1000000.
	MaxHTTPBufferSize int64 `json:"max_http_buffer_size,omitempty"`

	// CORS says which other origins may connect. Without it only pages of the same origin, and
	// clients that send no Origin header at all, are let in.
	CORS *CORS `json:"cors,omitempty"`

	// Cookie is the cookie that carries the session's id, for load balancers that need one. Without
	// it no cookie is set.
	Cookie *Cookie `json:"cookie,omitempty"`

	// SendBuffer is how many bytes may wait for one client before it is cut off as too slow. A
	// message counts with what it takes of memory: its size and some 150 bytes. At least 64000.
	// Zero means the default. Default: 4000000.
	SendBuffer int64 `json:"send_buffer,omitempty"`

	// HubBuffer is how many bytes of memory may be taken by what waits for all clients of the hub
	// together, and by what has come from them; a message counts once, for however many clients it
	// waits. From 80 % of it on new connections are answered 503 with Retry-After; beyond it
	// volatile packets are dropped, and clients for whom more than 64 KiB wait are cut off. When
	// what has come takes an eighth of it, clients with more than 64 KiB that is not complete are
	// read from one after the other, and disconnected when they take longer than 10s. At least send_buffer. Zero means the default. Default: a quarter of
	// GOMEMLIMIT, or, where that is not set, of the machine's memory, and no limit where neither is
	// known; never less than send_buffer.
	HubBuffer int64 `json:"hub_buffer,omitempty"`

	// WriteTimeout is how long a client may take nothing of what is written to it before it is cut
	// off. Zero means the default. Default: 10s.
	WriteTimeout caddy.Duration `json:"write_timeout,omitempty"`

	// MaxConnections is how many clients the hub takes at a time. Zero means no limit. Default: 0.
	MaxConnections int `json:"max_connections,omitempty"`

	// HandshakeRate bounds how many clients are let in at a time; the others are answered 503 with
	// a Retry-After that differs from one to the next. Default: 1000 in a second, and 2000 at once.
	HandshakeRate *option.Rate `json:"handshake_rate,omitempty"`

	// Drain is the time that closing the connections is spread over when the process ends, or when
	// a reload removes the hub, so that clients do not all come back at once. Few clients take
	// less: at least 200 are closed in a second. It is never more than grace_period. Zero means the
	// default. Default: 5s.
	Drain caddy.Duration `json:"drain,omitempty"`

	// Limits bound what one client, or all clients of one address, may take of the hub. Default:
	// see Limits.
	Limits *Limits `json:"limits,omitempty"`

	// Recovery lets clients whose connection was cut go on with their ID, their rooms and what they have missed. Default: off.
	Recovery *recoverycaddy.Options `json:"recovery,omitempty"`

	// PerMessageDeflate compresses WebSocket messages for clients that offer permessage-deflate,
	// without context takeover, so that a message is compressed once for all of them. Default: off.
	PerMessageDeflate *Compression `json:"per_message_deflate,omitempty"`

	// HTTPCompression compresses the answers of polls with gzip or deflate, as the client accepts.
	// It is not needed where Caddy's encode handler does that. Default: off.
	HTTPCompression *Compression `json:"http_compression,omitempty"`

	// LogConnections says of which clients the start and the end of their connection are logged:
	// "all", "sampled" (up to 100 that come within one second; the others are counted, and a line
	// says how many), or "faults" (only the ends that are the client's fault). Default: "sampled".
	LogConnections string `json:"log_connections,omitempty"`

	// LogEvents says whether each event that comes from a client is logged: "names" has its name, its
	// sender and its size, and never what is in it; "off" has none. Default: "off".
	LogEvents string `json:"log_events,omitempty"`

	// ServeClient says what is answered for the browser client's files, such as
	// /socket.io/socket.io.js: "cdn" redirects to the official CDN at a pinned version, "off"
	// serves none, and anything else is the folder that holds them. Default: "cdn".
	ServeClient string `json:"serve_client,omitempty"`

	// Health are the paths that answer whether the service is up. Default: none.
	Health []string `json:"health,omitempty"`

	// Status are the paths that answer with uptime, memory and the state of the connections.
	// Default: none.
	Status *Status `json:"status,omitempty"`

	// Publish are the paths at which backends send events by HTTP. Default: none.
	Publish []*publishcaddy.Options `json:"publish,omitempty"`

	// AuthRaw says who clients are, in every namespace that does not say so itself: a module of the
	// namespace http.handlers.socketio_stream.auth named by its key "method". Default: everyone is
	// let in.
	AuthRaw json.RawMessage `json:"auth,omitempty" caddy:"namespace=http.handlers.socketio_stream.auth inline_key=method"`

	// AdapterRaw says what brings the hub together with others: a module of the namespace
	// http.handlers.socketio_stream.adapters named by its key "type". Default: "memory", nothing.
	AdapterRaw json.RawMessage `json:"adapter,omitempty" caddy:"namespace=http.handlers.socketio_stream.adapters inline_key=type"`

	// Namespaces are the Socket.IO namespaces and the event sets they speak. Default: "/" with the
	// event set "streaming".
	Namespaces []*Namespace `json:"namespaces,omitempty"`

	// DeclaredAt is where the Caddyfile declared this handler, as file:line, so that messages can
	// name the place; " #2" is added for the second time that the line is read, as when it is
	// imported twice, and so on. The Caddyfile adapter fills it in.
	DeclaredAt string `json:"declared_at,omitempty"`

	// DeclaredIn is a digest of the addresses of the site block that the Caddyfile declared this
	// handler in, where Caddy may make several servers of it. Handlers of one config with the same
	// DeclaredAt and DeclaredIn are in one site; without it, a handler's site is on its server
	// alone. The Caddyfile adapter fills it in.
	DeclaredIn string `json:"declared_in,omitempty"`

	logger  *zap.Logger
	origins cors.Policy
	paths   paths
	client  clientfiles.Files
	claim   claim
	adapter rediscaddy.Adapter
	// site is what is known of the site, or nil.
	site *siteOf
}

// The defaults that are the handler's own.
const (
	defaultPath  = "/socket.io/"
	defaultDrain = 5 * time.Second
)

// defaultHandshakeRate lets in two thousand clients at once, and twenty thousand within twenty
// seconds.
var defaultHandshakeRate = option.Rate{Amount: 1000}

// minSendBuffer is the smallest send_buffer, in bytes: below it a client is cut off by an ordinary
// burst.
const minSendBuffer = 64_000

// claim is what the handler has of its hub: a [hub.Claim].
type claim interface {
	// ServeHTTP answers a request that is Engine.IO's. The CORS headers are set, and the origin has
	// been checked.
	ServeHTTP(w http.ResponseWriter, r *http.Request)
	// RefuseOrigin answers a request of an origin that may not connect.
	RefuseOrigin(w http.ResponseWriter, r *http.Request, d cors.Decision)
	// RefuseStatus logs that a client may not read the status, which is for the addresses in an
	// allow-list.
	RefuseStatus(r *http.Request, client clientaddr.Client, allow []netip.Prefix)
	// RefusePublish logs a request to publish that shows no key, or an unknown one.
	RefusePublish(r *http.Request)
	// Server is the server of the hub.
	Server() *streaming.Server
	// Metrics returns what the hub has counted, and how it is doing.
	Metrics() streaming.Metrics
	// Leave gives the hub up, which ends with the last handler that names it.
	Leave() error
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision replaces placeholders, fills in defaults, checks the result, and takes the hub.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := h.prepare(ctx); err != nil {
		return h.declared(err)
	}
	// A hub must never be made from options that Validate, which Caddy calls after Provision, would
	// refuse.
	if err := h.Validate(); err != nil {
		return err
	}
	if err := h.findSite(ctx); err != nil {
		return h.declared(err)
	}
	h.warn()
	if err := metrics.Register(ctx); err != nil {
		return h.declared(err)
	}
	// The hub comes last: a config that fails after this point is cleaned up, and only then gives
	// it up again.
	p := h.plan()
	if p.Server.Adapter, p.Connect = h.adapter.Join(h.Hub); p.Server.Adapter != nil {
		for i := range p.Namespaces {
			p.Namespaces[i].Sets = append(slices.Clip(p.Namespaces[i].Sets), &admin.Set{Hub: h.Hub})
		}
	}
	if h.Recovery.Outlives() {
		p.Storage = ctx.Storage()
	}
	joined, err := hub.Join(ctx, p)
	if err != nil {
		return h.declared(err)
	}
	h.claim = joined
	return nil
}

// prepare makes the options what they are, in place.
func (h *Handler) prepare(ctx caddy.Context) error {
	t := option.NewResolver()
	t.Text("hub", &h.Hub, "")
	if h.Hub != "" {
		t.Check(checkHubName(h.Hub))
	}
	t.Texts("path", &h.Paths)
	h.paths.addSocket(t, h.Paths)
	h.provisionTransports(t)
	t.Switch(&h.AllowUpgrades, true)
	t.Duration("ping_interval", &h.PingInterval, engineio.DefaultPingInterval)
	t.Duration("ping_timeout", &h.PingTimeout, engineio.DefaultPingTimeout)
	t.Duration("connect_timeout", &h.ConnectTimeout, streaming.DefaultConnectTimeout)
	t.Duration("upgrade_timeout", &h.UpgradeTimeout, engineio.DefaultUpgradeTimeout)
	t.Size("max_http_buffer_size", &h.MaxHTTPBufferSize, engineio.DefaultMaxPayload, 1)
	h.origins = h.CORS.provision(t)
	h.origins.Scripts = h.AllowEIO3
	h.Cookie.provision(t)
	t.Size("send_buffer", &h.SendBuffer, engineio.DefaultSendBuffer, minSendBuffer)
	h.HubBuffer = cmp.Or(h.HubBuffer, defaultHubBuffer(memory.Available(), h.SendBuffer))
	t.Duration("write_timeout", &h.WriteTimeout, engineio.DefaultWriteTimeout)
	if h.MaxConnections < 0 {
		t.Check(fmt.Errorf("max_connections must not be negative, is %d", h.MaxConnections))
	}
	option.ClientRate.Provision(t, "handshake_rate", &h.HandshakeRate, defaultHandshakeRate)
	t.Duration("drain", &h.Drain, defaultDrain)
	h.Limits = h.Limits.provision(t)
	h.Recovery.Provision(t)
	h.PerMessageDeflate.provision(t, "per_message_deflate")
	h.HTTPCompression.provision(t, "http_compression")
	t.Choice("log_connections", &h.LogConnections, logSampled, logAll, logSampled, logFaults)
	t.Choice("log_events", &h.LogEvents, logOff, logOff, logNames)
	t.Text("serve_client", &h.ServeClient, string(clientfiles.CDN))
	h.client = clientfiles.Files(h.ServeClient)
	t.Check(h.client.Check())
	t.Texts("health", &h.Health)
	for _, at := range h.Health {
		h.paths.add(t, at, newHealthPage(at))
	}
	h.Status.provision(t, &h.paths)
	for _, o := range h.Publish {
		endpoint := o.Provision(t)
		h.paths.add(t, o.Path, publishPage{endpoint})
	}
	if err := t.Err(); err != nil {
		return err
	}
	var err error
	if h.adapter, err = rediscaddy.Load(ctx, h.AdapterRaw); err != nil {
		return err
	}
	return h.provisionNamespaces(ctx, t)
}

// Validate checks the options against each other.
func (h *Handler) Validate() error {
	if h.HubBuffer != 0 && h.HubBuffer < h.SendBuffer {
		return h.declared(fmt.Errorf("hub_buffer must be at least send_buffer, which is %d bytes, is %d bytes",
			h.SendBuffer, h.HubBuffer))
	}
	if _, isMemory := h.adapter.(*rediscaddy.Memory); h.Recovery.Outlives() && !isMemory {
		return h.declared(errors.New("recovery store storage cannot be had with adapter redis: other servers of the cluster go on sending " +
			"while this one is down, and nobody could be recovered; write store memory, or leave the adapter out"))
	}
	return h.declared(checkNamespaces(h.plan().Namespaces))
}

// Cleanup gives up the hub. Requests of this handler that are under way still need its fields.
func (h *Handler) Cleanup() error {
	if h.site != nil {
		h.site.release()
	}
	if h.claim == nil {
		return nil
	}
	return h.claim.Leave()
}

// ServeHTTP answers what is the handler's own and passes everything else to next.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	page, file, isSocket := h.paths.match(r.URL.Path)
	switch {
	case page != nil:
		return page.serve(w, r, h.claim)
	case isSocket:
		return h.serveSocketPath(w, r, file)
	default:
		return next.ServeHTTP(w, r)
	}
}

// serveSocketPath answers a request to a socket path, or to what lies below it: file is what follows
// the path. Below it there are the client's files and nothing else: a handler in front of this one
// that guards the path guards the endpoint.
func (h *Handler) serveSocketPath(w http.ResponseWriter, r *http.Request, file string) error {
	if file != "" && !h.client.Has(file) {
		return caddyhttp.Error(http.StatusNotFound, errors.New("nothing is served below the path of Socket.IO but the client's files"))
	}
	allowed := h.origins.Decide(r)
	h.origins.SetHeaders(w.Header(), r, allowed)
	switch {
	case h.client.Has(file):
		// The client's files are public, so a foreign origin is not refused here; it only gets no
		// CORS headers.
		if err := refuseWriting(w, r); err != nil {
			return err
		}
		return h.client.Serve(w, r, file)
	case !allowed.OK():
		h.claim.RefuseOrigin(w, r, allowed)
	case cors.IsPreflight(r):
		cors.AnswerPreflight(w, r)
	default:
		h.claim.ServeHTTP(w, r)
	}
	return nil
}

// publishPage is a path at which backends send events.
type publishPage struct{ endpoint *publish.Endpoint }

func (publishPage) kind() string { return "publish" }

func (p publishPage) serve(w http.ResponseWriter, r *http.Request, hub claim) error {
	if err := p.endpoint.Serve(w, r, hub.Server()); err != nil {
		hub.RefusePublish(r)
	}
	return nil
}

// declared adds the place of the handler's declaration to err.
func (h *Handler) declared(err error) error {
	if err == nil || h.DeclaredAt == "" {
		return err
	}
	return fmt.Errorf("socketio_stream at %s: %w", h.DeclaredAt, err)
}

// warn logs what is allowed but rarely meant.
func (h *Handler) warn() {
	h.warnOfNobody()
	h.warnOfAuth()
	if h.origins.AllowsAny() && h.origins.AllowsCredentials() {
		h.logger.Warn("every origin may connect with credentials, so any page can act in its visitor's name",
			zap.String("declared_at", h.DeclaredAt))
	}
	for _, domain := range h.origins.Shared() {
		h.logger.Warn("cors origins lets in every customer of a provider, since anybody can have a subdomain there",
			zap.String("domain", domain), zap.String("declared_at", h.DeclaredAt))
	}
	if h.SendBuffer < h.MaxHTTPBufferSize {
		h.logger.Warn("send_buffer is smaller than max_http_buffer_size, so one large message can cut off every receiver that has others waiting",
			zap.Int64("send_buffer", h.SendBuffer),
			zap.Int64("max_http_buffer_size", h.MaxHTTPBufferSize),
			zap.String("declared_at", h.DeclaredAt))
	}
}

// defaultHubBuffer returns the hub_buffer of a hub that names none, in bytes: a quarter of the
// available memory, which leaves room for the heap to grow to twice what is live before it is
// collected. It must not undercut sendBuffer, which one client may use up. Zero, where the memory
// is not known, is no limit.
func defaultHubBuffer(memory, sendBuffer int64) int64 {
	if memory <= 0 {
		return 0
	}
	return max(memory/4, sendBuffer)
}

// Interface guards.
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
	_ claim                       = (*hub.Claim)(nil)
)
