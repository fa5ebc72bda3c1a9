package wire

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// Written returns the message as bytes that can be written down, which must not be changed, and its
// flags. [Read] makes it again.
func (m *Message) Written() (frames []byte, flags Flags) { return m.frames, m.flags }

// errNoMessage is what Read is given that Written has not returned.
var errNoMessage = errors.New("bytes that are no message")

// Read makes a message of what [Message.Written] has returned. It copies nothing. An error means that
// the bytes are no message that [New] would make.
func Read(frames []byte, flags Flags) (*Message, error) {
	m := &Message{frames: frames, flags: flags}
	for rest := frames; len(rest) > 0; m.count++ {
		size, ok := frameSize(rest)
		op := ws.OpCode(rest[0] & 0x0f)
		if !ok || op == ws.OpText != (m.count == 0) || op != ws.OpText && op != ws.OpBinary {
			return nil, errNoMessage
		}
		rest = rest[size:]
	}
	if m.count == 0 {
		return nil, errNoMessage
	}
	return m, nil
}

// frameSize is how many bytes the first frame takes. ok is false if it is not whole.
func frameSize(frames []byte) (size int, ok bool) {
	header := 2
	if len(frames) < header {
		return 0, false
	}
	length := uint64(frames[1])
	switch length {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	switch {
	case length > 127 || len(frames) < header:
		return 0, false
	case length == 126:
		length = uint64(binary.BigEndian.Uint16(frames[2:]))
	case length == 127:
		length = binary.BigEndian.Uint64(frames[2:])
	}
	if length > uint64(len(frames)-header) {
		return 0, false
	}
	return header + int(length), true //nolint:gosec // within frames
}
