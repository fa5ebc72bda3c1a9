package presence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

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
	// kindRows are changes, kindWant asks one server for all of its rows, and kindAll has them.
	kindRows = "rows"
	kindWant = "want"
	kindAll  = "all"
	// kindAsk is a question to one server, kindAnswer a part of the answer.
	kindAsk    = "ask"
	kindAnswer = "answer"
)

// The bounds of what servers tell each other, in bytes but for the numbers of rows and parts.
const (
	maxName  = 128
	maxHost  = 255
	maxWhat  = 64
	maxBody  = 1<<20 + 64<<10
	maxParts = 1024
	// MaxKey and MaxValue bound a row.
	MaxKey   = 1024
	MaxValue = 4 << 10
	// partRows is how many rows a message has at most, and partBytes from which size on it has no more.
	partRows  = 500
	partBytes = 64 << 10
)

// message is what one server tells the others, or one of them.
type message struct {
	Version int `json:"v"`
	// From is the name of the server, Run when it began, in nanoseconds: of two of one name the later one is meant.
	From string `json:"from"`
	Run  int64  `json:"run"`
	Kind string `json:"kind"`
	Host string `json:"host,omitempty"`
	// Seq is the number of the last change that is part of the message.
	Seq uint64 `json:"seq,omitempty"`
	// To is the server that is meant. Empty means all.
	To   string `json:"to,omitempty"`
	Rows []row  `json:"rows,omitempty"`
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

// row is a row, or, without a value, its end.
type row struct {
	Key   string          `json:"k"`
	Value json.RawMessage `json:"v,omitempty"`
}

func (r row) size() int { return len(r.Key) + len(r.Value) + 64 }

func (r row) check() error {
	switch {
	case r.Key == "" || len(r.Key) > MaxKey || !utf8.ValidString(r.Key):
		return errors.New("a row's key is not of 1 to 1024 bytes of text")
	case len(r.Value) > MaxValue:
		return fmt.Errorf("a row has %d bytes, and may have %d", len(r.Value), MaxValue)
	}
	return nil
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
	case len(m.Rows) > partRows:
		return nil, fmt.Errorf("it has %d rows, and may have %d", len(m.Rows), partRows)
	}
	for _, r := range m.Rows {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// isName reports whether a text can stand in a line and in an address.
func isName(text string, most int) bool {
	return text != "" && len(text) <= most && strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
