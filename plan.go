package socketiostream

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// plan says what the handler wants of its hub.
func (h *Handler) plan() *hub.Plan {
	p := &hub.Plan{
		Hub:        h.settings.hub,
		DeclaredAt: h.place(),
		Options:    h.hubOptions(),
		Server:     h.streamingOptions(),
		Drain:      h.settings.drain,
		Paths:      h.settings.paths,
		Origins:    h.settings.origins,
		Capture:    captures(h.settings.namespaces),
	}
	for _, ns := range h.settings.namespaces {
		p.Namespaces = append(p.Namespaces, hub.Namespace{Name: ns.name, Sets: ns.registered(), Rule: ns.auth.fingerprint()})
	}
	return p
}

// hubOptions lists the options that belong to the hub, in a form that can be compared.
func (h *Handler) hubOptions() []hub.Option {
	s := &h.settings
	cookie := "off"
	if s.cookie != nil {
		cookie = fmt.Sprintf("%s path=%s domain=%s same_site=%s http_only=%t max_age=%s secure=%s", s.cookie.name, s.cookie.path,
			s.cookie.domain, s.cookie.sameSite, s.cookie.httpOnly, s.cookie.maxAge, optional(s.cookie.secure))
	}
	options := []hub.Option{
		{Name: "transports", Value: fmt.Sprint(slices.Sorted(slices.Values(s.transports)))},
		{Name: "allow_upgrades", Value: fmt.Sprint(s.allowUpgrades)},
		{Name: "ping_interval", Value: s.pingInterval.String()},
		{Name: "ping_timeout", Value: s.pingTimeout.String()},
		{Name: "connect_timeout", Value: s.connectTimeout.String()},
		{Name: "upgrade_timeout", Value: s.upgradeTimeout.String()},
		{Name: "max_http_buffer_size", Value: fmt.Sprint(s.maxHTTPBufferSize)},
		{Name: "cookie", Value: cookie},
		{Name: "send_buffer", Value: fmt.Sprint(s.sendBuffer)},
		{Name: "hub_buffer", Value: fmt.Sprint(s.hubBuffer)},
		{Name: "write_timeout", Value: s.writeTimeout.String()},
		{Name: "max_connections", Value: fmt.Sprint(s.maxConnections)},
		{Name: "handshake_rate", Value: s.handshakeRate.String()},
		{Name: "drain", Value: s.drain.String()},
		{Name: "limits", Value: s.limits.String()},
		{Name: "per_message_deflate", Value: s.perMessageDeflate.String()},
		{Name: "http_compression", Value: s.httpCompression.String()},
		{Name: "log_connections", Value: s.logConnections},
	}
	for _, ns := range s.namespaces {
		sets := make([]string, 0, len(ns.sets))
		for _, set := range ns.sets {
			config, _ := json.Marshal(set)
			sets = append(sets, set.CaddyModule().ID.Name()+string(config))
		}
		options = append(options, hub.Option{Name: "namespace " + ns.name, Value: fmt.Sprint(sets)},
			hub.Option{Name: "auth of namespace " + ns.name, Value: ns.auth.String()})
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

// place names where the handler was declared.
func (h *Handler) place() string {
	if h.DeclaredAt != "" {
		return h.DeclaredAt
	}
	return "the handler with path " + h.settings.firstPath
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
