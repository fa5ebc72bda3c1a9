package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// oldClient is a client of Socket.IO 2, on WebSocket.
type oldClient struct {
	t testing.TB
	*rawclient.Conn
}

// dialOld connects an old client that lives as long as the test, with more in its query.
func (s *testServer) dialOld(more string) *oldClient {
	s.t.Helper()
	raw := rawclient.New(s.url)
	raw.Timeout = 2 * patience
	conn, err := raw.Dial(context.Background(), "EIO=3&transport=websocket"+more)
	if err == nil {
		err = conn.ReadOpen()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &oldClient{s.t, conn}
}

// expect reads messages: a string is text, and []byte what is binary.
func (c *oldClient) expect(want ...any) {
	c.t.Helper()
	for _, want := range want {
		frame, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("want %q, got %v", want, err)
		}
		text, isText := want.(string)
		if !isText {
			text = "\x04" + string(want.([]byte))
		} else {
			text = "4" + text
		}
		if string(frame.Payload) != text || (frame.Header.OpCode == ws.OpText) != isText {
			c.t.Fatalf("got %q, want %q", frame.Payload, text)
		}
	}
}

// send sends messages as expect reads them.
func (c *oldClient) send(messages ...any) {
	c.t.Helper()
	for _, m := range messages {
		var err error
		if text, ok := m.(string); ok {
			err = c.WriteText("4" + text)
		} else {
			err = c.WriteBinary(append([]byte{4}, m.([]byte)...))
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// expectEnd reads until the connection ends.
func (c *oldClient) expectEnd() {
	c.t.Helper()
	for {
		frame, err := c.ReadFrame()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			c.t.Fatal(err)
		case frame.Header.OpCode == ws.OpClose:
			_ = c.WriteClose(ws.StatusNormalClosure)
		}
	}
}

func allowing3() Options { return Options{Engine: engineio.Options{AllowRevision3: true}} }

// TestOldClientIsConnectedToTheMainNamespace holds that it need not ask, and that its events, answers and
// bytes pass.
func TestOldClientIsConnectedToTheMainNamespace(t *testing.T) {
	s := newTestServer(t, allowing3(), echo())
	c := s.dialOld("")
	c.expect("0")
	c.send(`25["echo","a€",{"b":1}]`)
	c.expect(`35["a€",{"b":1}]`)
	c.send(`51-6["echo",{"_placeholder":true,"num":0}]`, []byte{1, 2})
	c.expect(`61-6[{"_placeholder":true,"num":0}]`, []byte{1, 2})
	sockets := s.Of("/").Everyone().Sockets()
	if len(sockets) != 1 || sockets[0].ID() == c.Open.SID {
		t.Errorf("%d sockets, or one with the ID of its session", len(sockets))
	}
	answered := make(chan string, 1)
	go func() {
		args, err := sockets[0].Call(context.Background(), "question", mustArgs(1))
		answered <- listOf(args) + errorText(err)
	}()
	frame, err := c.ReadText()
	id, _, ok := strings.Cut(strings.TrimPrefix(frame, "42"), `["question",1]`)
	if err != nil || !ok {
		t.Fatalf("got %q, %v", frame, err)
	}
	c.send("3" + id + `["answer"]`)
	if got := receive(t, "the answer", answered); got != `"answer"` {
		t.Error(got)
	}
	c.send("1")
	eventually(t, "the socket to be gone", func() bool { return len(s.Of("/").Everyone().Sockets()) == 0 })
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestQueryOfANamespace holds that what an old client appends to the name of a namespace is what newer ones
// show as auth, and is as long as that may be.
func TestQueryOfANamespace(t *testing.T) {
	s := newTestServer(t, allowing3())
	shown := make(chan *Socket, 1)
	if err := s.Of("/chat").Use(onConnect(shown)); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 20_000)
	for query, want := range map[string]string{
		"":                              "",
		"?":                             "{}",
		"?token=a%20b%2C&list=1&list=2": `{"list":["1","2"],"token":"a b,"}`,
		"?token=" + long:                `{"token":"` + long + `"}`,
		"?a=%zz&b=1":                    `{"b":"1"}`,
	} {
		for _, end := range []string{"", ","} {
			if query != "" || end == "," {
				c := s.dialOld("")
				c.expect("0")
				c.send("0/chat" + query + end)
				c.expect("0/chat,")
				if got := string(receive(t, "the socket", shown).Auth()); got != want {
					t.Errorf("%.40s: got %.100s", query, got)
				}
			}
		}
	}
	c := s.dialOld("")
	c.expect("0")
	c.send("0/chat?token=" + strings.Repeat("x", maxAuthPayload) + ",")
	c.expect(`4/chat,{"code":"` + codeAuthTooLarge + `"}`)

	// Newer clients have namespaces with such names.
	c5 := s.dial(engineio.WebSocket)
	c5.send("0/chat?token=1,")
	c5.expect(`4/chat?token=1,{"message":"Invalid namespace"}`)
}

// TestRefusalsOfOldClients holds that they get any value, and no object with a message.
func TestRefusalsOfOldClients(t *testing.T) {
	for refusal, want := range map[error]string{
		&ConnectError{Message: "no"}:                                   `"no"`,
		&ConnectError{Message: "no", Data: json.RawMessage(`{"a":1}`)}: `{"a":1}`,
		&Refusal{Code: CodeUnauthorized}:                               `{"code":"unauthorized"}`,
		errors.New("nobody's business"):                                `"not authorized"`,
	} {
		s := newTestServer(t, allowing3(), handlers(func(_ *Namespace, h *Handlers) {
			h.OnAuthorize(func(context.Context, *Socket) error { return refusal })
		}))
		c := s.dialOld("")
		c.expect("4" + want)
		c.send("0/nowhere,")
		c.expect(`4/nowhere,"Invalid namespace"`)
		_ = c.Close()
	}
}

// TestOldClientWithoutMainNamespace holds that it is told of that once its time to connect is over, and not
// before: it takes that for a refusal of all namespaces.
func TestOldClientWithoutMainNamespace(t *testing.T) {
	options := allowing3()
	options.ConnectTimeout = 50 * time.Millisecond
	s := newTestServer(t, options)
	s.Remove("/")
	_ = s.Of("/chat")
	c := s.dialOld("")
	c.send("0/chat,")
	c.expect("0/chat,")
	lost := s.dialOld("")
	lost.expect(`4"Invalid namespace"`)
	lost.expectEnd()
	c.send("1/chat,")
	c.expect(`4"Invalid namespace"`)
	c.expectEnd()
}

// TestOldAndNewClientsInOneRoom holds that broadcasts reach both, each in the form of its revision.
func TestOldAndNewClientsInOneRoom(t *testing.T) {
	s := newTestServer(t, allowing3(), relayTo("say"))
	old, textOnly := s.dialOld(""), s.dialOld("&b64=1")
	old.expect("0")
	textOnly.expect("0")
	c, _ := s.connected(engineio.WebSocket)
	poller, _ := s.connected(engineio.Polling)
	const packet = `51-["say",{"_placeholder":true,"num":0}]`
	c.send(packet, []byte{1, 2})
	old.expect(packet, []byte{1, 2})
	poller.expect(packet, []byte{1, 2})
	textOnly.expect(packet)
	if text, err := textOnly.ReadText(); err != nil || text != "b4AQI=" {
		t.Errorf("got %q, %v", text, err)
	}
	old.send(packet, []byte{3})
	c.expect(packet, []byte{3})
	poller.expect(packet, []byte{3})
	old.send(`2["say","€"]`)
	c.expect(`2["say","€"]`)
}

// TestOldClientsAreNotRecovered holds that no secret is offered to them, and that they end with their
// connection.
func TestOldClientsAreNotRecovered(t *testing.T) {
	options := recovering()
	options.Engine.AllowRevision3 = true
	gone := make(chan Reason, 1)
	s := newTestServer(t, options, handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
	}))
	c := s.dialOld("")
	c.expect("0")
	_ = s.Of("/").Everyone().Sockets()[0].Emit("to one")
	c.expect(`2["to one"]`)
	_ = c.Reset()
	if reason := receive(t, "the end", gone); reason != engineio.ReasonTransportClose {
		t.Error(reason)
	}
	if waiting := s.Metrics().Recovery.Waiting; waiting != 0 {
		t.Errorf("%d wait", waiting)
	}
}

