package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// Target is the server the clients connect to.
type Target struct {
	// Address is the loopback address and port.
	Address string
	// Host is what the Host header and the TLS server name carry.
	Host string
	// TLS tells whether connections are encrypted. Certificates are not verified: on loopback they
	// are the server's own.
	TLS bool
	// Path is where Engine.IO is served, with the slash at its end.
	Path string

	config *tls.Config
	// narrow lets the kernels on both ends hold little for a connection, see narrowed.
	narrow  bool
	sources *atomic.Uint32
	// source, when not nil, is the loopback address that clients have, in place of several in turn.
	source net.IP
	// rate, when positive, is how many bytes a second a client reads.
	rate int
	// received counts what the target sent, in bytes over TCP.
	received *atomic.Int64
	// compression, when not nil, is offered by the clients.
	compression *compression
}

// ParseTarget reads a URL such as https://127.0.0.1:8443/socket.io/. It refuses everything that is
// not loopback: this is a benchmark, and no tool to be pointed at others.
func ParseTarget(raw string) (*Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	target := &Target{Path: u.Path, sources: new(atomic.Uint32), received: new(atomic.Int64)}
	switch u.Scheme {
	case "http", "ws":
	case "https", "wss":
		target.TLS = true
	default:
		return nil, fmt.Errorf("%s: scheme must be http, https, ws or wss", raw)
	}
	if target.Path == "" || target.Path == "/" {
		target.Path = "/socket.io/"
	}
	if u.Port() == "" {
		return nil, fmt.Errorf("%s: a port is needed", raw)
	}
	name := u.Hostname()
	ip := net.ParseIP(name)
	if name == "localhost" {
		ip = net.IPv4(127, 0, 0, 1)
	}
	if ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%s: only loopback addresses are measured", raw)
	}
	target.Address = net.JoinHostPort(ip.String(), u.Port())
	target.Host = net.JoinHostPort("localhost", u.Port())
	target.config = &tls.Config{
		ServerName:         "localhost",
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
	}
	return target, nil
}

// sourceAddresses is how many loopback addresses clients connect from in turn. Each brings a port
// range of its own, so that ten thousands of short connections do not run out of ports.
const sourceAddresses = 16

// bindNoPort is IP_BIND_ADDRESS_NO_PORT: the kernel picks the port when it knows the peer too, not
// at bind.
const bindNoPort = 24

// dialTCP opens a bare TCP connection.
func (t *Target) dialTCP(ctx context.Context) (*net.TCPConn, error) {
	dialer := net.Dialer{}
	if t.Address[0] != '[' {
		last := byte(1 + t.sources.Add(1)%sourceAddresses)
		dialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, last)}
		if t.source != nil {
			dialer.LocalAddr = &net.TCPAddr{IP: t.source}
		}
		dialer.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindNoPort, 1)
				if t.narrow {
					failed = errors.Join(failed,
						syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
						syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536))
				}
			})
			if err != nil {
				return err
			}
			return failed
		}
	}
	conn, err := dialer.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// narrowed is the target for clients with a small receive buffer and small segments. On loopback,
// whose segments are large, a server's kernel takes some megabytes for a client that reads nothing
// before the server notices; of such a client it takes about a hundred kilobytes, as it would over
// a real network.
func (t *Target) narrowed() *Target {
	other := *t
	other.narrow = true
	return &other
}

// offeringCompression is the target for clients that take compressed messages and bodies.
func (t *Target) offeringCompression() *Target {
	other := *t
	other.compression = newCompression()
	return &other
}

// counted is a connection whose received bytes are counted.
type counted struct {
	*net.TCPConn
	received *atomic.Int64
	// rate is that of the target.
	rate int
}

// pacedReads is how often a second a client with a rate reads at most.
const pacedReads = 5

func (c counted) Read(b []byte) (int, error) {
	if c.rate > 0 && len(b) > c.rate/pacedReads {
		b = b[:c.rate/pacedReads]
	}
	n, err := c.TCPConn.Read(b)
	c.received.Add(int64(n))
	if c.rate > 0 {
		time.Sleep(time.Second * time.Duration(n) / time.Duration(c.rate))
	}
	return n, err
}

// secure turns a bare connection into one the target speaks: itself, or TLS on top of it.
func (t *Target) secure(ctx context.Context, tcp *net.TCPConn) (net.Conn, error) {
	conn := counted{tcp, t.received, t.rate}
	if !t.TLS {
		return conn, nil
	}
	encrypted := tls.Client(conn, t.config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return encrypted, nil
}

// base is where the clock of this process starts.
var base = time.Now()

// now is the time on the one clock that senders and receivers share.
func now() time.Duration { return time.Since(base) }

// Now is the time that reports count from.
func Now() time.Duration { return now() }
