package socketiostream

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/memory"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// The defaults are Socket.IO's own wherever Socket.IO has the option.
const (
	defaultHub        = "default"
	defaultPath       = "/socket.io/"
	defaultDrain      = 5 * time.Second
	defaultCookieName = "io"
)

// minSendBuffer is the smallest send_buffer, in bytes: below it a client is cut off by an ordinary burst.
const minSendBuffer = 64_000

const (
	transportPolling   = "polling"
	transportWebSocket = "websocket"
)

// The values of log_connections.
const (
	logAll     = "all"
	logSampled = "sampled"
	logFaults  = "faults"
)

// privateRanges are the client addresses that may read the status unless the config says otherwise.
var privateRanges = []string{
	"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
}

// settings are a Handler's options with placeholders replaced and defaults filled in.
type settings struct {
	hub               string
	paths             []string // normalised, longest first, so that the most specific one wins
	firstPath         string   // the one the config names first
	transports        []string
	allowUpgrades     bool
	pingInterval      time.Duration
	pingTimeout       time.Duration
	connectTimeout    time.Duration
	upgradeTimeout    time.Duration
	maxHTTPBufferSize int64
	origins           cors.Policy
	cookie            *cookieSettings
	sendBuffer        int64
	hubBuffer         int64 // 0 is no limit
	writeTimeout      time.Duration
	maxConnections    int
	handshakeRate     *handshakeRateSettings // nil is no bound
	drain             time.Duration
	limits            limitSettings
	perMessageDeflate *compressionSettings
	httpCompression   *compressionSettings
	logConnections    string
	serveClient       string
	health            map[string]string // path to the prefix it stands below, "" at the root
	status            map[string]bool
	statusAllow       []netip.Prefix
	namespaces        []namespaceSettings
}

// cookieSettings are a Cookie's options with defaults filled in.
type cookieSettings struct {
	name     string
	path     string
	domain   string
	sameSite string
	secure   *bool
	httpOnly bool
	maxAge   time.Duration
}

// compressionSettings are a Compression's options with defaults filled in.
type compressionSettings struct {
	threshold int64
}

// namespaceSettings are a Namespace's options with its event sets loaded.
type namespaceSettings struct {
	name string
	sets []eventSet
	auth *authentication // nil lets everyone in
}

// resolve replaces placeholders and fills in defaults.
func (h *Handler) resolve(ctx caddy.Context) (settings, error) {
	t := option.NewResolver()
	s := settings{
		hub:               cmp.Or(t.One("hub", h.Hub), defaultHub),
		allowUpgrades:     h.AllowUpgrades == nil || *h.AllowUpgrades,
		pingInterval:      cmp.Or(time.Duration(h.PingInterval), engineio.DefaultPingInterval),
		pingTimeout:       cmp.Or(time.Duration(h.PingTimeout), engineio.DefaultPingTimeout),
		connectTimeout:    cmp.Or(time.Duration(h.ConnectTimeout), streaming.DefaultConnectTimeout),
		upgradeTimeout:    cmp.Or(time.Duration(h.UpgradeTimeout), engineio.DefaultUpgradeTimeout),
		maxHTTPBufferSize: cmp.Or(h.MaxHTTPBufferSize, engineio.DefaultMaxPayload),
		sendBuffer:        cmp.Or(h.SendBuffer, engineio.DefaultSendBuffer),
		hubBuffer:         h.HubBuffer,
		writeTimeout:      cmp.Or(time.Duration(h.WriteTimeout), engineio.DefaultWriteTimeout),
		maxConnections:    h.MaxConnections,
		handshakeRate:     h.HandshakeRate.resolve(),
		drain:             cmp.Or(time.Duration(h.Drain), defaultDrain),
		perMessageDeflate: h.PerMessageDeflate.resolve(),
		httpCompression:   h.HTTPCompression.resolve(),
		logConnections:    cmp.Or(t.One("log_connections", h.LogConnections), logSampled),
		serveClient:       cmp.Or(t.One("serve_client", h.ServeClient), serveClientCDN),
	}
	if s.hubBuffer == 0 {
		s.hubBuffer = defaultHubBuffer(memory.Available(), s.sendBuffer)
	}
	for _, transport := range t.All("transports", h.Transports) {
		s.transports = append(s.transports, strings.ToLower(transport))
	}
	if len(h.Transports) == 0 {
		s.transports = []string{transportPolling, transportWebSocket}
	}
	for _, p := range t.All("path", h.Paths) {
		s.paths = append(s.paths, strings.TrimSuffix(p, "/")+"/")
	}
	if len(s.paths) == 0 {
		s.paths = []string{defaultPath}
	}
	s.firstPath = s.paths[0]
	slices.SortStableFunc(s.paths, func(a, b string) int { return len(b) - len(a) })

	s.health = make(map[string]string, len(h.Health))
	for _, p := range t.All("health", h.Health) {
		if _, ok := s.health[p]; ok {
			return settings{}, fmt.Errorf("health path %q is given twice", p)
		}
		s.health[p] = strings.TrimSuffix(path.Dir(strings.TrimSuffix(p, "/")), "/")
	}
	if h.Cookie != nil {
		s.cookie = h.Cookie.resolve(t)
	}
	if h.CORS != nil {
		policy, err := cors.New(t.All("cors origins", h.CORS.Origins), h.CORS.Credentials)
		if err != nil {
			return settings{}, err
		}
		s.origins = policy
	}
	limits, err := h.Limits.resolve(t)
	if err != nil {
		return settings{}, err
	}
	s.limits = limits
	if h.Status != nil {
		if err := s.resolveStatus(h.Status, t); err != nil {
			return settings{}, err
		}
	}
	if t.Err() != nil {
		return settings{}, t.Err()
	}
	return s, s.resolveNamespaces(ctx, h, t)
}

