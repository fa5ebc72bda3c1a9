package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Bounds of what a request may name.
const (
	maxEvents   = 1000
	maxRooms    = 1000
	maxName     = 1024 // bytes of a room's name, or of an identity
	maxID       = 256  // bytes of an id
	maxParts    = 64
	messagePart = "message"
)

// message is one event, as a request has it.
type message struct {
	Event     string          `json:"event"`
	Args      json.RawMessage `json:"args"`
	To        rooms           `json:"to"`
	Except    []string        `json:"except"`
	Namespace string          `json:"namespace"`
	Volatile  bool            `json:"volatile"`
	ID        string          `json:"id"`

	namespace *streaming.Namespace
	args      packet.Args
	parts     map[string][]byte
}

// rooms are the names of rooms. What is written as null is an empty list, and no missing one: who has
// gathered rooms and found none does not mean everyone.
type rooms []string

// UnmarshalJSON implements json.Unmarshaler.
func (r *rooms) UnmarshalJSON(data []byte) error {
	names := []string(*r)
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	*r = append(rooms{}, names...)
	return nil
}

// read reads the events of a request.
func read(w http.ResponseWriter, r *http.Request, maxBody int64) ([]*message, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, unread(err)
		}
		return parse(body, nil)
	case err == nil && kind == "multipart/form-data":
		reader, err := r.MultipartReader()
		if err != nil {
			return nil, bad("the body: %v", err)
		}
		return readParts(reader)
	}
	// A page on the web can send other types to where it may not read the answer.
	return nil, refused(http.StatusUnsupportedMediaType, "the Content-Type must be application/json or multipart/form-data")
}

// readParts reads a body in parts: the JSON in the part "message", and binary data in the others.
func readParts(reader *multipart.Reader) ([]*message, error) {
	var body []byte
	parts := make(map[string][]byte)
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unread(err)
		}
		name := part.FormName()
		data, err := io.ReadAll(part)
		if err != nil {
			return nil, unread(err)
		}
		_, twice := parts[name]
		switch {
		case name == "":
			return nil, bad("a part has no name: give each one, as in Content-Disposition: form-data; name=\"image\"")
		case twice || name == messagePart && body != nil:
			return nil, bad("the part %.64q is there twice", name)
		case name == messagePart:
			body = append([]byte{}, data...)
		case len(parts) == maxParts:
			return nil, bad("there are more than %d parts", maxParts)
		default:
			parts[name] = data
		}
	}
	if body == nil {
		return nil, bad("the part %q with the JSON is missing", messagePart)
	}
	return parse(body, parts)
}

// unread is why a body could not be read.
func unread(err error) error {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return refused(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", large.Limit)
	}
	return bad("the body: %v", err)
}

// parse parses an event, or a list of them.
func parse(body []byte, parts map[string][]byte) (list []*message, err error) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		err = decode(body, &list)
	} else {
		m := new(message)
		err, list = decode(body, m), []*message{m}
	}
	switch {
	case err != nil:
		return nil, bad("the body: %v", err)
	case len(list) == 0:
		return nil, bad("the list of events is empty")
	case len(list) > maxEvents:
		return nil, refused(http.StatusRequestEntityTooLarge, "the list has %d events, and may have %d", len(list), maxEvents)
	}
	for i, m := range list {
		if m == nil {
			return nil, bad("event %d of the list is null", i)
		}
		m.parts = parts
	}
	return list, nil
}

// decode decodes JSON of known fields with nothing behind it.
func decode(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("it is empty: send an event as JSON, such as {\"event\": \"news\", \"args\": [1]}")
		}
		return err
	}
	if len(bytes.TrimSpace(body[decoder.InputOffset():])) > 0 {
		return errors.New("something follows the JSON")
	}
	return nil
}

// check checks an event, and finds what it is for.
func (m *message) check(server *streaming.Server) (err error) {
	if m.Event == "" {
		return bad("event is missing: it must be the name of an event")
	}
	if err := packet.CheckEvent(m.Event); err != nil {
		return bad("event: %v", err)
	}
	if m.namespace, err = namespaceOf(server, m.Namespace); err != nil {
		return err
	}
	if m.To != nil && len(m.To) == 0 {
		return bad("to is empty: leave it out to reach everyone in the namespace")
	}
	if err := checkRooms("to", m.To); err != nil {
		return err
	}
	if err := checkRooms("except", m.Except); err != nil {
		return err
	}
	if len(m.ID) > maxID {
		return bad("id has %d bytes, and may have %d", len(m.ID), maxID)
	}
	if len(m.Args) == 0 {
		return nil
	}
	if m.args, err = argsOf(m.Args, m.parts); err != nil {
		return bad("args: %v", err)
	}
	return nil
}

// namespaceOf finds a namespace, which is "/" where none is named.
func namespaceOf(server *streaming.Server, name string) (*streaming.Namespace, error) {
	if name == "" {
		name = "/"
	}
	if name[0] != '/' {
		name = "/" + name
	}
	if n := server.Lookup(name); n != nil {
		return n, nil
	}
	return nil, refused(http.StatusNotFound, "there is no namespace %.64q", name)
}

// checkRooms refuses rooms that nobody means.
func checkRooms(field string, rooms []string) error {
	if len(rooms) > maxRooms {
		return bad("%s lists %d rooms, and may list %d", field, len(rooms), maxRooms)
	}
	for i, room := range rooms {
		if room == "" || len(room) > maxName {
			return bad("%s: the name at index %d has %d bytes, and must have 1 to %d", field, i, len(room), maxName)
		}
	}
	return nil
}

// send sends the event, unless one with its id was sent before, and returns how many sockets it was
// for.
func (m *message) send() (receivers int, err error) {
	if m.ID == "" {
		return m.emit()
	}
	return streaming.State(m.namespace, newRepeats).once(m.ID, m.digest(), m.emit)
}

func (m *message) emit() (receivers int, err error) {
	m.namespace.Counter(figurePublished).Add(0, 1)
	var flags packet.Flags
	if m.Volatile {
		flags = packet.Volatile
	}
	return m.namespace.To(m.To...).Except(m.Except...).EmitCounted(m.Event, m.args, flags)
}

// digest is of all that makes the event what it is.
func (m *message) digest() (digest [sha256.Size]byte) {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	_ = encoder.Encode([]any{m.Event, m.To, m.Except, m.Volatile, string(m.args.AppendJSON(nil))})
	for _, data := range m.args.Attachments() {
		_ = encoder.Encode(data)
	}
	return [sha256.Size]byte(hash.Sum(digest[:0]))
}
