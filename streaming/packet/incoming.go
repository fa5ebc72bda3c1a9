package packet

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

// Incoming is a packet that came from a client. Its bytes belong to it.
type Incoming struct {
	// Type is what kind of packet it is.
	Type Type
	// Namespace is the name of the namespace; it begins with a slash.
	Namespace string
	// ID, if HasID is true, is the number of an event that is to be answered,
	// or of the event that an acknowledgement answers.
	ID    uint64
	HasID bool
	// Payload is valid JSON, or nil when there was none.
	Payload []byte
	// expected is how many attachments follow.
	expected    int
	attachments [][]byte
	// memory is what the bytes of the packet take in the heap.
	memory int
}

// The errors of [Decode].
var (
	// ErrType is a packet whose first character is none of a [Type].
	ErrType = errors.New("unknown packet type")
	// ErrAttachments is a packet with too many attachments, or with a number of
	// them that is none.
	ErrAttachments = errors.New("illegal number of attachments")
	// ErrNamespace is a name of more than [MaxNamespaceLength] bytes.
	ErrNamespace = errors.New("namespace name too long")
	// ErrAckID is a number that is larger than clients count.
	ErrAckID = errors.New("illegal acknowledgement id")
	// ErrPayload is a payload that is not JSON, or not what packets of this
	// type have.
	ErrPayload = errors.New("invalid payload")
	// ErrPlaceholders is a payload that does not refer to each attachment once.
	ErrPlaceholders = errors.New("placeholders that do not match the attachments")
)

// ErrNotArray is an event whose payload does not begin with its name.
var ErrNotArray = errors.New("the payload of an event must be an array that begins with its name")

// Decode decodes the text of a packet, which may have so many attachments. See
// "Packet encoding" in the Socket.IO protocol. The packet shares the memory of
// the text.
func Decode(text []byte, attachments int) (*Incoming, error) {
	// Whoever keeps no packet needs no memory for it: this is inlined.
	p := new(Incoming)
	return p, p.decode(text, attachments)
}

func (p *Incoming) decode(text []byte, attachments int) error {
	if len(text) == 0 || text[0] < byte(TypeConnect) || text[0] > byte(TypeBinaryAck) {
		return ErrType
	}
	p.Type, p.Namespace, p.memory = Type(text[0]), "/", cap(text)
	text = text[1:]

	if p.Type == TypeBinaryEvent || p.Type == TypeBinaryAck {
		digits, rest, found := bytes.Cut(text, []byte{'-'})
		n, err := strconv.ParseUint(string(digits[:min(len(digits), 4)]), 10, 16)
		if !found || len(digits) > 3 || err != nil || n > uint64(attachments) { //nolint:gosec // never negative
			return ErrAttachments
		}
		p.expected, text = int(n), rest
	}
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte{','})
		if len(name) > MaxNamespaceLength {
			return ErrNamespace
		}
		p.Namespace, text = string(name), rest
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > 0 {
		id, err := strconv.ParseUint(string(text[:digits]), 10, 64)
		if err != nil || id > math.MaxInt64 {
			return ErrAckID
		}
		p.ID, p.HasID, text = id, true, text[digits:]
	}
	if len(text) > 0 {
		if !validJSON(text) {
			return ErrPayload
		}
		p.Payload = bytes.TrimSpace(text)
	}
	return p.check()
}

// check checks what the reference implementation checks of a payload, except
// for that of an event, see Event.
func (p *Incoming) check() error {
	switch p.Type {
	case TypeConnect:
		if p.Payload != nil && p.Payload[0] != '{' {
			return ErrPayload
		}
	case TypeDisconnect:
		if p.Payload != nil {
			return ErrPayload
		}
	case TypeAck, TypeBinaryAck:
		if p.Payload == nil || p.Payload[0] != '[' || !p.HasID {
			return ErrPayload
		}
	}
	if p.Type == TypeBinaryEvent || p.Type == TypeBinaryAck {
		if n, ok := countPlaceholders(p.Payload, p.expected); !ok || n != p.expected {
			return ErrPlaceholders
		}
	}
	return nil
}

// Complete reports whether all attachments have come.
func (p *Incoming) Complete() bool { return len(p.attachments) == p.expected }

// Missing is how many attachments have not been added yet.
func (p *Incoming) Missing() int { return p.expected - len(p.attachments) }

// Attach adds the next attachment, which belongs to the packet from then on.
func (p *Incoming) Attach(data []byte) {
	p.attachments = append(p.attachments, data)
	p.memory += cap(data) + sliceSize
}

// sliceSize is what a slice takes in a list of slices, in bytes.
const sliceSize = 24

// Memory is how many bytes of memory the packet holds on to, with the attachments that
// have come so far.
func (p *Incoming) Memory() int { return p.memory }

// Args returns the arguments of an acknowledgement.
func (p *Incoming) Args() Args {
	if len(p.Payload) == 0 || p.Payload[0] != '[' {
		return Args{}
	}
	return Args{list: p.Payload[1 : len(p.Payload)-1], attachments: p.attachments}
}

// Event returns the name and the arguments of an event. A name may also be a
// number, which is returned as it was written. An error is [ErrNotArray] or
// [ErrReservedEvent]; with the latter comes the name.
func (p *Incoming) Event() (name string, args Args, err error) {
	args = p.Args()
	first := args.At(0)
	switch {
	case len(first) == 0:
		return "", Args{}, ErrNotArray
	case first[0] == '"':
		name, _ = unquote(first)
	case first[0] == '-' || first[0] >= '0' && first[0] <= '9':
		name = string(first)
	default:
		return "", Args{}, ErrNotArray
	}
	if IsReservedEvent(name) {
		return name, Args{}, ErrReservedEvent
	}
	list := args.list[skipSpace(args.list, 0)+len(first):]
	if i := skipSpace(list, 0); i < len(list) {
		args.list = list[i+1:]
	} else {
		args.list = nil
	}
	return name, args, nil
}
