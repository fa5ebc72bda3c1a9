package lang

import (
	"errors"
	"fmt"
	"slices"
)

// block checks the steps of one handler.
type block struct {
	*checker
	scope   *scope
	steps   *Steps
	handler *Handler
	where   string
	// named are the rooms that the handler names, as they are written.
	named []string
	// subject is the room that conditions and lists are about: the one that is joined or left, or else
	// the first that is sent to. Empty where there is none, or several are joined or left, as several says.
	subject    string
	several    bool
	moves      bool
	keepsBooks bool
	// acted is true once a step has done something, so that it is too late for a check.
	acted bool
}

// findRoom finds the room that the handler is about.
func (b *block) findRoom(steps []Step) {
	var sentTo string
	var walk func(steps []Step)
	walk = func(steps []Step) {
		for _, s := range steps {
			switch {
			case s.Do == "join" || s.Do == "leave":
				b.several = b.several || b.moves && b.subject != s.Room
				b.subject, b.moves = s.Room, true
			case s.Do == "emit" && s.Room != "" && sentTo == "":
				sentTo = s.Room
			}
			walk(s.Steps)
		}
	}
	walk(steps)
	if !b.moves {
		b.subject = sentTo
	}
	if b.handler.Event == OnDisconnecting {
		b.subject, b.several = b.leaving(), false
	}
}

// leaving is how the steps of OnDisconnecting write the room that is left.
func (b *block) leaving() string {
	return b.handler.Room[:len(b.handler.Room)-len(b.scope.leaving)-2] + "{" + b.scope.leaving + "}"
}

// number returns the number of a room within the handler.
func (b *block) number(room string) int {
	i := slices.Index(b.named, room)
	if i < 0 {
		i = len(b.named)
		b.named = append(b.named, room)
	}
	return i
}

// ops checks steps.
func (b *block) ops(steps []Step, where string, depth int) ([]Op, error) {
	var ops []Op
	if depth > maxDepth {
		return nil, &Error{Where: where, Err: fmt.Errorf("steps nest deeper than %d levels", maxDepth)}
	}
	for i := range steps {
		s := &steps[i]
		here := fmt.Sprintf("%s, step %d", where, i+1)
		fail := func(err error) error { return &Error{At: s.At, Where: here, Err: err} }
		if s.Do == "check" {
			if err := b.check(s, depth); err != nil {
				return nil, fail(err)
			}
			continue
		}
		op, err := b.op(s)
		if err != nil {
			return nil, fail(err)
		}
		b.acted = true
		if len(ops) > 0 {
			switch last := &ops[len(ops)-1]; {
			case last.Action == Refuse || last.Action == Disconnect:
				return nil, fail(fmt.Errorf("%s is never reached: the step before it ends the handler", s.Do))
			case last.Action == Join && op.Action == IfFull:
				last.Full = true
			case op.Action == IfFull:
				return nil, fail(errors.New("full must follow a join: write it after join <room> max <n>"))
			}
		} else if op.Action == IfFull {
			return nil, fail(errors.New("full must follow a join: write it after join <room> max <n>"))
		}
		if isCondition(s.Do) {
			if len(s.Steps) == 0 {
				return nil, fail(fmt.Errorf("%s does nothing: write steps into its block", s.Do))
			}
			if op.Do, err = b.ops(s.Steps, here, depth+1); err != nil {
				return nil, err
			}
		} else if len(s.Steps) > 0 {
			return nil, fail(fmt.Errorf("%s has steps of its own, which only a condition has", s.Do))
		}
		ops = append(ops, op)
	}
	return ops, nil
}

func isCondition(do string) bool {
	return slices.Contains([]string{"first", "full", "last", "others", "when"}, do)
}

// check checks a check.
func (b *block) check(s *Step, depth int) error {
	if b.acted || depth > 1 {
		return errors.New("check comes too late: write it before the steps that do something, so that a bad event does nothing")
	}
	ref, err := b.argument(s.Value)
	if err != nil {
		return err
	}
	bound, err := parseBound(s.Is)
	if err != nil {
		return err
	}
	b.steps.Checks = append(b.steps.Checks, Bounded{ref, bound})
	return nil
}

// argument resolves a value that must be one argument, or a value within one.
func (b *block) argument(text string) (Ref, error) {
	t, err := b.scope.template(text)
	if err != nil {
		return Ref{}, err
	}
	if len(t.Parts) != 1 || t.Parts[0].Ref == nil || t.Parts[0].Ref.Kind != Argument {
		return Ref{}, fmt.Errorf("%q is no argument of the event: write its name in braces, such as {room} or {user.id}", text)
	}
	return *t.Parts[0].Ref, nil
}

