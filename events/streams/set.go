// Package streams is the event set of the streaming service.
package streams

import (
	"unicode"
	"unicode/utf8"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Audience says who receives the data of a stream.
type Audience string

const (
	// AudienceAll is everyone else in the namespace who may join the stream.
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
// connection. When the connection of an owner is lost, the name of the stream is
// held for it for some seconds. A viewer that joins again with a secret of its own
// counts once.
//
// Who may not join the room "stream:<streamId>" gets nothing of a stream and hears
// nothing of it, whatever the audience is; who may not start it, see
// [streaming.Socket.MayStart], neither starts it nor sends data in its name. Data
// without a streamId is that of the room "stream:".
// What is refused is answered with an "error" event {message, code}, see the
// Code constants, and with the acknowledgement {success: false, error, code}.
type Set struct {
	// Audience is who receives data. Default: AudienceAll.
	Audience Audience
	// Replay is what is kept for late joiners. Default: ReplayNone.
	Replay Replay
	// MaxStreams bounds the streams of the namespace. One client may have a tenth
	// of them, and all clients of one address half. Default: DefaultMaxStreams.
	MaxStreams int
}

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
	h.OwnRooms(roomPrefix)
	h.OwnRooms(viewerPrefix)
	h.RoomsBesideRights(viewerPrefix)
	h.OnDisconnect(service.disconnect)
	h.OnIdentity(service.rightsChanged)
	h.OnRecover(service.streams.recount)
	h.Holds(service.streams.owns)
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
