package presence

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// event is what servers tell each other by.
const event = "socketio_stream:presence"

// version is that of the messages.
const version = 1

// The kinds of messages.
const (
	// kindBeat is a sign of life, kindHello one that others answer with theirs, kindBye the last one.
	kindBeat  = "beat"
	kindHello = "hello"
	kindBye   = "bye"
	// kindAsk is a question to one server, kindAnswer a part of the answer.
	kindAsk    = "ask"
	kindAnswer = "answer"
)

// The bounds of what servers tell each other, in bytes but for the number of parts.
const (
	maxName  = 128
	maxHost  = 255
	maxWhat  = 64
	maxBody  = 3 << 19
	maxParts = 256
	// partBytes is the size of a part of an answer.
	partBytes = 32 << 10
)

// message is what one server tells the others, or one of them.
type message struct {
	Version int `json:"v"`
	// From is the name of the server, Run when it began, in nanoseconds: of two of one name the later one is meant.
	From string `json:"from"`
	Run  int64  `json:"run"`
	Kind string `json:"kind"`
	Host string `json:"host,omitempty"`
	// To is the server that is meant. Empty means all.
	To string `json:"to,omitempty"`
	// ID is that of a question, What its kind.
	ID   string `json:"id,omitempty"`
	What string `json:"what,omitempty"`
	// Body is text of a question or an answer, Error why there is no answer.
	Body  string `json:"body,omitempty"`
	Error string `json:"error,omitempty"`
	// Part is the number of this part, from 0, and Parts how many there are.
	Part  int `json:"part,omitempty"`
	Parts int `json:"parts,omitempty"`
}

// errVersion is a message of another version.
var errVersion = errors.New("it is of another version")

// read reads a message, and refuses what no server sends.
func read(args packet.Args) (*message, error) {
	m := new(message)
	if err := args.Decode(m); err != nil {
		return nil, err
	}
	switch {
	case m.Version != version:
		return nil, fmt.Errorf("%w: %d, and not %d", errVersion, m.Version, version)
	case !isName(m.From, maxName) || m.To != "" && !isName(m.To, maxName):
		return nil, errors.New("it does not name a server")
	case m.Run <= 0:
		return nil, errors.New("it does not say when its server began")
	case m.Host != "" && !isName(m.Host, maxHost):
		return nil, errors.New("its host is no name")
	case len(m.What) > maxWhat || len(m.ID) > maxName || len(m.Body) > maxBody || len(m.Error) > maxBody:
		return nil, errors.New("a field is too long")
	case m.Part < 0 || m.Parts < 0 || m.Parts > maxParts || m.Part > 0 && m.Part >= m.Parts:
		return nil, errors.New("its parts do not add up")
	}
	return m, nil
}

// isName reports whether a text can stand in a line and in an address.
func isName(text string, most int) bool {
	return text != "" && len(text) <= most && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
