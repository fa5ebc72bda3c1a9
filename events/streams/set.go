// Package streams is the event set of the streaming service.
package streams

import (
	"unicode"
	"unicode/utf8"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Audience says who receives the data of a stream.
type Audience string

const (
	// AudienceAll is everyone else in the namespace.
	AudienceAll Audience = "all"
	// AudienceSubscribers is those who have joined the stream.
	AudienceSubscribers Audience = "subscribers"
)

// Replay says what of a stream is kept for those who join late.
type Replay string

const (
	// ReplayNone keeps only a header that the owner has given.
	ReplayNone Replay = "none"
	// ReplayFirst keeps the first data of a stream that has no header.
	ReplayFirst Replay = "first"
)

// DefaultMaxStreams is how many streams a namespace may have by default.
const DefaultMaxStreams = 10_000

// Set is the event set of the streaming service: clients start streams,
// send data and stop them; others receive.
//
//	stream:start {streamId, header?, secret?}  stream:started {status, streamId} to the sender,
//	                                           acknowledged {success, stream, secret}
//	stream:data  any payload                   stream:data, the same payload, to the audience
//	stream:stop  {streamId}                    stream:stopped {status, streamId} to the sender
//	stream:join  {streamId, secret?}           acknowledged {success, stream}
//	stream:leave {streamId}                    acknowledged {success}
//	message      any payload                   message, the same payload, to everyone else
//
// A started stream has one owner, who alone may send its data and stop it. With
// the secret of its acknowledgement it goes on with the stream on another
// connection. A viewer that joins again with a secret of its own counts once.
// What is refused is answered with an "error" event {message, code}, see the
// Code constants, and with the acknowledgement {success: false, error, code}.
type Set struct {
	// Audience is who receives data. Default: AudienceAll.
	Audience Audience
	// Replay is what is kept for late joiners. Default: ReplayNone.
	Replay Replay
	// MaxStreams bounds the streams of the namespace. Default:
	// DefaultMaxStreams.
	MaxStreams int
}

// The codes of refusals.
const (
	CodeInvalidStreamID = "invalid_stream_id"
	CodeInvalidHeader   = "invalid_header"
	CodeStreamTaken     = "stream_taken"
	CodeNotOwner        = "not_owner"
	CodeUnknownStream   = "unknown_stream"
	CodeTooManyStreams  = "too_many_streams"
	CodeReplayFull      = "replay_full"
	CodeForbidden       = streaming.CodeForbidden
)

const (
	// maxStreamID bounds the length of a stream's ID, in bytes.
	maxStreamID = 256
	// maxJoined bounds how many streams one socket may have joined.
	maxJoined = 1000
)

// Register implements streaming.EventSet.
func (s *Set) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	options := *s
	if options.Audience == "" {
		options.Audience = AudienceAll
	}
	if options.Replay == "" {
		options.Replay = ReplayNone
	}
	if options.MaxStreams == 0 {
		options.MaxStreams = DefaultMaxStreams
	}
	service := &service{Set: options, streams: streaming.State(n, newStreams)}
	service.streams.tell(h)
	h.RefuseUnknown()
	h.OnDisconnect(service.disconnect)
	for event, handler := range map[string]func(*streaming.Event){
		"stream:start": service.start,
		"stream:data":  service.data,
		"stream:stop":  service.stop,
		"stream:join":  service.join,
		"stream:leave": service.leave,
		"message":      events.Relay,
	} {
		if err := h.On(event, handler); err != nil {
			return err
		}
	}
	return nil
}

// service is Set with its defaults, at work in one namespace.
type service struct {
	Set
	streams *streams
}

// status is the payload of stream:started and stream:stopped.
type status struct {
	Status   string `json:"status"`
	StreamID string `json:"streamId"`
	Reason   string `json:"reason,omitempty"`
}

// answer is the acknowledgement of an event that begins or joins a stream.
type answer struct {
	events.Success
	Stream info `json:"stream"`
	// Secret is for the owner alone, who shows it when it is back.
	Secret string `json:"secret,omitempty"`
}

// info tells about a stream in an answer.
type info struct {
	StreamID string `json:"streamId"`
	Live     bool   `json:"live"`
	Viewers  int    `json:"viewers"`
}

const invalidStreamID = "streamId must be a string of 1 to 256 bytes without control characters"

