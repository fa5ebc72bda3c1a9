package rooms

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// misfit is the refusal of an argument that is not what it must be.
func (r *run) misfit(ref lang.Ref, what string) error {
	return &streaming.EventError{Code: CodeInvalidArgument, Message: fmt.Sprintf("argument %d (%s) %s", ref.Arg+1, ref.Name, what)}
}

// value returns what has come for a reference to an argument, or nil.
func (r *run) value(ref *lang.Ref) json.RawMessage {
	value := r.args[ref.Arg]
	if len(ref.Path) == 0 || value == nil {
		return value
	}
	object, ok := r.within(ref)
	if !ok {
		return nil
	}
	return object.Field(ref.Path[len(ref.Path)-1])
}

// within returns the object that the last name of a reference's path is a field of.
func (r *run) within(ref *lang.Ref) (packet.Object, bool) {
	object, ok := r.event.Args.Object(ref.Arg)
	for _, name := range ref.Path[:len(ref.Path)-1] {
		if !ok {
			break
		}
		object, ok = object.Object(name)
	}
	return object, ok
}

// textOf returns the content of a JSON string.
func textOf(value json.RawMessage) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

// maxWhole is how many bytes a whole number may have that stands in a text.
const maxWhole = 16

// wholeOf returns a whole number as it is written, if that is the one way to write it.
func wholeOf(value json.RawMessage) (text string, ok bool) {
	if len(value) > maxWhole {
		return "", false
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	return string(value), err == nil && strconv.FormatInt(n, 10) == string(value)
}

// text returns what a reference stands for within a text.
func (r *run) text(ref *lang.Ref) (string, error) {
	switch ref.Kind {
	case lang.LeftRoom:
		return r.left, nil
	case lang.SocketID:
		return r.socket.ID(), nil
	case lang.Identity:
		if identity := r.socket.Identity(); identity != nil {
			return identity.ID, nil
		}
		return "", streaming.ErrForbidden
	case lang.Joined:
		return strconv.FormatInt(r.joined(), 10), nil
	case lang.MemberCount:
		return strconv.Itoa(r.size()), nil
	}
	value := r.value(ref)
	if text, ok := textOf(value); ok {
		return text, nil
	}
	if text, ok := wholeOf(value); ok {
		return text, nil
	}
	if value == nil {
		return "", r.misfit(*ref, "is missing")
	}
	return "", r.misfit(*ref, "must be a string")
}

// roomName makes the name of a room, with the prefix.
func (r *run) roomName(room *lang.Room) (string, error) {
	var name strings.Builder
	name.WriteString(prefix)
	var chosen *lang.Ref
	for i, part := range room.Parts {
		if part.Ref == nil {
			name.WriteString(part.Literal)
			continue
		}
		text, err := r.text(part.Ref)
		if err != nil {
			return "", err
		}
		if part.Ref.Kind == lang.Argument {
			chosen = part.Ref
			if !isName(text) {
				return "", r.misfit(*chosen, fmt.Sprintf("must be a string of 1 to %d bytes without control characters", lang.MaxName))
			}
			if i+1 < len(room.Parts) && strings.Contains(text, room.Parts[i+1].Literal) {
				return "", r.misfit(*chosen, fmt.Sprintf("must not have %q in it", room.Parts[i+1].Literal))
			}
		}
		name.WriteString(text)
	}
	if chosen == nil {
		return name.String(), nil
	}
	given := name.String()[len(prefix):]
	if len(given) > lang.MaxName {
		return "", r.misfit(*chosen, fmt.Sprintf("makes a name of more than %d bytes", lang.MaxName))
	}
	if r.isGuarded(room, given) && !r.isAllowed(given) {
		return "", r.misfit(*chosen, "names a room that is not for this event")
	}
	return name.String(), nil
}

// isName reports whether a client may give a room this name, or this part of one.
func isName(text string) bool {
	return text != "" && len(text) <= lang.MaxName && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// isGuarded reports whether a name is for other templates alone.
func (r *run) isGuarded(room *lang.Room, name string) bool {
	return slices.Contains(room.NotNames, name) ||
		slices.ContainsFunc(room.NotBeginnings, func(beginning string) bool { return strings.HasPrefix(name, beginning) })
}

// isAllowed reports whether the program lets its client choose a name all the same.
func (r *run) isAllowed(name string) bool {
	return slices.ContainsFunc(r.Allow, func(t *lang.Template) bool {
		allowed, err := r.fill(t)
		return err == nil && allowed == name
	})
}

// fill makes the text of a template.
func (r *run) fill(t *lang.Template) (string, error) {
	if len(t.Parts) == 1 && t.Parts[0].Ref != nil {
		return r.text(t.Parts[0].Ref)
	}
	var filled strings.Builder
	for _, part := range t.Parts {
		text := part.Literal
		if part.Ref != nil {
			var err error
			if text, err = r.text(part.Ref); err != nil {
				return "", err
			}
		}
		filled.WriteString(text)
	}
	return filled.String(), nil
}

// maxSocketID bounds the length of a socket's ID, in bytes.
const maxSocketID = 64

// socketID makes the ID of a socket. It can be no name of a room: those of event sets have a colon.
func (r *run) socketID(t *lang.Template) (string, error) {
	id, err := r.fill(t)
	if err != nil {
		return "", err
	}
	no := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	if id == "" || len(id) > maxSocketID || strings.ContainsFunc(id, no) {
		for _, part := range t.Parts {
			if part.Ref != nil && part.Ref.Kind == lang.Argument {
				return "", r.misfit(*part.Ref, "must be the ID of a socket")
			}
		}
		return "", &streaming.EventError{Code: CodeInvalidArgument, Message: "no ID of a socket"}
	}
	return id, nil
}

// is reports whether the value of a condition is one of its words.
func (r *run) is(op *lang.Op) bool {
	value := r.value(&op.Ref)
	if text, ok := textOf(value); ok {
		return slices.Contains(op.Words, text)
	}
	return value != nil && slices.Contains(op.Words, string(value))
}

// check refuses a value that is not within its bound. An optional argument may be missing.
func (r *run) check(b *lang.Bounded) error {
	value := r.value(&b.Ref)
	if value == nil {
		if r.args[b.Ref.Arg] == nil && r.steps.Args[b.Ref.Arg].Optional {
			return nil
		}
		return r.misfit(b.Ref, "is missing")
	}
	if !r.fits(value, &b.Bound) {
		return r.misfit(b.Ref, "must be "+b.Bound.String())
	}
	return nil
}

func (r *run) fits(value json.RawMessage, b *lang.Bound) bool {
	within := func(n int) bool { return b.Min <= float64(n) && float64(n) <= b.Max }
	switch b.Type {
	case "string":
		text, ok := textOf(value)
		return ok && within(len(text))
	case "one_of":
		text, ok := textOf(value)
		return ok && slices.Contains(b.Words, text)
	case "begins":
		text, ok := textOf(value)
		return ok && slices.ContainsFunc(b.Words, func(word string) bool { return strings.HasPrefix(text, word) })
	case "binary":
		data, ok := r.event.Args.Binary(value)
		return ok && within(len(data))
	case "number", "integer":
		n, err := strconv.ParseFloat(string(value), 64)
		return err == nil && b.Min <= n && n <= b.Max && (b.Type == "number" || n == math.Trunc(n))
	case "boolean":
		return string(value) == "true" || string(value) == "false"
	case "object":
		if _, isBinary := r.event.Args.Binary(value); isBinary {
			return false
		}
		return value[0] == '{'
	}
	return value[0] == '[' && within(elements(value))
}

// elements counts the elements of a JSON array.
func elements(array json.RawMessage) int {
	args, err := packet.ParseArgs(array)
	if err != nil {
		return -1
	}
	return args.Len()
}

// rest yields the arguments from one on.
func (r *run) rest(from int) iter.Seq[json.RawMessage] { return r.event.Args.Skip(from).All() }
