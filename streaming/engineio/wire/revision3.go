package wire

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Revision 3 of the protocol differs from revision 4 in what is here: a payload of long-polling has
// the length of each packet in front of it, there is a form of payloads for bytes, and a binary packet
// shows its type. See "Encoding" in revision 3 of the Engine.IO protocol.

// binaryType3 is what a binary packet of revision 3 begins with: the type of messages, as a number.
const binaryType3 = 4

// maxLengthDigits is how many digits the length of a packet has at most.
const maxLengthDigits = 10

// The first bytes of a packet in a payload of bytes, and what ends its length.
const (
	isText3   = 0
	isBinary3 = 1
	lengthEnd = 0xff
)

// CutText3 decodes the first packet of a payload of revision 3 that is text, which the caller has found
// to be UTF-8: <length>:<packet>. The length counts units of UTF-16, as JavaScript does. rest is what
// comes after the packet, nil if that is nothing.
func CutText3(body []byte) (p Packet, rest []byte, ok bool) {
	digits, _, found := bytes.Cut(body[:min(len(body), maxLengthDigits+1)], []byte{':'})
	if !found {
		return Packet{}, nil, false
	}
	length, ok := parseLength(digits, '0')
	if !ok {
		return Packet{}, nil, false
	}
	after := body[len(digits)+1:]
	size, ok := sizeOfUTF16(after, length)
	if !ok {
		return Packet{}, nil, false
	}
	if p, ok = DecodeText3(after[:size]); !ok {
		return Packet{}, nil, false
	}
	if size < len(after) {
		rest = after[size:]
	}
	return p, rest, true
}

// CutBytes3 decodes the first packet of a payload of revision 3 that is bytes: 0 for text or 1 for
// bytes, the digits of the length, each a byte from 0 to 9, 255, and the packet. rest is what comes
// after it, nil if that is nothing.
func CutBytes3(body []byte) (p Packet, rest []byte, ok bool) {
	end := bytes.IndexByte(body[:min(len(body), maxLengthDigits+2)], lengthEnd)
	if end < 1 || body[0] > isBinary3 {
		return Packet{}, nil, false
	}
	length, ok := parseLength(body[1:end], 0)
	if !ok || length > len(body)-end-1 {
		return Packet{}, nil, false
	}
	encoded := body[end+1 : end+1+length]
	if body[0] == isBinary3 {
		p, ok = DecodeBinary3(encoded)
	} else {
		ok = utf8.Valid(encoded)
		if ok {
			p, ok = DecodeText3(encoded)
		}
	}
	if !ok {
		return Packet{}, nil, false
	}
	if end+1+length < len(body) {
		rest = body[end+1+length:]
	}
	return p, rest, true
}

// parseLength reads a length whose digits begin at zero.
func parseLength(digits []byte, zero byte) (length int, ok bool) {
	if len(digits) == 0 || len(digits) > maxLengthDigits {
		return 0, false
	}
	for _, digit := range digits {
		if digit < zero || digit > zero+9 {
			return 0, false
		}
		length = 10*length + int(digit-zero)
	}
	return length, true
}

// sizeOfUTF16 returns how many bytes of UTF-8 so many units of UTF-16 are. ok is false if there are
// fewer, or if the last of them is the first half of a character.
func sizeOfUTF16(text []byte, units int) (size int, ok bool) {
	if units > len(text) {
		return 0, false
	}
	for units > 0 {
		if size == len(text) {
			return 0, false
		}
		if text[size] < utf8.RuneSelf {
			size++
			units--
			continue
		}
		_, n := utf8.DecodeRune(text[size:])
		size += n
		if units--; n == utf8.UTFMax {
			units--
		}
	}
	return size, units == 0
}

// lengthInUTF16 is how many units of UTF-16 a text has.
func lengthInUTF16(text []byte) (units int) {
	for _, b := range text {
		switch {
		case b < utf8.RuneSelf, b >= 0xc0 && b < 0xf0:
			units++
		case b >= 0xf0:
			units += 2
		}
	}
	return units
}

// DecodeText3 decodes a packet of revision 3 that arrived as text. A binary message may, see
// [DecodeText]; its type comes before the base64.
func DecodeText3(encoded []byte) (p Packet, ok bool) {
	if len(encoded) > 0 && encoded[0] == binaryPrefix {
		content, found := bytes.CutPrefix(encoded, []byte(Text3.prefix()))
		if !found {
			return Packet{}, false
		}
		data, ok := decodeBase64(content)
		return Packet{Type: PacketMessage, Data: data, Binary: true}, ok
	}
	return DecodeText(encoded)
}

// DecodeBinary3 decodes a packet of revision 3 that arrived as bytes. Only messages do.
func DecodeBinary3(encoded []byte) (p Packet, ok bool) {
	if len(encoded) == 0 || encoded[0] != binaryType3 {
		return Packet{}, false
	}
	return Packet{Type: PacketMessage, Data: encoded[1:], Binary: true}, true
}

// appendTextHead appends the length of a packet of a payload that is text, in units of UTF-16.
func appendTextHead(dst, data []byte) []byte {
	return append(strconv.AppendInt(dst, int64(lengthInUTF16(data)), 10), ':')
}

// appendBytesHead appends the type and the length of a packet of a payload that is bytes.
func appendBytesHead(dst []byte, length int, isBinary bool) []byte {
	first := byte(isText3)
	if isBinary {
		first = isBinary3
	}
	dst = append(dst, first)
	begin := len(dst)
	dst = strconv.AppendInt(dst, int64(length), 10)
	for i := begin; i < len(dst); i++ {
		dst[i] -= '0'
	}
	return append(dst, lengthEnd)
}
