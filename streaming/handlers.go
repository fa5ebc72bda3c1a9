package streaming

import (
	"context"
	"fmt"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Handlers are what happens in a namespace. The zero value lets everyone in
// and ignores all events. All handlers of one socket run one at a time, in
// order: Authorize, Connect, those of its events, Disconnect.
type Handlers struct {
	// authenticator, when not nil, says who clients are.
	authenticator Authenticator
	authorize     []func(context.Context, *Socket) error
	connect       []func(*Socket)
	events        map[string]func(*Event)
	unknown       func(*Event)
	disconnect    []func(*Socket, Reason)
	told          map[string]func(packet.Args)
	gauges        []gauge
}

// EventSet is a group of handlers that belong together: what a service does
// with its events.
type EventSet interface {
	// Register adds the handlers of the set. It is called whenever a namespace
	// is given the set; what is to outlive that belongs into [State].
	Register(n *Namespace, h *Handlers) error
}

// OnAuthorize adds a check that a client must pass before it is connected. The
// first error refuses it: a *[ConnectError] is sent as it is, a *[Refusal] with
// its code, any other shows to the client as "not authorized". ctx ends when the client goes away.
func (h *Handlers) OnAuthorize(check func(ctx context.Context, s *Socket) error) {
	h.authorize = append(h.authorize, check)
}

// OnConnect adds a handler for sockets that have connected.
func (h *Handlers) OnConnect(handler func(*Socket)) { h.connect = append(h.connect, handler) }

// OnDisconnect adds a handler for sockets that are gone. It runs exactly once
// for each socket that the OnConnect handlers have seen. [Socket.Rooms] still
// tells the rooms that the socket was in.
func (h *Handlers) OnDisconnect(handler func(*Socket, Reason)) {
	h.disconnect = append(h.disconnect, handler)
}

// OnUnknown sets the handler of events that have no handler of their own. The
// last one counts. Without any they are refused as "unknown_event", which only
// those hear who asked for an acknowledgement.
func (h *Handlers) OnUnknown(handler func(*Event)) { h.unknown = handler }

// On sets the handler of an event. An error means that the name is reserved,
// or that the event has a handler already.
func (h *Handlers) On(event string, handler func(*Event)) error {
	if event == "" || packet.IsReservedEvent(event) {
		return fmt.Errorf("the event name %q is %w", event, packet.ErrReservedEvent)
	}
	if h.events == nil {
		h.events = make(map[string]func(*Event))
	}
	if _, taken := h.events[event]; taken {
		return fmt.Errorf("the event %q is handled by two event sets of one namespace", event)
	}
	h.events[event] = handler
	return nil
}

// OnTell sets the handler of an event by which event sets of other processes
// tell those of this one, see [Namespace.Tell]. It runs on a goroutine of the
// [Adapter] and must not wait. An error means that the event has a handler
// already.
func (h *Handlers) OnTell(event string, handler func(args packet.Args)) error {
	if h.told == nil {
		h.told = make(map[string]func(packet.Args))
	}
	if _, taken := h.told[event]; taken {
		return fmt.Errorf("what is told by %q is handled by two event sets of one namespace", event)
	}
	h.told[event] = handler
	return nil
}