// op checks a step that is no check.
func (b *block) op(s *Step) (Op, error) {
	op := Op{Tail: -1}
	switch s.Do {
	case "emit":
		return b.emit(s)
	case "join", "leave":
		op.Action = Join
		if s.Do == "leave" {
			op.Action = Leave
		}
		if b.handler.Event == OnDisconnecting {
			return op, fmt.Errorf("%s in on disconnecting: the socket is gone", s.Do)
		}
		if op.Max = s.Max; op.Max < 0 {
			return op, fmt.Errorf("max must not be negative, is %d", op.Max)
		}
		b.keepsBooks = true
		return op, b.room(&op, s.Room)
	case "ack":
		op.Action = Ack
		if err := b.ofEvent(s.Do); err != nil {
			return op, err
		}
		return op, b.values(&op, s.Values)
	case "refuse":
		op.Action, op.Code, op.Message = Refuse, s.Code, s.Message
		if s.Code == "" || s.Message == "" {
			return op, errors.New("refuse needs a code and a message: write " + forms["refuse"])
		}
		return op, b.ofEvent(s.Do)
	case "disconnect":
		op.Action = Disconnect
		if b.handler.Event == OnDisconnecting {
			return op, errors.New("disconnect in on disconnecting: the socket is gone")
		}
		return op, nil
	case "first", "last", "others":
		op.Action = IfAlone
		if s.Do == "others" {
			op.Action = IfOthers
		}
		return op, b.aboutRoom(s.Do)
	case "full":
		op.Action = IfFull
		return op, nil
	case "when":
		op.Action, op.Words = IfIs, s.Is
		if len(s.Is) == 0 {
			return op, errors.New("when does not say what the value may be: write " + forms["when"])
		}
		var err error
		op.Ref, err = b.argument(s.Value)
		return op, err
	}
	return op, fmt.Errorf("unrecognized primitive '%s' of events rooms: there is %s", s.Do, oneOf(Primitives()))
}

// ofEvent refuses what only an event of a client has.
func (b *block) ofEvent(do string) error {
	if b.handler.Event == OnConnect || b.handler.Event == OnDisconnecting {
		return fmt.Errorf("%s in on %s: there is no event to answer", do, b.handler.Event)
	}
	return nil
}

// aboutRoom holds that it is clear of which room something is.
func (b *block) aboutRoom(what string) error {
	switch {
	case b.several:
		return fmt.Errorf("%s does not say of which room, as on %s joins or leaves several", what, b.handler.Event)
	case b.subject == "":
		return fmt.Errorf("%s needs a room that on %s joins, leaves or sends to", what, b.handler.Event)
	}
	b.keepsBooks = true
	return nil
}

// room gives an operation its room.
func (b *block) room(op *Op, text string) error {
	t, err := b.scope.room(text)
	if err != nil {
		return err
	}
	op.Room, op.RoomNumber = &Room{Template: t}, b.number(text)
	b.rooms = append(b.rooms, op.Room)
	return nil
}

// emit checks what is sent to whom.
func (b *block) emit(s *Step) (Op, error) {
	op := Op{Action: Emit, All: s.All, Volatile: s.Volatile, Event: s.Event, Tail: -1}
	targets := 0
	for target, given := range map[Target]bool{ToRoom: s.Room != "", ToSocket: s.Socket != "", ToEveryone: s.Everyone} {
		if given {
			op.Target = target
			targets++
		}
	}
	switch {
	case targets > 1:
		return op, errors.New("emit has several targets: give one of room, socket and everyone")
	case s.All && op.Target != ToRoom && op.Target != ToEveryone:
		return op, errors.New("all is for what is sent to a room, or to everyone")
	case op.Target == ToSelf && b.handler.Event == OnDisconnecting:
		return op, errors.New("emit in on disconnecting: the socket is gone, so write to {" + b.scope.leaving + "} emit ...")
	}
	if err := checkEmitted(s.Event); err != nil {
		return op, err
	}
	switch op.Target {
	case ToRoom:
		if err := b.room(&op, s.Room); err != nil {
			return op, err
		}
	case ToSocket:
		t, err := b.scope.textTemplate(s.Socket)
		if err != nil {
			return op, err
		}
		if t.IsLiteral() {
			return op, fmt.Errorf("to_socket %s: the ID of a socket is never known beforehand: write an argument in braces", s.Socket)
		}
		op.Socket = t
	}
	return op, b.values(&op, s.Values)
}

// values gives an operation its values.
func (b *block) values(op *Op, texts []string) error {
	for _, text := range texts {
		value, err := b.scope.value(text)
		if err != nil {
			return err
		}
		for _, piece := range value {
			refs := []*Ref{piece.Ref}
			if piece.Text != nil {
				for _, part := range piece.Text.Parts {
					refs = append(refs, part.Ref)
				}
			}
			for _, ref := range refs {
				if ref == nil || !ref.Kind.isOfRoom() {
					continue
				}
				if err := b.aboutRoom("{" + ref.Name + "}"); err != nil {
					return err
				}
				if ref.Kind.listsMembers() {
					b.lists, b.steps.Lists = true, true
				}
			}
		}
		op.Values = append(op.Values, value)
	}
	op.Tail = b.tail(op.Values)
	return nil
}

// tail returns the number of the first argument if values are all arguments from that one on.
func (b *block) tail(values []Value) int {
	first := len(b.scope.args) - len(values)
	if len(values) == 0 || first < 0 {
		return -1
	}
	for i, value := range values {
		if len(value) != 1 || value[0].Ref == nil {
			return -1
		}
		if r := value[0].Ref; r.Kind != Argument && r.Kind != Rest || len(r.Path) > 0 || r.Arg != first+i {
			return -1
		}
	}
	return first
}
