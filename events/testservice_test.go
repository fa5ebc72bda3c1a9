package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// service is a server whose main namespace has the event sets of a test.
type service struct {
	*streaming.Server
	t   testing.TB
	url string
	// errors counts what is logged as an error: panics, and nothing else.
	errors atomic.Int32
}

// Handle implements slog.Handler, together with the methods below.
func (s *service) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		s.errors.Add(1)
	}
	return nil
}

func (s *service) Enabled(context.Context, slog.Level) bool { return true }
func (s *service) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *service) WithGroup(string) slog.Handler            { return s }

// newService starts a server. It ends with the test, after its clients.
func newService(t testing.TB, sets ...streaming.EventSet) *service {
	t.Helper()
	s := &service{t: t}
	s.Server = streaming.New(streaming.Options{}, slog.New(s))
	if err := s.Of("/").Use(sets...); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	s.url = front.URL + "/socket.io/"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		front.Close()
		if n := s.errors.Load(); n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return s
}

// streamsOf returns the streams of the main namespace.
func (s *service) streamsOf() *streams { return streaming.State(s.Of("/"), newStreams) }

// received is a packet from the server with what is attached to it.
type received struct {
	text   string
	binary []string
}

func (r received) String() string {
	if len(r.binary) == 0 {
		return r.text
	}
	return fmt.Sprintf("%s with %q", r.text, r.binary)
}

// client is a client on WebSocket.
type client struct {
	t    testing.TB
	id   string
	raw  *rawclient.Client
	conn *rawclient.Conn
	done chan struct{}

	mu      sync.Mutex
	packets []received
	// counts holds the counts of viewers, which come when they like.
	counts  []string
	ended   bool
	changed chan struct{}
}

// connect connects a client that lives as long as the test.
func (s *service) connect() *client {
	s.t.Helper()
	c, err := s.tryConnect()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.close)
	return c
}

// tryConnect connects a client that the caller closes.
func (s *service) tryConnect() (*client, error) {
	c := &client{t: s.t, raw: rawclient.New(s.url), done: make(chan struct{}), changed: make(chan struct{}, 1)}
	c.raw.Timeout = 2 * patience
	var err error
	if c.conn, err = c.raw.Connect(context.Background()); err != nil {
		return nil, err
	}
	go c.run()
	if err := c.trySend("0"); err != nil {
		return nil, err
	}
	m, err := c.read()
	var answer struct{ SID string }
	if payload, ok := strings.CutPrefix(m.text, "0"); err != nil || !ok || json.Unmarshal([]byte(payload), &answer) != nil {
		c.close()
		return nil, fmt.Errorf("want the answer to CONNECT, got %v, %w", m, err)
	}
	c.id = answer.SID
	return c, nil
}

// close ends the client without a word.
func (c *client) close() {
	_ = c.conn.Close()
	<-c.done
	c.raw.Close()
}

// run reads until the connection ends.
func (c *client) run() {
	defer func() {
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		c.signal()
		close(c.done)
	}()
	var partial received
	missing := 0
	for {
		frame, err := c.conn.ReadFrame()
		if err != nil {
			return
		}
		switch {
		case frame.Header.OpCode == ws.OpClose:
			_ = c.conn.WriteClose(ws.StatusNormalClosure)
			return
		case frame.Header.OpCode == ws.OpBinary:
			partial.binary = append(partial.binary, string(frame.Payload))
			missing--
		case string(frame.Payload) == "2":
			_ = c.conn.WriteText("3")
			continue
		case frame.Payload[0] == '4':
			partial = received{text: string(frame.Payload[1:])}
			if partial.text[0] == '5' || partial.text[0] == '6' {
				_, _ = fmt.Sscanf(partial.text[1:], "%d-", &missing)
			}
		default:
			continue
		}
		if missing == 0 {
			c.mu.Lock()
			if strings.HasPrefix(partial.text, `2["stream:viewers",`) {
				c.counts = append(c.counts, partial.text)
			} else {
				c.packets = append(c.packets, partial)
			}
			c.mu.Unlock()
			c.signal()
		}
	}
}

func (c *client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

var (
	errEnded  = errors.New("the server closed the connection")
	errNoNews = errors.New("the server sends nothing")
)

// read returns the next packet. The error is errEnded or errNoNews.
func (c *client) read() (received, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		if len(c.packets) > 0 {
			r := c.packets[0]
			c.packets = c.packets[1:]
			c.mu.Unlock()
			return r, nil
		}
		ended := c.ended
		c.mu.Unlock()
		if ended {
			return received{}, errEnded
		}
		select {
		case <-c.changed:
		case <-deadline.C:
			return received{}, errNoNews
		}
	}
}

func (c *client) next() received {
	c.t.Helper()
	r, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// expect checks the next packet.
func (c *client) expect(text string, binary ...string) {
	c.t.Helper()
	if got, want := c.next(), (received{text, binary}); got.String() != want.String() {
		c.t.Fatalf("want %v, got %v", want, got)
	}
}

// expectNothing makes sure that nothing has come that the test has not looked
// at, and that the connection lives.
func (c *client) expectNothing() {
	c.t.Helper()
	c.send("0/nowhere,")
	c.expect(`4/nowhere,{"message":"Invalid namespace"}`)
}

// answers makes sure that the connection lives, past all that has come.
func (c *client) answers() error {
	if err := c.trySend("0/nowhere,"); err != nil {
		return errEnded
	}
	for {
		r, err := c.read()
		if err != nil || r.text == `4/nowhere,{"message":"Invalid namespace"}` {
			return err
		}
	}
}

// send sends a packet.
func (c *client) send(text string, binary ...string) {
	c.t.Helper()
	if err := c.trySend(text, binary...); err != nil {
		c.t.Fatal(err)
	}
}

// trySend is send for goroutines.
func (c *client) trySend(text string, binary ...string) error {
	if err := c.conn.WriteText("4" + text); err != nil {
		return err
	}
	for _, data := range binary {
		if err := c.conn.WriteBinary([]byte(data)); err != nil {
			return err
		}
	}
	return nil
}

// start starts a stream and takes the answer.
func (c *client) start(id string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`2["stream:start",{"streamId":%q}]`, id))
	c.expect(fmt.Sprintf(`2["stream:started",{"status":"ok","streamId":%q}]`, id))
}

// startWith starts a stream with a header.
func (c *client) startWith(id, header string) {
	c.t.Helper()
	c.send(fmt.Sprintf(`51-["stream:start",{"streamId":%q,"header":%s}]`, id, placeholder0), header)
	c.expect(fmt.Sprintf(`2["stream:started",{"status":"ok","streamId":%q}]`, id))
}

// join joins a stream, and takes the answer once it has come; what came before
// it is returned.
func (c *client) join(id string) (before []received) {
	c.t.Helper()
	c.send(fmt.Sprintf(`299["stream:join",{"streamId":%q}]`, id))
	for {
		r := c.next()
		if strings.HasPrefix(r.text, `399[{"success":true,"stream":{"streamId":`) {
			return before
		}
		before = append(before, r)
	}
}

const placeholder0 = `{"_placeholder":true,"num":0}`

// refusal is the "error" event of a code.
func refusal(code, message string) string {
	return fmt.Sprintf(`2["error",{"message":%q,"code":%q}]`, message, code)
}

// refusedAck is the acknowledgement of a refused event.
func refusedAck(id int, code, message string) string {
	return fmt.Sprintf(`3%d[{"success":false,"error":%q,"code":%q}]`, id, message, code)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
