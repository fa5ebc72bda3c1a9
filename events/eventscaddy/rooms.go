package eventscaddy

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-socketio/socketio-stream/events/rooms"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() { caddy.RegisterModule(new(Rooms)) }

// Rooms is the event set whose events are declared: what a service does with rooms.
type Rooms struct {
	lang.Program
}

// CaddyModule returns the Caddy module information.
func (*Rooms) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".rooms",
		New: func() caddy.Module { return new(Rooms) },
	}
}

// Validate checks the program.
func (r *Rooms) Validate() error {
	_, err := lang.Check(r.Program)
	return err
}

// Register adds the handlers of the set to those of a namespace.
func (r *Rooms) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	set := rooms.Set{Program: r.Program}
	return set.Register(n, h)
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events rooms {
//		on <event> [<argument>...] {
//			<step>
//		}
//		on connect {
//			<step>
//		}
//		on disconnecting <room> {
//			<step>
//		}
//		allow       <room...>
//		max_members <n>
//	}
func (r *Rooms) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	begin := *d
	header := option.Named(d, "events rooms", "{ ... }")
	if _, err := header.ArgumentsBeforeBlock(d, 0, 0); err != nil {
		return err
	}
	if !option.HasBlock(d) {
		return header.Wrong("needs a block")
	}
	lines := readLines(d)
	for _, line := range lines {
		if err := checkShorthands(line); err != nil {
			return err
		}
	}
	var err error
	if r.Program, err = lang.Parse(lines); err == nil {
		_, err = lang.Check(r.Program)
	}
	var wrong *lang.Error
	if !errors.As(err, &wrong) {
		return err
	}
	if at, ok := wrong.At.(*caddyfile.Dispenser); ok {
		return at.WrapErr(wrong.Err)
	}
	return begin.WrapErr(wrong)
}

// readLines reads the lines of a block, and of those within it. d stands before it.
func readLines(d *caddyfile.Dispenser) (lines []lang.Line) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		at := *d
		line := lang.Line{Words: append([]string{d.Val()}, d.RemainingArgs()...), At: &at}
		if line.HasBlock = option.HasBlock(d); line.HasBlock {
			line.Block = readLines(d)
		}
		lines = append(lines, line)
	}
	return lines
}

// checkShorthands refuses arguments whose names Caddy takes for its own: it has put something else in
// place of {path} before this module sees it.
func checkShorthands(line lang.Line) error {
	if line.Words[0] != "on" {
		return nil
	}
	replacer := httpcaddyfile.NewShorthandReplacer()
	for _, word := range line.Words[1:] {
		name := lang.NameIn(word)
		if name == "" {
			continue
		}
		segment := caddyfile.Segment{{Text: "{" + name + "}"}, {Text: "{" + name + ".x}"}}
		replacer.ApplyToSegment(&segment)
		if segment[0].Text != "{"+name+"}" || segment[1].Text != "{"+name+".x}" {
			return line.At.(*caddyfile.Dispenser).Errf("<%s> cannot be the name of an argument: in a Caddyfile {%s} is what Caddy knows of a request, so choose another name", name, name)
		}
	}
	return nil
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Rooms)(nil)
	_ caddy.Validator       = (*Rooms)(nil)
	_ caddyfile.Unmarshaler = (*Rooms)(nil)
)
