package doctor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// found is a path at which an Engine.IO server answers. The session is nil where polling is off.
type found struct {
	path    string
	session *session
	answer  answer
}

// checkHandshakes opens a session by polling on each path.
func (d *visit) checkHandshakes(ctx context.Context) []found {
	var served []found
	var failed []found
	for _, path := range d.Paths {
		s, a := d.handshake(ctx, path, nil)
		f := found{path, s, a}
		code, isRefusal := a.protocolError()
		if s != nil || isRefusal && code == codeUnknownTransport {
			served = append(served, f)
			continue
		}
		failed = append(failed, f)
		if !d.givenPaths && a.err != nil && a.status == 0 {
			break // a server that does not answer would not on another path
		}
	}
	for _, f := range served {
		d.tellServed(ctx, f)
	}
	for _, f := range failed {
		at := place{"handshake", f.path}
		if !d.givenPaths {
			if len(served) > 0 {
				d.tell(Note, at, "path-not-served", "Not served here, which is as well if no client asks for it.", nil)
				continue
			}
			if f.path != d.Paths[0] {
				continue // one problem, and it was told for the first path
			}
		}
		d.tellNoSession(ctx, f)
	}
	return served
}

func (d *visit) tellServed(ctx context.Context, f found) {
	at := place{"handshake", f.path}
	if f.session == nil {
		d.tell(Warning, at, "polling-off", "The server speaks Engine.IO and refuses polling: clients must be told transports: [\"websocket\"], and have no way in where WebSockets are blocked.", &f.answer)
		return
	}
	o := f.session.open
	again, second := d.handshake(ctx, f.path, nil)
	if again != nil {
		if again.open.SID == o.SID {
			again.ended = true
			d.tell(Problem, at, "handshake-cached", "Two clients got the same session: a cache on the way keeps the answers of the server.", &second)
			return
		}
		again.end()
	}
	words := fmt.Sprintf("Engine.IO 4, a ping every %s, and %s to answer it", seconds(o.pingInterval()), seconds(time.Duration(o.PingTimeout)*time.Millisecond))
	if o.MaxPayload > 0 {
		words += ", messages up to " + bytesInWords(o.MaxPayload)
	}
	d.tell(OK, at, "handshake-ok", words+".", &f.answer)
}

// tellNoSession says why a handshake gave no session.
func (d *visit) tellNoSession(ctx context.Context, f found) {
	at := place{"handshake", f.path}
	a := f.answer
	if a.err == nil && a.status >= 300 && a.status < 400 && a.status != http.StatusNotModified {
		d.tellRedirect(ctx, at, a)
		return
	}
	code, words := d.judgeHandshake(a)
	if slices.Contains([]string{"handshake-not-found", "handshake-html", "handshake-empty", "handshake-garbage"}, code) {
		if other := d.lookElsewhere(ctx, f.path); other != "" {
			d.tell(Problem, at, code, fmt.Sprintf("%s There is a Socket.IO server at %s.", words, other), &a, "found", other)
			return
		}
	}
	d.tell(Problem, at, code, words, &a)
}

// lookElsewhere asks a few paths that servers often have. It returns the one that answers.
func (d *visit) lookElsewhere(ctx context.Context, instead string) string {
	segments := strings.Split(strings.Trim(instead, "/"), "/")
	candidates := []string{defaultPaths[0], defaultPaths[1], "/" + segments[0] + "/socket.io/", "/ws/socket.io/", "/api/socket.io/"}
	var asked []string
	for _, path := range candidates {
		if slices.Contains(d.Paths, path) || slices.Contains(asked, path) || ctx.Err() != nil {
			continue
		}
		asked = append(asked, path)
		if s, _ := d.handshake(ctx, path, nil); s != nil {
			s.end()
			return path
		}
	}
	return ""
}

// oldOpen is how Engine.IO 3, the protocol of Socket.IO 1 and 2, begins a session.
var oldOpen = regexp.MustCompile(`^\d+:0\{`)

// judgeHandshake names why an answer to a handshake holds no session.
func (d *visit) judgeHandshake(a answer) (code, words string) {
	if code, words := a.failure(); code != "" {
		return code, words
	}
	if code, ok := a.protocolError(); ok {
		switch code {
		case codeForbidden:
			return "handshake-forbidden", "The server refuses the handshake: forbidden."
		case codeUnsupportedVersion:
			return "engineio-version", "The server does not speak Engine.IO 4, the protocol of Socket.IO clients since version 3."
		default:
			return "handshake-refused", "The server speaks Engine.IO and refuses the handshake."
		}
	}
	from := "The server"
	if name := identify(a); name != unknown {
		from = string(name)
	}
	switch {
	case a.status == http.StatusUnauthorized || a.status == http.StatusProxyAuthRequired:
		return "handshake-unauthorized", from + " wants a password before the handshake: Socket.IO clients send none by themselves. For this visit, --header 'Authorization: ...' sends one."
	case a.status == http.StatusForbidden:
		return "handshake-forbidden", from + " refuses the handshake: forbidden."
	case a.status == http.StatusNotFound || a.status == http.StatusGone:
		return "handshake-not-found", from + " does not know this path: no Socket.IO server is behind it."
	case a.status == http.StatusTooManyRequests:
		return "rate-limited", from + " limits how often one address may ask."
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && len(a.body) == 0:
		return "server-full", "The server takes no new connections: it is full, or going down."
	case a.status == http.StatusBadGateway || a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout:
		return "bad-gateway", from + " passes the handshake on, and gets no answer from the server behind it."
	case a.status >= 500:
		return "server-error", fmt.Sprintf("%s answers the handshake with an error of its own, %d.", from, a.status)
	case bytes.Contains(a.body, []byte("HTTP request to an HTTPS server")), bytes.Contains(a.body, []byte("plain HTTP request was sent to HTTPS port")):
		return "tls-expected", fmt.Sprintf("Port %s speaks TLS: the address begins with https://.", d.port())
	case a.status >= 400:
		return "handshake-refused", fmt.Sprintf("%s refuses the handshake with %d.", from, a.status)
	}
	body, err := a.decoded()
	switch {
	case err != nil:
		return "encoding-broken", "The answer says " + a.header.Get("Content-Encoding") + " and is something else."
	case oldOpen.Match(body), len(body) > 2 && body[0] <= 1 && bytes.Contains(body, []byte(`0{"sid"`)):
		return "engineio-3", "The server speaks Engine.IO 3, the protocol of Socket.IO 1 and 2: clients since version 3 cannot connect."
	case len(body) == 0:
		return "handshake-empty", from + " answers with an empty page: nothing in its configuration is for this path."
	case a.isHTML():
		return "handshake-html", from + " answers with a web page: the path leads to the site's pages, not to a Socket.IO server."
	default:
		return "handshake-garbage", fmt.Sprintf("The answer is no Engine.IO packet but %q.", excerpt(string(body)))
	}
}
