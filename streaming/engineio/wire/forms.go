package wire

import (
	"encoding/base64"
	"sync/atomic"
	"weak"

	"github.com/gobwas/ws"
)

// Form is a form that a message has on a WebSocket.
type Form uint8

const (
	// Bytes is the form of revision 4: binary packets are bytes.
	Bytes Form = iota
	// Text is for clients of revision 4 that take no bytes: binary packets are text, the letter b and
	// base64, as in a payload of long-polling.
	Text
	// Bytes3 is the form of revision 3: bytes, with the type of the packet in front.
	Bytes3
	// Text3 is for clients of revision 3 that take no bytes.
	Text3

	formCount = iota
)

// forms are the other forms of a message, each for as long as somebody holds it.
type forms [formCount - 1]atomic.Pointer[weak.Pointer[Message]]

// As returns the message in a form. A message without binary packets is returned as it is. Clients that
// get the message at about the same time share the form.
func (m *Message) As(form Form) *Message {
	if form == Bytes {
		return m
	}
	others := m.forms.Load()
	if others != nil {
		if kept := others[form-1].Load(); kept != nil {
			if other := kept.Value(); other != nil {
				return other
			}
		}
	}
	size, isSame := 0, true
	for data, isBinary := range m.payloads() {
		length := len(data)
		if isBinary {
			isSame, length = false, form.length(data)
		}
		size += frameHeaderSize(length) + length
	}
	if isSame {
		return m
	}
	other := &Message{frames: m.framesAs(form, size), flags: m.flags, count: m.count}
	if others == nil {
		m.forms.CompareAndSwap(nil, new(forms))
		others = m.forms.Load()
	}
	kept := weak.Make(other)
	others[form-1].Store(&kept)
	return other
}

// framesAs builds the frames of a form, which have size bytes.
func (m *Message) framesAs(form Form, size int) []byte {
	frames := buffer(size)
	for data, isBinary := range m.payloads() {
		if !isBinary {
			frames = append(appendFrameHeader(frames, ws.OpText, len(data)), data...)
			continue
		}
		op := ws.OpText
		if form == Bytes3 {
			op = ws.OpBinary
		}
		frames = append(appendFrameHeader(frames, op, form.length(data)), form.prefix()...)
		if form == Bytes3 {
			frames = append(frames, data...)
		} else {
			frames = base64.StdEncoding.AppendEncode(frames, data)
		}
	}
	return frames
}

// prefix is what a binary packet begins with in a form.
func (f Form) prefix() string {
	switch f {
	case Text:
		return "b"
	case Bytes3:
		return "\x04"
	case Text3:
		return "b4"
	default:
		return ""
	}
}

// length is how many bytes the content of a binary packet takes in a form.
func (f Form) length(data []byte) int {
	if f == Text || f == Text3 {
		return len(f.prefix()) + base64.StdEncoding.EncodedLen(len(data))
	}
	return len(f.prefix()) + len(data)
}
