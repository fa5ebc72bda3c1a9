// Package board is the event set that docs/extending.md takes apart: this file from its next line
// on.
package board

import (
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

var drawn = streaming.Figure{Name: "board_strokes_total", Help: "Strokes that were drawn.", Counter: true}

func init() {
	caddy.RegisterModule(new(Board))
	streaming.RegisterFigures(drawn)
}

// Board lets clients draw on boards together.
type Board struct{}

// CaddyModule says under which name the set is known, and how one is made.
func (*Board) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream.events.board",
		New: func() caddy.Module { return new(Board) },
	}
}

// boards is what outlives a reload: the last stroke on each board. A set for strangers would bound
// how many there are.
type boards struct {
	mu   sync.Mutex
	last map[string]Stroke
}

// Join is what a client sends to join a board.
type Join struct {
	Board string `json:"board"`
	Name  string `json:"name"`
}

// Joined is the acknowledgement.
type Joined struct {
	Members int     `json:"members"`
	Last    *Stroke `json:"last"`
}

// Stroke is something drawn. Its points are binary.
type Stroke struct {
	Colour string `json:"colour"`
	Points []byte `json:"points"`
}

// member is what is kept with a socket that has joined a board.
var member = streaming.NewKey[Join]()

// Register adds the set's handlers to those of a namespace.
func (*Board) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	kept := streaming.State(n, func(*streaming.Namespace) *boards { return &boards{last: make(map[string]Stroke)} })
	strokes := n.Counter(drawn)
	return errors.Join(
		streaming.On(h, "join", func(e *streaming.Event, r Join) (Joined, error) {
			if r.Name == "" {
				return Joined{}, &streaming.EventError{Code: "no_name", Message: "a name is needed"}
			}
			if err := e.Socket.Join(r.Board); err != nil {
				return Joined{}, err
			}
			member.Set(e.Socket, r)
			_ = e.Socket.To(r.Board).Emit("joined", r.Name)
			kept.mu.Lock()
			defer kept.mu.Unlock()
			reply := Joined{Members: n.Count(r.Board)}
			if last, ok := kept.last[r.Board]; ok {
				reply.Last = &last
			}
			return reply, nil
		}),
		streaming.On(h, "stroke", func(e *streaming.Event, s Stroke) (struct{}, error) {
			at, ok := member.Lookup(e.Socket)
			if !ok {
				return struct{}{}, &streaming.EventError{Code: "not_joined", Message: "join a board first"}
			}
			strokes.Add(e.Socket.ID()[0], 1)
			kept.mu.Lock()
			defer kept.mu.Unlock()
			// What came shares its memory with all that came with it.
			kept.last[at.Board] = Stroke{Colour: s.Colour, Points: append([]byte(nil), s.Points...)}
			return struct{}{}, e.Socket.To(at.Board).Emit("stroke", at.Name, s)
		}),
		h.On("pointer", func(e *streaming.Event) {
			// Where the pointer is will soon be old: better lost than late.
			if at, ok := member.Lookup(e.Socket); ok {
				_ = e.Socket.To(at.Board).EmitArgs("pointer", e.Args, packet.Volatile)
			}
		}),
		h.On("export", func(e *streaming.Event) {
			select {
			case <-time.After(time.Second): // Something that takes its time.
				_ = e.Ack.ReplyWith("done")
			case <-e.Context().Done(): // The client has gone, or the server ends.
			}
		}),
	)
}

// UnmarshalCaddyfile takes "board" and what follows it on its line and in its block.
func (*Board) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}
