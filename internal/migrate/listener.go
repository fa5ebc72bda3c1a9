package migrate

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// maxDrain is how long a listener that is being closed takes connections that wait, as long as more
// of them come.
const maxDrain = time.Second

// Listener accepts connections that can go over to the next listener of the same kind at the same
// address, and takes those of the one before. Use [Listen].
type Listener struct {
	net.Listener
	key    string
	socket socket

	// started makes the first Accept begin to accept from the socket.
	started      sync.Once
	closed       sync.Once
	closedSocket sync.Once
	closeErr     error
	// conns brings connections to Accept, and errs what accepting from the socket failed with.
	conns chan *Conn
	errs  chan error
	// done is closed when nobody accepts from the listener any more, and drained when nobody
	// accepts from its socket.
	done    chan struct{}
	drained chan struct{}
}

// listeners are those that are open, by their keys. The youngest are last.
var listeners struct {
	sync.Mutex
	open map[string][]*Listener
}

// Listen makes a listener of one whose connections are at the beginning of what HTTP servers read,
// with TLS behind them. Connections go over only between listeners of the same kind: what a
// connection was let in for in the first place has to be the same.
func Listen(ln net.Listener, kind string) *Listener {
	l := &Listener{
		Listener: ln,
		conns:    make(chan *Conn), errs: make(chan error), done: make(chan struct{}), drained: make(chan struct{}),
	}
	var secure bool
	l.socket, secure = inspect(ln)
	l.key = ln.Addr().Network() + " " + ln.Addr().String() + " " + strconv.FormatBool(secure) + " " + kind
	listeners.Lock()
	defer listeners.Unlock()
	if listeners.open == nil {
		listeners.open = make(map[string][]*Listener)
	}
	listeners.open[l.key] = append(listeners.open[l.key], l)
	return l
}

// withdraw makes sure that no connection is given to the listener any more.
func (l *Listener) withdraw() {
	listeners.Lock()
	defer listeners.Unlock()
	rest := slices.DeleteFunc(listeners.open[l.key], func(other *Listener) bool { return other == l })
	if len(rest) == 0 {
		delete(listeners.open, l.key)
	} else {
		listeners.open[l.key] = rest
	}
}

// successor returns the listener that takes the connections of this one, or nil. While this one is
// open that is one that was opened later. A config that fails late has connections which the one
// before takes back.
func (l *Listener) successor() *Listener {
	listeners.Lock()
	defer listeners.Unlock()
	open := listeners.open[l.key]
	if len(open) == 0 || open[len(open)-1] == l {
		return nil
	}
	return open[len(open)-1]
}

// passOn gives a connection to the listener's successor.
func (l *Listener) passOn(c *Conn) bool {
	for {
		next := l.successor()
		if next == nil {
			return false
		}
		c.listener = next
		select {
		case next.conns <- c:
			return true
		case <-next.done:
		}
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	l.started.Do(func() { go l.accept() })
	select {
	case c := <-l.conns:
		return c.outside(), nil
	case err := <-l.errs:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// accept accepts from the socket until that fails for good.
func (l *Listener) accept() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.errs <- err:
				continue
			case <-l.done:
			}
			break
		}
		if !l.give(conn) {
			break
		}
	}
	waited := l.drain()
	close(l.drained)
	for _, conn := range waited {
		l.give(conn)
	}
}

// drain closes the socket at a moment when no connection waits there: it would be reset. It returns
// those that have waited, which go over after that, since more could come meanwhile.
func (l *Listener) drain() (waited []net.Conn) {
	deadline := time.Now().Add(maxDrain)
	if l.socket == nil || l.successor() == nil || l.socket.SetDeadline(deadline) != nil {
		return nil
	}
	for waiting(l.socket) && time.Now().Before(deadline) {
		conn, err := l.Listener.Accept()
		if err != nil {
			break
		}
		waited = append(waited, conn)
	}
	l.closeSocket()
	return waited
}

// closeSocket closes the socket once: Caddy counts that.
func (l *Listener) closeSocket() {
	l.closedSocket.Do(func() { l.closeErr = l.Listener.Close() })
}

// give brings a connection to Accept. It returns false if the listener is closed; the connection
// goes over then.
func (l *Listener) give(conn net.Conn) bool {
	c := wrap(conn, l)
	select {
	case l.conns <- c:
		return true
	case <-l.done:
	}
	if !l.passOn(c) {
		_ = conn.Close()
	}
	return false
}

// Close implements net.Listener. Connections that wait to be accepted go over.
func (l *Listener) Close() error {
	l.closed.Do(func() {
		l.withdraw()
		close(l.done)
		started := true
		l.started.Do(func() { started = false })
		if started && l.socket != nil && l.socket.SetDeadline(aLongTimeAgo) == nil {
			<-l.drained
		}
		l.closeSocket()
	})
	return l.closeErr
}
