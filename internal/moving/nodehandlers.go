package moving

import (
	"slices"
	"strings"
)

// lifecycle are the events that are no messages of clients.
var lifecycle = []string{"connection", "connect", "disconnect", "disconnecting", "error"}

// handlers finds what the program does with events. What does nothing but to pass an event on is taken.
func (n *node) handlers() {
	for i := range n.tokens {
		socket := n.tokens[i].kind == tokenWord && (strings.Contains(strings.ToLower(n.tokens[i].text), "socket") || n.is(i, "client", "io"))
		switch {
		case !socket || n.is(i-1, "."):
		case n.sequence(i+1, ".", "on", "(") && i+4 < len(n.tokens) && n.tokens[i+4].kind == tokenText:
			n.on(i, i+4)
		case n.is(i, "io") && n.sequence(i+1, ".", "use", "("):
			d := n.call(i, i+4)
			n.service.guards = append(n.service.guards, d)
			d.leave("where it says who gets in, `auth jwt` or `auth http` of socketio_stream does; until you have put that there, or taken the line with 403 out, Socket.IO is closed")
		case n.sequence(i+1, ".", "join", "("):
			n.call(i, i+5).leave("`events rooms` declares which event joins which room")
		case n.is(i, "io") && (n.sequence(i+1, ".", "to", "(") || n.sequence(i+1, ".", "in", "(") || n.sequence(i+1, ".", "of", "(")):
			n.call(i, i+5).leave("the admin API emits to rooms and sockets; a namespace is a `namespace` of socketio_stream")
		case n.is(i, "io") && (n.sequence(i+1, ".", "emit", "(") || n.sequence(i+1, ".", "fetchSockets", "(") || n.sequence(i+1, ".", "adapter", "(")):
			n.call(i, i+5).leave("see the admin API, and `adapter` for several servers")
		}
	}
	if n.others == 0 && len(n.relays) > 0 {
		l := newLine("events relay "+strings.Join(n.relays, " "), n.relayed...)
		if n.service.options == nil {
			n.service.options = map[string]*line{}
		}
		n.service.options["namespace"] = newLine("namespace /").with(l)
		return
	}
	for _, d := range n.relayed {
		d.leave("`events relay` does this, but not beside what the other handlers do")
	}
}

// call returns a call as a line of an old config, with what it is given left out.
func (n *node) call(from, to int) *directive {
	d := n.at(from, to)
	if !strings.HasSuffix(d.text, "(") {
		d.text += ", "
	}
	d.text += "...)"
	return d
}

// on reads the handler of one event.
func (n *node) on(i, name int) {
	event := n.tokens[name].text
	if slices.Contains(lifecycle, event) {
		if event == "connection" || event == "connect" {
			n.call(i, name+1).needless("what is inside of it has lines of its own")
			return
		}
		n.call(i, name+1).leave("what happens when a client leaves is what its event set does")
		return
	}
	if n.is(i, "io") {
		return
	}
	d := n.call(i, name+1)
	value, ok := quoted(event)
	if ok && n.relaysAt(name) && relayable(event) {
		n.relayed = append(n.relayed, d)
		if !slices.Contains(n.relays, value) {
			n.relays = append(n.relays, value)
		}
		return
	}
	n.others++
	d.leave("`events rooms` declares what is done with rooms; all else becomes an event set in Go, or stays in the service: see docs/moving.md")
}

// relayable reports whether `events relay` takes the name of an event.
func relayable(event string) bool {
	return event != "" && !strings.HasPrefix(event, "{") && !slices.Contains([]string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "error", "auth:refresh"}, event)
}

// relaysAt reports whether the handler after the name of an event does nothing but to send the event on
// to all others, as it came.
func (n *node) relaysAt(name int) bool {
	event := n.tokens[name].text
	i := name + 1
	if !n.is(i, ",") {
		return false
	}
	i++
	var argument string
	switch {
	case n.sequence(i, "function", "("):
		i++
		fallthrough
	case n.is(i, "("):
		if i+2 >= len(n.tokens) || n.tokens[i+1].kind != tokenWord || !n.is(i+2, ")") {
			return false
		}
		argument = n.tokens[i+1].text
		i += 3
	case i < len(n.tokens) && n.tokens[i].kind == tokenWord:
		argument = n.tokens[i].text
		i++
	default:
		return false
	}
	if n.is(i, "=>") {
		i++
	}
	braces := n.is(i, "{")
	if braces {
		i++
	}
	if i >= len(n.tokens) || n.tokens[i].kind != tokenWord || !n.sequence(i+1, ".", "broadcast", ".", "emit", "(") {
		return false
	}
	i += 6
	if i+3 >= len(n.tokens) || n.tokens[i].kind != tokenText || n.tokens[i].text != event || !n.is(i+1, ",") || !n.is(i+2, argument) || !n.is(i+3, ")") {
		return false
	}
	i += 4
	if n.is(i, ";") {
		i++
	}
	if braces {
		if !n.is(i, "}") {
			return false
		}
		i++
	}
	return n.is(i, ")")
}
