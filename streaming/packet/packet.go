package packet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Type is the first character of an encoded packet. See "Packet types" in the
// Socket.IO protocol.
type Type byte

// The types of packets. Whoever makes a [Packet] need not tell a binary one
// from one that is not: attachments make the difference.
const (
	TypeConnect      Type = '0'
	TypeDisconnect   Type = '1'
	TypeEvent        Type = '2'
	TypeAck          Type = '3'
	TypeConnectError Type = '4'
	TypeBinaryEvent  Type = '5'
	TypeBinaryAck    Type = '6'
)

// MaxNamespaceLength bounds the name of a namespace in a packet, in bytes.
const MaxNamespaceLength = 512

// ErrReservedEvent is an event whose name clients give a meaning of their own.
var ErrReservedEvent = errors.New("reserved by the Socket.IO protocol")

// reservedEvents must not be used as names of events, since clients give them
// a meaning of their own.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// IsReservedEvent reports whether an event must not have this name.
func IsReservedEvent(name string) bool { return slices.Contains(reservedEvents, name) }

// CheckEvent returns an error if an event must not have this name. It wraps
// [ErrReservedEvent].
func CheckEvent(name string) error {
	if IsReservedEvent(name) {
		return fmt.Errorf("the event name %q is %w", name, ErrReservedEvent)
	}
	return nil
}

// Packet is a packet on its way to one or to many. It must not be changed any
// more once [Packet.Message] was called, nor copied.
type Packet struct {
	// Type is what kind of packet it is.
	Type Type
	// Namespace is the name of the namespace; it begins with a slash.
	Namespace string
	// ID, if HasID is true, is the number of an event that is to be answered,
	// or of the event that an acknowledgement answers.
	ID    uint64
	HasID bool
	// Event is the name of an event.
	Event string
	// Args are the arguments of an event or of an acknowledgement.
	Args Args
	// Object is the payload of a packet that has no arguments: a JSON object,
	// or nil.
	Object []byte
	// Flags say how the packet is to be sent.
	Flags Flags

	// text is the wire form of the text protocol. Another protocol or another
	// parser has its own form, in a field beside it.
	text atomic.Pointer[wire.Message]
}

// Message returns the wire form. The first who needs it builds it, for all who
// receive it.
func (p *Packet) Message() *wire.Message {
	if m := p.text.Load(); m != nil {
		return m
	}
	m := p.Encode()
	if !p.text.CompareAndSwap(nil, m) {
		return p.text.Load()
	}
	return m
}

var (
	arrayBegin = []byte{'['}
	arrayEnd   = []byte{']'}
	comma      = []byte{','}
)

// EndsInText reports whether the last argument of an event is a string, or its name where it has none. A
// client that can be recovered takes such a string for an offset.
func (p *Packet) EndsInText() bool {
	list := bytes.TrimRight(p.Args.list, " \t\r\n")
	return len(list) == 0 || list[len(list)-1] == '"'
}

// Encode builds a wire form, for the only one who receives the packet.
func (p *Packet) Encode() *wire.Message { return p.EncodeAt("") }

// EncodeAt is Encode for an event with one more argument after all others, unless that is empty: the
// place that it has in the log of a server which keeps what clients may miss.
func (p *Packet) EncodeAt(offset string) *wire.Message {
	kind := p.Type
	if len(p.Args.attachments) > 0 {
		switch kind {
		case TypeEvent:
			kind = TypeBinaryEvent
		case TypeAck:
			kind = TypeBinaryAck
		}
	}
	head := make([]byte, 0, 48+len(p.Namespace))
	head = append(head, byte(kind))
	if kind == TypeBinaryEvent || kind == TypeBinaryAck {
		head = strconv.AppendInt(head, int64(len(p.Args.attachments)), 10)
		head = append(head, '-')
	}
	if p.Namespace != "/" {
		head = append(append(head, p.Namespace...), ',')
	}
	if p.HasID {
		head = strconv.AppendUint(head, p.ID, 10)
	}

	text := append(make([][]byte, 0, 8), head)
	switch kind {
	case TypeEvent, TypeBinaryEvent:
		text = append(text, arrayBegin, quote(p.Event))
		if len(p.Args.list) > 0 {
			text = append(text, comma, p.Args.list)
		}
		if offset != "" {
			text = append(text, comma, quote(offset))
		}
		text = append(text, arrayEnd)
	case TypeAck, TypeBinaryAck:
		text = append(text, arrayBegin, p.Args.list, arrayEnd)
	default:
		text = append(text, p.Object)
	}
	return wire.New(text, p.Args.attachments, p.Flags)
}
