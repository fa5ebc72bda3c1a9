package wire

import (
	"encoding/base64"
	"weak"

	"github.com/gobwas/ws"
)

// AsText returns the message in a form for clients that take no bytes: its binary
// packets are text, the letter b and base64, as in a long-polling payload. A message
// without binary packets is returned as it is. Clients that get the message at about
// the same time share the form.
func (m *Message) AsText() *Message {
	if shared := m.asText.Load(); shared != nil {
		if text := shared.Value(); text != nil {
			return text
		}
	}
	size, binary := 0, false
	for data, isBinary := range m.payloads() {
		length := len(data)
		if isBinary {
			binary, length = true, 1+base64.StdEncoding.EncodedLen(len(data))
		}
		size += frameHeaderSize(length) + length
	}
	if !binary {
		return m
	}
	text := &Message{frames: m.textFrames(size), flags: m.flags, count: m.count}
	shared := weak.Make(text)
	m.asText.Store(&shared)
	return text
}

// textFrames builds the frames of AsText, which have size bytes.
func (m *Message) textFrames(size int) []byte {
	frames := buffer(size)
	for data, isBinary := range m.payloads() {
		if !isBinary {
			frames = append(appendFrameHeader(frames, ws.OpText, len(data)), data...)
			continue
		}
		frames = appendFrameHeader(frames, ws.OpText, 1+base64.StdEncoding.EncodedLen(len(data)))
		frames = base64.StdEncoding.AppendEncode(append(frames, binaryPrefix), data)
	}
	return frames
}
