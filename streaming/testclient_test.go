package streaming

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// message is one message from the server: text, or binary data.
type message struct {
	text   string
	binary []byte
}

func (m message) String() string {
	if m.binary != nil {
		return fmt.Sprintf("binary %q", m.binary)
	}
	return m.text
}

// testClient speaks Socket.IO packet by packet, on either transport. It
// answers heartbeats and otherwise does what the test tells it.
type testClient struct {
	t      testing.TB
	raw    *rawclient.Client
	conn   *rawclient.Conn   // on WebSocket
	poller *rawclient.Poller // on long-polling
	// posting is held during a POST, since there may be one at a time. Heartbeats are answered
	// by another goroutine than that of the test.
	posting sync.Mutex
	cancel  context.CancelFunc
	ctx     context.Context
	done    chan struct{}
	// pings counts the heartbeats.
	pings atomic.Int32

	mu       sync.Mutex
	received []message
	ended    bool
	changed  chan struct{}
}

// dial connects a client that lives as long as the test.
func (s *testServer) dial(transport engineio.Transport) *testClient {
	s.t.Helper()
	c, err := dialClient(s, transport)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.close)
	return c
}

// dialClient connects a client that the caller closes.
func dialClient(s *testServer, transport engineio.Transport) (*testClient, error) {
	return dialClientWith(s, transport, "", nil)
}

// dialClientWith connects a client with more in its query and header.
func dialClientWith(s *testServer, transport engineio.Transport, query string, header http.Header) (*testClient, error) {
	c := &testClient{t: s.t, raw: rawclient.New(s.url), done: make(chan struct{}), changed: make(chan struct{}, 1)}
	c.raw.Timeout = 2 * patience
	c.raw.Header = header
	c.ctx, c.cancel = context.WithCancel(context.Background())
	query = rawclient.Query(string(transport), "") + query
	var err error
	if transport == engineio.WebSocket {
		if c.conn, err = c.raw.Dial(c.ctx, query); err == nil {
			err = c.conn.ReadOpen()
			go c.readWebSocket()
		}
	} else {
		var answer rawclient.Response
		if answer, err = c.raw.Do(c.ctx, http.MethodGet, query, nil, nil); err == nil {
			c.poller = &rawclient.Poller{Client: c.raw, Answer: answer, Rest: answer.Packets()[1:]}
			err = json.Unmarshal([]byte(strings.TrimPrefix(answer.Packets()[0], "0")), &c.poller.Open)
			go c.poll()
		}
	}
	if err != nil {
		c.cancel()
		return nil, err
	}
	return c, nil
}

// close ends the client and waits for its goroutine. On long-polling it says
// so, since the server would otherwise take it for one that polls again.
func (c *testClient) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	} else if c.ctx.Err() == nil && c.sendPackets("1") == nil {
		<-c.done
	}
	c.vanish()
}

// vanish ends the client like a crash.
func (c *testClient) vanish() {
	c.cancel()
	if c.conn != nil {
		_ = c.conn.Reset()
	}
	<-c.done
	c.raw.Close()
}

func (c *testClient) readWebSocket() {
	defer c.end()
	for {
		frame, err := c.conn.ReadFrame()
		if err != nil {
			return
		}
		switch frame.Header.OpCode {
		case ws.OpText:
			c.packet(string(frame.Payload))
		case ws.OpBinary:
			c.push(message{binary: append([]byte{}, frame.Payload...)})
		case ws.OpClose:
			_ = c.conn.WriteClose(ws.StatusNormalClosure)
			return
		}
	}
}

func (c *testClient) poll() {
	defer c.end()
	packets := c.poller.Rest
	for {
		for _, packet := range packets {
			if packet == "1" {
				return
			}
			c.packet(packet)
		}
		var err error
		if packets, err = c.poller.Poll(c.ctx); err != nil {
			return
		}
	}
}

// packet handles an Engine.IO packet.
func (c *testClient) packet(packet string) {
	switch {
	case packet == "2":
		c.pings.Add(1)
		_ = c.sendPackets("3")
	case strings.HasPrefix(packet, "4"):
		c.push(message{text: packet[1:]})
	case strings.HasPrefix(packet, "b"):
		data, err := base64.StdEncoding.DecodeString(packet[1:])
		if err != nil {
			c.push(message{text: "bad base64: " + packet})
			return
		}
		c.push(message{binary: append([]byte{}, data...)})
	}
}

func (c *testClient) push(m message) {
	c.mu.Lock()
	c.received = append(c.received, m)
	c.mu.Unlock()
	c.signal()
}

