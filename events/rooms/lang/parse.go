package lang

import (
	"slices"
	"strconv"
	"strings"
)

// Line is a line of a program as it is written: words, and the lines of the block after them.
type Line struct {
	Words []string
	// Block are the lines of the block, and HasBlock is true if there is one, even an empty one.
	Block    []Line
	HasBlock bool
	// At is where the line is written, for errors.
	At any
}

// maxDepth is how deep blocks of steps may nest.
const maxDepth = 16

// forms say how each primitive is written.
var forms = map[string]string{
	"ack":         "ack [<value>...]",
	"check":       "check {<argument>} <bound>",
	"disconnect":  "disconnect",
	"emit":        "emit <event> [<value>...]",
	"first":       "first <step>, or first { ... }",
	"full":        "full <step>, or full { ... }",
	"join":        "join <room> [max <n>]",
	"last":        "last <step>, or last { ... }",
	"leave":       "leave <room>",
	"others":      "others <step>, or others { ... }",
	"refuse":      "refuse <code> <message>",
	"to":          "to <room> [all] [volatile] emit <event> [<value>...]",
	"to_everyone": "to_everyone [all] [volatile] emit <event> [<value>...]",
	"to_socket":   "to_socket <id> [volatile] emit <event> [<value>...]",
	"volatile":    "volatile emit <event> [<value>...]",
	"when":        "when {<argument>} <word> <step>, or when {<argument>} <word>... { ... }",
}

// Primitives returns the names of the primitives, sorted.
func Primitives() []string {
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// oneOf lists words to choose from.
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Parse makes a program of its lines. The error is an [*Error]. Whether the program makes sense is
// up to [Check].
func Parse(lines []Line) (Program, error) {
	var p Program
	for _, line := range lines {
		if err := p.unmarshalLine(line); err != nil {
			return Program{}, err
		}
	}
	return p, nil
}

// unmarshalLine adds what a line of the program's own level says.
func (p *Program) unmarshalLine(line Line) error {
	rest := line.Words[1:]
	switch line.Words[0] {
	case "on":
		handler, err := parseHandler(line)
		if err != nil {
			return err
		}
		p.On = append(p.On, handler)
	case "allow":
		switch {
		case len(p.Allow) > 0:
			return wrong(line.At, "option 'allow' is given twice: write it once")
		case len(rest) == 0:
			return wrong(line.At, "allow needs an argument: write allow <room...>")
		case line.HasBlock:
			return wrong(line.At, "allow takes no block: write allow <room...>")
		}
		p.Allow, p.AllowAt = rest, line.At
	case "max_members":
		switch {
		case p.MaxMembers != 0:
			return wrong(line.At, "option 'max_members' is given twice: write it once")
		case len(rest) == 0:
			return wrong(line.At, "max_members needs an argument: write max_members <n>")
		case len(rest) > 1:
			return wrong(line.At, "max_members takes one argument and has %d: write max_members <n>", len(rest))
		case line.HasBlock:
			return wrong(line.At, "max_members takes no block: write max_members <n>")
		}
		var err error
		if p.MaxMembers, err = parseCount(line, "max_members", rest[0]); err != nil {
			return err
		}
	default:
		return wrong(line.At, "unrecognized option '%s' of events rooms: there is on, allow or max_members", line.Words[0])
	}
	return nil
}

func parseCount(line Line, name, text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, wrong(line.At, "%s must be a whole number greater than zero, is %q", name, text)
	}
	return int(n), nil
}

const handlerForm = "write on <event> [<argument>...] { ... }, on connect { ... } or on disconnecting <room> { ... }, or one step in place of the block"

// parseHandler parses "on <event> <argument>... { ... }", or one with a step in place of its block.
func parseHandler(line Line) (Handler, error) {
	if len(line.Words) < 2 {
		return Handler{}, wrong(line.At, "on needs the name of an event: "+handlerForm)
	}
	h := Handler{Event: line.Words[1], At: line.At}
	words := line.Words[2:]
	if h.Event == OnDisconnecting {
		if len(words) == 0 || !strings.Contains(words[0], "<") {
			return Handler{}, wrong(line.At, "on disconnecting needs the name by which its steps call the room: write on disconnecting <room> { ... }")
		}
		h.Room, words = words[0], words[1:]
	}
	for len(words) > 0 && strings.HasPrefix(words[0], "<") {
		name, closed := strings.CutSuffix(words[0][1:], ">")
		if !closed {
			return Handler{}, wrong(line.At, "on %s: %s has no > at its end: write <%s>", h.Event, words[0], strings.Trim(name, "<>"))
		}
		h.Args = append(h.Args, name)
		words = words[1:]
	}
	var err error
	h.Do, err = parseInner(line, words, 1)
	return h, err
}

