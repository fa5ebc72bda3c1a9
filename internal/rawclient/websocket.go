package rawclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maxFrame bounds the frames that are read.
const maxFrame = 64 << 20

// Conn is a WebSocket. One goroutine may read while another writes.
type Conn struct {
	// Net is the connection, for a test that closes or stops it. Read from it
	// through Conn alone, which has a buffer.
	Net net.Conn
	// Answer is the answer to the opening handshake.
	Answer Response
	// Open is what the server told, after [Client.Connect] or
	// [Poller.Upgrade].
	Open Open

	reader  *bufio.Reader
	timeout time.Duration
	writing sync.Mutex
}

// NewConn returns a WebSocket on a connection whose handshake is done.
func NewConn(conn net.Conn, timeout time.Duration) *Conn {
	return &Conn{Net: conn, reader: bufio.NewReader(conn), timeout: timeout}
}

// Refused is the error of [Client.Dial] when the answer is not 101.
type Refused struct{ Response }

func (r *Refused) Error() string {
	return fmt.Sprintf("websocket refused with status %d: %s", r.Status, r.Body)
}

// Connect begins a session on WebSocket, and reads the open packet.
func (c *Client) Connect(ctx context.Context) (*Conn, error) {
	conn, err := c.Dial(ctx, Query(WebSocket, ""))
	if err != nil {
		return nil, err
	}
	if err := conn.ReadOpen(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// ReadOpen reads the open packet.
func (c *Conn) ReadOpen() error {
	text, err := c.ReadText()
	if err == nil {
		c.Open, err = parseOpen(text)
	}
	return err
}

// Dial opens a WebSocket and reads nothing from it. The frames, see [Text]
// and [Frame], leave in one write with the request. When the answer is not
// 101, the error is a *[Refused].
func (c *Client) Dial(ctx context.Context, query string, frames ...[]byte) (*Conn, error) {
	request, err := c.websocketRequest(query)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx, request.URL)
	if err != nil {
		return nil, err
	}
	var opening bytes.Buffer
	_ = request.Write(&opening)
	for _, frame := range frames {
		opening.Write(frame)
	}
	if err := conn.Write(opening.Bytes()); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := conn.readAnswer(request); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *Client) websocketRequest(query string) (*http.Request, error) {
	request, err := http.NewRequest(http.MethodGet, c.Endpoint+"?"+query, nil)
	if err != nil {
		return nil, err
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "websocket")
	request.Header.Set("Sec-WebSocket-Version", "13")
	request.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(nonce[:]))
	for name, values := range c.Header {
		request.Header[name] = values
	}
	return request, nil
}

// dial opens the connection below.
func (c *Client) dial(ctx context.Context, to *url.URL) (*Conn, error) {
	dialer := &net.Dialer{Timeout: c.Timeout}
	address, secure := to.Host, to.Scheme == "https"
	if to.Port() == "" {
		port := "80"
		if secure {
			port = "443"
		}
		address = net.JoinHostPort(to.Hostname(), port)
	}
	var conn net.Conn
	var err error
	if secure {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: c.TLS}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return NewConn(conn, c.Timeout), nil
}

func (c *Conn) readAnswer(request *http.Request) error {
	_ = c.Net.SetReadDeadline(time.Now().Add(c.timeout))
	answer, err := http.ReadResponse(c.reader, request)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		response, err := read(answer)
		if err != nil {
			return err
		}
		return &Refused{response}
	}
	c.Answer = Response{Status: answer.StatusCode, Proto: answer.Proto, Header: answer.Header}
	return nil
}

// Close closes the connection without a close frame.
func (c *Conn) Close() error { return c.Net.Close() }

// Reset closes the connection so that the peer sees it reset, which is what
// it sees of a client that crashed.
func (c *Conn) Reset() error {
	if tcp, ok := c.Net.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return c.Net.Close()
}

// Frame encodes a frame, masked as a client's must be.
func Frame(op ws.OpCode, fin bool, payload []byte) []byte {
	frame := ws.MaskFrame(ws.NewFrame(op, fin, payload))
	encoded, _ := ws.CompileFrame(frame)
	return encoded
}

// Text encodes a masked frame that holds one text message.
func Text(message string) []byte { return Frame(ws.OpText, true, []byte(message)) }

// Write writes bytes as they are: frames, parts of frames, or nonsense.
func (c *Conn) Write(raw []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.Net.SetWriteDeadline(time.Now().Add(c.timeout))
	_, err := c.Net.Write(raw)
	return err
}

// WriteText sends a text message.
func (c *Conn) WriteText(message string) error { return c.Write(Text(message)) }

// WriteBinary sends a binary message.
func (c *Conn) WriteBinary(message []byte) error { return c.Write(Frame(ws.OpBinary, true, message)) }

// WriteClose sends a close frame.
func (c *Conn) WriteClose(code ws.StatusCode) error {
	return c.Write(Frame(ws.OpClose, true, ws.NewCloseFrameBody(code, "")))
}

// ReadFrame reads the next frame, of whatever kind.
func (c *Conn) ReadFrame() (ws.Frame, error) {
	_ = c.Net.SetReadDeadline(time.Now().Add(c.timeout))
	header, err := ws.ReadHeader(c.reader)
	if err != nil {
		return ws.Frame{}, err
	}
	allowed := byte(0)
	if c.Answer.Header.Get("Sec-WebSocket-Extensions") != "" {
		allowed = 0x4 // a compressed message, which is the caller's to deal with
	}
	if header.Masked || header.Rsv&^allowed != 0 {
		return ws.Frame{}, fmt.Errorf("a server's frame must not be masked nor have reserved bits set: %+v", header)
	}
	if header.Length > maxFrame {
		return ws.Frame{}, fmt.Errorf("frame of %d bytes", header.Length)
	}
	payload := make([]byte, header.Length)
	_, err = io.ReadFull(c.reader, payload)
	return ws.Frame{Header: header, Payload: payload}, err
}

// ReadText reads the next frame, which must hold a text message.
func (c *Conn) ReadText() (string, error) {
	frame, err := c.ReadFrame()
	if err != nil {
		return "", err
	}
	if frame.Header.OpCode != ws.OpText || !frame.Header.Fin {
		return "", fmt.Errorf("want a text message, got %+v with %q", frame.Header, frame.Payload)
	}
	return string(frame.Payload), nil
}

// ReadBinary reads the next frame, which must hold a binary message.
func (c *Conn) ReadBinary() ([]byte, error) {
	frame, err := c.ReadFrame()
	if err != nil {
		return nil, err
	}
	if frame.Header.OpCode != ws.OpBinary || !frame.Header.Fin {
		return nil, fmt.Errorf("want a binary message, got %+v with %q", frame.Header, frame.Payload)
	}
	return frame.Payload, nil
}

// ReadClose reads frames until a close frame comes, and returns its code:
// ws.StatusNoStatusRcvd when it has none.
func (c *Conn) ReadClose() (ws.StatusCode, error) {
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return 0, err
		}
		if frame.Header.OpCode != ws.OpClose {
			continue
		}
		if len(frame.Payload) == 0 {
			return ws.StatusNoStatusRcvd, nil
		}
		code, _ := ws.ParseCloseFrameData(frame.Payload)
		return code, nil
	}
}

// ReadEnd reads until the connection ends, and fails if it does not within
// the timeout. It does not tell a clean end from a reset.
func (c *Conn) ReadEnd() error {
	_ = c.Net.SetReadDeadline(time.Now().Add(c.timeout))
	_, err := io.Copy(io.Discard, c.reader)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}
