// Package board is the event set that docs/extending.md takes apart: this file from its next line
// on.
package board

import (
	"cmp"
	"context"
	"errors"
	"strconv"
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
type Board struct {
	// Remember is how many boards keep their last stroke. Default: 1000.
	Remember int `json:"remember,omitempty"`
}

// CaddyModule says under which name the set is known, and how one is made.
func (*Board) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.socketio_stream.events.board",
		New: func() caddy.Module { return new(Board) },
	}
}

// boards is what outlives a reload: the last stroke on each board, of so many boards as Remember
// says.
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

// Votes are what the others have answered to a question.
type Votes struct {
	Yes    int `json:"yes"`
	No     int `json:"no"`
	Silent int `json:"silent"`
}

// member is what is kept with a socket that has joined a board.
var member = streaming.NewKey[Join]()

var errNotJoined = &streaming.EventError{Code: "not_joined", Message: "join a board first"}

// room is the room of a board. A socket's ID is a room as well, so a client that chose the whole
// name of a room could listen in on another.
func room(board string) string { return "board:" + board }

// leave takes a socket out of its board, and tells the others. It also works for a socket that has
// disconnected.
func leave(s *streaming.Socket) {
	if at, ok := member.Lookup(s); ok {
		s.Leave(room(at.Board))
		_ = s.To(room(at.Board)).Emit("left", at.Name)
	}
}

// Register adds the set's handlers to those of a namespace.
func (b *Board) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	remember := cmp.Or(b.Remember, 1000)
	kept := streaming.State(n, func(*streaming.Namespace) *boards { return &boards{last: make(map[string]Stroke)} })
	strokes := n.Counter(drawn)
	h.OnDisconnect(func(s *streaming.Socket, _ streaming.Reason) { leave(s) })
	return errors.Join(
		streaming.On(h, "join", func(e *streaming.Event, r Join) (Joined, error) {
			if r.Board == "" || r.Name == "" {
				return Joined{}, &streaming.EventError{Code: "no_name", Message: "a board and a name are needed"}
			}
			if err := e.Socket.Join(room(r.Board)); err != nil {
				return Joined{}, err
			}
			if member.Get(e.Socket).Board != r.Board {
				leave(e.Socket)
			}
			member.Set(e.Socket, r)
			_ = e.Socket.To(room(r.Board)).Emit("joined", r.Name)
			kept.mu.Lock()
			defer kept.mu.Unlock()
			reply := Joined{Members: n.Count(room(r.Board))}
			if last, ok := kept.last[r.Board]; ok {
				reply.Last = &last
			}
			return reply, nil
		}),
		streaming.On(h, "stroke", func(e *streaming.Event, s Stroke) (struct{}, error) {
			at, ok := member.Lookup(e.Socket)
			if !ok {
				return struct{}{}, errNotJoined
			}
			// A byte that differs between sockets lets them count at once, each in a place of its own.
			strokes.Add(e.Socket.ID()[0], 1)
			kept.mu.Lock()
			defer kept.mu.Unlock()
			if _, known := kept.last[at.Board]; known || len(kept.last) < remember {
				// What came shares its memory with all that came with it.
				kept.last[at.Board] = Stroke{Colour: s.Colour, Points: append([]byte(nil), s.Points...)}
			}
			return struct{}{}, e.Socket.To(room(at.Board)).Emit("stroke", at.Name, s)
		}),
		h.On("pointer", func(e *streaming.Event) {
			var x, y float64
			if err := e.Decode(&x, &y); err != nil {
				e.Refuse(streaming.CodeInvalidPayload, err.Error())
				return
			}
			// Where the pointer is will soon be old: better lost than late.
			if at, ok := member.Lookup(e.Socket); ok {
				_ = e.Socket.To(room(at.Board)).EmitArgs("pointer", e.Args, packet.Volatile)
			}
			_ = e.Ack.ReplyWith() // For who asked for an acknowledgement.
		}),
		streaming.On(h, "vote", func(e *streaming.Event, question string) (Votes, error) {
			at, ok := member.Lookup(e.Socket)
			if !ok {
				return Votes{}, errNotJoined
			}
			args, err := packet.NewArgs(question)
			if err != nil {
				return Votes{}, err
			}
			ctx, cancel := context.WithTimeout(e.Context(), 10*time.Second)
			defer cancel()
			replies, err := e.Socket.To(room(at.Board)).Call(ctx, "vote", args)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return Votes{}, err // The one who asked has gone, or the server ends.
			}
			var votes Votes
			for _, reply := range replies {
				var yes bool
				switch {
				case reply.Err != nil || reply.Args.Decode(&yes) != nil:
					votes.Silent++ // No answer in time, or none that fits.
				case yes:
					votes.Yes++
				default:
					votes.No++
				}
			}
			return votes, nil
		}),
	)
}

// UnmarshalCaddyfile takes "board" and what follows it on its line and in its block. Syntax:
//
//	events board {
//		remember <boards>
//	}
func (b *Board) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		if d.Val() != "remember" {
			return d.Errf("unknown option '%s'", d.Val())
		}
		var number string
		if b.Remember != 0 || !d.AllArgs(&number) {
			return d.Err("remember is given once, with one number")
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return d.Errf("remember must be a number of at least 1, is %q", number)
		}
		b.Remember = n
	}
	return nil
}
