package engineio

import (
	"encoding/binary"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/gobwas/ws"
)

// Message is something to send: one text packet and the binary packets that
// belong to it, which always travel together. Its wire form is built once;
// a Message is immutable and may wait in any number of queues.
type Message struct {
	// wire holds the WebSocket frames of all packets, back to back.
	wire []byte
	// control is true for WebSocket control frames, which have no
	// long-polling form.
	control bool
	// volatile messages may be dropped for a client that is not keeping up.
	volatile bool
	// incompressible messages are not worth compressing.
	incompressible bool
	// static messages are there in any case, and count for nothing.
	static bool
	// count is how many packets the message has that are not the protocol's own.
	count uint32
	// holders is how many queues hold the message, see budget.
	holders atomic.Int64

	deflating sync.Once
	// deflated is the wire form for clients that agreed to compression.
	deflated []byte
}

// MessageOption changes how a message is sent.
type MessageOption func(*Message)

// Volatile marks a message as one that is better lost than late: it is
// dropped for a client that does not keep up, and leaves a full queue first.
func Volatile() MessageOption {
	return func(m *Message) { m.volatile = true }
}

// NoCompress marks a message as not worth compressing. A long-polling response
// of nothing but such messages asks whoever compresses responses to leave it
// alone.
func NoCompress() MessageOption {
	return func(m *Message) { m.incompressible = true }
}

// NewMessage builds a message of one text packet, whose content is the
// concatenation of text, followed by one binary packet per attachment. With
// text nil there are only the binary packets. All bytes are copied.
func NewMessage(text, attachments [][]byte, options ...MessageOption) *Message {
	size, total := 1, 0
	for _, part := range text {
		size += len(part)
	}
	if text != nil {
		total = frameHeaderSize(size) + size
	}
	for _, attachment := range attachments {
		total += frameHeaderSize(len(attachment)) + len(attachment)
	}

	wire := make([]byte, 0, total)
	if text != nil {
		wire = appendFrameHeader(wire, ws.OpText, size)
		wire = append(wire, byte(packetMessage))
	}
	for _, part := range text {
		wire = append(wire, part...)
	}
	for _, attachment := range attachments {
		wire = appendFrameHeader(wire, ws.OpBinary, len(attachment))
		wire = append(wire, attachment...)
	}

	m := &Message{wire: wire, count: uint32(len(attachments))} //nolint:gosec // never that many
	if text != nil {
		m.count++
	}
	for _, option := range options {
		option(m)
	}
	return m
}

// Size is the number of bytes the message counts for in a queue: those of its
// WebSocket frames.
func (m *Message) Size() int { return len(m.wire) }

// newStaticPacket builds a packet that is sent again and again.
func newStaticPacket(kind packetType, data string) *Message {
	m := newPacket(kind, data)
	m.static = true
	return m
}

// newPacket builds a message of one text packet of the given type.
func newPacket(kind packetType, data string) *Message {
	wire := make([]byte, 0, frameHeaderSize(1+len(data))+1+len(data))
	wire = appendFrameHeader(wire, ws.OpText, 1+len(data))
	wire = append(wire, byte(kind))
	return &Message{wire: append(wire, data...)}
}

// newControl builds a WebSocket control frame.
func newControl(op ws.OpCode, data []byte) *Message {
	wire := make([]byte, 0, frameHeaderSize(len(data))+len(data))
	wire = appendFrameHeader(wire, op, len(data))
	return &Message{wire: append(wire, data...), control: true}
}

// packets yields what the message holds, text packets with their type
// character, by walking over the frames in its wire form.
func (m *Message) packets() iter.Seq[packet] {
	return func(yield func(packet) bool) {
		if m.control {
			return
		}
		wire := m.wire
		for len(wire) > 0 {
			binaryFrame := ws.OpCode(wire[0]&0x0f) == ws.OpBinary
			header, length := 2, int(wire[1])
			switch length {
			case 126:
				header, length = 4, int(binary.BigEndian.Uint16(wire[2:]))
			case 127:
				header, length = 10, int(binary.BigEndian.Uint64(wire[2:])) //nolint:gosec // written by appendFrameHeader from an int
			}
			if !yield(packet{kind: packetMessage, data: wire[header : header+length], binary: binaryFrame}) {
				return
			}
			wire = wire[header+length:]
		}
	}
}

// frameHeaderSize is the length of the header of an unmasked frame. See
// section 5.2 of RFC 6455.
func frameHeaderSize(length int) int {
	return ws.HeaderSize(ws.Header{Length: int64(length)})
}

// appendFrameHeader appends the header of a final, unmasked frame.
func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	const final = 0x80
	dst = append(dst, final|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length)) //nolint:gosec // checked above
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length)) //nolint:gosec // a length is not negative
	}
}