// streamID returns the ID that an event names, or refuses the event.
func streamID(e *streaming.Event) (id string, ok bool) {
	object, ok := e.Args.Object(0)
	if !ok {
		e.Refuse(CodeInvalidStreamID, e.Name+" needs an object with a streamId")
		return "", false
	}
	id, ok = object.Text("streamId")
	if !ok || !validStreamID(id) {
		e.Refuse(CodeInvalidStreamID, invalidStreamID)
		return "", false
	}
	return id, true
}

func validStreamID(id string) bool {
	if id == "" || len(id) > maxStreamID || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

func (s *service) start(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	header, ok := headerOf(e, id)
	if !ok {
		return
	}
	stream, old, code := s.streams.claim(id, e.Socket, header, secretOf(e), s.MaxStreams)
	if code == CodeStreamTaken && s.dropSilent(id, e.Socket) {
		stream, old, code = s.streams.claim(id, e.Socket, header, "", s.MaxStreams)
	}
	if code != "" {
		e.Refuse(code, claimRefusals[code])
		return
	}
	if old == nil || header != nil {
		stream.begin(header)
	}
	_ = e.Socket.Emit("stream:started", status{Status: "ok", StreamID: id})
	_ = e.Ack.ReplyWith(s.streams.answer(id, stream.secret))
	if old != nil {
		s.streams.countViewers(id)
		s.streams.retire(old, id)
	}
}

var claimRefusals = map[string]string{
	CodeStreamTaken:    "the stream belongs to another client",
	CodeTooManyStreams: "there are too many streams",
	CodeReplayFull:     "there is no room for the header",
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

func (s *service) data(e *streaming.Event) {
	stream, ok := s.streams.named(e)
	switch {
	case !ok:
		e.Refuse(CodeInvalidStreamID, invalidStreamID)
		return
	case stream != nil && stream.owner.Load() != e.Socket:
		e.Refuse(CodeNotOwner, "the stream belongs to another client")
		return
	case stream == nil && s.Audience == AudienceSubscribers:
		e.Refuse(CodeUnknownStream, "the data names no stream that was started")
		return
	case stream == nil:
		_ = e.Socket.Broadcast().EmitArgs(e.Name, e.Args)
	default:
		audience := e.Socket.Broadcast()
		if s.Audience == AudienceSubscribers {
			audience = audience.To(room(stream.id))
		}
		stream.send(audience, e.Args, s.Replay)
	}
	events.Succeed(e)
}

func (s *service) stop(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	ended, ok := s.streams.release(id, e.Socket)
	if !ok {
		e.Refuse(CodeNotOwner, "the stream belongs to another client")
		return
	}
	stopped := status{Status: "ok", StreamID: id}
	_ = e.Socket.Emit("stream:stopped", stopped)
	if ended {
		_ = e.Socket.To(room(id)).Emit("stream:stopped", stopped)
	}
	events.Succeed(e)
}

func (s *service) join(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	if !e.Socket.MayJoin(room(id)) {
		e.Refuse(CodeForbidden, "not allowed to join this stream")
		return
	}
	if len(e.Socket.Rooms()) >= maxJoined {
		e.Refuse(CodeTooManyStreams, "the client has joined too many streams")
		return
	}
	if err := s.streams.join(id, e.Socket); err != nil {
		e.Refuse(streaming.CodeTooManyRooms, "the client is in too many rooms")
		return
	}
	s.streams.recognize(id, secretOf(e), e.Socket)
	_ = e.Ack.ReplyWith(s.streams.answer(id, ""))
}

func (s *service) leave(e *streaming.Event) {
	id, ok := streamID(e)
	if !ok {
		return
	}
	e.Socket.Leave(room(id))
	s.streams.countViewers(id)
	events.Succeed(e)
}

// disconnect stops the streams of an owner that is gone, and tells those who
// are left of viewers that are.
func (s *service) disconnect(socket *streaming.Socket, _ streaming.Reason) {
	s.stopAll(socket)
	for _, name := range socket.Rooms() {
		if id, ok := idOfRoom(name); ok {
			s.streams.countViewers(id)
		}
	}
}

// stopAll stops the streams of an owner, and tells their audience.
func (s *service) stopAll(socket *streaming.Socket) {
	for _, id := range s.streams.releaseAll(socket) {
		audience := socket.Broadcast()
		if s.Audience == AudienceSubscribers {
			audience = audience.To(room(id))
		}
		_ = audience.Emit("stream:stopped", status{Status: "ok", StreamID: id, Reason: "the owner has disconnected"})
	}
}
