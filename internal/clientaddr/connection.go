package clientaddr

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/pires/go-proxyproto"
)

// Watch makes the connections over which a server speaks the PROXY protocol known to [Of]. A module
// that calls Of calls it when it is provisioned, with the context that it is provisioned with.
func Watch(ctx caddy.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server != nil {
		server.RegisterConnContext(connContext)
	}
}

// proxied is the context of a connection over which the PROXY protocol is spoken. It is no value of
// a context like any other, since a connection must not be asked for values before it has a request.
type proxied struct {
	context.Context
	conn *proxyproto.Conn
}

// proxiedKey is the key of the connection in its context.
type proxiedKey struct{}

// Value implements context.Context.
func (ctx *proxied) Value(key any) any {
	if key == (proxiedKey{}) {
		return ctx.conn
	}
	return ctx.Context.Value(key)
}

// connContext is the [http.Server.ConnContext] of servers that are watched. It reads nothing from
// the connection, whose header may not have come yet.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if _, done := ctx.(*proxied); done {
		return ctx
	}
	if found := findProxied(conn); found != nil {
		return &proxied{ctx, found}
	}
	return ctx
}

// findProxied looks through what is wrapped around a connection for one over which the PROXY
// protocol is spoken.
func findProxied(conn net.Conn) *proxyproto.Conn {
	for conn != nil {
		switch c := conn.(type) {
		case *proxyproto.Conn:
			return c
		case *net.TCPConn, *net.UnixConn:
			return nil
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			conn = embedded(conn)
		}
	}
	return nil
}

// embedded returns the connection in the field Conn of a wrapper, or nil where there is none.
// Caddy's own wrappers have it, and no method that returns it.
func embedded(conn net.Conn) net.Conn {
	v := reflect.Indirect(reflect.ValueOf(conn))
	if v.Kind() != reflect.Struct {
		return nil
	}
	field := v.FieldByName("Conn")
	if !field.IsValid() || !field.CanInterface() {
		return nil
	}
	inner, _ := field.Interface().(net.Conn)
	return inner
}

// doubtOfConnection says what speaks against an address that Caddy's listener has found.
func doubtOfConnection(r *http.Request, addr netip.Addr) Doubt {
	conn, ok := r.Context().Value(proxiedKey{}).(*proxyproto.Conn)
	if !ok {
		return ""
	}
	header := conn.ProxyHeader()
	switch {
	case header == nil && conn.ProxyHeaderPolicy == proxyproto.IGNORE:
		return ProxyProtocolIgnored
	case header == nil:
		return ""
	case header.Command.IsLocal() || header.SourceAddr == nil:
		return NoClient
	case addr.IsLoopback():
		return LoopbackByHeader
	}
	return ""
}
