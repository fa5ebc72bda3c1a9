package engineio

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

func TestWebSocketHandshake(t *testing.T) {
	s := newServer(t, Options{PingInterval: 300 * time.Millisecond, MaxPayload: 1234})
	conn, recorder := s.connect(t)
	expect(t, "upgrades", len(conn.Open.Upgrades), 0)
	expect(t, "ping interval", conn.Open.PingInterval, 300)
	expect(t, "ping timeout", conn.Open.PingTimeout, 20_000)
	expect(t, "max payload", conn.Open.MaxPayload, 1234)
	expect(t, "extensions", conn.Answer.Header.Get("Sec-WebSocket-Extensions"), "")
	expect(t, "protocol", conn.Answer.Header.Get("Sec-WebSocket-Protocol"), "")
	expect(t, "transport", recorder.session.Transport(), WebSocket)

	// The example of RFC 6455, section 1.3.
	client := rawclient.New(s.client.Endpoint)
	defer client.Close()
	client.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	client.Header.Set("Sec-WebSocket-Protocol", "chat, superchat")
	conn = need(client.Connect(t.Context()))(t)
	defer func() { _ = conn.Close() }()
	expect(t, "accept", conn.Answer.Header.Get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
	expect(t, "protocol", conn.Answer.Header.Get("Sec-WebSocket-Protocol"), "chat")
}

func TestWebSocketSendAndReceive(t *testing.T) {
	s := newServer(t, Options{})
	conn, recorder := s.connect(t)
	must(t, conn.WriteText("4hello"))
	must(t, conn.WriteBinary([]byte{1, 2, 3, 4}))
	must(t, conn.WriteText("4"))
	must(t, conn.WriteBinary(nil))
	recorder.waitFor(t, 4)
	want := []heard{{"hello", false}, {"\x01\x02\x03\x04", true}, {"", false}, {"", true}}
	if got := recorder.heard(); !slices.Equal(got, want) {
		t.Errorf("heard %+v, want %+v", got, want)
	}

	recorder.session.Send(wire.New([][]byte{[]byte("pic"), []byte("ture")}, [][]byte{{1, 2, 3, 4}, {}}, 0))
	recorder.session.Send(text(strings.Repeat("x", 70_000)))
	expect(t, "text", need(conn.ReadText())(t), "4picture")
	expect(t, "binary", string(need(conn.ReadBinary())(t)), "\x01\x02\x03\x04")
	expect(t, "empty binary", len(need(conn.ReadBinary())(t)), 0)
	expect(t, "long text", len(need(conn.ReadText())(t)), 70_001)
}

// TestWebSocketFragments sends messages in pieces, with pings in between.
func TestWebSocketFragments(t *testing.T) {
	s := newServer(t, Options{})
	conn, recorder := s.connect(t)
	// Pings that come together may get one answer.
	ping := func(data string) {
		must(t, conn.Write(clientFrame(ws.OpPing, true, data)))
		frame := need(conn.ReadFrame())(t)
		expect(t, "frame", frame.Header.OpCode, ws.OpPong)
		expect(t, "payload", string(frame.Payload), data)
	}
	must(t, conn.Write(clientFrame(ws.OpText, false, "4fr")))
	ping("first")
	must(t, conn.Write(clientFrame(ws.OpContinuation, false, "agm")))
	must(t, conn.Write(clientFrame(ws.OpContinuation, false, "")))
	ping("second")
	must(t, conn.Write(clientFrame(ws.OpContinuation, true, "ents")))
	expect(t, "message", recorder.waitFor(t, 1)[0], "fragments")
}

// TestWebSocketViolations breaks the protocol: the client is told how, the
// connection ends, and what comes after the violation is not heard.
func TestWebSocketViolations(t *testing.T) {
	const limit = 1000
	tests := []struct {
		name   string
		raw    []byte
		code   ws.StatusCode
		reason Reason
	}{
		{"unmasked frame", []byte{0x81, 2, '4', 'x'}, ws.StatusProtocolError, ReasonTransportError},
		{"reserved bit", []byte{0xc1, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, ReasonTransportError},
		{"reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, ReasonTransportError},
		{"large control frame", clientFrame(ws.OpPing, true, strings.Repeat("x", 126)), ws.StatusProtocolError, ReasonTransportError},
		{"continuation of nothing", clientFrame(ws.OpContinuation, true, "x"), ws.StatusProtocolError, ReasonTransportError},
		{"bad UTF-8", clientFrame(ws.OpText, true, "4\xc3\x28"), ws.StatusInvalidFramePayloadData, ReasonParseError},
		{"message over the limit", clientFrame(ws.OpBinary, true, strings.Repeat("x", limit+1)), ws.StatusMessageTooBig, ReasonTooLarge},
		{"message far over the limit", clientFrame(ws.OpText, true, "4"+strings.Repeat("x", 1<<20)), ws.StatusMessageTooBig, ReasonTooLarge},
		{"fragments over the limit", slices.Concat(
			clientFrame(ws.OpText, false, "4"+strings.Repeat("x", limit/2)),
			clientFrame(ws.OpContinuation, false, strings.Repeat("x", limit/2)),
			clientFrame(ws.OpContinuation, true, "x")), ws.StatusMessageTooBig, ReasonTooLarge},
		{"unknown packet", clientFrame(ws.OpText, true, "x"), ws.StatusNoStatusRcvd, ReasonParseError},
		{"empty packet", clientFrame(ws.OpText, true, ""), ws.StatusNoStatusRcvd, ReasonParseError},
		{"ping from the client", clientFrame(ws.OpText, true, "2"), ws.StatusNoStatusRcvd, ReasonTransportError},
		{"ping from the client with content", clientFrame(ws.OpText, true, "2probe"), ws.StatusNoStatusRcvd, ReasonTransportError},
	}
	s := newServer(t, Options{MaxPayload: limit})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn, recorder := s.connect(t)
			must(t, conn.Write(slices.Concat(rawclient.Text("4before"), test.raw, rawclient.Text("4after"))))
			expect(t, "close code", need(conn.ReadClose())(t), test.code)
			must(t, conn.WriteClose(ws.StatusNormalClosure))
			_ = conn.Net.(*net.TCPConn).CloseWrite()
			must(t, conn.ReadEnd())
			recorder.waitClosed(t, test.reason)
			expect(t, "messages", strings.Join(recorder.texts(), " "), "before")
		})
	}
	expect(t, "open sessions", s.Sessions(), 0)
}

