package load

import (
	"bytes"
	"time"
)

// A message's argument is a string that begins with stampMark and the time of sending in
// nanoseconds, in stampDigits digits. It stays as it is on its way through any server.
const (
	stampMark   = `"@`
	stampDigits = 16
	stampSize   = 1 + stampDigits
)

// message is a prepared event, masked and framed, whose time of sending is set before each use.
type message struct {
	frame []byte
	// digits is where the stamp's digits stand in the frame, and payload where the payload that
	// holds them starts: the key repeats from there.
	digits, payload int
}

// newMessage prepares a `message` event whose string argument is size bytes long.
func newMessage(size int) *message {
	return newText(`42["message",`, size, `]`)
}

// newText prepares a text packet with a stamped string of size bytes in the middle.
func newText(before string, size int, after string) *message {
	text := append([]byte(before), stampMark...)
	digits := len(text)
	text = append(text, bytes.Repeat([]byte{'0'}, stampDigits)...)
	text = append(text, bytes.Repeat([]byte{'x'}, size-stampSize)...)
	text = append(append(text, '"'), after...)
	frame := appendFrame(nil, opText, text)
	start := len(frame) - len(text)
	return &message{frame: frame, digits: start + digits, payload: start}
}

// newBinaryMessage prepares a `message` event whose argument is an attachment of size bytes.
func newBinaryMessage(size int) *message {
	return newBinary(`451-["message",`+placeholder+`]`, size)
}

// placeholder stands for the attachment in the text of a packet.
const placeholder = `{"_placeholder":true,"num":0}`

// newBinary prepares a packet and its one attachment, of size bytes, which carries the stamp. Both
// go in one write.
func newBinary(packet string, size int) *message {
	// The mark does not stand at the very beginning, where a reader takes it for absent.
	attachment := append([]byte{'x'}, stampMark...)
	digits := len(attachment)
	attachment = append(attachment, bytes.Repeat([]byte{'0'}, stampDigits)...)
	attachment = append(attachment, bytes.Repeat([]byte{'x'}, max(0, size-len(attachment)))...)
	frame := appendFrame(appendFrame(nil, opText, []byte(packet)), opBinary, attachment)
	start := len(frame) - len(attachment)
	return &message{frame: frame, digits: start + digits, payload: start}
}

// stamped sets the time of sending and returns the frame, which is valid until the next call.
func (m *message) stamped(at time.Duration) []byte {
	for i := m.digits + stampDigits - 1; i >= m.digits; i-- {
		m.frame[i] = byte('0'+at%10) ^ mask[(i-m.payload)&3]
		at /= 10
	}
	return m.frame
}

// stampReader finds the time of sending in what was received. It remembers where the last one
// stood, as all messages of one run look alike.
type stampReader struct {
	at int
}

func (r *stampReader) read(head []byte) (sent time.Duration, found bool) {
	if r.at == 0 || !hasMark(head, r.at) {
		r.at = bytes.Index(head, []byte(stampMark))
		if r.at <= 0 || !hasMark(head, r.at) {
			r.at = 0
			return 0, false
		}
	}
	start := r.at + len(stampMark)
	for _, digit := range head[start : start+stampDigits] {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		sent = sent*10 + time.Duration(digit-'0')
	}
	return sent, true
}

func hasMark(head []byte, at int) bool {
	return len(head) >= at+len(stampMark)+stampDigits && string(head[at:at+len(stampMark)]) == stampMark
}
