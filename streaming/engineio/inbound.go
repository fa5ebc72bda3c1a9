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
	// Attributes, when not nil, is called for the first request of a session,
	// and returns what is to be kept with its handshake.
	Attributes func() map[string]string
	// MaxHold, when positive, is how long a poll may be held: less than the
	// write timeout of that server.
	MaxHold time.Duration
	// SameOrigin is true when the request comes from a page of the origin that
	// it was sent to.
	SameOrigin bool
	// OriginChecked is true when that server has decided that the request's origin
	// may connect. Otherwise Options.CheckOrigin decides.
	OriginChecked bool
	// Hold, when not nil, is called before the answer of a poll or a POST is
	// written, and holds it back until it returns, which must be when ctx ends at
	// the latest.
	Hold func(ctx context.Context)
	// Release, when not nil, returns what is to be used of a connection that was
	// taken over from that server, and the bytes that come before all that is
	// read from it.
	Release func(net.Conn) (conn net.Conn, before []byte)
}

// hold holds back an answer.
func (in *Inbound) hold(ctx context.Context) {
	if in.Hold != nil {
		in.Hold(ctx)
	}
}

// fill fills in the defaults for a request.
func (in *Inbound) fill(r *http.Request) {
	if in.RemoteAddr != "" {
		return
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		in.RemoteAddr = host
	} else {
		in.RemoteAddr = r.RemoteAddr
	}
}
