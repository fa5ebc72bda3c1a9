package engineio

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// acceptGUID is the constant of section 1.3 of RFC 6455.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// isWebSocketRequest reports whether the request asks to become a WebSocket.
func isWebSocketRequest(r *http.Request) bool {
	return r.ProtoMajor == 1 && hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

// hasToken reports whether a header that is a list of tokens holds one.
func hasToken(header http.Header, name, token string) bool {
	for _, value := range header[name] {
		for item := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// checkWebSocketRequest checks what section 4.2.1 of RFC 6455 asks of an
// opening handshake.
func checkWebSocketRequest(r *http.Request) *RequestError {
	if r.Method != http.MethodGet {
		return refuse(CodeBadHandshakeMethod, "websocket handshake with method "+r.Method)
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err != nil || len(key) != 16 {
		return refuse(CodeBadRequest, "missing or invalid Sec-WebSocket-Key")
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		return refuse(CodeBadRequest, "unsupported Sec-WebSocket-Version")
	}
	return nil
}

// acceptWebSocket answers 101 and takes the connection over from the HTTP
// server. before holds what the client has sent already.
//
// deflate, when not empty, is the extension that the answer accepts.
//
// The status is written through w, so that the handlers in front see it; the
// connection is taken from the innermost writer, because wrappers go on
// using theirs after the handler has returned.
func acceptWebSocket(w http.ResponseWriter, r *http.Request, in Inbound, deflate string) (conn net.Conn, before []byte, refusal *RequestError) {
	header := w.Header()
	header.Set("Upgrade", "websocket")
	header.Set("Connection", "Upgrade")
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + acceptGUID)) //nolint:gosec // RFC 6455 asks for it
	header.Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:]))
	if protocols := r.Header.Get("Sec-WebSocket-Protocol"); protocols != "" {
		// A browser that offers protocols gives up when none is chosen.
		first, _, _ := strings.Cut(protocols, ",")
		header.Set("Sec-WebSocket-Protocol", strings.TrimSpace(first))
	}
	if deflate != "" {
		header.Set("Sec-WebSocket-Extensions", deflate)
	}

	inner := w
	for {
		wrapper, ok := inner.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		inner = wrapper.Unwrap()
	}
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(inner).Hijack()
	if err != nil {
		refusal = refuseStatus(http.StatusSwitchingProtocols, "the connection cannot be taken over: "+err.Error())
		refusal.Answered = true
		return nil, nil, refusal
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		before = make([]byte, n)
		_, _ = io.ReadFull(buffered.Reader, before)
	}
	if in.Release != nil {
		var more []byte
		conn, more = in.Release(conn)
		before = append(before, more...)
	}
	// The HTTP server's deadlines are not ours.
	_ = conn.SetDeadline(time.Time{})
	return conn, before, nil
}

// maxDiscard is how many bytes are read from a client at most after it broke the
// protocol.
const maxDiscard = 16 << 20

// readWebSocket reads from the client until the connection ends, or until another
// goroutine has taken the reading over. A WebSocket session has this one goroutine,
// and besides those whose reading was taken over and which are still at work.
func (s *Session) readWebSocket(f *wire.Reader) {
	f.Meter = meter{s}
	r := &reader{session: s, frames: f, shard: s.server.readers.of(s)}
	defer func() {
		if r.end(flushed{}) {
			f.Release()
			_ = s.conn.Close()
			s.server.alive.Add(-1)
		}
	}()
	defer s.server.recoverPanic("panic while reading from a client", s)
	for {
		if r.tired && f.Buffered() == 0 {
			r.renew()
			return
		}
		s.slowDown()
		s.makeRoom()
		op, data, err := f.Next()
		if err != nil {
			s.onReadError(f, err)
			return
		}
		switch op {
		case ws.OpPing:
			s.arrived(f.TakeCount(), 0)
			s.Send(wire.NewControl(ws.OpPong, data))
		case ws.OpPong:
			s.arrived(f.TakeCount(), 0)
		case ws.OpClose:
			s.onCloseFrame(f, data)
			return
		default:
			if work := s.onWebSocketMessage(op, data, f.TakeCount()); work != nil && !r.work(work) {
				return
			}
			r.tired = r.tired || s.Revision().isBeat(data)
		}
	}
}

