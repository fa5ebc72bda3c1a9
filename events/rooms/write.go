package rooms

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// look finds out whether values can be made, as far as it is up to the arguments.
func (r *run) look(values []lang.Value) error {
	for _, value := range values {
		for _, piece := range value {
			switch {
			case piece.Text != nil:
				if _, err := r.fill(piece.Text); err != nil {
					return err
				}
			case piece.Ref != nil && piece.Ref.Kind == lang.Argument && len(piece.Ref.Path) > 0:
				if r.value(piece.Ref) == nil && r.args[piece.Ref.Arg] != nil {
					return r.misfit(*piece.Ref, "is missing")
				}
			}
		}
	}
	return nil
}

// arguments makes the arguments of what an operation sends. What came from a client is passed on as it
// came.
func (r *run) arguments(op *lang.Op) (packet.Args, error) {
	if args, ok := r.tail(op.Tail); ok {
		return args, nil
	}
	var b packet.ArgsBuilder
	for i, value := range op.Values {
		if len(value) == 1 && value[0].Ref != nil {
			if err := r.add(&b, value[0].Ref, r.isLast(op.Values[i:])); err != nil {
				return packet.Args{}, err
			}
			continue
		}
		var made json.RawMessage
		for _, piece := range value {
			more, err := r.piece(&b, piece)
			if err != nil {
				return packet.Args{}, err
			}
			made = append(made, more...)
		}
		b.AddJSON(made)
	}
	return b.Args()
}

// tail returns the arguments from one on, if they may be passed on as they are: nothing came that the
// handler does not name, and what is cut off has no attachments.
func (r *run) tail(from int) (packet.Args, bool) {
	if from < 0 {
		return packet.Args{}, false
	}
	named := r.steps.Args
	if r.more && !named[len(named)-1].Rest {
		return packet.Args{}, false
	}
	for i := range from {
		if r.args[i] == nil || r.args[i][0] == '{' || r.args[i][0] == '[' {
			return packet.Args{}, false
		}
	}
	if from == 0 {
		return r.event.Args, true
	}
	return r.event.Args.Skip(from), true
}

// isLast reports whether all of some values are arguments that are missing, so that they are left out.
func (r *run) isLast(values []lang.Value) bool {
	return !slices.ContainsFunc(values, func(v lang.Value) bool {
		return len(v) != 1 || v[0].Ref == nil || v[0].Ref.Kind != lang.Argument || r.args[v[0].Ref.Arg] != nil
	})
}

// add adds what a reference stands for as an argument, or as several.
func (r *run) add(b *packet.ArgsBuilder, ref *lang.Ref, leftOut bool) error {
	switch {
	case leftOut:
		return nil
	case ref.Kind == lang.Rest:
		for value := range r.rest(ref.Arg) {
			forwarded, ok := b.ForwardValue(r.event.Args, value)
			if !ok {
				return r.misfit(*ref, "refers to binary data that is not there")
			}
			b.AddJSON(forwarded)
		}
		return nil
	}
	made, err := r.reference(b, ref)
	if err == nil {
		b.AddJSON(made)
	}
	return err
}

// piece makes a piece of a value.
func (r *run) piece(b *packet.ArgsBuilder, p lang.Piece) (json.RawMessage, error) {
	switch {
	case p.Ref != nil:
		return r.reference(b, p.Ref)
	case p.Text != nil:
		text, err := r.fill(p.Text)
		if err != nil {
			return nil, err
		}
		return quote(text), nil
	}
	return json.RawMessage(p.JSON), nil
}

var null = json.RawMessage("null")

// reference makes the JSON of what a reference stands for.
func (r *run) reference(b *packet.ArgsBuilder, ref *lang.Ref) (json.RawMessage, error) {
	switch ref.Kind {
	case lang.Argument:
		value := r.value(ref)
		if value == nil {
			return null, nil
		}
		if forwarded, ok := b.ForwardValue(r.event.Args, value); ok {
			return forwarded, nil
		}
		return nil, r.misfit(*ref, "refers to binary data that is not there")
	case lang.LeftRoom:
		return quote(r.left), nil
	case lang.SocketID:
		return quote(r.socket.ID()), nil
	case lang.Identity:
		if identity := r.socket.Identity(); identity != nil {
			return quote(identity.ID), nil
		}
		return null, nil
	case lang.Joined:
		return strconv.AppendInt(nil, r.joined(), 10), nil
	case lang.MemberCount:
		return strconv.AppendInt(nil, int64(r.size()), 10), nil
	}
	return r.members(ref.Kind), nil
}

// joined is when the socket has joined the handler's room, in milliseconds since 1970. It is 0 for one
// that is not in it, and as long as the pages are not locked.
func (r *run) joined() int64 {
	if !r.locked {
		return 0
	}
	if m := seat(r.socket, r.rooms[r.steps.Room]); m != nil {
		return m.joined
	}
	return 0
}

// size is how many sockets are in the handler's room. It is 0 as long as the pages are not locked.
func (r *run) size() int {
	if !r.locked {
		return 0
	}
	if room := r.books.room(r.rooms[r.steps.Room]); room != nil {
		return room.size
	}
	return 0
}

// members makes a list of who is in the handler's room.
func (r *run) members(kind lang.Kind) json.RawMessage {
	list, begin, end := []byte{}, byte('['), byte(']')
	if kind == lang.MemberTimes {
		begin, end = '{', '}'
	}
	list = append(list, begin)
	var first *member
	if room := r.books.room(r.rooms[r.steps.Room]); room != nil {
		first = room.first
	}
	known := make(map[string]bool)
	for m := first; m != nil; m = m.next {
		who := m.socket.ID()
		if kind == lang.MemberIdentities {
			identity := m.socket.Identity()
			if identity == nil || known[identity.ID] {
				continue
			}
			who = identity.ID
			known[who] = true
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		list = append(list, quote(who)...)
		if kind == lang.MemberTimes {
			list = strconv.AppendInt(append(list, ':'), m.joined, 10)
		}
	}
	return append(list, end)
}

// quote returns a text as a JSON string.
func quote(text string) json.RawMessage {
	quoted, _ := json.Marshal(text)
	return quoted
}

// Interface guard.
var _ streaming.EventSet = (*Set)(nil)
