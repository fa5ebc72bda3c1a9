package engineio

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Inbound is what the HTTP server in front knows of a request.
type Inbound struct {
	// RemoteAddr is the client's IP address without a port, by that server's
	// rules for trusted proxies. Default: the address of the connection.
	RemoteAddr string
	// ClientAddr, when not nil, is asked in place of RemoteAddr for the first request
	// of a session.
	ClientAddr func(*http.Request) ClientAddr
	// Attributes, when not nil, is called for the first request of a session,
	// and returns what is to be kept with its handshake.
	Attributes func() map[string]string
	// Conn, when not nil, is the connection that the request has come over. While an
	// answer waits in the kernel for a slow client, the server asks it whether the
	// client goes on taking it, where it is TCP's and the system is Linux. Where it
	// cannot ask, the client is taken to be there for as long as one at 32 kbit/s needs
	// for the answer, but a client that has ended the connection meanwhile is gone. The
	// connection may be wrapped by what has a method NetConn.
	// Default: the value of ConnKey of the request's context.
	Conn net.Conn
	// MaxHold, when positive, is how long a poll is held at most. A server that
	// counts its write timeout from the request on, as Caddy's does, would cut off a
	// poll that is held longer.
	MaxHold time.Duration
	// SameOrigin is true when the request comes from a page of the origin that
	// it was sent to.
	SameOrigin bool
	// OriginChecked is true when that server has decided that the request's origin
	// may connect. Otherwise Options.CheckOrigin decides.
	OriginChecked bool
	// Hold, when not nil, is called before the answer of a poll or a POST is written,
	// and holds the answer back until it returns. It must return when ctx ends. A
	// server that is about to be replaced holds answers back, so that its clients
	// have no requests under way that it would drop.
	Hold func(ctx context.Context)
	// Release, when not nil, is called with the connection of a WebSocket when it has
	// been taken over from that server. It returns the connection to use in its
	// place, and bytes of the client that come before all that is read from it.
	// Whoever wraps the connections of a server can take the wrapping off here.
	Release func(net.Conn) (conn net.Conn, before []byte)
}

// ClientAddr is the address of a client, as far as it is known.
type ClientAddr struct {
	// Addr is the IP address without a port, or a word for it where it is not known.
	Addr string
	// NotExempt is true when [Limits.Exempt] does not hold for the client, whatever its
	// address is. A server says so where the client may have made the address up.
	NotExempt bool
}

// ConnKey is the key of a request's context for its connection. A program with an
// [http.Server] of its own sets it by the server's ConnContext:
//
//	func(ctx context.Context, conn net.Conn) context.Context {
//		return context.WithValue(ctx, engineio.ConnKey{}, conn)
//	}
type ConnKey struct{}

// hold holds back an answer.
func (in *Inbound) hold(ctx context.Context) {
	if in.Hold != nil {
		in.Hold(ctx)
	}
}

// fill fills in the defaults for a request.
func (in *Inbound) fill(r *http.Request) {
	if in.Conn == nil {
		in.Conn, _ = r.Context().Value(ConnKey{}).(net.Conn)
	}
}

// clientAddr returns the address of the client that sends the first request of a session.
func (in *Inbound) clientAddr(r *http.Request) ClientAddr {
	if in.ClientAddr != nil {
		return in.ClientAddr(r)
	}
	if in.RemoteAddr != "" {
		return ClientAddr{Addr: in.RemoteAddr}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return ClientAddr{Addr: host}
	}
	return ClientAddr{Addr: r.RemoteAddr}
}