// TestWebSocketIgnoredPackets sends packets that are known and mean nothing.
func TestWebSocketIgnoredPackets(t *testing.T) {
	s := newServer(t, Options{})
	conn, recorder := s.connect(t)
	for _, packet := range []string{"0", "3", "3probe", "5", "6", "4x"} {
		must(t, conn.WriteText(packet))
	}
	expect(t, "message", recorder.waitFor(t, 1)[0], "x")
	expect(t, "reasons to close", len(recorder.closed()), 0)
}

// TestCloseFrameIsAnswered closes from the client's side: the answer has the
// same code, and the connection ends at once.
func TestCloseFrameIsAnswered(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		want    ws.StatusCode
	}{
		{"normal", "\x03\xe8", ws.StatusNormalClosure},
		{"going away, with a reason", "\x03\xe9leaving", ws.StatusGoingAway},
		{"code of an application", "\x0f\xa0", 4000},
		{"no code", "", ws.StatusNoStatusRcvd},
		{"half a code", "\x03", ws.StatusProtocolError},
		{"code that must not be sent", "\x03\xed", ws.StatusProtocolError},
		{"code out of range", "\x00\x01", ws.StatusProtocolError},
		{"reason that is not UTF-8", "\x03\xe8\xff", ws.StatusProtocolError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{})
				conn, recorder := s.connectPipe(t)
				watch := startWatch()
				must(t, conn.Write(slices.Concat(clientFrame(ws.OpClose, true, test.payload))))
				expect(t, "close code", need(conn.ReadClose())(t), test.want)
				must(t, conn.ReadEnd())
				expect(t, "time it took", time.Since(time.Time(watch)), 0)
				recorder.waitClosed(t, ReasonTransportClose)
			})
		})
	}
}

// TestCloseWaitsForCloseFrame closes from the server's side.
func TestCloseWaitsForCloseFrame(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{})
			conn, recorder := s.connectPipe(t)
			watch := startWatch()
			recorder.session.Close(ReasonForcedClose)
			recorder.waitClosed(t, ReasonForcedClose)
			expect(t, "close code", need(conn.ReadClose())(t), ws.StatusNoStatusRcvd)
			must(t, conn.Write(clientFrame(ws.OpClose, true, "")))
			must(t, conn.ReadEnd())
			expect(t, "time it took", time.Since(time.Time(watch)), 0)
		})
	})
	t.Run("never answered", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{})
			conn, recorder := s.connectPipe(t)
			recorder.session.Close(ReasonForcedClose)
			need(conn.ReadClose())(t)
			watch := startWatch()
			// What comes between is not heard any more.
			must(t, conn.WriteText("4too late"))
			must(t, conn.ReadEnd())
			watch.expectPassed(t, "end", closeGrace)
			expect(t, "messages", len(recorder.texts()), 0)
		})
	})
	t.Run("never read", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{WriteTimeout: 10 * time.Second})
			_, recorder := s.connectPipe(t)
			recorder.session.Close(ReasonForcedClose)
			recorder.waitClosed(t, ReasonForcedClose)
			time.Sleep(15*time.Second + closeGrace)
			synctest.Wait()
			expect(t, "sessions that are left", s.alive.Load(), 0)
		})
	})
}

// TestWebSocketClientCloses sends the close packet of Engine.IO.
func TestWebSocketClientCloses(t *testing.T) {
	s := newServer(t, Options{})
	conn, recorder := s.connect(t)
	must(t, conn.WriteText("1"))
	need(conn.ReadClose())(t)
	recorder.waitClosed(t, ReasonTransportClose)
}

