package engineio

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestWhatTheKernelKeepsIsWatched has the kernel keep what a client takes slowly: the client
// cannot answer a ping before it has taken all that is in front of it. In the end it stops.
func TestWhatTheKernelKeepsIsWatched(t *testing.T) {
	const (
		size    = 2_000_000
		rate    = 500_000 // bytes a second
		timeout = 2 * time.Second

		receiveBuffer = 32 << 10
	)
	options := Options{PingInterval: time.Second, PingTimeout: timeout, WriteTimeout: timeout}
	for name, begin := range map[string]func(t *testing.T, s *testServer) (net.Conn, *recorder){
		"websocket": func(t *testing.T, s *testServer) (net.Conn, *recorder) {
			conn, r := s.connect(t)
			must(t, conn.Net.(*net.TCPConn).SetReadBuffer(receiveBuffer))
			r.session.Send(text(strings.Repeat("x", size)))
			return conn.Net, r
		},
		"polling": func(t *testing.T, s *testServer) (net.Conn, *recorder) {
			p, r := s.poller(t)
			r.session.Send(text(strings.Repeat("x", size)))
			conn := need(net.Dial("tcp", s.http.Listener.Addr().String()))(t)
			t.Cleanup(func() { _ = conn.Close() })
			must(t, conn.(*net.TCPConn).SetReadBuffer(receiveBuffer))
			_, err := fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: example.com\r\n\r\n", p.Query(rawclient.Polling))
			must(t, err)
			return conn, r
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServerOn(t, options, func(l net.Listener) net.Listener { return largeBuffers{l} })
			conn, r := begin(t, s)
			slow := slowConn{conn, rate}
			need(io.CopyN(io.Discard, slow, size/2))(t)
			if queued := r.session.QueuedBytes(); queued > pingPacket.Size() {
				t.Errorf("%d bytes wait for a writer and not in the kernel", queued)
			}
			need(io.CopyN(io.Discard, slow, size/2))(t)
			expect(t, "reasons to close", len(r.closed()), 0)
			r.waitClosed(t, ReasonPingTimeout)
		})
	}
}

// TestWhoLeavesAnAnswerIsGone has clients poll, and the kernel keep the answer. One ends its
// connection, and is lost as soon as its pong is. Another one has the server end it, and takes
// what was sent before.
func TestWhoLeavesAnAnswerIsGone(t *testing.T) {
	const (
		size    = 2_000_000
		rate    = 500_000 // bytes a second
		timeout = 2 * time.Second
	)
	options := Options{PingInterval: time.Second, PingTimeout: timeout, WriteTimeout: timeout}
	s := newServerOn(t, options, func(l net.Listener) net.Listener { return largeBuffers{l} })
	poll := func(header string) (*net.TCPConn, *recorder) {
		p, r := s.poller(t)
		r.session.Send(text(strings.Repeat("x", size)))
		conn := need(net.Dial("tcp", s.http.Listener.Addr().String()))(t).(*net.TCPConn)
		t.Cleanup(func() { _ = conn.Close() })
		must(t, conn.SetReadBuffer(32<<10))
		_, err := fmt.Fprintf(conn, "GET /socket.io/?%s HTTP/1.1\r\nHost: example.com\r\n%s\r\n", p.Query(rawclient.Polling), header)
		must(t, err)
		eventually(t, "the answer to be written", func() bool { return r.session.Counts().BytesOut > size })
		return conn, r
	}
	left, gone := poll("")
	must(t, left.SetLinger(0))
	must(t, left.Close())
	gone.waitClosed(t, ReasonPingTimeout)

	closing, slow := poll("Connection: close\r\n")
	need(io.Copy(io.Discard, slowConn{closing, rate}))(t)
	expect(t, "reasons to close", len(slow.closed()), 0)
}

// largeBuffers makes the system keep much of what a client does not read.
type largeBuffers struct{ net.Listener }

func (l largeBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(4 << 20)
	}
	return conn, err
}
