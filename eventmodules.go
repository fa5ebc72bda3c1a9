package socketiostream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/events/streams"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// eventsNamespace is the module namespace of event sets; eventsKey is the JSON key that names one.
const (
	eventsNamespace = "http.handlers.socketio_stream.events"
	eventsKey       = "set"
)

func init() {
	caddy.RegisterModule(new(StreamingEvents))
	caddy.RegisterModule(new(RelayEvents))
}

// EventSet is a guest module of the namespace http.handlers.socketio_stream.events: it gives a Socket.IO namespace the
// events of one service.
type EventSet interface {
	caddy.Module
	streaming.EventSet
}

// StreamingEvents is the event set of the streaming service: stream:start, stream:data, stream:stop, stream:join,
// stream:leave and message.
type StreamingEvents struct {
	// Audience says who gets a stream's data: "all", everyone in the namespace, or "subscribers", those who joined the
	// stream. Default: "all".
	Audience string `json:"audience,omitempty"`

	// Replay says what a late joiner gets of a stream whose owner sent no header with stream:start: "none", or "first",
	// its first stream:data. Default: "none".
	Replay string `json:"replay,omitempty"`

	// MaxStreams is how many streams the namespace may have at a time. Zero means the default. Default: 10000.
	MaxStreams int `json:"max_streams,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StreamingEvents) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  eventsNamespace + ".streaming",
		New: func() caddy.Module { return new(StreamingEvents) },
	}
}

// Provision replaces placeholders and fills in defaults.
func (e *StreamingEvents) Provision(caddy.Context) error {
	t := option.NewResolver()
	e.Audience = cmp.Or(t.One("audience", e.Audience), string(streams.AudienceAll))
	e.Replay = cmp.Or(t.One("replay", e.Replay), string(streams.ReplayNone))
	e.MaxStreams = cmp.Or(e.MaxStreams, streams.DefaultMaxStreams)
	return t.Err()
}

// Validate checks the options.
func (e *StreamingEvents) Validate() error {
	if err := option.CheckChoice("audience", e.Audience, "all", "subscribers"); err != nil {
		return err
	}
	if err := option.CheckChoice("replay", e.Replay, "none", "first"); err != nil {
		return err
	}
	if e.MaxStreams < 0 {
		return fmt.Errorf("max_streams must not be negative, is %d", e.MaxStreams)
	}
	return nil
}

// Register adds the handlers of the set to those of a namespace.
func (e *StreamingEvents) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	set := streams.Set{
		Audience:   streams.Audience(e.Audience),
		Replay:     streams.Replay(e.Replay),
		MaxStreams: e.MaxStreams,
	}
	return set.Register(n, h)
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events streaming {
//		audience    all|subscribers
//		replay      none|first
//		max_streams <n>
//	}
func (e *StreamingEvents) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "audience":
			e.Audience, err = option.Choice(d, "all", "subscribers")
		case "replay":
			e.Replay, err = option.Choice(d, "none", "first")
		case "max_streams":
			e.MaxStreams, err = option.Count(d)
		default:
			return d.Errf("unrecognized option '%s' of events streaming", name)
		}
		return err
	})
}

// RelayEvents is the event set that passes events to everyone else in the namespace, as they came.
type RelayEvents struct {
	// Events are the names of the events that are passed on. At least one.
	Events []string `json:"events,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*RelayEvents) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  eventsNamespace + ".relay",
		New: func() caddy.Module { return new(RelayEvents) },
	}
}

// Validate checks the event names.
func (e *RelayEvents) Validate() error {
	return checkRelayEvents(e.Events)
}

// Register adds the handlers of the set to those of a namespace.
func (e *RelayEvents) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	set := relay.Set{Events: e.Events}
	return set.Register(n, h)
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events relay <event...>
func (e *RelayEvents) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	e.Events = d.RemainingArgs()
	if len(e.Events) == 0 {
		return d.ArgErr()
	}
	if err := checkRelayEvents(e.Events); err != nil {
		return d.WrapErr(err)
	}
	return option.RefuseBlock(d)
}

func checkRelayEvents(names []string) error {
	if len(names) == 0 {
		return errors.New("events relay names no event")
	}
	for i, name := range names {
		if name == "" {
			return errors.New("events relay has an event without a name")
		}
		if packet.IsReservedEvent(name) {
			return fmt.Errorf("event %q is reserved by Socket.IO and cannot be relayed", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("event %q is given twice", name)
		}
	}
	return nil
}

// checkEventSets refuses sets that cannot be used together, before the namespace of a hub that is at work is changed. It
// tries them on a namespace of no clients.
func checkEventSets(ns *namespaceSettings) error {
	_, err := streaming.New(streaming.Options{}, nil).Use(ns.name, ns.registered()...)
	return err
}

// registered returns the sets as what a namespace uses, and who may come in.
func (ns *namespaceSettings) registered() []streaming.EventSet {
	list := make([]streaming.EventSet, 0, len(ns.sets)+1)
	if ns.auth != nil {
		list = append(list, ns.auth)
	}
	for _, set := range ns.sets {
		list = append(list, set)
	}
	return list
}

// loadEventSets loads the guest modules of a namespace. The raw configuration is kept, because the namespace belongs to
// the config and may be asked for again.
func loadEventSets(ctx caddy.Context, ns *Namespace) ([]EventSet, error) {
	if len(ns.EventsRaw) == 0 {
		return nil, errors.New("it has no events")
	}
	copied := Namespace{EventsRaw: ns.EventsRaw}
	loaded, err := ctx.LoadModule(&copied, "EventsRaw")
	if err != nil {
		return nil, fmt.Errorf("loading events: %w", err)
	}
	var sets []EventSet
	for _, module := range loaded.([]any) {
		set, ok := module.(EventSet)
		if !ok {
			return nil, fmt.Errorf("module %T is no event set", module)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// defaultEvents are the event sets of the namespace that exists when the config names none.
func defaultEvents() []json.RawMessage {
	return []json.RawMessage{caddyconfig.JSONModuleObject(new(StreamingEvents), eventsKey, "streaming", nil)}
}

// Interface guards.
var (
	_ EventSet              = (*StreamingEvents)(nil)
	_ caddy.Provisioner     = (*StreamingEvents)(nil)
	_ caddy.Validator       = (*StreamingEvents)(nil)
	_ caddyfile.Unmarshaler = (*StreamingEvents)(nil)
	_ EventSet              = (*RelayEvents)(nil)
	_ caddy.Validator       = (*RelayEvents)(nil)
	_ caddyfile.Unmarshaler = (*RelayEvents)(nil)
)
