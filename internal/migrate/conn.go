package migrate

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// phase is what an HTTP server is at with a connection.
type phase uint32

const (
	// through is a connection that cannot go over: it is no HTTP/1.x connection, or not any more,
	// or is not known to be one. It is also what a connection is on its way from one server to the
	// other.
	through phase = iota
	// between is the time before a request, when the connection is new or idle, and while a request
	// is being read.
	between
	// asked is the moment between a request that was read and the handler: a server that stops
	// drops it then.
	asked
	// answering is the time from the handler's beginning until the next request may come.
	answering
	// leaving is the time from the connection's being closed until the server is done with it.
	leaving
)

// readSize is the size of the buffer a [http.Server] reads requests by. A server that has nothing
// left in the buffer asks for so many bytes.
const readSize = 4096

// maxHead is how many bytes of a request are kept until it is known that somebody answers it. It is
// more than the header fields that Caddy takes by default, 16 KiB, and what may be read with them.
const maxHead = 32 << 10

// Conn is a connection that can go over to another server. [Listener] makes it.
type Conn struct {
	net.Conn

	// listener is the one the connection was accepted from last.
	listener *Listener

	mu sync.Mutex
	// phase is written with mu held.
	phase atomic.Uint32
	// off is how much of head the server has been given.
	off int32
	// head holds the bytes that were read after the last request that was answered, or is being
	// answered, and that might have to be read again. It is nil when there are none.
	head *[]byte
	// owed is how many bytes of the request that is being answered the server has not been given,
	// if known is true. It is negative when the server has been given some of the next one, which
	// are in head then.
	owed int64

	known bool
	// clean is true when the first byte that the server has not made use of begins a request, and
	// is in head, or will be read next.
	clean bool
	// spoiled is true when reading has failed, or something was written that is no answer to a
	// request.
	spoiled bool
	// active is true when the server has said that there is a request, since it became idle.
	active bool
	// finished is true when the last call of a server that is answering was the one it makes when
	// it has answered.
	finished bool
	// closing is true when the connection was closed just then.
	closing bool
	// waits counts the read deadlines since the connection became idle, and its first read as many.
	waits uint8
}

// secured is a connection whose TLS ends before it. HTTP servers look for its method.
type secured struct{ *Conn }

// ConnectionState returns the state of the TLS connection.
func (s secured) ConnectionState() tls.ConnectionState {
	return s.Conn.Conn.(connectionStater).ConnectionState()
}

type connectionStater interface{ ConnectionState() tls.ConnectionState }

// wrap makes a connection one that can go over.
func wrap(conn net.Conn, l *Listener) *Conn { return &Conn{Conn: conn, listener: l} }

// outside is the connection as an HTTP server is to see it.
func (c *Conn) outside() net.Conn {
	if _, ok := c.Conn.(connectionStater); ok {
		return secured{c}
	}
	return c
}

// NetConn returns the connection that this one wraps.
func (c *Conn) NetConn() net.Conn { return c.Conn }

func (c *Conn) is(p phase) bool   { return phase(c.phase.Load()) == p }
func (c *Conn) become(p phase)    { c.phase.Store(uint32(p)) }
func (c *Conn) undelivered() bool { return c.head != nil && int(c.off) < len(*c.head) }

// heads holds buffers for the heads of requests.
var heads = sync.Pool{New: func() any {
	b := make([]byte, 0, readSize)
	return &b
}}

// cut drops the first bytes of head.
func (c *Conn) cut(n int32) {
	if c.head == nil {
		return
	}
	if rest := (*c.head)[n:]; len(rest) > 0 {
		*c.head = append((*c.head)[:0], rest...)
	} else {
		if cap(*c.head) <= readSize {
			*c.head = (*c.head)[:0]
			heads.Put(c.head)
		}
		c.head = nil
	}
	c.off -= n
}

// keep remembers bytes that were read from the connection and given to the server.
func (c *Conn) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.head == nil {
		c.head = heads.Get().(*[]byte)
	}
	if len(*c.head)+len(p) > maxHead {
		c.clean, c.known = false, false
		c.cut(c.off)
		return
	}
	*c.head = append(*c.head, p...)
	c.off = int32(len(*c.head))
}

