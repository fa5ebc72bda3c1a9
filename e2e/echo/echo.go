// Package echo is an event set that the end-to-end tests compile into Caddy:
// it lets a client try out everything that a server can do. It is also the
// shortest complete example of an event set.
package echo

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/streaming"
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
	return errors.Join(
		h.On("echo", echo),
		h.On("call", call),
		streaming.On(h, "join", join),
		streaming.On(h, "leave", leave),
		streaming.On(h, "room", room),
		streaming.On(h, "kick", kick),
		streaming.On(h, "big", big),
		h.On("panic", func(*streaming.Event) { panic("as was asked for") }),
	)
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
const callTimeout = 5 * time.Second

func call(e *streaming.Event) {
	var name string
	if err := e.Decode(&name); err != nil {
		e.Refuse("invalid_name", "call needs the name of an event")
		return
	}
	ctx, cancel := context.WithTimeout(e.Context(), callTimeout)
	defer cancel()
	answer, err := e.Socket.Call(ctx, name, e.Args.Skip(1))
	if err != nil {
		e.Refuse("no_answer", err.Error())
		return
	}
	e.Ack.Reply(answer)
}

// success is how the events about rooms are acknowledged.
type success struct {
	Success bool `json:"success"`
}

func join(e *streaming.Event, room string) (success, error) {
	return success{true}, e.Socket.Join(room)
}

func leave(e *streaming.Event, room string) (success, error) {
	e.Socket.Leave(room)
	return success{true}, nil
}

func room(e *streaming.Event, room string) (success, error) {
	return success{true}, e.Socket.To(room).EmitArgs("room", e.Args.Skip(1))
}

func kick(e *streaming.Event, closeConnection bool) (struct{}, error) {
	e.Socket.Disconnect(closeConnection)
	return struct{}{}, nil
}

// maxBig is the most that big sends, in bytes.
const maxBig = 64 << 20

func big(e *streaming.Event, n int) (struct{}, error) {
	if n < 0 || n > maxBig {
		return struct{}{}, &streaming.EventError{Code: "invalid_size", Message: "big needs a number of bytes"}
	}
	return struct{}{}, e.Socket.Emit("big", make([]byte, n))
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Events)(nil)
	_ caddyfile.Unmarshaler = (*Events)(nil)
)
