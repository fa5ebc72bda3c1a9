package floor

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// hub is everyone who is connected.
type hub struct {
	lock    sync.RWMutex
	members map[*member]struct{}
	// deliver brings one prepared frame to one member.
	deliver func(*member, []byte)
}

// join answers CONNECT and takes the member in, as one step: no broadcast comes before the answer,
// and none that follows the answer is missed.
func (h *hub) join(m *member) {
	h.lock.Lock()
	defer h.lock.Unlock()
	m.write(appendFrame(nil, opText, []byte(`40{"sid":"floor"}`)))
	h.members[m] = struct{}{}
}

func (h *hub) leave(m *member) {
	h.lock.Lock()
	defer h.lock.Unlock()
	delete(h.members, m)
}

func (h *hub) count() int {
	h.lock.RLock()
	defer h.lock.RUnlock()
	return len(h.members)
}

// broadcast builds the frame once and delivers it to all but its sender.
func (h *hub) broadcast(from *member, opcode byte, payload []byte) {
	frame := appendFrame(make([]byte, 0, len(payload)+10), opcode, payload)
	h.lock.RLock()
	defer h.lock.RUnlock()
	for m := range h.members {
		if m != from {
			h.deliver(m, frame)
		}
	}
}

// member is one connection.
type member struct {
	conn net.Conn

	lock    sync.Mutex
	pending [][]byte
	// flushing tells that a worker has the member or will have it.
	flushing bool
}

// write writes a frame at once. A member that cannot be written to is found out by its reader.
func (m *member) write(frame []byte) {
	_, _ = m.conn.Write(frame)
}

// WebSocket opcodes, RFC 6455 section 5.2.
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
)

const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// upgrade answers 101 and the open packet.
func (m *member) upgrade(key string) error {
	sum := sha1.Sum([]byte(key + acceptGUID))
	answer := fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	answer = appendFrame(answer, opText, []byte(`0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
	_, err := m.conn.Write(answer)
	return err
}

var (
	errClosed = errors.New("the client closed the connection")
	errSize   = errors.New("the client sent a frame over the limit")
)

// maxFrame is the largest frame a client may send.
const maxFrame = 1 << 20

// read deals with what the client sends until it goes.
func (m *member) read(h *hub, reader *bufio.Reader) error {
	var payload []byte
	for {
		opcode, size, mask, err := readHeader(reader)
		if err != nil {
			return err
		}
		if cap(payload) < size {
			payload = make([]byte, size)
		}
		payload = payload[:size]
		if _, err := io.ReadFull(reader, payload); err != nil {
			return err
		}
		for i := range payload {
			payload[i] ^= mask[i&3]
		}
		switch opcode {
		case opClose:
			return errClosed
		case opBinary:
			h.broadcast(m, opBinary, payload)
		default:
			m.packet(h, payload)
		}
	}
}

// packet answers CONNECT and questions, and spreads every event.
func (m *member) packet(h *hub, payload []byte) {
	switch {
	case bytes.Equal(payload, []byte("40")):
		h.join(m)
	case bytes.HasPrefix(payload, []byte("42[")), bytes.HasPrefix(payload, []byte("45")):
		h.broadcast(m, opText, payload)
	case bytes.HasPrefix(payload, []byte("42")):
		id, _, _ := bytes.Cut(payload[2:], []byte("["))
		m.write(appendFrame(nil, opText, fmt.Appendf(nil, `43%s[{"success":true}]`, id)))
	}
}

func readHeader(reader *bufio.Reader) (opcode byte, size int, mask [4]byte, err error) {
	var header [14]byte
	if _, err = io.ReadFull(reader, header[:2]); err != nil {
		return 0, 0, mask, err
	}
	size = int(header[1] & 0x7f)
	extended := 0
	switch size {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	if _, err = io.ReadFull(reader, header[2:2+extended+4]); err != nil {
		return 0, 0, mask, err
	}
	switch extended {
	case 2:
		size = int(binary.BigEndian.Uint16(header[2:]))
	case 8:
		size = int(min(binary.BigEndian.Uint64(header[2:]), maxFrame+1))
	}
	if size > maxFrame {
		return 0, 0, mask, errSize
	}
	copy(mask[:], header[2+extended:])
	return header[0] & 0xf, size, mask, nil
}

// appendFrame appends a frame as servers send it, unmasked.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch size := len(payload); {
	case size < 126:
		b = append(b, byte(size))
	case size <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
	}
	return append(b, payload...)
}
