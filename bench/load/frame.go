package load

import (
	"encoding/binary"
	"errors"
)

// WebSocket opcodes, RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// headLength is how much of a payload a receiver looks at; the rest is counted and passed over. It
// holds any handshake packet and, of a message, the event's name and the mark that carries the time
// of sending.
const headLength = 512

// frame is one WebSocket frame as a receiver sees it.
type frame struct {
	opcode byte
	// head is the beginning of the payload, at most headLength bytes, or all of it when compressed
	// or kept whole. It is valid until the next frame is read.
	head []byte
	// compressed tells that the payload is still in the form of permessage-deflate.
	compressed bool
	// size is the payload's length.
	size int
	// wire is the length of the whole frame, header included.
	wire int
}

var (
	errMasked   = errors.New("the server sent a masked frame")
	errReserved = errors.New("the server sent a frame with reserved bits that no agreed extension explains")
	errTooLarge = errors.New("the server sent a frame over 1 GiB, or a compressed one over 1 MiB")
	errPieces   = errors.New("the server sent a compressed message in several frames, which is not read here")
)

// scanner cuts a byte stream into frames, however the stream was cut into reads. A frame that lies
// whole in what was read is not copied.
type scanner struct {
	header [10]byte
	filled int // bytes of header present
	length int // bytes of header needed, 0 while unknown
	size   int
	left   int // payload bytes to come
	head   [headLength]byte
	kept   int
	// deflate tells that frames may be compressed: it was agreed on. Such a frame is kept whole, in
	// whole when it came in several reads.
	deflate bool
	whole   []byte
	// keepAll keeps the frames that are not compressed whole as well.
	keepAll bool
	// fragments is the message of which the last frame has not come yet. Servers that cut messages
	// into frames are few: it allocates.
	fragments frame
}

// scan takes bytes from the beginning of b, says how many, and whether they complete the frame it
// returns. The frames of a fragmented message are returned as one.
func (s *scanner) scan(b []byte) (f frame, taken int, complete bool, err error) {
	if s.length == 0 || s.filled < s.length {
		n, err := s.scanHeader(b)
		taken = n
		if err != nil || s.length == 0 || s.filled < s.length {
			return f, taken, false, err
		}
		if rest := b[taken:]; len(rest) >= s.size {
			taken += s.size
			keep := s.size
			if !s.keepsWhole() {
				keep = min(keep, headLength)
			}
			f, complete = s.finish(rest[:keep])
			return f, taken, complete, nil
		}
		s.left, s.kept, s.whole = s.size, 0, s.whole[:0]
	}
	rest := b[taken:]
	n := min(s.left, len(rest))
	if s.keepsWhole() {
		s.whole = append(s.whole, rest[:n]...)
	} else {
		s.kept += copy(s.head[s.kept:], rest[:n])
	}
	s.left -= n
	taken += n
	if s.left > 0 {
		return f, taken, false, nil
	}
	head := s.head[:s.kept]
	if s.keepsWhole() {
		head = s.whole
	}
	f, complete = s.finish(head)
	return f, taken, complete, nil
}

// compressed tells whether the current frame is, by its header.
func (s *scanner) compressed() bool { return s.header[0]&rsv1 != 0 }

// keepsWhole tells whether all of the current frame is kept.
func (s *scanner) keepsWhole() bool { return s.keepAll || s.compressed() }

// finish ends a frame that is whole. It is complete when its message is.
func (s *scanner) finish(head []byte) (f frame, complete bool) {
	final, opcode := s.header[0]&finalBit != 0, s.header[0]&0xf
	f = frame{opcode: opcode, head: head, compressed: s.compressed(), size: s.size, wire: s.length + s.size}
	s.filled, s.length = 0, 0
	if opcode >= opClose || final && opcode != opContinuation {
		return f, true
	}
	if opcode != opContinuation {
		s.fragments = frame{opcode: opcode, head: append([]byte(nil), head...)}
	}
	s.fragments.size += f.size
	s.fragments.wire += f.wire
	return s.fragments, final
}

func (s *scanner) scanHeader(b []byte) (taken int, err error) {
	for taken < len(b) {
		s.header[s.filled] = b[taken]
		s.filled++
		taken++
		if s.filled == 2 {
			if s.length, err = headerLength(s.header, s.deflate); err != nil {
				return taken, err
			}
		}
		if s.filled == s.length {
			s.size, err = payloadSize(s.header)
			if err == nil && s.keepsWhole() && s.size > maxPayload {
				err = errTooLarge
			}
			return taken, err
		}
	}
	return taken, nil
}

// The reserved bits of a frame's first byte. The first of them says that a message is compressed.
const (
	rsv      = 0x70
	rsv1     = 0x40
	finalBit = 0x80
)

func headerLength(header [10]byte, deflate bool) (int, error) {
	opcode := header[0] & 0xf
	switch {
	case header[0]&rsv != 0 && (!deflate || header[0]&rsv != rsv1 || opcode != opText && opcode != opBinary):
		return 0, errReserved
	case header[0]&rsv1 != 0 && header[0]&finalBit == 0:
		return 0, errPieces
	case header[1]&0x80 != 0:
		return 0, errMasked
	case header[1] == 126:
		return 4, nil
	case header[1] == 127:
		return 10, nil
	}
	return 2, nil
}

func payloadSize(header [10]byte) (int, error) {
	switch header[1] {
	case 126:
		return int(binary.BigEndian.Uint16(header[2:])), nil
	case 127:
		size := binary.BigEndian.Uint64(header[2:])
		if size > 1<<30 {
			return 0, errTooLarge
		}
		return int(size), nil
	}
	return int(header[1]), nil
}

// mask is the key of every frame the clients send. Any key is valid; one that is not zero makes
// servers do the work that a browser's key makes them do.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// appendFrame appends a masked client frame to b.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch size := len(payload); {
	case size < 126:
		b = append(b, 0x80|byte(size))
	case size <= 0xffff:
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b = append(b, 0x80|127)
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	b = append(b, mask[:]...)
	start := len(b)
	b = append(b, payload...)
	for i := range payload {
		b[start+i] ^= mask[i&3]
	}
	return b
}