// TestWebSocketClientVanishes ends connections without a word.
func TestWebSocketClientVanishes(t *testing.T) {
	s := newServer(t, Options{})
	for name, vanish := range map[string]func(*rawclient.Conn) error{
		"closed": (*rawclient.Conn).Close,
		"reset":  (*rawclient.Conn).Reset,
		"in the middle of a frame": func(conn *rawclient.Conn) error {
			must(t, conn.Write(rawclient.Text("4hello")[:5]))
			return conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn, recorder := s.connect(t)
			must(t, vanish(conn))
			recorder.waitClosed(t, ReasonTransportClose)
			expect(t, "messages", len(recorder.texts()), 0)
		})
	}
}

// unwrapping is a response that is wrapped as Caddy wraps it: it cannot be
// hijacked, and says what can.
type unwrapping struct{ inner http.ResponseWriter }

func (u unwrapping) Header() http.Header         { return u.inner.Header() }
func (u unwrapping) Write(p []byte) (int, error) { return u.inner.Write(p) }
func (u unwrapping) WriteHeader(status int)      { u.inner.WriteHeader(status) }
func (u unwrapping) Unwrap() http.ResponseWriter { return u.inner }

// TestWebSocketThroughWrappedWriter takes the connection from under two
// wrappers.
func TestWebSocketThroughWrappedWriter(t *testing.T) {
	s := newEngine(t, Options{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(unwrapping{unwrapping{w}}, r)
	}))
	t.Cleanup(server.Close)
	s.client = rawclient.New(server.URL + "/socket.io/")
	t.Cleanup(s.client.Close)
	conn, recorder := s.connect(t)
	eventually(t, "the handler to return", func() bool { return s.serving.Load() == 0 })
	must(t, conn.WriteText("4hello"))
	recorder.waitFor(t, 1)
	// Polls are flushed through the wrappers, too.
	p, _ := s.poller(t)
	need(p.Post(t.Context(), "4x"))(t)
}

// TestWebSocketOverTLS connects, talks, and is cut off.
func TestWebSocketOverTLS(t *testing.T) {
	s := newEngine(t, Options{})
	s.http = httptest.NewTLSServer(s)
	t.Cleanup(s.http.Close)
	s.client = rawclient.New(s.http.URL + "/socket.io/")
	t.Cleanup(s.client.Close)
	s.client.TLS = &tls.Config{RootCAs: s.http.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
	conn, recorder := s.connect(t)
	expect(t, "secure", recorder.session.Handshake().Secure, true)
	must(t, conn.WriteText("4hello"))
	recorder.waitFor(t, 1)
	recorder.session.Send(text("world"))
	expect(t, "packet", need(conn.ReadText())(t), "4world")
	recorder.session.abort(ReasonForcedClose)
	must(t, conn.ReadEnd())
	recorder.waitClosed(t, ReasonForcedClose)
}

// TestBase64OverWebSocket sends bytes as text, as clients do that cannot send bytes, or
// have the option forceBase64.
func TestBase64OverWebSocket(t *testing.T) {
	s := newServer(t, Options{})
	conn, recorder := s.connect(t)
	must(t, conn.WriteText("bAQID"))
	must(t, conn.WriteText("bAQ=="))
	must(t, conn.WriteText("4text"))
	recorder.waitFor(t, 3)
	if got, want := recorder.heard(), []heard{{"\x01\x02\x03", true}, {"\x01", true}, {"text", false}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	must(t, conn.WriteText("b#"))
	recorder.waitClosed(t, ReasonParseError)
}

// TestTextOnlyClients sends bytes to clients that take none, on each transport: they get
// base64. Others get the same message as bytes.
func TestTextOnlyClients(t *testing.T) {
	s := newServer(t, Options{Deflate: &Compression{}})
	textOnly := need(s.client.Dial(t.Context(), rawclient.Query(rawclient.WebSocket, "")+"&b64=1"))(t)
	t.Cleanup(func() { _ = textOnly.Close() })
	must(t, textOnly.ReadOpen())
	other, _ := s.connect(t)
	var sessions []*Session
	for session := range s.table.all() {
		sessions = append(sessions, session)
	}
	m := wire.New([][]byte{[]byte("event")}, [][]byte{{1, 2, 3}}, 0)
	sendTo(m, sessions, func(session *Session) *Session { return session })
	s.recorder(t, textOnly.Open.SID).session.Send(wire.New(nil, [][]byte{{4}}, 0))
	s.recorder(t, textOnly.Open.SID).session.Send(text("text"))
	for _, want := range []string{"4event", "bAQID", "bBA==", "4text"} {
		expect(t, "packet", need(textOnly.ReadText())(t), want)
	}
	expect(t, "packet", need(other.ReadText())(t), "4event")
	expect(t, "attachment", string(need(other.ReadBinary())(t)), "\x01\x02\x03")
}