// defaultHubBuffer returns the hub_buffer of a hub that names none, in bytes: a quarter of the available memory, which
// leaves room for the heap to grow to twice what is live before it is collected. It must not undercut sendBuffer, which
// one client may use up. Zero, where the memory is not known, is no limit.
func defaultHubBuffer(memory, sendBuffer int64) int64 {
	if memory <= 0 {
		return 0
	}
	return max(memory/4, sendBuffer)
}

func (c *Cookie) resolve(t *option.Resolver) *cookieSettings {
	return &cookieSettings{
		name:     cmp.Or(t.One("cookie", c.Name), defaultCookieName),
		path:     cmp.Or(t.One("cookie path", c.Path), "/"),
		domain:   t.One("cookie domain", c.Domain),
		sameSite: cmp.Or(strings.ToLower(t.One("cookie same_site", c.SameSite)), "lax"),
		secure:   c.Secure,
		httpOnly: c.HTTPOnly == nil || *c.HTTPOnly,
		maxAge:   time.Duration(c.MaxAge),
	}
}

func (c *Compression) resolve() *compressionSettings {
	if c == nil {
		return nil
	}
	return &compressionSettings{threshold: cmp.Or(c.Threshold, engineio.DefaultThreshold)}
}

func (s *settings) resolveStatus(status *Status, t *option.Resolver) error {
	s.status = make(map[string]bool, len(status.Paths))
	for _, p := range t.All("status", status.Paths) {
		if s.status[p] {
			return fmt.Errorf("status path %q is given twice", p)
		}
		s.status[p] = true
	}
	allow := t.All("status allow", status.Allow)
	if len(status.Allow) == 0 {
		allow = privateRanges
	}
	for _, expression := range allow {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(expression)
		if err != nil {
			return fmt.Errorf("status allow: %w", err)
		}
		s.statusAllow = append(s.statusAllow, prefix.Masked())
	}
	return nil
}

func (s *settings) resolveNamespaces(ctx caddy.Context, h *Handler, t *option.Resolver) error {
	everywhere, _, err := loadAuth(ctx, h.AuthRaw)
	if err != nil {
		return err
	}
	namespaces := h.Namespaces
	if len(namespaces) == 0 {
		namespaces = []*Namespace{{Name: "/", EventsRaw: defaultEvents()}}
	}
	for _, ns := range namespaces {
		if ns == nil {
			return fmt.Errorf("a namespace is null")
		}
		name := t.One("namespace", ns.Name)
		if t.Err() != nil {
			return t.Err()
		}
		sets, err := loadEventSets(ctx, ns.EventsRaw)
		if err != nil {
			return fmt.Errorf("namespace %q: %w", name, err)
		}
		auth, given, err := loadAuth(ctx, ns.AuthRaw)
		if err != nil {
			return fmt.Errorf("namespace %q: %w", name, err)
		}
		if !given {
			auth = everywhere
		}
		s.namespaces = append(s.namespaces, namespaceSettings{name: name, sets: sets, auth: auth})
	}
	return nil
}
