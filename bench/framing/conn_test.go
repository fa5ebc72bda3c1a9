package framing

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// receivers is how many a broadcast goes to.
const receivers = 1000

var payload = bytes.Repeat([]byte{'x'}, 200)

// sink is a connection that takes everything and keeps nothing; reading it waits for its end.
type sink struct {
	net.Conn
	written *atomic.Int64
	closed  chan struct{}
}

func (s sink) Write(p []byte) (int, error) {
	s.written.Add(int64(len(p)))
	return len(p), nil
}

func (s sink) Read([]byte) (int, error) {
	<-s.closed
	return 0, io.EOF
}

func (s sink) Close() error                     { return nil }
func (s sink) SetDeadline(time.Time) error      { return nil }
func (s sink) SetReadDeadline(time.Time) error  { return nil }
func (s sink) SetWriteDeadline(time.Time) error { return nil }

// newSinks makes connections that share one count of bytes. They end with the benchmark.
func newSinks(b *testing.B, count int) ([]net.Conn, *atomic.Int64) {
	closed := make(chan struct{})
	b.Cleanup(func() { close(closed) })
	written := new(atomic.Int64)
	conns := make([]net.Conn, count)
	for i := range conns {
		conns[i] = sink{written: written, closed: closed}
	}
	return conns, written
}

// source is a connection that brings the same frames again and again until so many have come, then
// ends.
type source struct {
	sink
	frames []byte
	at     int
	left   int
}

const (
	smallPayload = 40
	smallFrame   = 2 + 4 + smallPayload
)

func newSource(b *testing.B) *source {
	var one bytes.Buffer
	one.Write([]byte{0x81, 0x80 | smallPayload})
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, 0x37fa213d)
	one.Write(mask)
	for i := range smallPayload {
		one.WriteByte('x' ^ mask[i&3])
	}
	conns, _ := newSinks(b, 1)
	return &source{sink: conns[0].(sink), frames: bytes.Repeat(one.Bytes(), 512), left: b.N * smallFrame}
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.left)], s.frames[s.at:])
	s.at = (s.at + n) % len(s.frames)
	s.left -= n
	return n, nil
}

// upgradeRequest is what a browser sends.
func upgradeRequest() *http.Request {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return request
}

// hijackable is a response writer that gives a connection away.
type hijackable struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

func newHijackable(conn net.Conn) http.ResponseWriter {
	return hijackable{httptest.NewRecorder(), conn}
}
