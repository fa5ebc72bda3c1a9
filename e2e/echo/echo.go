// Package echo is an event set that the end-to-end tests compile into Caddy:
// it lets a client try out everything that a server can do. It is also the
// shortest complete example of an event set.
package echo

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

func init() {
	caddy.RegisterModule(new(Events))
}

// Events is the event set http.handlers.socketio_stream.events.echo:
//
//	echo  args...          the event comes back; so does the acknowledgement
//	call  name, args...    the server calls name at this client; acknowledged with the client's answer
//	join  room             acknowledged {success}
//	leave room             acknowledged {success}
//	room  room, args...    room args... to the others in the room
//	kick  close            the server disconnects the client, and its connection if close is true
//	big   n                big with n bytes, to this client
//	panic                  the handler panics
type Events struct{}

// CaddyModule returns the Caddy module information.
func (*Events) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream.events.echo",
		New: func() caddy.Module { return new(Events) },
	}
}

// UnmarshalCaddyfile sets up the event set, which has no options.
func (*Events) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Register implements streaming.EventSet.
func (*Events) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	h.OnAuthorize(authorize)
	for event, handler := range map[string]func(*streaming.Event){
		"echo":  echo,
		"call":  call,
		"join":  join,
		"leave": leave,
		"room":  room,
		"kick":  kick,
		"big":   big,
		"panic": func(*streaming.Event) { panic("as was asked for") },
	} {
		if err := h.On(event, handler); err != nil {
			return err
		}
	}
	return nil
}

// authorize lets everyone in but those with the token "wrong".
func authorize(_ context.Context, s *streaming.Socket) error {
	if token, _ := s.AuthObject().Text("token"); token == "wrong" {
		return &streaming.ConnectError{Message: "not authorized", Data: json.RawMessage(`{"code":"unauthorized"}`)}
	}
	return nil
}

func echo(e *streaming.Event) {
	_ = e.Socket.EmitArgs("echo", e.Args)
	e.Ack.Reply(e.Args)
}

// callTimeout is how long the client may take to answer a call.
const callTimeout = 30 * time.Second

func call(e *streaming.Event) {
	name, ok := text(e, 0)
	if !ok {
		e.Refuse("invalid_name", "call needs the name of an event")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	answer, err := e.Socket.Call(ctx, name, e.Args.Skip(1))
	if err != nil {
		e.Refuse("no_answer", err.Error())
		return
	}
	e.Ack.Reply(answer)
}

func join(e *streaming.Event) {
	if name, ok := text(e, 0); ok {
		if err := e.Socket.Join(name); err != nil {
			e.Refuse(streaming.CodeForbidden, err.Error())
			return
		}
		succeed(e)
	}
}

func leave(e *streaming.Event) {
	if name, ok := text(e, 0); ok {
		e.Socket.Leave(name)
		succeed(e)
	}
}

func room(e *streaming.Event) {
	if name, ok := text(e, 0); ok {
		_ = e.Socket.To(name).EmitArgs("room", e.Args.Skip(1))
		succeed(e)
	}
}

func kick(e *streaming.Event) {
	e.Socket.Disconnect(string(e.Args.At(0)) == "true")
}

func big(e *streaming.Event) {
	n, err := strconv.Atoi(string(e.Args.At(0)))
	if err != nil || n < 0 || n > 64<<20 {
		e.Refuse("invalid_size", "big needs a number of bytes")
		return
	}
	var b packet.ArgsBuilder
	b.Add(b.Binary(make([]byte, n)))
	if args, err := b.Args(); err == nil {
		_ = e.Socket.EmitArgs("big", args)
	}
}

func text(e *streaming.Event, i int) (value string, ok bool) {
	err := json.Unmarshal(e.Args.At(i), &value)
	return value, err == nil
}

func succeed(e *streaming.Event) {
	if args, err := packet.NewArgs(map[string]bool{"success": true}); err == nil {
		e.Ack.Reply(args)
	}
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Events)(nil)
	_ caddyfile.Unmarshaler = (*Events)(nil)
)