// parseInner parses the steps of a line that begins with something else: the one whose words are left, or
// those of the block.
func parseInner(line Line, words []string, depth int) ([]Step, error) {
	switch {
	case len(words) > 0:
		return parseSteps([]Line{{Words: words, Block: line.Block, HasBlock: line.HasBlock, At: line.At}}, depth)
	case !line.HasBlock && line.Words[0] == "on":
		return nil, wrong(line.At, "on %s needs steps: "+handlerForm, line.Words[1])
	case !line.HasBlock:
		return nil, wrong(line.At, "%s needs a step: write %s", line.Words[0], forms[line.Words[0]])
	}
	return parseSteps(line.Block, depth)
}

// parseSteps parses the lines of a block, which is depth deep.
func parseSteps(lines []Line, depth int) ([]Step, error) {
	var steps []Step
	for _, line := range lines {
		step, err := parseStep(line, depth)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// parseStep parses a primitive.
func parseStep(line Line, depth int) (Step, error) {
	name, rest := line.Words[0], line.Words[1:]
	form, known := forms[name]
	s := Step{Do: name, At: line.At}
	bad := func(what string) (Step, error) { return Step{}, wrong(line.At, "%s %s: write %s", name, what, form) }
	switch {
	case !known:
		return Step{}, wrong(line.At, "unrecognized primitive '%s' of events rooms: there is %s", name, oneOf(Primitives()))
	case depth > maxDepth:
		return Step{}, wrong(line.At, "blocks nest deeper than %d levels", maxDepth)
	}
	switch name {
	case "first", "full", "last", "others":
		var err error
		s.Steps, err = parseInner(line, rest, depth+1)
		return s, err
	case "when":
		if len(rest) < 2 {
			return bad("needs a value and what it may be")
		}
		// With a block all words are what the value may be, and without one the first.
		s.Value, s.Is = rest[0], rest[1:]
		var step []string
		if !line.HasBlock {
			s.Is, step = rest[1:2], rest[2:]
		}
		var err error
		s.Steps, err = parseInner(line, step, depth+1)
		return s, err
	}
	if line.HasBlock {
		return bad("takes no block")
	}
	switch name {
	case "check":
		if len(rest) < 2 {
			return bad("needs a value and a bound")
		}
		s.Value, s.Is = rest[0], rest[1:]
	case "join":
		if len(rest) != 1 && (len(rest) != 3 || rest[1] != "max") {
			return bad("needs a room")
		}
		s.Room = rest[0]
		if len(rest) == 3 {
			var err error
			if s.Max, err = parseCount(line, "max", rest[2]); err != nil {
				return Step{}, err
			}
		}
	case "leave":
		if len(rest) != 1 {
			return bad("needs a room")
		}
		s.Room = rest[0]
	case "refuse":
		if len(rest) != 2 {
			return bad("needs a code and a message, which is quoted if it is of several words")
		}
		s.Code, s.Message = rest[0], rest[1]
	case "disconnect":
		if len(rest) != 0 {
			return bad("takes no argument")
		}
	case "ack":
		s.Values = rest
	default:
		return parseEmit(line)
	}
	return s, nil
}

// parseEmit parses what sends an event, to whomever.
func parseEmit(line Line) (Step, error) {
	name, rest := line.Words[0], line.Words
	s := Step{Do: "emit", At: line.At}
	bad := func(what string) (Step, error) {
		return Step{}, wrong(line.At, "%s %s: write %s", name, what, forms[name])
	}
	switch name {
	case "to", "to_socket":
		if len(rest) < 2 {
			return bad("needs whom to send to")
		}
		if name == "to" {
			s.Room = rest[1]
		} else {
			s.Socket = rest[1]
		}
		rest = rest[2:]
	case "to_everyone":
		s.Everyone = true
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == "all" && (s.Room != "" || s.Everyone) {
		s.All = true
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] == "volatile" {
		s.Volatile = true
		rest = rest[1:]
	}
	if len(rest) == 0 || rest[0] != "emit" {
		return bad("has no emit")
	}
	if len(rest) < 2 {
		return bad("names no event")
	}
	s.Event, s.Values = rest[1], rest[2:]
	return s, nil
}
