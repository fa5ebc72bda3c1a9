package socketiostream

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/eventscaddy"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// eventsKey is the JSON key that names an event set.
const eventsKey = "set"

// eventSet is a guest module that gives a Socket.IO namespace the events of one service.
type eventSet interface {
	caddy.Module
	streaming.EventSet
}

// loadEventSets loads the event sets of a namespace. The raw configuration is kept, because the
// namespace belongs to the config and may be asked for again.
func loadEventSets(ctx caddy.Context, raw []json.RawMessage) ([]eventSet, error) {
	if len(raw) == 0 {
		return nil, errors.New("it has no events")
	}
	holder := struct {
		EventsRaw []json.RawMessage `caddy:"namespace=http.handlers.socketio_stream.events inline_key=set"`
	}{raw}
	loaded, err := ctx.LoadModule(&holder, "EventsRaw")
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

// defaultEvents are the event sets of the namespace that exists when the config names none.
func defaultEvents() []json.RawMessage {
	return []json.RawMessage{caddyconfig.JSONModuleObject(new(eventscaddy.Streaming), eventsKey, "streaming", nil)}
}

// unmarshalEvents hands the tokens after "events" to the guest module they name.
func unmarshalEvents(d *caddyfile.Dispenser, given option.Given) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	set := d.Val()
	id := eventscaddy.Namespace + "." + set
	if _, err := caddy.GetModule(id); err != nil {
		return nil, d.Errf("unknown event set '%s': there is no module %s in this build", set, id)
	}
	if given[set] {
		return nil, d.Errf("events %s is given twice", set)
	}
	given[set] = true
	module, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(module, eventsKey, set, nil), nil
}
