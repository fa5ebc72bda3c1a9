package engineio

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// The queries of revision 3.
const (
	polling3   = "EIO=3&transport=polling"
	websocket3 = "EIO=3&transport=websocket"
)

// bytes3 is the header of a POST of bytes.
var bytes3 = http.Header{"Content-Type": {"application/octet-stream"}}

// client3 is a session of revision 3 on long-polling.
type client3 struct {
	*recorder
	t      testing.TB
	client *rawclient.Client
	query  string
	open   rawclient.Open
}

// poller3 begins a session of revision 3 on long-polling, with more in the queries.
func (s *testServer) poller3(t testing.TB, more string) *client3 {
	t.Helper()
	c := &client3{t: t, client: s.client, query: polling3 + more}
	body := c.get()
	length, packet, _ := strings.Cut(body, ":")
	if length == "" || packet == "" || packet[0] != '0' {
		t.Fatalf("the handshake is answered %q", body)
	}
	must(t, json.Unmarshal([]byte(packet[1:]), &c.open))
	c.query += "&sid=" + c.open.SID
	c.recorder = s.recorder(t, c.open.SID)
	return c
}

func (c *client3) do(method, body string, header http.Header) rawclient.Response {
	c.t.Helper()
	return need(c.client.Do(c.t.Context(), method, c.query, strings.NewReader(body), header))(c.t)
}

func (c *client3) get() string {
	c.t.Helper()
	answer := c.do(http.MethodGet, "", nil)
	expect(c.t, "status", answer.Status, http.StatusOK)
	return answer.Body
}

func (c *client3) post(body string, header http.Header) {
	c.t.Helper()
	answer := c.do(http.MethodPost, body, header)
	expect(c.t, "answer to the POST", answer.Body, "ok")
}

// connect3 begins a session of revision 3 on WebSocket, with more in the query.
func (s *testServer) connect3(t testing.TB, more string) (*rawclient.Conn, *recorder) {
	t.Helper()
	conn := need(s.client.Dial(t.Context(), websocket3+more))(t)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.ReadOpen())
	return conn, s.recorder(t, conn.Open.SID)
}

func allowing3() Options { return Options{AllowRevision3: true} }

func TestRevision3IsRefusedUnlessItIsAllowed(t *testing.T) {
	s := newServer(t, Options{})
	answer := need(s.client.Do(t.Context(), http.MethodGet, polling3, nil, nil))(t)
	expectRefused(t, answer, http.StatusBadRequest, CodeUnsupportedVersion)
	conn, err := s.client.Dial(t.Context(), websocket3)
	expectRefused(t, refused(t, conn, err), http.StatusBadRequest, CodeUnsupportedVersion)

	w := newRequest(t, http.MethodGet, polling3, nil)
	refusal := s.serve(nil, w, Inbound{})
	if !strings.Contains(refusal.Reason, "allow_eio3") {
		t.Errorf("the log says %q", refusal.Reason)
	}
}

func TestRevisionsThatAreNotSpoken(t *testing.T) {
	allowed := newServer(t, allowing3())
	for _, revision := range []string{"2", "5", "33", ""} {
		answer := need(allowed.client.Do(t.Context(), http.MethodGet, "EIO="+revision+"&transport=polling", nil, nil))(t)
		expectRefused(t, answer, http.StatusBadRequest, CodeUnsupportedVersion)
	}
}

func TestHandshakeOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	p := s.poller3(t, "")
	expect(t, "upgrades", strings.Join(p.open.Upgrades, " "), "websocket")
	expect(t, "ping interval", p.open.PingInterval, int(DefaultPingInterval.Milliseconds()))
	expect(t, "ping timeout", p.open.PingTimeout, int(DefaultPingTimeout.Milliseconds()))
	conn, recorder := s.connect3(t, "")
	expect(t, "upgrades", len(conn.Open.Upgrades), 0)
	expect(t, "revision", recorder.session.Revision(), Revision3)
	_, new4 := s.connect(t)
	expect(t, "revision", new4.session.Revision(), Revision4)
	for _, transport := range []Transport{Polling, WebSocket} {
		for _, counts := range s.Metrics().on(t, transport).Revisions {
			want := int64(1)
			if transport == Polling && counts.Revision == Revision4 {
				want = 0
			}
			expect(t, "open on "+string(transport)+" in revision "+counts.Revision.String(), counts.Open, want)
			expect(t, "handshakes", counts.Handshakes, want)
		}
	}
}

func TestPollingOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	p := s.poller3(t, "")
	p.post("6:4hello2:4x4:4€😀6:b4AQID", nil)
	p.post("\x00\x04\xff4\xe2\x82\xac\x01\x03\xff\x04\x01\x02", bytes3)
	heard := p.waitFor(t, 6)
	expect(t, "heard", strings.Join(heard, "|"), "hello|x|€😀|\x01\x02\x03|€|\x01\x02")
	expect(t, "binary", p.heard()[3].binary && p.heard()[5].binary, true)

	p.session.Send(text("€😀"))
	answer := p.do(http.MethodGet, "", nil)
	expect(t, "text", answer.Body, "4:4€😀")
	expect(t, "content type", answer.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	p.session.Send(wire.New([][]byte{[]byte("€")}, [][]byte{{1, 2, 3}}, 0))
	answer = p.do(http.MethodGet, "", nil)
	expect(t, "bytes", answer.Body, "\x00\x04\xff4€\x01\x04\xff\x04\x01\x02\x03")
	expect(t, "content type", answer.Header.Get("Content-Type"), "application/octet-stream")

	p.post("1:2", nil)
	expect(t, "pong", p.get(), "1:3")
	p.session.Close(ReasonForcedClose)
	expect(t, "the end", p.get(), "1:1")
	p.waitClosed(t, ReasonForcedClose)
}

// TestTextOnlyClientsOfRevision3 holds that who says b64=1 gets no bytes, on either transport.
func TestTextOnlyClientsOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	m := wire.New([][]byte{[]byte("x")}, [][]byte{{1, 2, 3}}, 0)
	p := s.poller3(t, "&b64=1")
	p.session.Send(m)
	expect(t, "payload", p.get(), "2:4x6:b4AQID")
	conn, recorder := s.connect3(t, "&b64=1")
	recorder.session.Send(m)
	expect(t, "frame", need(conn.ReadText())(t), "4x")
	expect(t, "frame", need(conn.ReadText())(t), "b4AQID")
}

func TestMalformedPayloadsOfRevision3EndTheSession(t *testing.T) {
	s := newServer(t, allowing3())
	for _, body := range []string{
		"", "4hello", "6:4hell", "7:4hello", "-1:4", "x:4", "2:4😀", "99999999999:4", "1:9", "0:", "2:bx", "4hello\x1e4x", "6:4hel\xff\xff",
		"\x00\x05\xff4", "\x01\x01\xff4", "\x02\x01\xff4", "\x00\x02\xff4\xff", "\x01\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff\x04",
	} {
		p := s.poller3(t, "")
		expectRefused(t, p.do(http.MethodPost, body, nil), http.StatusBadRequest, CodeBadRequest)
		p.waitClosed(t, ReasonParseError)
		expect(t, "messages", len(p.texts()), 0)
	}
}

// TestPayloadOfRevision3OverTheLimit holds that max_message is for these clients, too.
func TestPayloadOfRevision3OverTheLimit(t *testing.T) {
	options := allowing3()
	options.MaxPayload = 100
	s := newServer(t, options)
	p := s.poller3(t, "")
	expect(t, "status", p.do(http.MethodPost, "201:4"+strings.Repeat("x", 200), nil).Status, http.StatusRequestEntityTooLarge)
	p.waitClosed(t, ReasonTooLarge)
	conn, recorder := s.connect3(t, "")
	must(t, conn.WriteBinary(append([]byte{4}, make([]byte, 100)...)))
	recorder.waitClosed(t, ReasonTooLarge)
}

func TestWebSocketOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	conn, recorder := s.connect3(t, "")
	must(t, conn.WriteText("4hello"))
	must(t, conn.WriteText("b4AQID"))
	must(t, conn.WriteBinary([]byte{4, 1, 2}))
	expect(t, "heard", strings.Join(recorder.waitFor(t, 3), "|"), "hello|\x01\x02\x03|\x01\x02")

	must(t, conn.WriteText("2"))
	expect(t, "pong", need(conn.ReadText())(t), "3")
	recorder.session.Send(wire.New([][]byte{[]byte("x")}, [][]byte{{1, 2}}, 0))
	expect(t, "text", need(conn.ReadText())(t), "4x")
	frame := need(conn.ReadFrame())(t)
	expect(t, "kind of frame", frame.Header.OpCode, ws.OpBinary)
	expect(t, "bytes", string(frame.Payload), "\x04\x01\x02")

	// A binary packet that is no message.
	must(t, conn.WriteBinary([]byte{2}))
	recorder.waitClosed(t, ReasonParseError)
	closing, closed := s.connect3(t, "")
	must(t, closing.WriteText("1"))
	closed.waitClosed(t, ReasonTransportClose)
}

func TestUpgradeOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	p := s.poller3(t, "")
	poll := make(chan answer, 1)
	go func() {
		r, err := s.client.Do(t.Context(), http.MethodGet, p.query, nil, nil)
		poll <- answer{r, err}
	}()
	awaitPending(t, p.session)
	conn := need(s.client.Dial(t.Context(), websocket3+"&sid="+p.open.SID))(t)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.WriteText("2probe"))
	expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
	expect(t, "poll", receive(t, poll).Body, "1:6")
	must(t, conn.WriteText("5"))
	must(t, conn.WriteText("4hello"))
	p.waitFor(t, 1)
	p.session.Send(wire.New(nil, [][]byte{{7}}, 0))
	expect(t, "bytes", string(need(conn.ReadFrame())(t).Payload), "\x04\x07")
	for _, counts := range s.Metrics().on(t, WebSocket).Revisions {
		expect(t, "open on WebSocket", counts.Open == 1, counts.Revision == Revision3)
	}
}

// TestHeartbeatOfRevision3 holds that the client's pings keep a session alive, that the server sends none,
// and that a client which is silent is lost after interval and timeout together.
func TestHeartbeatOfRevision3(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, allowing3())
		conn := s.pipe(t, websocket3)
		must(t, conn.ReadOpen())
		recorder := s.recorder(t, conn.Open.SID)
		for range 3 {
			time.Sleep(interval)
			must(t, conn.WriteText("2"))
			expect(t, "packet", need(conn.ReadText())(t), "3")
		}
		watch := startWatch()
		must(t, conn.ReadEnd())
		watch.expectPassed(t, "the end", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

func TestHeartbeatOfRevision3OnPolling(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, allowing3())
		s.serveRecorded(t, newRequest(t, http.MethodGet, polling3, nil))
		recorder := s.recorders[0]
		query := polling3 + "&sid=" + recorder.session.id
		for range 3 {
			time.Sleep(interval)
			expect(t, "post", s.serveRecorded(t, newRequest(t, http.MethodPost, query, strings.NewReader("1:2"))).Body.String(), "ok")
			expect(t, "poll", s.serveRecorded(t, newRequest(t, http.MethodGet, query, nil)).Body.String(), "1:3")
		}
		watch := startWatch()
		expect(t, "poll without a ping", s.serveRecorded(t, newRequest(t, http.MethodGet, query, nil)).Body.String(), "1:1")
		watch.expectPassed(t, "the end", interval+timeout)
		recorder.waitClosed(t, ReasonPingTimeout)
	})
}

// TestSlowClientOfRevision3 holds that one that takes nothing is cut off by what waits for it.
func TestSlowClientOfRevision3(t *testing.T) {
	options := allowing3()
	options.SendBuffer = 64_000
	s := newServer(t, options)
	p := s.poller3(t, "")
	for range 70 {
		p.session.Send(wire.New(nil, [][]byte{make([]byte, 1000)}, 0))
	}
	p.waitClosed(t, ReasonSlowClient)
}