// TestAttachmentsOfOldClientsThatDoNotComeEndTheSession holds that pings of the client do not keep a packet
// that is not complete.
func TestAttachmentsOfOldClientsThatDoNotComeEndTheSession(t *testing.T) {
	options := allowing3()
	options.Engine.PingInterval, options.Engine.PingTimeout = 10*time.Millisecond, time.Second
	s := newTestServer(t, options, echo())
	c := s.dialOld("")
	c.expect("0")
	c.send(`51-["echo",{"_placeholder":true,"num":0}]`)
	go func() {
		for c.WriteText("2") == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	c.expectEnd()
	eventually(t, "the line of the end", func() bool {
		lines := s.logs.all("connection ended")
		return len(lines) == 1 && lines[0].attrs["reason"] == string(ReasonIncomplete)
	})
}

// TestOldClientsKeepToTheProtocol holds that what makes no sense ends the connection.
func TestOldClientsKeepToTheProtocol(t *testing.T) {
	for _, packet := range []string{"0", "0/", "0/?a=1", "4", `4"error"`, "7", `2{}`, `2/nowhere,["x"]`} {
		s := newTestServer(t, allowing3())
		c := s.dialOld("")
		c.expect("0")
		c.send(packet)
		c.expectEnd()
		s.empty()
	}
}

// TestOldClientOnPolling holds that the answer to the handshake, or the first poll, has the answer to
// CONNECT.
func TestOldClientOnPolling(t *testing.T) {
	s := newTestServer(t, allowing3())
	raw := rawclient.New(s.url)
	t.Cleanup(raw.Close)
	do := func(method, query, body string) string {
		t.Helper()
		answer, err := raw.Do(t.Context(), method, "EIO=3&transport=polling"+query, strings.NewReader(body), nil)
		if err != nil {
			t.Fatal(err)
		}
		return answer.Body
	}
	body := do(http.MethodGet, "", "")
	var open rawclient.Open
	if err := json.NewDecoder(strings.NewReader(body[strings.Index(body, "{"):])).Decode(&open); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(body, "}2:40") {
		if poll := do(http.MethodGet, "&sid="+open.SID, ""); poll != "2:40" {
			t.Errorf("%q, and then %q", body, poll)
		}
	}
	if got := do(http.MethodPost, "&sid="+open.SID, "1:1"); got != "ok" {
		t.Error(got)
	}
}
