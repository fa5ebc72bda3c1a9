package streams

import (
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

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

// refusal is a code and what it means, in words.
type refusal struct{ code, message string }

var (
	streamTaken   = &refusal{CodeStreamTaken, "the stream belongs to another client"}
	notOwner      = &refusal{CodeNotOwner, "the stream belongs to another client"}
	unknownStream = &refusal{CodeUnknownStream, "the data names no stream that was started"}
	replayFull    = &refusal{CodeReplayFull, "there is no room for the header"}
	mayNotStart   = &refusal{CodeForbidden, "not allowed to start this stream"}
	mayNotJoin    = &refusal{CodeForbidden, "not allowed to join this stream"}
	joinedTooMany = &refusal{CodeTooManyStreams, "the client has joined too many streams"}
	tooManyRooms  = &refusal{streaming.CodeTooManyRooms, "the client is in too many rooms"}
	// tooMany says whose streams are too many.
	tooMany = map[share.Over]*refusal{
		share.OverClient:  {CodeTooManyStreams, "the client has started too many streams"},
		share.OverAddress: {CodeTooManyStreams, "too many streams were started from the client's address"},
		share.OverBound:   {CodeTooManyStreams, "there are too many streams"},
	}
)

func refuse(e *streaming.Event, r *refusal) { e.Refuse(r.code, r.message) }