// TestShutdownOfRevision3 holds that the end is told.
func TestShutdownOfRevision3(t *testing.T) {
	s := newServer(t, allowing3())
	p := s.poller3(t, "")
	conn, recorder := s.connect3(t, "")
	polled := make(chan answer, 1)
	go func() {
		r, err := s.client.Do(t.Context(), http.MethodGet, p.query, nil, nil)
		polled <- answer{r, err}
	}()
	awaitPending(t, p.session)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, s.Shutdown(ctx, Farewell{}))
	expect(t, "poll", receive(t, polled).Body, "1:1")
	need(conn.ReadClose())(t)
	must(t, conn.ReadEnd())
	p.waitClosed(t, ReasonShutdown)
	recorder.waitClosed(t, ReasonShutdown)
}

// scriptOf returns the payload that a script hands over to the function of a number.
func scriptOf(t testing.TB, answer rawclient.Response, number string) (payload string) {
	t.Helper()
	text, isCall := strings.CutPrefix(answer.Body, "___eio["+number+"](")
	text, isWhole := strings.CutSuffix(text, ");")
	if !isCall || !isWhole || json.Unmarshal([]byte(text), &payload) != nil || strings.ContainsAny(text, "<>\u2028\u2029\n") {
		t.Fatalf("%q is no script", answer.Body)
	}
	expect(t, "content type", answer.Header.Get("Content-Type"), "text/javascript; charset=UTF-8")
	expect(t, "sniffing", answer.Header.Get("X-Content-Type-Options"), "nosniff")
	return payload
}

// ofPage is the header of a script element on a page of the server itself.
var ofPage = http.Header{"Sec-Fetch-Site": {"same-origin"}}

// TestJSONP speaks by script elements and forms, in both revisions.
func TestJSONP(t *testing.T) {
	s := newServer(t, allowing3())
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for _, test := range []struct{ revision, received, sent, answer string }{
		{"3", "6:4hello8:4a\\nb\nc€", "</script>\u2028€", "12:4</script>\u2028€6:b4AQID"},
		{"4", "4hello\x1e4a\\nb\nc€", "</script>\u2028€", "4</script>\u2028€\x1ebAQID"},
	} {
		query := "EIO=" + test.revision + "&transport=polling&j="
		do := func(method, query, body string, header http.Header) rawclient.Response {
			return need(s.client.Do(t.Context(), method, query, strings.NewReader(body), header))(t)
		}
		open := scriptOf(t, do(http.MethodGet, query+"0", "", ofPage), "0")
		var o rawclient.Open
		must(t, json.Unmarshal([]byte(open[strings.Index(open, "{"):]), &o))
		recorder := s.recorder(t, o.SID)
		query += "1&sid=" + o.SID

		// Clients write the end of a line as \n, and what was that before with one more backslash.
		body := strings.ReplaceAll(strings.ReplaceAll(test.received, `\n`, `\\n`), "\n", `\n`)
		expect(t, "post", do(http.MethodPost, query, "d="+url.QueryEscape(body), form).Body, "ok")
		expect(t, "heard", strings.Join(recorder.waitFor(t, 2), "|"), "hello|a\\nb\nc€")
		recorder.session.Send(wire.New([][]byte{[]byte(test.sent)}, [][]byte{{1, 2, 3}}, 0))
		expect(t, "payload", scriptOf(t, do(http.MethodGet, query, "", ofPage), "1"), test.answer)

		for _, bad := range []string{"", "d=", "x=6:4hello", "d=1:2&d=1:2", "d=%zz"} {
			expectRefused(t, do(http.MethodPost, query, bad, form), http.StatusBadRequest, CodeBadRequest)
			recorder.waitClosed(t, ReasonParseError)
			open := scriptOf(t, do(http.MethodGet, "EIO="+test.revision+"&transport=polling&j=7", "", ofPage), "7")
			must(t, json.Unmarshal([]byte(open[strings.Index(open, "{"):]), &o))
			recorder, query = s.recorder(t, o.SID), "EIO="+test.revision+"&transport=polling&j=7&sid="+o.SID
		}
	}
}

