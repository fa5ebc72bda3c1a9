package lang

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Kind says what a reference stands for.
type Kind uint8

// The kinds of references.
const (
	// Argument is an argument of the event, or a value within one: {name} or {name.field.field}.
	Argument Kind = iota
	// Rest is all arguments from one on.
	Rest
	// LeftRoom is what the pattern of OnDisconnecting has named.
	LeftRoom
	// SocketID is the ID of the socket: {socket.id}.
	SocketID
	// Identity is the ID of the socket's identity: {socket.identity}.
	Identity
	// Joined is when the socket has joined the handler's room, in milliseconds since 1970: {joined}.
	Joined
	// Members are the IDs of the room's members, in the order in which they have joined: {members}.
	Members
	// MemberIdentities are their identities, each once: {members.identity}.
	MemberIdentities
	// MemberTimes is an object of their IDs, each with when it has joined: {members.joined}.
	MemberTimes
	// MemberCount is how many there are: {members.count}.
	MemberCount
)

// builtIn are the references that name no argument.
var builtIn = map[string]Kind{
	"socket.id": SocketID, "socket.identity": Identity, "joined": Joined,
	"members": Members, "members.identity": MemberIdentities, "members.joined": MemberTimes, "members.count": MemberCount,
}

// isOfRoom reports whether what a reference stands for depends on the handler's room.
func (k Kind) isOfRoom() bool {
	return slices.Contains([]Kind{Joined, Members, MemberIdentities, MemberTimes, MemberCount}, k)
}

// listsMembers reports whether a reference stands for a list of members.
func (k Kind) listsMembers() bool {
	return slices.Contains([]Kind{Members, MemberIdentities, MemberTimes}, k)
}

// Ref is a reference to something that is known when the program runs: what stands in braces.
type Ref struct {
	Kind Kind
	// Arg is the position of the argument.
	Arg int
	// Path leads to a value within the argument. Empty for the argument itself.
	Path []string
	// Name is how the program calls it, without the braces.
	Name string
}

// Arg is an argument of an event, as its handler names it.
type Arg struct {
	Name string
	// Optional is true for one that may be missing.
	Optional bool
	// Rest is true for the last one, if it stands for all that are left.
	Rest bool
}

// MaxArgs is how many arguments a handler may name.
const MaxArgs = 16

var argName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// scope is what the references in a handler may name.
type scope struct {
	args []Arg
	// leaving is the name that the pattern of OnDisconnecting binds.
	leaving string
	// event is that of the handler. Empty for the templates of [Program.Allow].
	event string
}

// bind makes arguments of their names.
func (s *scope) bind(names []string) error {
	if len(names) > MaxArgs {
		return fmt.Errorf("on %s names %d arguments, and at most %d may be named: write <rest...> for those that are left", s.event, len(names), MaxArgs)
	}
	for i, name := range names {
		arg := Arg{Name: name}
		arg.Name, arg.Rest = strings.CutSuffix(name, "...")
		if !arg.Rest {
			arg.Name, arg.Optional = strings.CutSuffix(name, "?")
		}
		switch {
		case !argName.MatchString(arg.Name):
			return fmt.Errorf("on %s: <%s> is no name of an argument: write letters, digits and _, such as <room>", s.event, name)
		case isTaken(arg.Name):
			return fmt.Errorf("on %s: an argument cannot be called <%s>, since {%s} is what the server knows: choose another name", s.event, arg.Name, arg.Name)
		case slices.ContainsFunc(s.args, func(other Arg) bool { return other.Name == arg.Name }):
			return fmt.Errorf("on %s: <%s> is bound twice: give each argument a name of its own", s.event, arg.Name)
		case arg.Rest && i < len(names)-1:
			return fmt.Errorf("on %s: <%s> stands for all arguments that are left: write it last", s.event, name)
		case !arg.Optional && !arg.Rest && i > 0 && s.args[i-1].Optional:
			return fmt.Errorf("on %s: <%s> comes after one that may be missing: write it as <%s?>, or before that", s.event, name, name)
		}
		s.args = append(s.args, arg)
	}
	return nil
}

// isTaken reports whether a name begins what the server knows by itself.
func isTaken(name string) bool {
	for taken := range builtIn {
		if first, _, _ := strings.Cut(taken, "."); first == name {
			return true
		}
	}
	return false
}

var errRestWithin = errors.New("stands for several arguments, which have no fields")

// ref resolves what stands in braces.
func (s *scope) ref(text string) (Ref, error) {
	if kind, ok := builtIn[text]; ok {
		return Ref{Kind: kind, Name: text}, nil
	}
	name, path, within := strings.Cut(text, ".")
	r := Ref{Name: text}
	if within {
		r.Path = strings.Split(path, ".")
		if slices.Contains(r.Path, "") {
			return Ref{}, fmt.Errorf("{%s} has an empty name between its dots", text)
		}
	}
	if s.leaving != "" && text == s.leaving {
		r.Kind = LeftRoom
		return r, nil
	}
	for i, arg := range s.args {
		if arg.Name != name {
			continue
		}
		r.Arg = i
		if arg.Rest {
			r.Kind = Rest
			if within {
				return Ref{}, fmt.Errorf("{%s}: {%s} %w", text, name, errRestWithin)
			}
		}
		return r, nil
	}
	return Ref{}, fmt.Errorf("{%s} names no argument of %s: there is %s", text, s.where(), oneOf(s.known()))
}

// where says what the references stand in.
func (s *scope) where() string {
	if s.event == "" {
		return "allow"
	}
	return "on " + s.event
}

// known lists what may stand in braces.
func (s *scope) known() []string {
	var names []string
	for _, arg := range s.args {
		names = append(names, "{"+arg.Name+"}")
	}
	if s.leaving != "" {
		names = append(names, "{"+s.leaving+"}")
	}
	var rest []string
	for name, kind := range builtIn {
		if s.event != "" || !kind.isOfRoom() {
			rest = append(rest, "{"+name+"}")
		}
	}
	slices.Sort(rest)
	return append(names, rest...)
}

// NameIn returns the name that a word of "on" binds, as in "<name>", "<name?>", "<name...>" and
// "beginning<name>", or "".
func NameIn(word string) string {
	_, name, _ := strings.Cut(word, "<")
	name, ok := strings.CutSuffix(name, ">")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, "?"), "...")
}
