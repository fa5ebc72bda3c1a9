package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
)

// maxMessage bounds the WebSocket messages that are read, in bytes.
const maxMessage = 4 << 20

// socket is a WebSocket of the visit.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
	// deflate tells that the server agreed to compress messages.
	deflate bool
	limit   time.Duration
	ended   bool
}

// errClosed is the error of a read after which the server has closed the WebSocket in good order.
var errClosed = errors.New("closed by the server")

// dial opens a WebSocket. When that is refused, the answer says how; its err is set when none came
// or it was wrong.
func (d *visit) dial(ctx context.Context, path, sid string, header http.Header, offerDeflate bool) (*socket, answer) {
	q := question{method: "WebSocket", path: path, query: websocketQuery, sid: sid, header: header}
	a := answer{question: q.String(), limit: d.Timeout, header: make(http.Header), sent: time.Now()}
	at := url.URL{Scheme: "ws", Host: d.site.Host}
	if d.secure() {
		at.Scheme = "wss"
	}
	address := at.String() + path + "?" + websocketQuery
	if sid != "" {
		address += "&sid=" + url.QueryEscape(sid)
	}
	fields := http.Header{"User-Agent": {userAgent}}
	for _, some := range []http.Header{d.Header, header} {
		for name, values := range some {
			fields[name] = values
		}
	}
	dialer := ws.Dialer{
		Timeout:        d.Timeout,
		TLSConfig:      d.tls,
		Header:         ws.HandshakeHeaderHTTP(fields),
		ReadBufferSize: 16 << 10, // what the headers must fit in
		NetDial:        d.dialNet,
		OnHeader: func(key, value []byte) error {
			a.header.Add(string(key), string(value))
			return nil
		},
		OnStatusError: func(_ int, _ []byte, raw io.Reader) {
			response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(raw, maxHeaderBytes)), nil)
			if err != nil {
				return
			}
			defer func() { _ = response.Body.Close() }()
			a.status, a.proto, a.header = response.StatusCode, response.Proto, response.Header
			// A body that does not come to its end says enough by its beginning.
			a.body, _ = io.ReadAll(io.LimitReader(response.Body, 4<<10))
		},
	}
	if offerDeflate {
		dialer.Extensions = []httphead.Option{httphead.NewOption("permessage-deflate", map[string]string{
			"client_no_context_takeover": "", "server_no_context_takeover": "",
		})}
	}
	conn, reader, agreed, err := dialer.Dial(ctx, address)
	a.received = time.Now()
	if err != nil {
		a.err = err
		if status := ws.StatusError(0); errors.As(err, &status) && a.status != 0 {
			a.err = nil
		}
		d.noteSoftware(a)
		return nil, a
	}
	a.status = http.StatusSwitchingProtocols
	if reader == nil {
		reader = bufio.NewReader(conn)
	}
	s := &socket{conn: conn, reader: reader, deflate: len(agreed.Extensions) > 0, limit: d.Timeout}
	d.mu.Lock()
	d.sockets = append(d.sockets, s)
	d.mu.Unlock()
	d.noteSoftware(a)
	return s, a
}

// write sends a text message.
func (s *socket) write(text string) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.limit))
	return ws.WriteFrame(s.conn, ws.MaskFrame(ws.NewTextFrame([]byte(text))))
}

// read returns the next text message. Control frames are dealt with, binary messages skipped.
func (s *socket) read(deadline time.Time) (string, error) {
	_ = s.conn.SetReadDeadline(deadline)
	var message []byte
	var text bool
	for {
		header, err := ws.ReadHeader(s.reader)
		if err != nil {
			return "", err
		}
		if header.Length > maxMessage || int64(len(message))+header.Length > maxMessage {
			return "", fmt.Errorf("a message of more than %s came", bytesInWords(maxMessage))
		}
		if header.Masked || header.Rsv != 0 {
			return "", errors.New("a frame came that a server must not send")
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return "", err
		}
		switch header.OpCode {
		case ws.OpClose:
			return "", errClosed
		case ws.OpPing:
			_ = s.conn.SetWriteDeadline(time.Now().Add(s.limit))
			if err := ws.WriteFrame(s.conn, ws.MaskFrame(ws.NewPongFrame(payload))); err != nil {
				return "", err
			}
			continue
		case ws.OpPong:
			continue
		case ws.OpText, ws.OpBinary:
			message, text = payload, header.OpCode == ws.OpText
		case ws.OpContinuation:
			message = append(message, payload...)
		}
		if header.Fin && text {
			return string(message), nil
		}
	}
}

// await reads until a message begins with the prefix, and answers heartbeats meanwhile.
func (s *socket) await(prefix string) (string, error) {
	deadline := time.Now().Add(s.limit)
	for {
		text, err := s.read(deadline)
		switch {
		case err != nil:
			return "", err
		case text == "2":
			if err := s.write("3"); err != nil {
				return "", err
			}
		case text == "1":
			return "", errClosed
		case strings.HasPrefix(text, prefix):
			return text, nil
		}
	}
}

// end closes the session, and the WebSocket.
func (s *socket) end() {
	if s.ended {
		return
	}
	s.ended = true
	s.limit = farewellTimeout
	_ = s.write("1")
	_ = ws.WriteFrame(s.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
	_ = s.conn.Close()
}
