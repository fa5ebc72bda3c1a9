package streaming

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Handlers are what happens in a namespace. The zero value lets everyone in
// and ignores all events. All handlers of one socket run one at a time, in
// order: OnAuthorize, OnConnect, those of its events, OnDisconnect.
type Handlers struct {
	// authenticator, when not nil, says who clients are.
	authenticator Authenticator
	authorize     []func(context.Context, *Socket) error
	connect       []func(*Socket)
	events        map[string]eventHandler
	// unknown takes the events that have no other handler, if there is one.
	unknown    eventHandler
	disconnect []func(*Socket, Reason)
	recover    []func(*Socket)
	restore    []func(*Socket)
	identity   []func(*Socket)
	find       []func(id string) *Socket
	holds      []func(*Socket) bool
	told       map[string]func(packet.Args)
	leave      []func()
	gauges     []gauge
	// sets are the event sets, the one that is being registered last.
	sets []*registered
	// ownRooms are the prefixes of rooms that event sets have to themselves.
	ownRooms []string
	// roomsBesideRights are the prefixes of rooms that rights say nothing of.
	roomsBesideRights []string
}

// eventHandler is a handler and the event set that it is of.
type eventHandler struct {
	handle func(*Event)
	set    *registered
}

// registered is what is known of an event set.
type registered struct {
	// name is for errors.
	name string
	// policy is nil when the set has none of its own.
	policy RefusalPolicy
	// refusesUnknown is true when the set refuses what nobody handles.
	refusesUnknown bool
	// restores is true when sockets of the set can be restored, see [Handlers.OnRestore].
	restores bool
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
// its code, any other shows to the client as "not authorized". ctx ends when the
// client goes away.
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

// OnRecover adds a handler for sockets whose client is back, on another connection, after its connection
// was cut. It is the same socket: in the same rooms, with all that was kept for it. Meanwhile nobody was
// told that it was gone, and [Socket.Connected] was true. The OnDisconnect handlers run when its client
// does not come back in time, or not as the same.
func (h *Handlers) OnRecover(handler func(*Socket)) { h.recover = append(h.recover, handler) }

// OnIdentity adds a handler for sockets whose clients have another identity than
// when they connected, or none any more: one that a client has refreshed, or that
// a recheck has found, see [Namespace.Recheck]. What the client may do now is in
// force before the handler runs. It runs like the handlers of the socket's events,
// for one that has been found while the socket disconnects also after those of
// OnDisconnect.
func (h *Handlers) OnIdentity(handler func(*Socket)) { h.identity = append(h.identity, handler) }

// OnFind adds a way to find a socket by an ID that other clients know its client by,
// which is not the ID of any socket: that of a connection which the client had before,
// where the event set let it go on under that name. find returns nil for any other ID.
// It must not wait.
func (h *Handlers) OnFind(find func(id string) *Socket) { h.find = append(h.find, find) }

// Holds adds a reason not to end a socket whose client is back, see [Socket.Retire]:
// holds reports whether the socket has something of the event set besides the rooms
// that it is in. It must not wait.
func (h *Handlers) Holds(holds func(*Socket) bool) { h.holds = append(h.holds, holds) }

// OnUnknown sets the handler of the events that have no handler of their own.
// An error means that another event set of the namespace takes them already.
func (h *Handlers) OnUnknown(handler func(*Event)) error {
	if h.unknown.handle != nil {
		return fmt.Errorf("unknown events are taken by two event sets of one namespace, %s and %s",
			h.unknown.set.name, h.set().name)
	}
	h.unknown = eventHandler{handler, h.set()}
	return nil
}

// OwnRooms gives rooms whose names begin with a prefix to the event set that is being registered: it
// keeps books of its own on who is in them, and nobody else is to change that. The admin API refuses
// to, see [Namespace.OwnRooms].
func (h *Handlers) OwnRooms(prefix string) { h.ownRooms = append(h.ownRooms, prefix) }

// RoomsBesideRights says that rights say nothing of rooms whose names begin with a prefix: an event set
// remembers something by them, and sends nothing to their members. Who has other rights than before
// stays in them.
func (h *Handlers) RoomsBesideRights(prefix string) {
	h.roomsBesideRights = append(h.roomsBesideRights, prefix)
}

// RefuseUnknown has events refused that no event set of the namespace handles,
// quietly and with [CodeUnknownEvent], unless a set takes them by OnUnknown.
// Where no set wants that, such events are ignored, and who has asked for an
// acknowledgement gets none, as in the reference implementation.
func (h *Handlers) RefuseUnknown() { h.set().refusesUnknown = true }

// RefuseWith gives the event set that is being registered a policy of its own in
// place of [ErrorEvents]: for the events that it handles. It is also that of
// what no set handles, if the set takes or refuses unknown events, or if no
// other set of the namespace does. An error means that the policy is nil, or that the
// set has one already.
func (h *Handlers) RefuseWith(policy RefusalPolicy) error {
	set := h.set()
	if policy == nil {
		return fmt.Errorf("the event set %s gives nil as its policy for refusals: "+
			"leave RefuseWith out to have that of other sets, ErrorEvents", set.name)
	}
	if set.policy != nil {
		return fmt.Errorf("the event set %s has two policies for refusals", set.name)
	}
	set.policy = policy
	return nil
}

// begin begins the registration of an event set.
func (h *Handlers) begin(set EventSet) {
	h.sets = append(h.sets, &registered{name: fmt.Sprintf("%T", set)})
}

// set is the event set that is being registered.
func (h *Handlers) set() *registered {
	if len(h.sets) == 0 {
		h.begin(nil)
	}
	return h.sets[len(h.sets)-1]
}

// handle has an event handled, or refuses it.
func (h *Handlers) handle(e *Event) {
	switch handler := h.events[e.Name]; {
	case !e.Socket.MayPublish(e.Name):
		e.Socket.forbid(e)
	case handler.handle != nil:
		handler.handle(e)
	case h.unknown.handle != nil:
		h.unknown.handle(e)
	case slices.ContainsFunc(h.sets, func(set *registered) bool { return set.refusesUnknown }):
		e.RefuseQuietly(CodeUnknownEvent, "unknown event")
	default:
		e.Socket.noteRefused(e, &EventError{Code: CodeUnknownEvent, Message: "no event set of the namespace knows the event"})
	}
}

// policyOf returns the policy for an event.
func (h *Handlers) policyOf(event string) RefusalPolicy {
	set := h.events[event].set
	if set == nil {
		set = h.ofOthers()
	}
	if set == nil || set.policy == nil {
		return ErrorEvents
	}
	return set.policy
}

// ofOthers returns the event set whose policy is that of events that no set
// handles. It is nil when none has one.
func (h *Handlers) ofOthers() (chosen *registered) {
	if h.unknown.set != nil {
		return h.unknown.set
	}
	for _, set := range h.sets {
		switch {
		case set.policy == nil && !set.refusesUnknown:
		case chosen == nil,
			set.refusesUnknown && !chosen.refusesUnknown,
			set.refusesUnknown && set.policy != nil && chosen.policy == nil:
			chosen = set
		}
	}
	return chosen
}

// On sets the handler of an event, see also the function [On]. An error means
// that the name is empty or reserved, see [packet.ErrReservedEvent], or that the
// event has a handler already.
func (h *Handlers) On(event string, handler func(*Event)) error {
	if event == "" {
		return errors.New("an event has no name")
	}
	if err := packet.CheckEvent(event); err != nil {
		return err
	}
	if h.events == nil {
		h.events = make(map[string]eventHandler)
	}
	if _, taken := h.events[event]; taken {
		return fmt.Errorf("the event %q is handled by two event sets of one namespace", event)
	}
	h.events[event] = eventHandler{handler, h.set()}
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

// OnLeave adds what is to be done before other processes are told nothing any more, see
// [Namespace.Tell]: the namespace is removed or the server ends, and the handlers of its sockets have
// ended. It must not wait.
func (h *Handlers) OnLeave(handler func()) { h.leave = append(h.leave, handler) }
