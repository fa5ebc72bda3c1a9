package migrate

import (
	"net"
	"reflect"
	"syscall"
	"time"
)

// caddyhttp is the package whose wrappers around connections are looked into.
const caddyhttp = "github.com/caddyserver/caddy/v2/modules/caddyhttp"

// transparent are the wrappers that Caddy puts around every connection of a listener, and which
// keep nothing of what they read. Caddy offers no way to ask them for the connection. Others may
// keep something, so nothing is known of the connections in them.
var transparent = map[string]bool{"tlsStateConn": true, "http2StateConn": true, "http2Conn": true}

// asConn finds the connection of this package that an HTTP server sees, or returns nil.
func asConn(conn net.Conn) *Conn {
	for {
		switch c := conn.(type) {
		case *Conn:
			return c
		case secured:
			return c.Conn
		case nil:
			return nil
		}
		v := reflect.Indirect(reflect.ValueOf(conn))
		if v.Kind() != reflect.Struct || v.Type().PkgPath() != caddyhttp || !transparent[v.Type().Name()] {
			return nil
		}
		field := v.FieldByName("Conn")
		if !field.IsValid() || !field.CanInterface() {
			return nil
		}
		conn, _ = field.Interface().(net.Conn)
	}
}

// socket is a listener of which it can be seen whether a connection waits, and whose Accept can be
// made to return.
type socket interface {
	syscall.Conn
	SetDeadline(time.Time) error
}

// inspect looks through the wrappers around a listener for the socket itself, nil if it is not
// found, and for TLS.
func inspect(ln net.Listener) (found socket, secure bool) {
	for ln != nil {
		v := reflect.Indirect(reflect.ValueOf(ln))
		secure = secure || v.Type().PkgPath() == "crypto/tls"
		if s, ok := ownSocket(ln); ok {
			return s, secure
		}
		if v.Kind() != reflect.Struct {
			break
		}
		field := v.FieldByName("Listener")
		if !field.IsValid() || !field.CanInterface() {
			break
		}
		ln, _ = field.Interface().(net.Listener)
	}
	return nil, secure
}
