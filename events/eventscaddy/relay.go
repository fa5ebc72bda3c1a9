package eventscaddy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func init() { caddy.RegisterModule(new(Relay)) }

// Relay is the event set that passes events to everyone else in the namespace, as they came.
type Relay struct {
	// Events are the names of the events that are passed on. At least one.
	Events []string `json:"events,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Relay) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".relay",
		New: func() caddy.Module { return new(Relay) },
	}
}

// Validate checks the event names.
func (r *Relay) Validate() error {
	return checkEvents(r.Events)
}

// Register adds the handlers of the set to those of a namespace.
func (r *Relay) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	set := relay.Set{Events: r.Events}
	return set.Register(n, h)
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events relay <event...>
func (r *Relay) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	events, err := option.Named(d, "events relay", "<event...>").Arguments(d, 1, option.Many)
	if err != nil {
		return err
	}
	r.Events = events
	return option.Wrap(d, checkEvents(events))
}

func checkEvents(names []string) error {
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
		if name == "error" {
			return errors.New(`event "error" is the one by which the server tells a client what went wrong: ` +
				"relay an event of another name, or one client could have others believe that the server speaks")
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("event %q is given twice", name)
		}
	}
	return nil
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Relay)(nil)
	_ caddy.Validator       = (*Relay)(nil)
	_ caddyfile.Unmarshaler = (*Relay)(nil)
)
