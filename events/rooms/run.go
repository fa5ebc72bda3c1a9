package rooms

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// run is one handler at work.
type run struct {
	*service
	steps  *lang.Steps
	socket *streaming.Socket
	// event is nil where no client has sent one.
	event *streaming.Event
	// args are the arguments that the handler names. One that is missing is nil.
	args [lang.MaxArgs]json.RawMessage
	// came is how many of them have come, and more is true if others came after them.
	came int
	more bool
	// left, for a socket that is gone, is the rest of the name of the room that it was in.
	left string
	gone bool
	// locked is true while the handler has the pages of its rooms.
	locked bool
	// rooms are the names of the rooms that the handler names, by their numbers, with the prefix. Those of
	// a condition that does not hold are empty.
	rooms []string
	// ended is true once no more steps are to be done.
	ended bool
	// full is true if the join before was refused since its room is full.
	full bool
}

// handle runs the handler of an event.
func (s *service) handle(e *streaming.Event, steps *lang.Steps) {
	r := run{service: s, steps: steps, socket: e.Socket, event: e}
	if err := r.begin(); err != nil {
		r.refuse(err)
		return
	}
	if steps.Lists && !s.books.awaitList(e, r.rooms[steps.Room]) {
		return
	}
	r.do()
	if !r.ended {
		events.Succeed(e)
	}
}

// connect runs the handler for a socket that has connected.
func (s *service) connect(socket *streaming.Socket) {
	r := run{service: s, steps: s.Connect, socket: socket}
	if err := r.begin(); err == nil {
		r.do()
	}
}

// disconnect runs the handlers for the rooms of a socket that is gone.
func (s *service) disconnect(socket *streaming.Socket, _ streaming.Reason) {
	for _, name := range seated(socket) {
		s.leave(socket, name)
	}
}

// leave takes a socket that is gone out of a room, and runs the handler for that.
func (s *service) leave(socket *streaming.Socket, name string) {
	given := strings.TrimPrefix(name, prefix)
	at := slices.IndexFunc(s.Leavings, func(l lang.Leaving) bool { return strings.HasPrefix(given, l.Beginning) })
	if at < 0 {
		taken := s.books.lock([]string{name})
		defer s.books.unlock(taken)
		s.books.exit(socket, name)
		return
	}
	l := s.Leavings[at]
	r := run{service: s, steps: l.Steps, socket: socket, left: strings.TrimPrefix(given, l.Beginning), gone: true}
	r.rooms = make([]string, l.Steps.Rooms)
	if l.Steps.Room >= 0 {
		r.rooms[l.Steps.Room] = name
	}
	err := r.name(l.Steps.Do)
	taken := s.books.lock(append([]string{name}, r.rooms...))
	defer s.books.unlock(taken)
	r.locked = true
	s.books.exit(socket, name)
	if err == nil {
		r.ops(l.Steps.Do)
	}
}

// begin finds out all that may be wrong before anything is done.
func (r *run) begin() error {
	if err := r.split(); err != nil {
		return err
	}
	for i := range r.steps.Checks {
		if err := r.check(&r.steps.Checks[i]); err != nil {
			return err
		}
	}
	if r.steps.Rooms > 0 {
		r.rooms = make([]string, r.steps.Rooms)
	}
	if r.steps.Subject != nil {
		if err := r.nameRoom(r.steps.Subject, r.steps.Room); err != nil {
			return err
		}
	}
	return r.name(r.steps.Do)
}

// split finds the arguments that the handler names. What comes after them is not looked at.
func (r *run) split() error {
	args := r.steps.Args
	if r.event == nil || len(args) == 0 {
		return nil
	}
	i := 0
	for value := range r.event.Args.All() {
		if i == len(args) || args[i].Rest {
			r.more = true
			break
		}
		r.args[i] = value
		i++
	}
	r.came = i
	if i < len(args) && !args[i].Optional && !args[i].Rest {
		return r.misfit(lang.Ref{Arg: i, Name: args[i].Name}, "is missing")
	}
	return nil
}

// name finds the names of the rooms and the texts of the steps that will be done.
func (r *run) name(ops []lang.Op) error {
	for i := range ops {
		op := &ops[i]
		if op.Room != nil {
			if err := r.nameRoom(op.Room, op.RoomNumber); err != nil {
				return err
			}
		}
		if op.Socket != nil {
			if _, err := r.socketID(op.Socket); err != nil {
				return err
			}
		}
		if op.Action == lang.IfIs && !r.is(op) {
			continue
		}
		if op.Tail < 0 {
			if err := r.look(op.Values); err != nil {
				return err
			}
		}
		if err := r.name(op.Do); err != nil {
			return err
		}
	}
	return nil
}