// TestNumberOfAScriptIsANumber holds that nothing else gets into a script.
func TestNumberOfAScriptIsANumber(t *testing.T) {
	s := newServer(t, allowing3())
	for _, number := range []string{"", "x", "0);alert(1", "-1", "1e3", "0x1", "1 ", "٣", "12345678901"} {
		query := polling3 + "&j=" + url.QueryEscape(number)
		answer := need(s.client.Do(t.Context(), http.MethodGet, query, nil, nil))(t)
		expect(t, "status", answer.Status, http.StatusOK)
		expect(t, "content type", answer.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
		if strings.Contains(answer.Body, "eio[") {
			t.Errorf("j=%s is answered %q", number, answer.Body)
		}
	}
}

func TestNoScriptsWhereTheyAreNotAllowed(t *testing.T) {
	s := newServer(t, Options{})
	answer := need(s.client.Do(t.Context(), http.MethodGet, rawclient.Query(rawclient.Polling, "")+"&j=0", nil, nil))(t)
	expect(t, "content type", answer.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
}

// TestScriptsOfForeignPagesAreRefused holds that a page of another site cannot read what is for its visitor:
// a script element sends no Origin header.
func TestScriptsOfForeignPagesAreRefused(t *testing.T) {
	s := newServer(t, allowing3())
	for _, test := range []struct {
		header http.Header
		status int
	}{
		{http.Header{}, http.StatusForbidden},
		{http.Header{"Referer": {"https://evil.example/page"}}, http.StatusForbidden},
		{http.Header{"Referer": {"https://evil.example/page"}, "Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		{http.Header{"Referer": {"/"}}, http.StatusForbidden},
		{http.Header{"Referer": {s.http.URL + "/page"}}, http.StatusOK},
		{ofPage, http.StatusOK},
	} {
		answer := need(s.client.Do(t.Context(), http.MethodGet, polling3+"&j=0", nil, test.header))(t)
		if answer.Status != test.status {
			t.Errorf("%v is answered %d, want %d", test.header, answer.Status, test.status)
		}
	}
}

// TestBroadcastToBothRevisions holds that a message is built once for each revision that has receivers.
func TestBroadcastToBothRevisions(t *testing.T) {
	s := newServer(t, allowing3())
	oldConn, oldOne := s.connect3(t, "")
	p := s.poller3(t, "")
	newConn, newOne := s.connect(t)
	m := wire.New([][]byte{[]byte("x")}, [][]byte{{1, 2}}, 0)
	if first, again := m.As(wire.Bytes3), m.As(wire.Bytes3); first != again {
		t.Error("two messages were built for one revision")
	}
	Broadcast(m, audienceOf{oldOne.session, p.session, newOne.session})
	for conn, want := range map[*rawclient.Conn]string{oldConn: "\x04\x01\x02", newConn: "\x01\x02"} {
		expect(t, "text", need(conn.ReadText())(t), "4x")
		expect(t, "bytes", string(need(conn.ReadFrame())(t).Payload), want)
	}
	expect(t, "poll", p.get(), "\x00\x02\xff4x\x01\x03\xff\x04\x01\x02")
}

// audienceOf is an audience of sessions.
type audienceOf []*Session

func (a audienceOf) Lock() [][]*Session          { return [][]*Session{a} }
func (a audienceOf) Unlock()                     {}
func (a audienceOf) Session(s *Session) *Session { return s }
func (a audienceOf) Missed(*Session)             {}

// FuzzForms holds that no form makes more of itself than it has bytes.
func FuzzForms(f *testing.F) {
	f.Add([]byte("d=6%3A4hello"))
	f.Add([]byte(`d=%5C%5Cn%5Cn`))
	f.Fuzz(func(t *testing.T, form []byte) {
		if payload, ok := formPayload(form); ok && len(payload) > len(form) {
			t.Errorf("%q is %q", form, payload)
		}
	})
}
