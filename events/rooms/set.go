// Package rooms is the event set whose events are declared: what a service does with rooms is a
// program of package lang, which this package runs.
package rooms

import (
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Set runs a program. A room is joined as "room:" and the name that the program gives it, so that no
// client can choose the ID of a socket, or a room of another set; rights are those of that whole
// name. Who may not join a room cannot send to it either.
//
// Who is in a room is known of this server alone. An event whose arguments do not fit is refused with
// [CodeInvalidArgument] before anything is done. An event that is neither acknowledged nor refused by
// its handler is acknowledged with {success: true}, if its sender asked for that.
type Set struct {
	// Program is what is done at which event.
	Program lang.Program
}

// The codes with which events are refused, besides those that the program names.
const (
	// CodeInvalidArgument is an event with an argument that is missing, or is not what it must be.
	CodeInvalidArgument = "invalid_argument"
	// CodeRoomFull is a room that has as many members as it may have.
	CodeRoomFull = "room_full"
)

// prefix begins the names of all rooms of the set.
const prefix = "room:"

// Register implements streaming.EventSet.
func (s *Set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	program, err := lang.Check(s.Program)
	if err != nil {
		return err
	}
	service := &service{Checked: program, namespace: n, books: streaming.State(n, newBooks)}
	service.books.forgetGone()
	h.RefuseUnknown()
	h.OwnRooms(prefix)
	if program.Connect != nil {
		h.OnConnect(service.connect)
	}
	h.OnDisconnect(service.disconnect)
	for event, steps := range program.Events {
		handle := func(e *streaming.Event) { service.handle(e, steps) }
		if err := h.On(event, handle); err != nil {
			return err
		}
	}
	return nil
}

// service is a program at work in one namespace.
type service struct {
	*lang.Checked
	namespace *streaming.Namespace
	books     *books
}