// nameRoom finds the name of a room. Its client must have the right to join it, whether it is going to
// or not.
func (r *run) nameRoom(room *lang.Room, number int) error {
	if r.rooms[number] != "" {
		return nil
	}
	name, err := r.roomName(room)
	if err != nil {
		return err
	}
	if !r.gone && !r.socket.MayJoin(name) {
		return streaming.ErrForbidden
	}
	r.rooms[number] = name
	return nil
}

// do does the steps of the handler.
func (r *run) do() {
	if r.steps.KeepsBooks {
		taken := r.books.lock(r.rooms)
		defer r.books.unlock(taken)
		r.locked = true
	}
	r.ops(r.steps.Do)
}

// ops does operations, until the handler is to end.
func (r *run) ops(ops []lang.Op) {
	for i := range ops {
		if r.ended {
			return
		}
		r.op(&ops[i])
	}
}

// op does an operation.
func (r *run) op(op *lang.Op) {
	switch op.Action {
	case lang.Emit:
		if args, err := r.arguments(op); err != nil {
			r.refuse(err)
		} else {
			r.emit(op, args)
		}
	case lang.Join:
		r.join(op)
	case lang.Leave:
		name := r.rooms[op.RoomNumber]
		r.socket.Leave(name)
		r.books.exit(r.socket, name)
	case lang.Ack:
		if !r.event.Ack.Wanted() {
			return
		}
		if args, err := r.arguments(op); err != nil {
			r.refuse(err)
		} else {
			r.event.Ack.Reply(args)
		}
	case lang.Refuse:
		r.event.Refuse(op.Code, op.Message)
		r.ended = true
	case lang.Disconnect:
		r.socket.Disconnect(true)
		r.ended = true
	case lang.IfAlone:
		if r.others() == 0 {
			r.ops(op.Do)
		}
	case lang.IfOthers:
		if r.others() > 0 {
			r.ops(op.Do)
		}
	case lang.IfFull:
		if r.full {
			r.ops(op.Do)
			r.ended = true
		}
	case lang.IfIs:
		if r.is(op) {
			r.ops(op.Do)
		}
	}
}

// others is how many sockets besides this one are in the handler's room.
func (r *run) others() int { return r.books.others(r.socket, r.rooms[r.steps.Room]) }

// join puts the socket into a room, or refuses that.
func (r *run) join(op *lang.Op) {
	name := r.rooms[op.RoomNumber]
	r.full = false
	most := r.MaxMembers
	if op.Max > 0 && (most == 0 || op.Max < most) {
		most = op.Max
	}
	if most > 0 && seat(r.socket, name) == nil && r.books.others(r.socket, name) >= most {
		if r.full = op.Full; !r.full {
			r.refuse(&streaming.EventError{Code: CodeRoomFull, Message: "the room is full"})
		}
		return
	}
	if err := r.socket.Join(name); err != nil {
		r.refuse(err)
		return
	}
	r.books.enter(r.socket, name)
}

// emit sends an event to whom an operation means.
func (r *run) emit(op *lang.Op, args packet.Args) {
	var flags packet.Flags
	if op.Volatile {
		flags = packet.Volatile
	}
	to := r.socket.Broadcast()
	switch op.Target {
	case lang.ToSelf:
		_ = r.socket.EmitArgs(op.Event, args, flags)
		return
	case lang.ToSocket:
		id, err := r.socketID(op.Socket)
		if err != nil {
			return // That has been found out before.
		}
		to = r.namespace.To(id)
	case lang.ToRoom:
		if op.All {
			to = r.namespace.Everyone()
		}
		to = to.To(r.rooms[op.RoomNumber])
	case lang.ToEveryone:
		if op.All {
			to = r.namespace.Everyone()
		}
	}
	_ = to.EmitArgs(op.Event, args, flags)
}

// refuse ends the handler, and tells the sender of the event why.
func (r *run) refuse(err error) {
	r.ended = true
	if r.event == nil {
		return
	}
	var refusal *streaming.EventError
	if !errors.As(err, &refusal) {
		refusal = &streaming.EventError{Code: streaming.CodeInternalError, Message: "internal error"}
	}
	r.event.Refuse(refusal.Code, refusal.Message)
}
