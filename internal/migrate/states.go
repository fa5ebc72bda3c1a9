package migrate

import (
	"context"
	"net"
	"net/http"
	"time"
)

// NoteState is to be the [http.Server.ConnState] of servers whose connections go over, or to be
// called by that.
func NoteState(conn net.Conn, state http.ConnState) {
	c := asConn(conn)
	if c == nil {
		return
	}
	if state == http.StateClosed {
		c.leave()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch now := phase(c.phase.Load()); {
	case state == http.StateNew:
		c.become(between)
		c.clean = true
	case state == http.StateHijacked:
		c.become(through)
		c.cut(c.off)
		if c.closing {
			_ = c.Conn.Close()
		}
	case state == http.StateActive && (now == between || now == leaving):
		c.active = true
		if now == between {
			c.become(asked)
			c.owed, c.known = 0, false
			if c.clean && c.head != nil {
				var length int64
				length, c.known = requestLength((*c.head)[:c.off])
				c.owed = length - int64(c.off)
			}
		}
	case state == http.StateIdle && (now == asked || now == answering):
		c.become(between)
		if c.closing {
			c.become(leaving)
		}
		if c.clean = c.known && c.owed <= 0; !c.clean {
			c.cut(c.off)
		}
		c.active, c.waits = false, 0
	}
}

// leave is called when the server is done with a connection.
func (c *Conn) leave() {
	c.mu.Lock()
	if !c.is(leaving) && !c.closing {
		c.mu.Unlock()
		return
	}
	// A TLS handshake that was broken off cannot be taken up again.
	secure, ok := c.Conn.(connectionStater)
	if !c.is(leaving) || !c.clean || c.spoiled || ok && !secure.ConnectionState().HandshakeComplete || c.Conn.SetDeadline(time.Time{}) != nil {
		c.giveUp()
		c.mu.Unlock()
		_ = c.Conn.Close()
		return
	}
	c.become(through)
	c.off, c.waits, c.active, c.closing = 0, 0, false, false
	l := c.listener
	c.mu.Unlock()
	if l.passOn(c) {
		return
	}
	c.mu.Lock()
	c.giveUp()
	c.mu.Unlock()
	_ = c.Conn.Close()
}

// Context is to be the [http.Server.ConnContext] of servers whose connections go over, or to be
// called by that. A handler must look up a value in the context of its request before it does
// anything that must not be done twice.
func Context(ctx context.Context, conn net.Conn) context.Context {
	if c := asConn(conn); c != nil {
		return &connContext{ctx, c}
	}
	return ctx
}

// connContext is the context of a connection: who looks something up there answers a request.
type connContext struct {
	context.Context
	conn *Conn
}

// Value implements context.Context.
func (ctx *connContext) Value(key any) any {
	if c := ctx.conn; c.is(asked) || c.is(leaving) {
		c.mu.Lock()
		c.begin()
		c.mu.Unlock()
	}
	return ctx.Context.Value(key)
}
