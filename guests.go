package socketiostream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"

	// The guest modules that every build has.
	"github.com/caddy-socketio/socketio-stream/auth/authcaddy"
	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/streaming/redis/rediscaddy"
)

// The JSON keys that name a guest module.
const (
	eventsKey = "set"
	authKey   = "method"
)

// eventSet is a guest module that gives a Socket.IO namespace the events of one service.
type eventSet interface {
	caddy.Module
	streaming.EventSet
}

// authenticator is a guest module that says who the clients of a Socket.IO namespace are.
type authenticator interface {
	caddy.Module
	streaming.Authenticator
}

// defaultEvents are the event sets of the namespace that exists when the config names none.
func defaultEvents() []json.RawMessage {
	return []json.RawMessage{
		caddyconfig.JSONModuleObject(new(eventscaddy.Streaming), eventsKey, "streaming", nil),
	}
}

// loadEventSets loads the event sets of a namespace. raw stays as it is, because it belongs to the
// config and may be asked for again.
func loadEventSets(ctx caddy.Context, raw []json.RawMessage) ([]eventSet, error) {
	if len(raw) == 0 {
		return nil, errors.New("it has no events")
	}
	holder := struct {
		Raw []json.RawMessage `caddy:"namespace=http.handlers.socketio_stream.events inline_key=set"`
	}{raw}
	loaded, err := ctx.LoadModule(&holder, "Raw")
	if err != nil {
		return nil, fmt.Errorf("loading events: %w", err)
	}
	var sets []eventSet
	for _, module := range loaded.([]any) {
		set, ok := module.(eventSet)
		if !ok {
			return nil, fmt.Errorf("module %T is no event set", module)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// loadAuth loads the authenticator of a namespace, or of the handler. It is nil where there is
// none, or where it is the one that lets everyone in; given tells these apart. raw stays as it is,
// as in loadEventSets.
func loadAuth(ctx caddy.Context, raw json.RawMessage) (loaded *authentication, given bool, err error) {
	if len(raw) == 0 {
		return nil, false, nil
	}
	holder := struct {
		Raw json.RawMessage `caddy:"namespace=http.handlers.socketio_stream.auth inline_key=method"`
	}{raw}
	module, err := ctx.LoadModule(&holder, "Raw")
	if err != nil {
		return nil, true, fmt.Errorf("loading auth: %w", err)
	}
	if _, none := module.(*authcaddy.None); none {
		return nil, true, nil
	}
	guest, ok := module.(authenticator)
	if !ok {
		return nil, true, fmt.Errorf("module %T is no authenticator", module)
	}
	return &authentication{authenticator: guest, config: raw}, true, nil
}

// authentication is an authenticator as an event set: a namespace takes it like the others. Where
// it is nil everyone is let in.
type authentication struct {
	authenticator
	// config is the module's JSON, for comparing.
	config json.RawMessage
}

// Register implements streaming.EventSet.
func (a *authentication) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	if measured, ok := a.authenticator.(auth.Measured); ok {
		measured.Measure(n, h)
	}
	// A client that comes back is asked again.
	h.OnRestore(nil)
	return h.Authenticate(a.authenticator)
}

// String returns the authentication in a form that can be compared, and shown: of its options, which
// may be secrets, it has no more than that they are the same.
func (a *authentication) String() string {
	if a == nil {
		return "none"
	}
	var config map[string]json.RawMessage
	_ = json.Unmarshal(a.config, &config) // it was provisioned
	delete(config, "method")
	shown := make([]string, 0, len(config))
	for _, name := range slices.Sorted(maps.Keys(config)) {
		shown = append(shown, fmt.Sprintf("%s %.8s", name, auth.Fingerprint(config[name])))
	}
	name := a.CaddyModule().ID.Name()
	if len(shown) == 0 {
		return name
	}
	return name + " with " + strings.Join(shown, ", ")
}

// warnOfAuth logs what is allowed in the options of auth but rarely meant.
func (h *Handler) warnOfAuth() {
	seen := make(map[*authentication]bool)
	for _, n := range h.Namespaces {
		if n.auth == nil || seen[n.auth] {
			continue
		}
		seen[n.auth] = true
		if warner, ok := n.auth.authenticator.(authcaddy.Warner); ok {
			for _, w := range warner.Warnings() {
				h.logger.Warn(w.Text, append(w.Fields, zap.String("declared_at", h.DeclaredAt))...)
			}
		}
	}
}

// fingerprint is the same for authentications that let in the same clients in the same way.
func (a *authentication) fingerprint() string {
	if a == nil {
		return "none"
	}
	rules := string(a.config)
	if d, ok := a.authenticator.(auth.Distinct); ok {
		rules = d.Fingerprint()
	}
	return auth.Fingerprint(string(a.CaddyModule().ID), rules)
}

// unmarshalAdapter hands the tokens after "adapter" to the guest module they name.
func unmarshalAdapter(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, option.NoModule(d, rediscaddy.Namespace)
	}
	return unmarshalGuest(d, "adapter", rediscaddy.Namespace, rediscaddy.Key)
}

// unmarshalEvents hands the tokens after "events" to the guest module they name. given are the
// event sets of the namespace so far.
func unmarshalEvents(d *caddyfile.Dispenser, given option.Given) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, option.NoModule(d, eventscaddy.Namespace)
	}
	if given[d.Val()] {
		return nil, d.Errf("events %s is given twice: write it once", d.Val())
	}
	given[d.Val()] = true
	return unmarshalGuest(d, "event set", eventscaddy.Namespace, eventsKey)
}

// unmarshalAuth hands the tokens after "auth" to the guest module they name.
func unmarshalAuth(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, option.NoModule(d, authcaddy.Namespace)
	}
	return unmarshalGuest(d, "auth method", authcaddy.Namespace, authKey)
}

// unmarshalGuest hands the tokens to the guest module whose name d stands at. Modules of its kind
// are in one module namespace, and are named by one key in JSON.
func unmarshalGuest(d *caddyfile.Dispenser, kind, namespace, key string) (json.RawMessage, error) {
	name := d.Val()
	id := namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		return nil, option.UnknownModule(d, kind, namespace)
	}
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, key, name, nil), nil
}

// Interface guard.
var _ streaming.EventSet = (*authentication)(nil)
