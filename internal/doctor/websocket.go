package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gobwas/ws"
)

// checkWebSocket opens a session by WebSocket from the start, and connects to the namespace.
func (d *visit) checkWebSocket(ctx context.Context, f found) bool {
	at := place{"websocket", f.path}
	s, a := d.dial(ctx, f.path, "", nil, false)
	if s == nil {
		d.tellNoSocket(at, a)
		return false
	}
	defer s.end()
	packet, err := s.await("0")
	if err != nil {
		if errors.Is(err, errClosed) || isCut(err) {
			d.tell(Problem, at, "websocket-cut", "The WebSocket opens and is closed again before the server has said a word.", &a)
		} else {
			d.tell(Problem, at, "websocket-silent", "The WebSocket opens and nothing comes through it: "+d.readWords(err), &a)
		}
		return false
	}
	o, ok := parseOpen(packet)
	if !ok {
		d.tell(Problem, at, "websocket-garbage", "The first message of the WebSocket is no Engine.IO handshake.", &a)
		return false
	}
	d.secrets.add(o.SID)
	if f.session == nil {
		f.session = &session{d: d, path: f.path, open: o, ended: true}
	}
	if !d.joinBySocket(at, s, a) {
		return false
	}
	deflate := "messages are not compressed"
	if d.agreesToDeflate(ctx, f.path) {
		deflate = "messages may be compressed"
	}
	joined := ""
	if !d.refused {
		joined = "connected to " + d.Namespace + ", "
	}
	d.tell(OK, at, "websocket-ok", fmt.Sprintf("Opens from the start, %s%s.", joined, deflate), nil)
	return true
}

// joinBySocket connects to the namespace, and reports whether that was answered.
func (d *visit) joinBySocket(at place, s *socket, a answer) bool {
	err := s.write(d.connectPacket())
	for err == nil {
		var packet string
		packet, err = s.await("4")
		if err != nil {
			break
		}
		found, refused, message := d.connectAnswer(packet)
		if refused {
			if !d.report.hasAt("namespace-refused", at.path) {
				d.tellRefused(at.path, message, a)
			}
			return true
		}
		if found {
			return true
		}
	}
	switch {
	case errors.Is(err, errClosed), isCut(err):
		d.tell(Problem, at, "websocket-cut", "The WebSocket was closed when the first message was sent.", &a)
	case isTimeout(errorOr(err)) && isHeardBySocket(s):
		d.tellUnjudged(at.path, a)
		return true
	default:
		d.tell(Problem, at, "websocket-silent", "The WebSocket opens, and the first message is not answered: "+d.readWords(err), &a)
	}
	return false
}

func (d *visit) readWords(err error) string {
	if isTimeout(err) {
		return fmt.Sprintf("nothing within %v.", d.Timeout)
	}
	return err.Error() + "."
}

func (d *visit) agreesToDeflate(ctx context.Context, path string) bool {
	s, _ := d.dial(ctx, path, "", nil, true)
	if s == nil {
		return false
	}
	s.end()
	return s.deflate
}

// tellNoSocket says why a WebSocket was refused.
func (d *visit) tellNoSocket(at place, a answer) {
	code, isRefusal := a.protocolError()
	switch {
	case errors.Is(a.err, ws.ErrHandshakeBadConnection), errors.Is(a.err, ws.ErrHandshakeBadUpgrade), errors.Is(a.err, ws.ErrHandshakeBadSecAccept):
		a.status = http.StatusSwitchingProtocols
		d.tell(Problem, at, "websocket-answer-broken", "The answer switches to WebSocket, and lacks the headers that say so: a proxy in between drops them.", &a)
	case errors.Is(a.err, ws.ErrHandshakeBadProtocol):
		d.tell(Problem, at, "websocket-http10", "The answer is HTTP/1.0, in which there is no WebSocket.", &a)
	case a.err != nil:
		_, words := a.failure()
		d.tell(Problem, at, "websocket-failed", "No WebSocket opens, while polling works. "+words, &a)
	case isRefusal && code == codeUnknownTransport:
		d.tell(Warning, at, "websocket-off", "The server refuses WebSocket: clients stay on polling.", &a)
	case isRefusal && code == codeBadRequest:
		d.tell(Problem, at, "websocket-headers-stripped", "The request for a WebSocket arrives as an ordinary one: a proxy in between does not pass on the headers Upgrade and Connection. Clients stay on polling.", &a)
	case isRefusal && code == codeForbidden, a.status == http.StatusForbidden:
		d.tell(Problem, at, "websocket-forbidden", "Polling is allowed, and WebSocket is forbidden.", &a)
	case a.status == http.StatusNotFound:
		d.tell(Problem, at, "websocket-not-found", "Polling is served here, and WebSocket is not: the two go to different places.", &a)
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		d.tell(Problem, at, "websocket-bad-gateway", "A proxy gets no answer to the request for a WebSocket, while polling works.", &a)
	case a.status >= 300 && a.status < 400:
		d.tell(Problem, at, "websocket-redirected", "The request for a WebSocket is redirected, and WebSockets do not follow.", &a)
	case a.status < 300:
		d.tell(Problem, at, "websocket-headers-stripped", "The request for a WebSocket is answered as an ordinary one: a proxy in between does not pass on the headers Upgrade and Connection. Clients stay on polling.", &a)
	default:
		d.tell(Problem, at, "websocket-refused", fmt.Sprintf("The request for a WebSocket is refused with %d, while polling works. Clients stay on polling.", a.status), &a)
	}
}
