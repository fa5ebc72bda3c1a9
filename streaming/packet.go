package streaming

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// packetType is the first character of an encoded packet. See "Packet types"
// in the Socket.IO protocol.
type packetType byte

const (
	packetConnect      packetType = '0'
	packetDisconnect   packetType = '1'
	packetEvent        packetType = '2'
	packetAck          packetType = '3'
	packetConnectError packetType = '4'
	packetBinaryEvent  packetType = '5'
	packetBinaryAck    packetType = '6'
)

// maxNamespaceLength bounds the name of a namespace in a packet, in bytes.
const maxNamespaceLength = 512

// inPacket is a packet that came from a client. Its bytes belong to it.
type inPacket struct {
	kind      packetType
	namespace string
	id        uint64
	hasID     bool
	// payload is valid JSON, or nil when there was none.
	payload []byte
	// expected is how many attachments follow.
	expected    int
	attachments [][]byte
}

// complete reports whether all attachments have come.
func (p *inPacket) complete() bool { return len(p.attachments) == p.expected }

var (
	errPacketType    = errors.New("unknown packet type")
	errAttachments   = errors.New("illegal number of attachments")
	errNamespace     = errors.New("namespace name too long")
	errAckID         = errors.New("illegal acknowledgement id")
	errPayload       = errors.New("invalid payload")
	errPlaceholders  = errors.New("placeholders that do not match the attachments")
	errUnexpectedBin = errors.New("binary data without a packet it belongs to")
	errExpectedBin   = errors.New("text while binary data was expected")
)

// decodePacket decodes the text of a packet. See "Packet encoding" in the
// Socket.IO protocol. It may have so many attachments.
func decodePacket(text []byte, attachments int) (*inPacket, error) {
	// Whoever keeps no packet needs no memory for it: this is inlined.
	p := new(inPacket)
	return p, p.decode(text, attachments)
}

func (p *inPacket) decode(text []byte, attachments int) error {
	if len(text) == 0 || text[0] < byte(packetConnect) || text[0] > byte(packetBinaryAck) {
		return errPacketType
	}
	p.kind, p.namespace = packetType(text[0]), "/"
	text = text[1:]

	if p.kind == packetBinaryEvent || p.kind == packetBinaryAck {
		digits, rest, found := bytes.Cut(text, []byte{'-'})
		n, err := strconv.ParseUint(string(digits[:min(len(digits), 4)]), 10, 16)
		if !found || len(digits) > 3 || err != nil || n > uint64(attachments) { //nolint:gosec // never negative
			return errAttachments
		}
		p.expected, text = int(n), rest
	}
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte{','})
		if len(name) > maxNamespaceLength {
			return errNamespace
		}
		p.namespace, text = string(name), rest
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > 0 {
		id, err := strconv.ParseUint(string(text[:digits]), 10, 64)
		if err != nil || id > math.MaxInt64 {
			return errAckID
		}
		p.id, p.hasID, text = id, true, text[digits:]
	}
	if len(text) > 0 {
		if !validJSON(text) {
			return errPayload
		}
		p.payload = bytes.TrimSpace(text)
	}
	return p.check()
}

// check checks what the reference implementation checks of a payload, except
// for that of an event, see eventOf.
func (p *inPacket) check() error {
	switch p.kind {
	case packetConnect:
		if p.payload != nil && p.payload[0] != '{' {
			return errPayload
		}
	case packetDisconnect:
		if p.payload != nil {
			return errPayload
		}
	case packetAck, packetBinaryAck:
		if p.payload == nil || p.payload[0] != '[' || !p.hasID {
			return errPayload
		}
	}
	if p.kind == packetBinaryEvent || p.kind == packetBinaryAck {
		if n, ok := countPlaceholders(p.payload, p.expected); !ok || n != p.expected {
			return errPlaceholders
		}
	}
	return nil
}

// args returns the payload, which must be an array, as arguments.
func (p *inPacket) args() Args {
	return Args{list: p.payload[1 : len(p.payload)-1], attachments: p.attachments}
}

var (
	errNotArray      = errors.New("the payload of an event must be an array that begins with its name")
	errReservedEvent = errors.New("reserved event name")
)

// reservedEvents must not be used as names of events, since clients give them
// a meaning of their own.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// IsReservedEvent reports whether an event must not have this name.
func IsReservedEvent(name string) bool { return slices.Contains(reservedEvents, name) }

// event takes the payload of an event apart. A name may also be a number,
// which is returned as it was written.
func (p *inPacket) event() (name string, args Args, err error) {
	if len(p.payload) == 0 || p.payload[0] != '[' {
		return "", Args{}, errNotArray
	}
	args = p.args()
	first := args.At(0)
	switch {
	case len(first) == 0:
		return "", Args{}, errNotArray
	case first[0] == '"':
		name, _ = unquote(first)
	case first[0] == '-' || first[0] >= '0' && first[0] <= '9':
		name = string(first)
	default:
		return "", Args{}, errNotArray
	}
	if IsReservedEvent(name) {
		return name, Args{}, errReservedEvent
	}
	list := args.list[skipSpace(args.list, 0)+len(first):]
	if i := skipSpace(list, 0); i < len(list) {
		args.list = list[i+1:]
	} else {
		args.list = nil
	}
	return name, args, nil
}

// outPacket is a packet to be sent.
type outPacket struct {
	kind      packetType
	namespace string
	id        uint64
	hasID     bool
	// event is the name, for events.
	event string
	args  Args
	// object is the payload of packets that have no arguments.
	object []byte
	flags  Flags
}

var (
	arrayBegin = []byte{'['}
	arrayEnd   = []byte{']'}
	comma      = []byte{','}
)

// encode builds the message, once for all who receive it.
func (p *outPacket) encode() *engineio.Message {
	kind := p.kind
	if len(p.args.attachments) > 0 {
		switch kind {
		case packetEvent:
			kind = packetBinaryEvent
		case packetAck:
			kind = packetBinaryAck
		}
	}
	head := make([]byte, 0, 48+len(p.namespace))
	head = append(head, byte(kind))
	if kind == packetBinaryEvent || kind == packetBinaryAck {
		head = strconv.AppendInt(head, int64(len(p.args.attachments)), 10)
		head = append(head, '-')
	}
	if p.namespace != "/" {
		head = append(append(head, p.namespace...), ',')
	}
	if p.hasID {
		head = strconv.AppendUint(head, p.id, 10)
	}

	text := append(make([][]byte, 0, 6), head)
	switch kind {
	case packetEvent, packetBinaryEvent:
		text = append(text, arrayBegin, quote(p.event))
		if len(p.args.list) > 0 {
			text = append(text, comma, p.args.list)
		}
		text = append(text, arrayEnd)
	case packetAck, packetBinaryAck:
		text = append(text, arrayBegin, p.args.list, arrayEnd)
	default:
		text = append(text, p.object)
	}
	return engineio.NewMessage(text, p.args.attachments, p.flags.options()...)
}