func (c *testClient) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.signal()
	close(c.done)
}

func (c *testClient) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

var (
	errEnded  = errors.New("the server closed the connection")
	errNoNews = errors.New("the server sends nothing")
)

// read returns the next message. The error is errEnded or errNoNews.
func (c *testClient) read() (message, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		if len(c.received) > 0 {
			m := c.received[0]
			c.received = c.received[1:]
			c.mu.Unlock()
			return m, nil
		}
		ended := c.ended
		c.mu.Unlock()
		if ended {
			return message{}, errEnded
		}
		select {
		case <-c.changed:
		case <-deadline.C:
			return message{}, errNoNews
		}
	}
}

// next returns the next message, which must come.
func (c *testClient) next() message {
	c.t.Helper()
	m, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// expect checks the next messages: texts, or binary data as []byte.
func (c *testClient) expect(want ...any) {
	c.t.Helper()
	for _, w := range want {
		got := c.next()
		if data, ok := w.([]byte); ok {
			if got.binary == nil || string(got.binary) != string(data) {
				c.t.Fatalf("want binary %q, got %v", data, got)
			}
		} else if got.binary != nil || got.text != w {
			c.t.Fatalf("want %s, got %v", w, got)
		}
	}
}

// expectEnd waits for the end of the connection and returns what came before.
func (c *testClient) expectEnd() []message {
	c.t.Helper()
	var rest []message
	for {
		m, err := c.read()
		switch {
		case errors.Is(err, errEnded):
			return rest
		case err != nil:
			c.t.Fatalf("the connection was not closed; got %v", rest)
		}
		rest = append(rest, m)
	}
}

// expectAlive makes sure that the connection lives and that nothing came that
// the test has not looked at: it connects to a namespace that is not there.
func (c *testClient) expectAlive() {
	c.t.Helper()
	c.send("0/nowhere,")
	c.expect(`4/nowhere,{"message":"Invalid namespace"}`)
}

// sendPackets sends Engine.IO packets as they are.
func (c *testClient) sendPackets(packets ...string) error {
	if c.conn != nil {
		for _, packet := range packets {
			if err := c.conn.WriteText(packet); err != nil {
				return err
			}
		}
		return nil
	}
	c.posting.Lock()
	defer c.posting.Unlock()
	answer, err := c.poller.Post(c.ctx, packets...)
	if err == nil && answer.Status != 200 {
		err = fmt.Errorf("post answered %d: %s", answer.Status, answer.Body)
	}
	return err
}

// send sends messages: texts, or binary data as []byte. On long-polling they
// go in one request.
func (c *testClient) send(messages ...any) {
	c.t.Helper()
	if err := c.trySend(messages...); err != nil {
		c.t.Fatal(err)
	}
}

// trySend is send for goroutines, and for connections that may be closed.
func (c *testClient) trySend(messages ...any) error {
	if c.conn != nil {
		for _, m := range messages {
			var err error
			if data, ok := m.([]byte); ok {
				err = c.conn.WriteBinary(data)
			} else {
				err = c.conn.WriteText("4" + m.(string))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	packets := make([]string, len(messages))
	for i, m := range messages {
		if data, ok := m.([]byte); ok {
			packets[i] = "b" + base64.StdEncoding.EncodeToString(data)
		} else {
			packets[i] = "4" + m.(string)
		}
	}
	return c.sendPackets(packets...)
}

// connect connects to a namespace and returns the ID of the socket there.
func (c *testClient) connect(namespace string) (id string) {
	c.t.Helper()
	id, err := c.tryConnect(namespace)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// tryConnect is connect for goroutines.
func (c *testClient) tryConnect(namespace string) (id string, err error) {
	prefix := "0"
	if namespace != "/" {
		prefix += namespace + ","
	}
	if err := c.trySend(prefix); err != nil {
		return "", err
	}
	m, err := c.read()
	if err != nil {
		return "", err
	}
	var answer struct{ SID string }
	payload, ok := strings.CutPrefix(m.text, prefix)
	if !ok || json.Unmarshal([]byte(payload), &answer) != nil || answer.SID == "" {
		return "", fmt.Errorf("want the answer to CONNECT, got %v", m)
	}
	return answer.SID, nil
}

// connected dials and connects to the main namespace.
func (s *testServer) connected(transport engineio.Transport) (c *testClient, id string) {
	s.t.Helper()
	c = s.dial(transport)
	return c, c.connect("/")
}
