package wire

import (
	"bytes"
	"encoding/base64"
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

// AppendPayload appends the long-polling form of the messages to dst, with
// separators between them and before them when dst is not empty.
func AppendPayload(dst []byte, messages []*Message) []byte {
	for _, m := range messages {
		for data, isBinary := range m.payloads() {
			if len(dst) > 0 {
				dst = append(dst, separator)
			}
			if isBinary {
				dst = append(dst, binaryPrefix)
				dst = base64.StdEncoding.AppendEncode(dst, data)
			} else {
				dst = append(dst, data...)
			}
		}
	}
	return dst
}

// PayloadSize is the number of bytes AppendPayload needs for the messages.
func PayloadSize(messages []*Message) int {
	size := 0
	for _, m := range messages {
		for data, isBinary := range m.payloads() {
			size++
			if isBinary {
				size += 1 + base64.StdEncoding.EncodedLen(len(data))
			} else {
				size += len(data)
			}
		}
	}
	return size
}
