package engineio

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// outlet is what the server writes into: a network that a test can stop, and end. What comes out is
// given to emit while the outlet is locked.
type outlet struct {
	mu   sync.Mutex
	cond sync.Cond
	emit func([]byte)
	// room is how many bytes are taken before writing is stuck. It is negative when there is no
	// bound.
	room     int
	broken   error
	deadline time.Time
}

func (o *outlet) init(emit func([]byte)) {
	o.cond.L = &o.mu
	o.emit, o.room = emit, -1
}

// write writes as a connection does: what is stuck waits for room, the deadline or the end.
func (o *outlet) write(b []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		switch {
		case o.broken != nil:
			return n, o.broken
		case !o.deadline.IsZero() && !time.Now().Before(o.deadline):
			return n, os.ErrDeadlineExceeded
		case o.room != 0:
			take := len(b)
			if o.room > 0 {
				take = min(take, o.room)
				o.room -= take
			}
			o.emit(b[:take])
			n += take
			if b = b[take:]; len(b) == 0 {
				return n, nil
			}
			continue
		}
		o.wait(o.deadline)
	}
}

// wait waits for a change, or for the deadline.
func (o *outlet) wait(deadline time.Time) {
	if deadline.IsZero() {
		o.cond.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(deadline), func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.cond.Broadcast()
	})
	o.cond.Wait()
	timer.Stop()
}

// change changes the outlet and wakes who waits.
func (o *outlet) change(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
	o.cond.Broadcast()
}

// lineConn is the server's end of a connection. What the client sends never waits.
type lineConn struct {
	outlet
	in           []byte
	eof          bool
	closed       bool
	readDeadline time.Time
	// taken is true once the server has taken the connection over from HTTP.
	taken bool
	// onClose is called when the server closes the connection.
	onClose func()
}

func (c *lineConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case !c.readDeadline.IsZero() && !time.Now().Before(c.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(c.in) > 0:
			n := copy(b, c.in)
			c.in = c.in[n:]
			return n, nil
		case c.eof:
			return 0, io.EOF
		}
		c.wait(c.readDeadline)
	}
}

func (c *lineConn) Write(b []byte) (int, error) { return c.write(b) }

func (c *lineConn) Close() error {
	c.change(func() {
		if !c.closed {
			c.closed, c.broken = true, net.ErrClosed
			c.onClose()
		}
	})
	return nil
}

func (c *lineConn) SetReadDeadline(t time.Time) error {
	c.change(func() { c.readDeadline = t })
	return nil
}

func (c *lineConn) SetWriteDeadline(t time.Time) error {
	c.change(func() { c.deadline = t })
	return nil
}

func (c *lineConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *lineConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *lineConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// push gives bytes of the client to the server.
func (c *lineConn) push(b []byte) { c.change(func() { c.in = append(c.in, b...) }) }

// cut ends the connection from the client's side.
func (c *lineConn) cut() {
	c.change(func() {
		c.eof = true
		if c.broken == nil {
			c.broken = syscall.EPIPE
		}
	})
}

// isClosed reports whether the server has closed the connection.
func (c *lineConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// updateKeys is what a TLS connection does when its peer asks for new keys: it writes while it reads,
// by the deadline for writing, and is broken for good if that fails.
func (c *lineConn) updateKeys() {
	c.change(func() {
		if c.broken == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
			c.broken = os.ErrDeadlineExceeded
		}
	})
}

// request is a request of a player, and the response to it.
type request struct {
	outlet
	player *player
	kind   happeningKind
	header http.Header
	status int
	length int
	body   []byte
	// complete is true once the client has the answer, gone once it has given the request up.
	complete, gone bool
	cancel         context.CancelFunc
	conn           *lineConn
	socket         *socket

	// What is sent as the request's body.
	whole    string
	rest     string // what is not sent yet
	sent     []byte
	ended    bool
	bodyOver time.Time // the deadline for reading
}

func (r *request) Header() http.Header {
	if r.header == nil {
		r.header = make(http.Header, 4)
	}
	return r.header
}

func (r *request) WriteHeader(status int) {
	if r.status != 0 {
		return
	}
	r.status = status
	r.length = -1
	if length := r.header.Get("Content-Length"); length != "" {
		r.length, _ = strconv.Atoi(length)
	}
}

func (r *request) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.write(b)
}

func (r *request) Flush() {}

// came takes what the server writes.
func (r *request) came(b []byte) {
	r.body = append(r.body, b...)
	if r.length >= 0 && len(r.body) >= r.length {
		r.finish()
	}
}

// finish says that the client has the answer. The request is locked.
func (r *request) finish() {
	if r.complete || r.gone {
		return
	}
	if r.length > len(r.body) {
		r.gone = true
		r.player.note(happening{kind: answerBroken, request: r})
		return
	}
	r.complete = true
	r.player.note(happening{kind: r.kind, request: r, socket: r.socket, status: r.status, text: r.text()})
}

// text is the body of the answer as the client reads it.
func (r *request) text() string {
	if r.header.Get("Content-Encoding") != "gzip" {
		return string(r.body)
	}
	z, err := gzip.NewReader(bytes.NewReader(r.body))
	if err != nil {
		return "no gzip: " + err.Error()
	}
	body, err := io.ReadAll(z)
	if err != nil {
		return "no gzip: " + err.Error()
	}
	return string(body)
}

func (r *request) SetReadDeadline(t time.Time) error {
	r.change(func() { r.bodyOver = t })
	return nil
}

func (r *request) SetWriteDeadline(t time.Time) error {
	r.change(func() { r.deadline = t })
	return nil
}

func (r *request) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.conn == nil {
		return nil, nil, errors.New("the request has no connection")
	}
	r.conn.change(func() { r.conn.taken = true })
	return r.conn, bufio.NewReadWriter(bufio.NewReaderSize(r.conn, 16), bufio.NewWriterSize(r.conn, 16)), nil
}

// Read reads the request's body.
func (r *request) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case !r.bodyOver.IsZero() && !time.Now().Before(r.bodyOver):
			return 0, os.ErrDeadlineExceeded
		case len(r.sent) > 0:
			n := copy(b, r.sent)
			r.sent = r.sent[n:]
			return n, nil
		case r.gone:
			return 0, io.ErrUnexpectedEOF
		case r.ended:
			return 0, io.EOF
		}
		r.wait(r.bodyOver)
	}
}

// Close implements io.Closer for the body.
func (r *request) Close() error { return nil }

// giveUp ends a request from the client's side, unless it is complete. noted is called when it was
// not.
func (r *request) giveUp(noted happening) {
	r.change(func() {
		if r.complete || r.gone {
			return
		}
		r.gone, r.broken = true, syscall.EPIPE
		r.player.note(noted)
	})
	r.cancel()
}
