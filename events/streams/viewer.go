package streams

import (
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// What viewers do: they join streams, and leave them.

func (s *service) join(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	refused := mayNotJoin
	if e.Socket.MayJoin(room(id)) {
		if !s.streams.awaitReplay(id, e) {
			return
		}
		refused = s.letIn(id, e)
	}
	if refused != nil {
		refuse(e, refused)
		return
	}
	s.streams.countViewers(id)
}

// awaitReplay waits until a client may be sent the replay of a stream: a join of a few bytes has up to
// a megabyte and more sent. It reports false when the client goes before that.
func (t *streams) awaitReplay(id string, e *streaming.Event) bool {
	stream := t.get(id)
	if stream == nil {
		return true
	}
	replay := stream.replay.Load()
	if replay == nil {
		return true
	}
	who, size := events.Client(e.Socket), int64(replay.Size())
	return events.Rest(e.Context(), t.sent.WaitOwn(who, size, time.Now())) && events.Rest(e.Context(), t.sent.WaitOthers(who, size, time.Now()))
}

// letIn makes a socket receive what is for those who have joined a stream, its replay first, and
// answers. A stream that was not started yet may be waited for. Nobody starts or ends the stream
// meanwhile, so that the socket gets the replay once: here, or with all others when the stream
// begins.
func (s *service) letIn(id string, e *streaming.Event) *refusal {
	turn := s.streams.turns.of(id)
	turn.RLock()
	defer turn.RUnlock()
	name := room(id)
	switch {
	case !e.Socket.MayJoin(name):
		return mayNotJoin
	case len(e.Socket.Rooms()) >= maxJoined:
		return joinedTooMany
	case e.Socket.RoomFor(name) != nil:
		return tooManyRooms
	}
	stream := s.streams.get(id)
	if stream != nil {
		if replay := stream.replay.Load(); replay != nil {
			_ = e.Socket.EmitArgs("stream:data", *replay)
		}
	}
	e.Socket.Admit(name)
	s.streams.recognize(id, secretOf(e), e.Socket)
	_ = e.Ack.ReplyWith(s.streams.answer(id, "", stream != nil))
	return nil
}

// answer tells about a stream, and its owner the secret. The caller has the stream's turn.
func (t *streams) answer(id, secret string, live bool) answer {
	return answer{
		Success: events.Success{Success: true},
		Stream:  info{StreamID: id, Live: live, Viewers: t.namespace.Count(room(id))},
		Secret:  secret,
	}
}

func (s *service) leave(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	if slices.Contains(e.Socket.Rooms(), room(id)) {
		e.Socket.Leave(room(id))
		s.streams.countViewers(id)
	}
	events.Succeed(e)
}