// begin is called for whatever only somebody does who answers a request.
func (c *Conn) begin() {
	switch phase(c.phase.Load()) {
	case asked:
		c.become(answering)
		if c.known && c.owed < 0 {
			// The next request has begun with what is left.
			c.cut(c.off + int32(c.owed))
		} else {
			c.cut(c.off)
		}
	case leaving:
		// The server is closing its connections whatever happens on them.
		c.spoiled = c.spoiled || c.active
	}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.begin()
	switch phase(c.phase.Load()) {
	case leaving:
		c.mu.Unlock()
		return 0, os.ErrDeadlineExceeded
	case between:
		// A server that has finished with a request sets one deadline and waits for the next
		// request. It sets another before it goes on when it has bytes of that already. So this
		// read shows that it has none.
		c.clean = c.clean || c.waits == 1 && len(p) == readSize
		c.waits = 2
	}
	if c.undelivered() {
		n := copy(p, (*c.head)[c.off:])
		c.off += int32(n)
		switch phase(c.phase.Load()) {
		case between:
			c.recognize()
		case answering:
			if c.known {
				c.cut(int32(c.spend(n)))
			} else {
				c.cut(c.off)
			}
		case through:
			c.cut(c.off)
		}
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()

	n, err := c.Conn.Read(p)
	if err != nil {
		tellPlainHTTP(err)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	switch phase(c.phase.Load()) {
	case between, leaving:
		if c.clean {
			c.keep(p[:n])
		}
		c.spoiled = c.spoiled || err != nil && !(c.is(leaving) && isTimeout(err))
		c.recognize()
	case answering:
		// What is more than the request is the beginning of the next one: the server has read on,
		// or looks whether the client has gone.
		if c.known {
			c.keep(p[c.spend(n):n])
		}
	}
	return n, err
}

// spend takes n bytes off what is owed, and returns how many of them were.
func (c *Conn) spend(n int) int {
	part := min(max(c.owed, 0), int64(n))
	c.owed -= int64(n)
	return int(part)
}

// recognize looks whether a connection speaks HTTP/2.
func (c *Conn) recognize() {
	if c.is(between) && c.head != nil && c.off >= 4 && string((*c.head)[:4]) == "PRI " {
		c.become(through)
		c.cut(c.off)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error) //nolint:errorlint // as net/http looks at it
	return ok && timeout.Timeout()
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	c.writes()
	return c.Conn.Write(p)
}

// writes notes that something is written: an answer, or what a server says to a request that it
// does not understand.
func (c *Conn) writes() {
	if c.is(through) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin()
	c.finished = false
	c.spoiled = c.spoiled || !c.is(answering)
}

// ReadFrom implements io.ReaderFrom, which lets the kernel send files.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	c.writes()
	if direct, ok := c.Conn.(io.ReaderFrom); ok {
		return direct.ReadFrom(r)
	}
	return io.Copy(onlyWriter{c.Conn}, r)
}

// onlyWriter hides everything but Write.
type onlyWriter struct{ io.Writer }

// CloseWrite ends the direction to the client, where the connection can do that.
func (c *Conn) CloseWrite() error {
	c.writes()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.deadline(net.Conn.SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.deadline(net.Conn.SetReadDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin()
	if c.closing {
		return nil
	}
	c.finished = c.is(answering) && t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// deadline sets a deadline for reading, at least. A connection that is leaving has one that makes
// reading fail.
func (c *Conn) deadline(set func(net.Conn, time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin()
	c.finished = false
	switch now := phase(c.phase.Load()); {
	case now == leaving || c.closing:
		return nil
	case now == between:
		c.waits = min(c.waits+1, 2)
	}
	return set(c.Conn, t)
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// Close closes the connection for the server that has it. When there is another server, and the
// connection may go over to it, it does so as soon as the first one is done with it, of which the
// state [http.StateClosed] tells.
func (c *Conn) Close() error {
	c.mu.Lock()
	switch phase(c.phase.Load()) {
	case leaving:
		c.mu.Unlock()
		return nil
	case between, asked:
		if c.clean && !c.spoiled && c.listener.successor() != nil {
			c.become(leaving)
			err := c.Conn.SetReadDeadline(aLongTimeAgo)
			c.mu.Unlock()
			return err
		}
	case answering:
		// A server that stops may have seen that the connection is idle before this package is
		// told. If that is not so, nothing comes through any more until the server is done with it.
		if c.finished && c.listener.successor() != nil {
			c.closing = true
			err := c.Conn.SetDeadline(aLongTimeAgo)
			c.mu.Unlock()
			return err
		}
	}
	c.giveUp()
	c.mu.Unlock()
	return c.Conn.Close()
}

// giveUp makes the connection one like any other.
func (c *Conn) giveUp() {
	c.become(through)
	if c.head != nil {
		c.off = int32(len(*c.head))
		c.cut(c.off)
	}
}

// GoesOver reports whether a connection that an HTTP server has is one that can go over to another.
func GoesOver(conn net.Conn) bool { return asConn(conn) != nil }

// Release returns what is inside of a connection that was taken over from an HTTP server, and the
// bytes that are to be read before anything else. Any other connection is returned as it is.
func Release(conn net.Conn) (inner net.Conn, before []byte) {
	c := asConn(conn)
	if c == nil {
		return conn, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.undelivered() {
		before = append(before, (*c.head)[c.off:]...)
	}
	c.giveUp()
	return c.Conn, before
}
