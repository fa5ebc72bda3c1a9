package lang

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Check says whether a program makes sense, and makes it ready to be run. The error is an [*Error].
func Check(p Program) (*Checked, error) {
	c := checker{program: &p, checked: &Checked{Events: make(map[string]*Steps)}}
	if len(p.On) == 0 {
		return nil, &Error{Err: errors.New("events rooms says nothing of any event: " + handlerForm)}
	}
	if p.MaxMembers < 0 {
		return nil, &Error{Err: fmt.Errorf("max_members must not be negative, is %d", p.MaxMembers)}
	}
	free := new(scope)
	for _, text := range p.Allow {
		t, err := free.room(text)
		if err != nil {
			return nil, &Error{At: p.AllowAt, Where: "allow", Err: err}
		}
		c.checked.Allow = append(c.checked.Allow, t)
	}
	for i := range p.On {
		if err := c.handler(&p.On[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(c.checked.Leavings, func(a, b Leaving) int { return cmp.Compare(len(b.Beginning), len(a.Beginning)) })
	c.bound()
	for _, room := range c.rooms {
		room.NotBeginnings, room.NotNames = room.guards(c.templates())
	}
	return c.checked, nil
}

// checker checks a program.
type checker struct {
	program *Program
	checked *Checked
	// rooms are all rooms that the program names.
	rooms []*Room
	// lists is true if the program tells lists of members.
	lists bool
}

func (c *checker) templates() []*Template {
	var all []*Template
	for _, room := range c.rooms {
		all = append(all, room.Template)
	}
	return all
}

// bound says how many sockets may be in a room.
func (c *checker) bound() {
	c.checked.MaxMembers = c.program.MaxMembers
	if c.checked.MaxMembers == 0 && c.lists {
		c.checked.MaxMembers = DefaultMaxMembers
	}
}

// handler checks a handler.
func (c *checker) handler(h *Handler) error {
	where := "on " + h.Event
	fail := func(err error) error { return &Error{At: h.At, Where: where, Err: err} }
	s := &scope{event: h.Event}
	steps := &Steps{Room: -1}
	if len(h.Do) == 0 {
		return fail(fmt.Errorf("on %s does nothing: write steps into its block, such as join <room>", h.Event))
	}
	if h.Room != "" && h.Event != OnDisconnecting {
		return fail(fmt.Errorf("on %s has a room, which is for disconnecting alone", h.Event))
	}
	switch h.Event {
	case OnConnect:
		switch {
		case len(h.Args) > 0:
			return fail(errors.New("on connect has no arguments: write on connect { ... }"))
		case c.checked.Connect != nil:
			return fail(errors.New("on connect is given twice: write it once"))
		}
		c.checked.Connect = steps
	case OnDisconnecting:
		beginning, err := s.pattern(h.Room)
		switch {
		case err != nil:
			return fail(err)
		case len(h.Args) > 0:
			return fail(errors.New("on disconnecting has no arguments: write on disconnecting <room> { ... }"))
		case slices.ContainsFunc(c.checked.Leavings, func(l Leaving) bool { return l.Beginning == beginning }):
			return fail(fmt.Errorf("on disconnecting is given twice for rooms that begin with %q: write it once", beginning))
		}
		c.checked.Leavings = append(c.checked.Leavings, Leaving{beginning, steps})
	default:
		if err := checkHandled(h.Event); err != nil {
			return fail(err)
		}
		if c.checked.Events[h.Event] != nil {
			return fail(fmt.Errorf("event %q is handled twice: write on %s once", h.Event, h.Event))
		}
		if err := s.bind(h.Args); err != nil {
			return fail(err)
		}
		c.checked.Events[h.Event] = steps
	}
	steps.Args = s.args
	b := &block{checker: c, scope: s, steps: steps, handler: h, where: where}
	b.findRoom(h.Do)
	ops, err := b.ops(h.Do, where, 1)
	if err != nil {
		return err
	}
	steps.Do, steps.KeepsBooks = ops, b.keepsBooks
	if b.keepsBooks && b.subject != "" && !b.several {
		steps.Room = b.number(b.subject)
		if h.Event != OnDisconnecting {
			subject := new(Op)
			if err := b.room(subject, b.subject); err != nil {
				return fail(err)
			}
			steps.Subject = subject.Room
		}
	}
	steps.Rooms = len(b.named)
	return nil
}

// checkHandled refuses names that no event of a client has.
func checkHandled(event string) error {
	if event == "" {
		return errors.New("an event has no name")
	}
	if packet.IsReservedEvent(event) {
		return fmt.Errorf("event %q is reserved by Socket.IO, and cannot be handled", event)
	}
	return nil
}

// checkEmitted refuses names that no event to a client may have.
func checkEmitted(event string) error {
	switch {
	case event == "":
		return errors.New("an event has no name")
	case packet.IsReservedEvent(event):
		return fmt.Errorf("event %q is reserved by Socket.IO, and cannot be emitted", event)
	case event == "error":
		return errors.New(`event "error" is the one by which the server tells a client what went wrong: write refuse <code> <message>, or emit another one`)
	case strings.ContainsAny(event, "{}"):
		return fmt.Errorf("event %q must be a name as it is: no argument can stand in it", event)
	}
	return nil
}

// pattern parses the pattern of OnDisconnecting, "beginning<name>".
func (s *scope) pattern(text string) (beginning string, err error) {
	beginning, name, found := strings.Cut(text, "<")
	name, closed := strings.CutSuffix(name, ">")
	switch {
	case !found || !closed || strings.ContainsAny(beginning, "{}>"):
		return "", fmt.Errorf("on disconnecting %s: write on disconnecting <room>, or on disconnecting beginning<rest> for rooms whose names begin so", text)
	case !argName.MatchString(name):
		return "", fmt.Errorf("on disconnecting: <%s> is no name: write letters, digits and _, such as <room>", name)
	case isTaken(name):
		return "", fmt.Errorf("on disconnecting: a room cannot be called <%s>, since {%s} is what the server knows: choose another name", name, name)
	}
	s.leaving = name
	return beginning, nil
}
