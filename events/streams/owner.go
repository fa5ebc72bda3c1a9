package streams

import (
	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// What owners do with their streams: start them, send data, stop them, go.

func (s *service) start(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	if !e.Socket.MayStart(room(id)) {
		refuse(e, mayNotStart)
		return
	}
	header, ok := headerOf(e, id)
	if !ok {
		return
	}
	c := &claim{id: id, socket: e.Socket, header: header, secret: secretOf(e), told: e.Ack != nil, most: s.MaxStreams}
	refused := s.begin(c, e.Ack)
	if refused == streamTaken && s.dropSilent(id, e.Socket) {
		c.secret = ""
		refused = s.begin(c, e.Ack)
	}
	if refused != nil {
		refuse(e, refused)
	}
}

// begin makes a client the owner of a stream, and tells everyone of it.
func (s *service) begin(c *claim, ack *streaming.Ack) *refusal {
	turn := s.streams.turns.of(c.id)
	turn.Lock()
	defer turn.Unlock()
	stream, old, refused := s.streams.claim(c)
	if refused != nil {
		return refused
	}
	if old == nil || c.header != nil {
		stream.begin(c.header)
	}
	_ = c.socket.Emit("stream:started", status{Status: "ok", StreamID: c.id})
	_ = ack.ReplyWith(s.streams.answer(c.id, stream.secret, true))
	if old != nil {
		s.streams.countViewers(c.id)
		s.streams.retire(old, c.id)
	}
	return nil
}

// headerOf returns the header that stream:start gives, as the data that late
// joiners will get. It refuses one that is not binary.
func headerOf(e *streaming.Event, id string) (header *packet.Args, ok bool) {
	object, _ := e.Args.Object(0)
	field := object.Field("header")
	if field == nil || string(field) == "null" {
		return nil, true
	}
	binary, ok := object.Binary("header")
	if !ok {
		e.Refuse(CodeInvalidHeader, "header must be binary")
		return nil, false
	}
	var b packet.ArgsBuilder
	b.Add(struct {
		StreamID string             `json:"streamId"`
		Header   bool               `json:"header"`
		Chunk    packet.Placeholder `json:"chunk"`
	}{id, true, b.Binary(binary)})
	args, err := b.Args()
	return &args, err == nil
}

// nameOf returns the streamId of data, or "" if it has none. ok is false when it is
// no string: a client that uses it as one would take 7 or ["7"] for "7", and the
// data for that of another's stream.
func nameOf(e *streaming.Event) (id string, ok bool) {
	object, ok := e.Args.Object(0)
	if !ok {
		return "", true
	}
	field := object.Field("streamId")
	if field == nil || string(field) == "null" {
		return "", true
	}
	return object.Text("streamId")
}

func (s *service) data(e *streaming.Event) {
	id, ok := nameOf(e)
	if !ok {
		e.Refuse(CodeInvalidStreamID, invalidStreamID)
		return
	}
	if refused := s.send(id, e); refused != nil {
		refuse(e, refused)
		return
	}
	events.Succeed(e)
}

// send sends data to those who are to have it.
func (s *service) send(id string, e *streaming.Event) *refusal {
	turn := s.streams.turns.of(id)
	if s.keeps(id, e.Socket) {
		turn.Lock()
		defer turn.Unlock()
	} else {
		turn.RLock()
		defer turn.RUnlock()
	}
	stream, held := s.streams.find(id, e.Socket)
	if stream != nil && stream.owner.Load() == e.Socket {
		if s.Replay == ReplayFirst {
			s.streams.keepFirst(stream, e.Args)
		}
		_ = s.audience(e.Socket.Broadcast(), stream.room).EmitArgs(e.Name, e.Args)
		return nil
	}
	name := room(id)
	switch {
	case !e.Socket.MayStart(name):
		return mayNotStart
	case stream != nil, held:
		return notOwner
	case s.Audience == AudienceSubscribers:
		return unknownStream
	}
	_ = s.audience(e.Socket.Broadcast(), name).EmitArgs(e.Name, e.Args)
	return nil
}

// keeps reports whether what a socket sends now is kept for the late joiners of a
// stream. Only the socket itself changes that from no to yes.
func (s *service) keeps(id string, socket *streaming.Socket) bool {
	if s.Replay != ReplayFirst {
		return false
	}
	stream := s.streams.get(id)
	return stream != nil && stream.owner.Load() == socket && stream.replay.Load() == nil
}

// audience narrows a broadcast down to the audience of a stream.
func (s *service) audience(b streaming.Broadcast, room string) streaming.Broadcast {
	if s.Audience == AudienceSubscribers {
		return b.To(room)
	}
	return b.MayJoin(room)
}

func (s *service) stop(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	turn := s.streams.turns.of(id)
	turn.Lock()
	defer turn.Unlock()
	stream := s.streams.get(id)
	owns := stream != nil && stream.owner.Load() == e.Socket
	switch {
	case !owns && !e.Socket.MayStart(room(id)):
		refuse(e, mayNotStart)
		return
	case !owns && stream != nil:
		refuse(e, notOwner)
		return
	}
	stopped := status{Status: "ok", StreamID: id}
	_ = e.Socket.Emit("stream:stopped", stopped)
	if owns {
		_ = e.Socket.To(stream.room).Emit("stream:stopped", stopped)
		s.streams.remove(stream, false)
	} else {
		s.streams.letGo(id, e.Socket, secretOf(e))
	}
	events.Succeed(e)
}

// disconnect stops the streams of an owner that is gone, and tells those who
// are left of viewers that are. Unless the owner has left by itself, the names of
// its streams are held for it.
func (s *service) disconnect(socket *streaming.Socket, reason streaming.Reason) {
	s.stopAll(socket, reason != streaming.ReasonClientDisconnect)
	for _, name := range socket.Rooms() {
		if id, ok := idOfRoom(name); ok {
			s.streams.countViewers(id)
		}
	}
}

// stopAll stops the streams of an owner that is gone.
func (s *service) stopAll(socket *streaming.Socket, hold bool) {
	for _, stream := range s.streams.owned(socket) {
		s.end(stream, socket, "the owner has disconnected", hold)
	}
}

// rightsChanged stops the streams of an owner that may not start them any more, after
// a refresh or a recheck of its identity.
func (s *service) rightsChanged(socket *streaming.Socket) {
	const reason = "the owner may not start it any more"
	for _, stream := range s.streams.owned(socket) {
		if !socket.MayStart(stream.room) && s.end(stream, socket, reason, false) {
			_ = socket.Emit("stream:stopped", status{Status: "ok", StreamID: stream.id, Reason: reason})
		}
	}
}

// end ends a stream that its owner has not stopped, and tells its audience. It
// reports false, and does nothing, if another one is the owner by now.
func (s *service) end(stream *stream, owner *streaming.Socket, reason string, hold bool) bool {
	stream.turn.Lock()
	defer stream.turn.Unlock()
	if s.streams.get(stream.id) != stream || stream.owner.Load() != owner {
		return false
	}
	stopped := status{Status: "ok", StreamID: stream.id, Reason: reason}
	_ = s.audience(owner.Broadcast(), stream.room).Emit("stream:stopped", stopped)
	s.streams.remove(stream, hold)
	return true
}
