package socketiostream

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/admin/metrics"
	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/internal/memory"
	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// Status describes the status endpoint. It tells the process' memory, so it has an allow-list of
// its own.
type Status struct {
	// Paths are the paths that answer with the status. Default: none.
	Paths []string `json:"paths,omitempty"`

	// Allow are the client addresses that may read it, as CIDR or single address; "none" stands for
	// nobody. Behind proxies
	// it is the last address in X-Forwarded-For that is not in the server's trusted_proxies. What a
	// proxy that is not named there has forwarded is refused. Default: loopback and private ranges.
	Allow []string `json:"allow,omitempty"`
}

// privateRanges are the client addresses that may read the status unless the config says otherwise.
var privateRanges = []string{
	"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
}

// provision adds the page to the paths, if there is one.
func (s *Status) provision(t *option.Resolver, p *paths) {
	if s == nil {
		return
	}
	t.Texts("status", &s.Paths)
	if len(s.Paths) == 0 {
		t.Check(errors.New("status has no paths"))
	}
	answer := statusPage{t.Prefixes("status allow", &s.Allow, privateRanges...), p.first}
	for _, at := range s.Paths {
		p.add(t, at, answer)
	}
}

func (s *Status) unmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	if s.Paths, err = option.PathsBeforeBlock(d); err != nil {
		return err
	}
	return option.Each(d, func(name string) (err error) {
		if name != "allow" {
			return option.Unknown(d, "status", "allow")
		}
		s.Allow, err = option.Prefixes(d)
		return err
	})
}

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
	// BufferedBytes is the memory that is taken by what waits for clients right now; the others
	// count since the hub was made.
	BufferedBytes   int64 `json:"bufferedBytes"`
	SlowClients     int64 `json:"slowClients"`
	VolatileDropped int64 `json:"volatileDropped"`
	Refused         int64 `json:"refused"`
	// Identified is how many sockets have an identity right now; the others count since the hub was
	// made.
	Identified  int64 `json:"identified"`
	AuthRefused int64 `json:"authRefused"`
	AuthExpired int64 `json:"authExpired"`
	// AuthRefreshed is how often a client has shown anew who it is, AuthRevoked how many a reload
	// of auth has disconnected.
	AuthRefreshed int64 `json:"authRefreshed"`
	AuthRevoked   int64 `json:"authRevoked"`
	// Limited is how often each limit was met, by the limit's name.
	Limited map[string]int64 `json:"limited"`
	// Metrics is what the metrics endpoint tells of the hub.
	Metrics metrics.Status `json:"metrics"`
}

// statusPage tells uptime, memory and connections to the clients that may know.
type statusPage struct {
	allow []netip.Prefix
	// socketPath is the path of Socket.IO that it tells.
	socketPath string
}

func (statusPage) kind() string { return "status" }

func (p statusPage) serve(w http.ResponseWriter, r *http.Request, hub claim) error {
	if client := clientaddr.Of(r); !client.Exempt(p.allow) {
		hub.RefuseStatus(r, client, p.allow)
		http.Error(w, p.refusal(client), http.StatusForbidden)
		return nil
	}
	if err := refuseWriting(w, r); err != nil {
		return err
	}
	m := hub.Metrics()
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
			Path:            p.socketPath,
			BufferedBytes:   m.Engine.BufferedBytes,
			SlowClients:     m.Engine.SlowClients,
			VolatileDropped: m.Engine.VolatileDropped,
			Refused:         m.Engine.TurnedAway(),
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

// refusal tells a client why it may not read the status. What it cannot know, such as the address of
// a proxy, is for the log.
func (p statusPage) refusal(client clientaddr.Client) string {
	if client.In(p.allow) {
		return fmt.Sprintf("The status is not for this client: its address is in status allow, but %s. The log says what to do.", client.Doubt)
	}
	return "The status is not for this client: its address is not in status allow."
}

// Interface guard.
var _ page = statusPage{}
