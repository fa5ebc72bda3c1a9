package wire

import (
	"encoding/binary"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/gobwas/ws"
)

// Flags change how a message is sent. They are values, to be joined with |.
type Flags uint8

const (
	// Volatile marks a message as one that is better lost than late: it is
	// dropped for a client that does not keep up, and leaves a full queue first.
	Volatile Flags = 1 << iota
	// NoCompress marks a message as not worth compressing. A long-polling
	// response of nothing but such messages asks whoever compresses responses to
	// leave it alone.
	NoCompress
)

// Message is something to send: one text packet and the binary packets that
// belong to it, which always travel together. Its wire form is built once; a
// Message is immutable and may wait in any number of queues. Use [New].
type Message struct {
	// frames holds the WebSocket frames of all packets, back to back.
	frames []byte
	flags  Flags
	// control is true for WebSocket control frames, which have no long-polling
	// form.
	control bool
	// static messages exist in any case, so holding them costs nothing.
	static bool
	// count is how many packets the message has that are not the protocol's own.
	count uint32

	deflating sync.Once
	// deflated is the wire form for clients that agreed to compression. It is nil
	// until the first of them is to get the message.
	deflated *deflated
	// forms are what As returns. It is nil until the first client is to get one.
	forms atomic.Pointer[forms]

	// Each delivery of a broadcast reads what is above and changes what is below.
	// They are in cache lines of their own.
	_ [cacheLine - 64]byte

	// holders is how many queues hold the message.
	holders atomic.Int64
	_       [cacheLine - 8]byte
}

// cacheLine is the size of a cache line of most processors, in bytes.
const cacheLine = 64

// messageSize is what a [Message] takes in the heap besides its frames, in bytes.
const messageSize = int(unsafe.Sizeof(Message{}))

// New builds a message of one text packet, whose content is the concatenation
// of text, followed by one binary packet for each attachment. With text nil
// there are only the binary packets. All bytes are copied.
func New(text, attachments [][]byte, flags Flags) *Message {
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

	frames := buffer(total)
	if text != nil {
		frames = appendFrameHeader(frames, ws.OpText, size)
		frames = append(frames, byte(PacketMessage))
	}
	for _, part := range text {
		frames = append(frames, part...)
	}
	for _, attachment := range attachments {
		frames = appendFrameHeader(frames, ws.OpBinary, len(attachment))
		frames = append(frames, attachment...)
	}

	m := &Message{frames: frames, flags: flags, count: uint32(len(attachments))} //nolint:gosec // never that many
	if text != nil {
		m.count++
	}
	return m
}

// buffer returns an empty slice for size bytes. Its capacity is what it takes in the
// heap, which hands out memory in certain sizes only.
func buffer(size int) []byte { return slices.Grow([]byte(nil), size) }

// NewPacket builds a message of one text packet of the given type.
func NewPacket(kind PacketType, data string) *Message {
	frames := buffer(frameHeaderSize(1+len(data)) + 1 + len(data))
	frames = appendFrameHeader(frames, ws.OpText, 1+len(data))
	frames = append(frames, byte(kind))
	return &Message{frames: append(frames, data...)}
}

// NewStatic builds a packet like [NewPacket] that is sent again and again, and
// so is in memory in any case: [Message.Hold] and [Message.LetGo] do nothing
// with it.
func NewStatic(kind PacketType, data string) *Message {
	m := NewPacket(kind, data)
	m.static = true
	return m
}

// NewControl builds a WebSocket control frame, which has at most 125 bytes of
// data. It has no long-polling form.
func NewControl(op ws.OpCode, data []byte) *Message {
	frames := buffer(frameHeaderSize(len(data)) + len(data))
	frames = appendFrameHeader(frames, op, len(data))
	return &Message{frames: append(frames, data...), control: true}
}

// NewClose builds a close frame. See section 5.5.1 of RFC 6455. With
// ws.StatusNoStatusRcvd the frame has no code.
func NewClose(code ws.StatusCode) *Message {
	if code == ws.StatusNoStatusRcvd {
		return NewControl(ws.OpClose, nil)
	}
	return NewControl(ws.OpClose, ws.NewCloseFrameBody(code, ""))
}

// Size is the number of bytes that the message has on the wire: those of its
// WebSocket frames, not compressed.
func (m *Message) Size() int { return len(m.frames) }

// Cost is the number of bytes that the message takes in the heap for as long as
// somebody holds it, see [Message.Hold]. A static message costs nothing. A
// compressed copy comes on top of it, see [Message.Frames].
func (m *Message) Cost() int {
	if m.static {
		return 0
	}
	return messageSize + cap(m.frames)
}

// Has reports whether the message was built with one of the flags.
func (m *Message) Has(flags Flags) bool { return m.flags&flags != 0 }

// IsPong reports whether the message is the answer to a WebSocket ping.
func (m *Message) IsPong() bool { return m.control && ws.OpCode(m.frames[0]&0x0f) == ws.OpPong }

// Count is how many packets the message has that are not the protocol's own.
func (m *Message) Count() int { return int(m.count) }

// Hold adds n holders to the message, and returns how many bytes the caller has to
// count from now on: the cost of the message if nobody has held it before, or else
// nothing.
func (m *Message) Hold(n int64) (cost int) {
	if m.static || m.holders.Add(n) != n {
		return 0
	}
	return m.Cost()
}

// LetGo takes n holders away, and returns how many bytes the callers of Hold and
// Frames have counted and nobody needs any more: none as long as there are other
// holders.
func (m *Message) LetGo(n int64) (cost int) {
	if m.static || m.holders.Add(-n) != 0 {
		return 0
	}
	if m.deflated != nil {
		cost = int(m.deflated.counted.Swap(0))
	}
	return cost + m.Cost()
}

// payloads yields the content of the message's frames, and whether it is binary,
// by walking over them. The content of a text frame begins with the character of
// its type. A control frame has none.
func (m *Message) payloads() iter.Seq2[[]byte, bool] {
	return func(yield func([]byte, bool) bool) {
		if m.control {
			return
		}
		frames := m.frames
		for len(frames) > 0 {
			isBinary := ws.OpCode(frames[0]&0x0f) == ws.OpBinary
			header, length := 2, int(frames[1])
			switch length {
			case 126:
				header, length = 4, int(binary.BigEndian.Uint16(frames[2:]))
			case 127:
				header, length = 10, int(binary.BigEndian.Uint64(frames[2:])) //nolint:gosec // written by appendFrameHeader from an int
			}
			if !yield(frames[header:header+length], isBinary) {
				return
			}
			frames = frames[header+length:]
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