// onWebSocketMessage handles one message, for which so many bytes were read. The
// caller does the work that it returns. A message that comes after the end of the
// session is ignored: the client is then read from only until its close frame.
func (s *Session) onWebSocketMessage(op ws.OpCode, data []byte, bytes int) Work {
	p, ok := s.Revision().decodeFrame(op, data)
	if !s.arrived(bytes, countOf(p)) {
		return nil
	}
	switch {
	case !ok:
		s.Close(ReasonParseError)
	case p.Type == wire.PacketMessage:
		work, err := s.receive(p.Data, p.Binary)
		if err != nil {
			s.Close(ReasonParseError)
		}
		return work
	case p.Type == wire.PacketPong:
		s.onPong()
	case p.Type == wire.PacketPing:
		if !s.onPing() {
			s.Close(ReasonTransportError)
		}
	case p.Type == wire.PacketClose:
		s.Close(ReasonTransportClose)
	}
	return nil
}

// onReadError ends the session after a failed read.
func (s *Session) onReadError(f *wire.Reader, err error) {
	s.arrived(f.TakeCount(), 0)
	var violation *wire.FrameError
	if !errors.As(err, &violation) {
		s.abort(ReasonTransportClose)
		return
	}
	s.server.logger.Debug("websocket protocol violation", "error", violation.Text, "client_ip", s.handshake.RemoteAddr)
	reason := reasonOfClose(violation.Code)
	s.shut(reason, violation.Code)
	// What the client sends now cannot be understood, but must be taken from
	// the connection, or closing it would discard the close frame too.
	_ = s.conn.SetReadDeadline(time.Now().Add(closeGrace))
	_, _ = io.Copy(io.Discard, io.LimitReader(onlyReader{s.conn}, maxDiscard))
	s.abort(reason)
}

// reasonOfClose is why a session ends whose client has violated the WebSocket
// protocol, and is told so with the code.
func reasonOfClose(code ws.StatusCode) Reason {
	switch code {
	case ws.StatusMessageTooBig:
		return ReasonTooLarge
	case ws.StatusInvalidFramePayloadData:
		return ReasonParseError
	default:
		return ReasonTransportError
	}
}

// onlyReader hides everything but Read, so that nothing is read beyond the
// limit.
type onlyReader struct{ io.Reader }

// onCloseFrame answers the client's close frame, unless it is an answer.
func (s *Session) onCloseFrame(f *wire.Reader, data []byte) {
	code := ws.StatusNoStatusRcvd
	if len(data) > 0 {
		if len(data) < 2 {
			code = ws.StatusProtocolError
		} else if received, text := ws.ParseCloseFrameData(data); ws.CheckCloseFrameData(received, text) == nil {
			code = received
		} else {
			code = ws.StatusProtocolError
		}
	}
	s.mu.Lock()
	s.peerClosed = true
	s.traffic.BytesIn += int64(f.TakeCount())
	s.mu.Unlock()
	s.shut(ReasonTransportClose, code)
	s.awaitFlushed()
	s.abort(ReasonTransportClose)
}

// awaitFlushed waits until the close frame of a session that is closing has
// been written: the flusher then makes reading fail.
func (s *Session) awaitFlushed() {
	s.mu.Lock()
	closing := s.machine.life == lifeClosing
	if closing {
		_ = s.conn.SetReadDeadline(time.Now().Add(2 * s.options.WriteTimeout))
	}
	s.mu.Unlock()
	if closing {
		_, _ = io.Copy(io.Discard, io.LimitReader(onlyReader{s.conn}, maxDiscard))
	}
}
