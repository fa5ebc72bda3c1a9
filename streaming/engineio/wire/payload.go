package wire

import (
	"bytes"
	"encoding/base64"
	"io"
	"iter"
	"unicode/utf8"
)

// separator stands between the packets of a long-polling payload. See
// "HTTP long-polling" in the Engine.IO protocol.
const separator = 0x1e

// binaryPrefix marks a binary message that is encoded as base64.
const binaryPrefix = 'b'

// DecodePayload yields the packets of a long-polling request body in order.
// It stops after the first malformed packet, which it yields with ok false.
// The packets alias body, except for binary ones, which are decoded.
func DecodePayload(body []byte) iter.Seq2[Packet, bool] {
	return func(yield func(Packet, bool) bool) {
		if !utf8.Valid(body) {
			yield(Packet{}, false)
			return
		}
		for more := true; more; more = body != nil {
			p, rest, ok := CutPayload(body)
			if !yield(p, ok) || !ok {
				return
			}
			body = rest
		}
	}
}

// CutPayload decodes the first packet of a long-polling request body, which the
// caller has found to be UTF-8. rest is what comes after it, nil if that is nothing.
func CutPayload(body []byte) (p Packet, rest []byte, ok bool) {
	encoded, rest, _ := bytes.Cut(body, []byte{separator})
	p, ok = DecodeText(encoded)
	return p, rest, ok
}

// decodeBase64 accepts the standard alphabet with or without padding, as
// clients send both.
func decodeBase64(encoded []byte) ([]byte, bool) {
	encoded = bytes.TrimRight(encoded, "=")
	data := make([]byte, base64.RawStdEncoding.DecodedLen(len(encoded)))
	n, err := base64.RawStdEncoding.Decode(data, encoded)
	return data[:n], err == nil
}

// Payload is the long-polling form of messages, which stand one after the other. In revision 4
// separators stand between them, and in revision 3 the length of each before it. It is not kept anywhere
// as a whole: Write makes it piece by piece, so that one long message for many clients is in memory once.
type Payload struct {
	messages []*Message
	form     Form
	size     int
}

// NewPayload returns the payload of messages, which are in a form already, see [Message.As]. The list is
// not copied. In revision 4 what is bytes becomes base64.
func NewPayload(messages []*Message, form Form) Payload {
	p := Payload{messages: messages, form: form}
	if form == Bytes3 && !anyBinary(messages) {
		// So does the Node.js implementation, and clients read it faster.
		p.form = Text3
	}
	var head [maxHead]byte
	for _, m := range messages {
		for data, isBinary := range m.payloads() {
			p.size += len(p.head(head[:0], p.size == 0, data, isBinary)) + len(data)
			if isBinary && p.form != Bytes3 {
				p.size += base64.StdEncoding.EncodedLen(len(data)) - len(data)
			}
		}
	}
	return p
}

func anyBinary(messages []*Message) bool {
	for _, m := range messages {
		for _, isBinary := range m.payloads() {
			if isBinary {
				return true
			}
		}
	}
	return false
}

// head appends what stands before the content of a packet.
func (p *Payload) head(dst []byte, first bool, data []byte, isBinary bool) []byte {
	switch {
	case p.form == Bytes3:
		return appendBytesHead(dst, len(data), isBinary)
	case p.form == Text3:
		return appendTextHead(dst, data)
	case !first:
		dst = append(dst, separator)
	}
	if isBinary {
		dst = append(dst, binaryPrefix)
	}
	return dst
}

// maxHead is how many bytes head appends at most.
const maxHead = 24

// ContentType is the type of the media that the payload is.
func (p *Payload) ContentType() string {
	if p.form == Bytes3 {
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}

// Size is how many bytes Write writes in all.
func (p *Payload) Size() int { return p.size }

const (
	// PieceSize is the most bytes that [Payload.Write] writes at a time.
	PieceSize = 32 << 10
	// directSize is from how many bytes on text is not copied to be joined with others.
	directSize = 8 << 10
)

// Write writes the payload to w, in pieces of at most PieceSize bytes. Long text is
// written from where the message has it. All else is put together in a buffer of no
// more than one piece, which is given up before long text is written. count is called
// with the bytes that the buffer takes in the heap, and with as many below zero once
// it is given up.
func (p *Payload) Write(w io.Writer, count func(bytes int)) error {
	out := pieces{w: w, count: count, most: min(p.size, PieceSize)}
	defer out.giveUp()
	var head [maxHead]byte
	first := true
	for _, m := range p.messages {
		for data, isBinary := range m.payloads() {
			if err := out.copy(p.head(head[:0], first, data, isBinary)); err != nil {
				return err
			}
			first = false
			if err := out.content(data, isBinary && p.form != Bytes3); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

// pieces writes a payload.
type pieces struct {
	w     io.Writer
	count func(bytes int)
	// most is how many bytes the buffer is for.
	most int
	// buffer is nil as long as none is needed.
	buffer []byte
}

// room sees to it that the buffer has room for n more bytes, of which there are no more
// than the payload has, and than fit into a piece.
func (o *pieces) room(n int) error {
	if o.buffer == nil {
		o.buffer = buffer(o.most)
		o.count(cap(o.buffer))
	}
	if len(o.buffer)+n > cap(o.buffer) {
		return o.flush()
	}
	return nil
}

// flush writes what is in the buffer.
func (o *pieces) flush() error {
	if len(o.buffer) == 0 {
		return nil
	}
	_, err := o.w.Write(o.buffer)
	o.buffer = o.buffer[:0]
	return err
}

// giveUp gives up the buffer, which has been flushed.
func (o *pieces) giveUp() {
	if o.buffer != nil {
		o.count(-cap(o.buffer))
		o.buffer = nil
	}
}

// copy writes a few bytes.
func (o *pieces) copy(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if err := o.room(len(data)); err != nil {
		return err
	}
	o.buffer = append(o.buffer, data...)
	return nil
}

func (o *pieces) content(data []byte, asBase64 bool) error {
	if asBase64 {
		return o.encoded(data)
	}
	return o.raw(data)
}

// raw writes content as it is.
func (o *pieces) raw(data []byte) error {
	if len(data) < directSize && len(data) < o.most {
		return o.copy(data)
	}
	if err := o.flush(); err != nil {
		return err
	}
	o.giveUp()
	for len(data) > 0 {
		n := min(len(data), PieceSize)
		if _, err := o.w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// encoded writes content as base64.
func (o *pieces) encoded(data []byte) error {
	// base64 makes 4 bytes of 3.
	for len(data) > 0 {
		if err := o.room(4); err != nil {
			return err
		}
		n := min(len(data), (cap(o.buffer)-len(o.buffer))/4*3)
		o.buffer = base64.StdEncoding.AppendEncode(o.buffer, data[:n])
		data = data[n:]
	}
	return nil
}
