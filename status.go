package socketiostream

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/admin/metrics"
	"github.com/caddy-socketio/socketio-stream/internal/memory"
)

// processStart is what uptime counts from.
var processStart = time.Now()

// serviceStatus is the answer of a status path.
type serviceStatus struct {
	Service  string         `json:"service"`
	Status   string         `json:"status"`
	Uptime   float64        `json:"uptime"` // seconds
	Memory   memory.Usage   `json:"memory"`
	Port     string         `json:"port"`
	SocketIO socketIOStatus `json:"socketio"`
}

type socketIOStatus struct {
	Connected int    `json:"connected"`
	Path      string `json:"path"`
	// BufferedBytes is what waits for clients right now; the others count since the hub was made.
	BufferedBytes   int64 `json:"bufferedBytes"`
	SlowClients     int64 `json:"slowClients"`
	VolatileDropped int64 `json:"volatileDropped"`
	Refused         int64 `json:"refused"`
	// Identified is how many sockets have an identity right now; the others count since the hub was made.
	Identified  int64 `json:"identified"`
	AuthRefused int64 `json:"authRefused"`
	AuthExpired int64 `json:"authExpired"`
	// AuthRefreshed is how often a client has shown anew who it is, AuthRevoked how many a reload of auth has disconnected.
	AuthRefreshed int64 `json:"authRefreshed"`
	AuthRevoked   int64 `json:"authRevoked"`
	// Limited is how often each limit was met, by the limit's name.
	Limited map[string]int64 `json:"limited"`
	// Metrics is what the metrics endpoint tells of the hub.
	Metrics metrics.Status `json:"metrics"`
}

// serveStatus tells uptime, memory and connections to the clients that may know.
func (h *Handler) serveStatus(w http.ResponseWriter, r *http.Request) error {
	clientIP, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if !h.settings.allowsStatus(clientIP) {
		return caddyhttp.Error(http.StatusForbidden, fmt.Errorf("client address %q is not in status allow", clientIP))
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(w, r)
	}
	m := h.claim.Metrics()
	limited := make(map[string]int64, len(m.Limited))
	for _, limit := range m.Limited {
		limited[limit.Reason] = limit.Count
	}
	return writeJSON(w, r, http.StatusOK, serviceStatus{
		Service: serviceName,
		Status:  "running",
		Uptime:  time.Since(processStart).Seconds(),
		Memory:  memory.Used(),
		Port:    localPort(r),
		SocketIO: socketIOStatus{
			Connected:       m.Engine.Sessions,
			Path:            h.settings.firstPath,
			BufferedBytes:   m.Engine.BufferedBytes,
			SlowClients:     m.Engine.SlowClients,
			VolatileDropped: m.Engine.VolatileDropped,
			Refused:         m.Engine.Refusals.Of("max_connections", "hub_buffer", "handshake_rate"),
			Identified:      m.Auth.Identified,
			AuthRefused:     m.Auth.Refused,
			AuthExpired:     m.Auth.Expired,
			AuthRefreshed:   m.Auth.Refreshed,
			AuthRevoked:     m.Auth.Revoked,
			Limited:         limited,
			Metrics:         metrics.StatusOf(m),
		},
	})
}

// allowsStatus reports whether the client at address may read the status. An address that cannot be read may not.
func (s *settings) allowsStatus(address string) bool {
	address, _, _ = strings.Cut(address, "%") // the zone of a link-local address
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	parsed = parsed.Unmap()
	for _, prefix := range s.statusAllow {
		if prefix.Contains(parsed) {
			return true
		}
	}
	return false
}
