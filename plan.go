package socketiostream

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/publish"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// plan says what the handler wants of its hub.
func (h *Handler) plan() *hub.Plan {
	p := &hub.Plan{
		Hub:        h.Hub,
		DeclaredAt: h.place(),
		Options:    optionsOf("", reflect.ValueOf(h).Elem()),
		Server:     h.server(),
		Drain:      time.Duration(h.Drain),
		LogEvents:  h.LogEvents == logNames,
		Paths:      h.paths.socket,
		Origins:    h.origins,
		Capture:    captures(h.Namespaces),
	}
	h.site.describe(p, h.Namespaces)
	p.Options = append(p.Options, hub.Option{Name: "adapter", Value: h.adapter.String()})
	for _, ns := range h.Namespaces {
		planned := ns.plan()
		if len(h.Publish) > 0 {
			planned.Sets = append(planned.Sets, publish.Figures{})
		}
		p.Namespaces = append(p.Namespaces, planned)
		p.Options = append(p.Options, ns.options()...)
	}
	return p
}

// place names where the handler was declared.
func (h *Handler) place() string {
	if h.DeclaredAt != "" {
		return h.DeclaredAt
	}
	return "the handler with path " + h.paths.first
}

// server returns the options of the Socket.IO server.
func (h *Handler) server() streaming.Options {
	options := streaming.Options{
		ConnectTimeout: time.Duration(h.ConnectTimeout),
		Limits:         h.Limits.streaming(),
		Recovery:       h.Recovery.Kept(),
		Engine: engineio.Options{
			AllowRevision3:  h.AllowEIO3,
			DisableUpgrades: !*h.AllowUpgrades,
			PingInterval:    time.Duration(h.PingInterval),
			PingTimeout:     time.Duration(h.PingTimeout),
			UpgradeTimeout:  time.Duration(h.UpgradeTimeout),
			MaxPayload:      h.MaxHTTPBufferSize,
			SendBuffer:      int(h.SendBuffer),
			ServerBuffer:    h.HubBuffer,
			Deflate:         h.PerMessageDeflate.engine(),
			HTTPCompression: h.HTTPCompression.engine(),
			WriteTimeout:    time.Duration(h.WriteTimeout),
			MaxSessions:     h.MaxConnections,
			Limits:          h.Limits.engine(),
			LogConnections:  connectionLogs[h.LogConnections],
			HandshakeRate:   (*engineio.Rate)(h.HandshakeRate.Pace()),
		},
	}
	for _, transport := range h.Transports {
		options.Engine.Transports = append(options.Engine.Transports, engineio.Transport(transport))
	}
	if h.Cookie != nil {
		options.Engine.Cookie = h.Cookie.make
	}
	return options
}

// The values of log_connections and of log_events.
const (
	logAll     = "all"
	logSampled = "sampled"
	logFaults  = "faults"
	logOff     = "off"
	logNames   = "names"
)

// connectionLogs translates the values of log_connections.
var connectionLogs = map[string]engineio.ConnectionLog{
	logAll: engineio.LogAll, logSampled: engineio.LogSampled, logFaults: engineio.LogFaults,
}

// ownOptions are the options in which handlers of one hub may differ. They must agree on all
// others.
var ownOptions = map[string]bool{
	"hub": true, "paths": true, "cors": true, "serve_client": true, "health": true, "status": true, "publish": true,
	"declared_at": true, "declared_in": true,
	// The namespaces have options of their own, in which auth is for all.
	"auth": true, "namespaces": true,
	// It may hold a password, and is compared otherwise.
	"adapter": true,
}

// optionsOf lists what handlers of one hub must agree on, by its name in JSON.
func optionsOf(within string, options reflect.Value) (list []hub.Option) {
	for i := range options.NumField() {
		name, _, _ := strings.Cut(options.Type().Field(i).Tag.Get("json"), ",")
		if name != "" && !ownOptions[within+name] {
			list = append(list, optionOf(within+name, options.Field(i))...)
		}
	}
	return list
}

// optionOf returns an option in a form that can be compared, and shown. One that is a group of
// options is followed by each of them.
func optionOf(name string, value reflect.Value) []hub.Option {
	isGroup := value.Kind() == reflect.Pointer && value.Type().Elem().Kind() == reflect.Struct
	switch field := value.Interface().(type) {
	case fmt.Stringer:
		return []hub.Option{{Name: name, Value: field.String()}}
	case caddy.Duration:
		return []hub.Option{{Name: name, Value: time.Duration(field).String()}}
	default:
		if isGroup && value.IsNil() {
			return []hub.Option{{Name: name, Value: "off"}}
		}
		if isGroup {
			return append([]hub.Option{{Name: name, Value: "on"}}, optionsOf(name+" ", value.Elem())...)
		}
		encoded, _ := json.Marshal(field)
		return []hub.Option{{Name: name, Value: string(encoded)}}
	}
}
