package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// The queries of the protocol's revision 4.
const (
	pollingQuery   = "EIO=4&transport=polling"
	websocketQuery = "EIO=4&transport=websocket"
)

// separator stands between the packets of a polling payload.
const separator = "\x1e"

// farewellTimeout bounds each try to close a session.
const farewellTimeout = 3 * time.Second

// open is what the server tells of a session.
type open struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int64    `json:"pingInterval"` // milliseconds
	PingTimeout  int64    `json:"pingTimeout"`  // milliseconds
	MaxPayload   int64    `json:"maxPayload"`   // bytes; servers before 4.1 do not tell
}

func (o open) pingInterval() time.Duration { return time.Duration(o.PingInterval) * time.Millisecond }

// parseOpen reads an open packet.
func parseOpen(packet string) (open, bool) {
	content, ok := strings.CutPrefix(packet, "0")
	var o open
	if !ok || json.Unmarshal([]byte(content), &o) != nil || o.SID == "" {
		return open{}, false
	}
	return o, true
}

// protocolError reads the JSON that an Engine.IO server refuses a request with.
func (a answer) protocolError() (code int, ok bool) {
	var body struct {
		Code    *int    `json:"code"`
		Message *string `json:"message"`
	}
	if json.Unmarshal(a.body, &body) != nil || body.Code == nil || body.Message == nil {
		return 0, false
	}
	return *body.Code, true
}

// The codes of Engine.IO's refusals.
const (
	codeUnknownTransport   = 0
	codeUnknownSID         = 1
	codeBadRequest         = 3
	codeForbidden          = 4
	codeUnsupportedVersion = 5
)

// session is a polling session of the visit.
type session struct {
	d    *visit
	path string
	open open
	// header is sent with each request: the origin, and the cookies that the handshake set.
	header http.Header
	// cookies tells that the handshake set some.
	cookies bool
	ended   bool
}

// handshake asks for a session. The session is nil when the answer holds none; the answer says why.
func (d *visit) handshake(ctx context.Context, path string, header http.Header) (*session, answer) {
	a := d.ask(ctx, question{method: http.MethodGet, path: path, query: pollingQuery, header: header})
	return d.sessionOf(path, header, a), a
}

// sessionOf makes a session of the answer to a handshake.
func (d *visit) sessionOf(path string, header http.Header, a answer) *session {
	if a.err != nil || a.truncated || a.status != http.StatusOK {
		return nil
	}
	body, err := a.decoded()
	if err != nil {
		return nil
	}
	o, ok := parseOpen(strings.Split(string(body), separator)[0])
	if !ok {
		return nil
	}
	d.secrets.add(o.SID)
	s := &session{d: d, path: path, open: o, header: header.Clone()}
	if s.header == nil {
		s.header = make(http.Header)
	}
	s.header.Del("Accept-Encoding")
	response := http.Response{Header: a.header}
	for _, cookie := range response.Cookies() {
		s.cookies = true
		d.secrets.add(cookie.Value)
		s.header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	if s.cookies {
		s.header["Cookie"] = []string{strings.Join(append(d.Header["Cookie"], s.header["Cookie"]...), "; ")}
	}
	d.mu.Lock()
	d.sessions = append(d.sessions, s)
	d.mu.Unlock()
	return s
}

// post sends packets.
func (s *session) post(ctx context.Context, packets ...string) answer {
	return s.postBody(ctx, question{}, []byte(strings.Join(packets, separator)))
}

// postBody sends a payload as it is; client, timeout and header of q hold.
func (s *session) postBody(ctx context.Context, q question, body []byte) answer {
	header := s.header
	if q.header != nil {
		header = q.header
	}
	q.header = header.Clone()
	q.header.Set("Content-Type", "text/plain;charset=UTF-8")
	q.method, q.path, q.query, q.sid, q.body = http.MethodPost, s.path, pollingQuery, s.open.SID, body
	return s.d.ask(ctx, q)
}

// poll asks for packets.
func (s *session) poll(ctx context.Context, timeout time.Duration) answer {
	return s.d.ask(ctx, question{
		method: http.MethodGet, path: s.path, query: pollingQuery, sid: s.open.SID,
		header: s.header, limit: maxPollBody, timeout: timeout,
	})
}

// end closes the session on the server. Behind a balancer that sends each request elsewhere it
// takes some tries.
func (s *session) end() {
	if s.ended {
		return
	}
	s.ended = true
	// The visit may be over already: this is what it leaves behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.d.base), farewellTimeout)
	defer cancel()
	const tries = 8
	for range tries {
		a := s.postBody(ctx, question{timeout: farewellTimeout, client: s.d.fresh}, []byte("1"))
		if code, ok := a.protocolError(); a.err != nil || !ok || code != codeUnknownSID {
			return
		}
	}
}

// packets are those of a polling answer.
func (a answer) packets() []string { return strings.Split(string(a.body), separator) }

// connectPacket asks to join the namespace.
func (t *target) connectPacket() string {
	packet := "40"
	if t.Namespace != "/" {
		packet += t.Namespace + ","
	}
	return packet + t.Auth
}

// connectAnswer finds the server's answer to the connect packet, and what it says when it is a
// refusal.
func (t *target) connectAnswer(packet string) (found, refused bool, message string) {
	kind, rest := "", packet
	for _, prefix := range []string{"40", "44"} {
		if after, ok := strings.CutPrefix(packet, prefix); ok {
			kind, rest = prefix, after
		}
	}
	if kind == "" {
		return false, false, ""
	}
	if t.Namespace != "/" {
		after, ok := strings.CutPrefix(rest, t.Namespace)
		if !ok {
			return false, false, ""
		}
		rest = strings.TrimPrefix(after, ",")
	}
	if kind == "40" {
		return true, false, ""
	}
	var body struct {
		Message string `json:"message"`
	}
	if json.Unmarshal([]byte(rest), &body) != nil || body.Message == "" {
		body.Message = excerpt(rest)
	}
	return true, true, body.Message
}
