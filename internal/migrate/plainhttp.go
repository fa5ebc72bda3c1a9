package migrate

import (
	"crypto/tls"
	"errors"
	"io"
)

// tellPlainHTTP answers a client that speaks plain HTTP where TLS is spoken, as an HTTP server does
// that sees the TLS connection itself.
func tellPlainHTTP(err error) {
	var violation tls.RecordHeaderError
	if !errors.As(err, &violation) || violation.Conn == nil {
		return
	}
	switch string(violation.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		_, _ = io.WriteString(violation.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	}
}
