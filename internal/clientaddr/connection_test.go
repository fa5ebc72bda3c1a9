package clientaddr

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/pires/go-proxyproto"
)

// proxyServer answers each request with where it comes from. It listens as Caddy's proxy_protocol
// does with a policy.
func proxyServer(t *testing.T, network, address string, policy proxyproto.Policy, wrap func(net.Conn) net.Conn) net.Addr {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	proxied := &proxyproto.Listener{Listener: ln, ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return policy, nil }}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client := Of(r)
			_, _ = fmt.Fprintf(w, "%s|%s", client, client.Doubt)
		}),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			conn = wrap(conn)
			return connContext(connContext(ctx, conn), conn)
		},
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(proxied) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return ln.Addr()
}

// ask sends a header of the PROXY protocol, which may be none, and a request.
func ask(t *testing.T, server net.Addr, head, request string) string {
	t.Helper()
	conn, err := net.Dial(server.Network(), server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, head+request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// v2 returns a header of the PROXY protocol's second version.
func v2(t *testing.T, h *proxyproto.Header) string {
	t.Helper()
	h.Version = 2
	text, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProxyProtocol holds that an address in a PROXY header counts, but exempts nobody where it is
// loopback, and that connections without such an address are nobody's own when they may come from a
// proxy.
func TestProxyProtocol(t *testing.T) {
	const (
		plain     = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
		forwarded = "GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n"
		client    = "PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
		loopback  = "PROXY TCP4 127.0.0.1 192.0.2.1 4711 80\r\n"
	)
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711} }
	for _, test := range []struct {
		name    string
		policy  proxyproto.Policy
		head    string
		request string
		want    string
	}{
		{"client", proxyproto.USE, client, plain, "203.0.113.9|"},
		{"client, required", proxyproto.REQUIRE, client, plain, "203.0.113.9|"},
		{"client, IPv6", proxyproto.USE, "PROXY TCP6 2001:db8::9 2001:db8::1 4711 80\r\n", plain, "2001:db8::9|"},
		{"client that says it is forwarded", proxyproto.USE, client, forwarded, "203.0.113.9|" + string(UnnamedProxy)},
		{"loopback", proxyproto.USE, loopback, plain, "127.0.0.1|" + string(LoopbackByHeader)},
		{"loopback, IPv6", proxyproto.USE, "PROXY TCP6 ::1 ::1 4711 80\r\n", plain, "::1|" + string(LoopbackByHeader)},
		{"loopback, IPv4 in IPv6", proxyproto.USE, "PROXY TCP6 ::ffff:127.0.0.1 ::ffff:127.0.0.1 4711 80\r\n", plain, "127.0.0.1|" + string(LoopbackByHeader)},
		{"unknown", proxyproto.USE, "PROXY UNKNOWN\r\n", plain, "127.0.0.1|" + string(NoClient)},
		{"the proxy's own, version 2", proxyproto.USE, v2(t, &proxyproto.Header{Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}), plain, "127.0.0.1|" + string(NoClient)},
		{"client, version 2", proxyproto.USE, v2(t, &proxyproto.Header{Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv4, SourceAddr: tcp("203.0.113.9"), DestinationAddr: tcp("192.0.2.1")}), plain, "203.0.113.9|"},
		{"no header", proxyproto.USE, "", plain, "127.0.0.1|"},
		{"no header, and it would be refused", proxyproto.REJECT, "", plain, "127.0.0.1|"},
		{"ignored header", proxyproto.IGNORE, client, plain, "127.0.0.1|" + string(ProxyProtocolIgnored)},
		{"no header, and it would be ignored", proxyproto.IGNORE, "", plain, "127.0.0.1|" + string(ProxyProtocolIgnored)},
		{"no header is looked for", proxyproto.SKIP, "", plain, "127.0.0.1|"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := proxyServer(t, "tcp", "127.0.0.1:0", test.policy, func(c net.Conn) net.Conn { return c })
			if got := ask(t, server, test.head, test.request); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestProxyProtocolOverUnixSocket holds that addresses of Unix sockets in a header are none, whatever
// they look like.
func TestProxyProtocolOverUnixSocket(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"
	server := proxyServer(t, "unix", t.TempDir()+"/s", proxyproto.USE, func(c net.Conn) net.Conn { return c })
	unix := func(name string) net.Addr { return &net.UnixAddr{Name: name, Net: "unix"} }
	looksLikeLoopback := v2(t, &proxyproto.Header{
		Command: proxyproto.PROXY, TransportProtocol: proxyproto.UnixStream, SourceAddr: unix("127.0.0.1:80"), DestinationAddr: unix("/run/s"),
	})
	if got := ask(t, server, looksLikeLoopback, request); got != "127.0.0.1:80|"+string(Unreadable) {
		t.Errorf("got %s", got)
	}
	if got := ask(t, server, "PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n", request); got != "203.0.113.9|" {
		t.Errorf("got %s", got)
	}
	if got := ask(t, server, "", request); got != "@|"+string(Unreadable) {
		t.Errorf("got %s", got)
	}
}

type withNetConn struct{ net.Conn }

func (c withNetConn) NetConn() net.Conn { return c.Conn }

type withField struct{ net.Conn }

type pointer struct{ *withField }

// TestWrappedConnections holds that the connection is found within what Caddy and its listener
// wrappers put around it.
func TestWrappedConnections(t *testing.T) {
	conn := proxyproto.NewConn(new(net.TCPConn))
	for name, wrapped := range map[string]net.Conn{
		"bare": conn, "TLS": tls.Server(conn, new(tls.Config)), "method": withNetConn{conn}, "field": withField{conn},
		"field of a pointer": &withField{conn}, "field within": pointer{&withField{conn}}, "several": withField{withNetConn{tls.Server(withField{conn}, new(tls.Config))}},
	} {
		if findProxied(wrapped) != conn {
			t.Errorf("%s: not found", name)
		}
	}
	for name, other := range map[string]net.Conn{
		"none": nil, "TCP": new(net.TCPConn), "Unix": new(net.UnixConn), "nil within": withField{}, "TLS": tls.Server(new(net.TCPConn), new(tls.Config)),
		"nil pointer": (*withField)(nil),
	} {
		if findProxied(other) != nil {
			t.Errorf("%s: found", name)
		}
	}
}
