package eventstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Packet is a packet with what is attached to it.
type Packet struct {
	Text   string
	Binary []string
}

// String returns the packet as a failure shows it.
func (r Packet) String() string {
	if len(r.Binary) == 0 {
		return r.Text
	}
	return fmt.Sprintf("%s with %q", r.Text, r.Binary)
}

// Client is a client on WebSocket.
type Client struct {
	// T is the test that the client is of.
	T testing.TB
	// ID is the ID of its socket.
	ID string
	// PID is what it shows to be recovered, or empty.
	PID string
	// Conn is its connection.
	Conn *rawclient.Conn

	raw    *rawclient.Client
	done   chan struct{}
	server *Server
	// socket is the server's end.
	socket *streaming.Socket
	// aside is how the packets begin that are kept apart.
	aside string

	silent atomic.Bool

	mu      sync.Mutex
	packets []Packet
	asides  []string
	ended   bool
	changed chan struct{}
}

// Who is as whom a client connects.
type Who struct {
	// Address is the IP address that the server takes it to come from. Default: that of
	// its connection.
	Address string
	// Auth is the payload of CONNECT, a JSON object, see [Named]. Default: none.
	Auth string
}

// Connect connects a client that lives as long as the test.
func (s *Server) Connect() *Client {
	s.T.Helper()
	return s.ConnectAs(Who{})
}

// ConnectAs is Connect for a client that says who it is.
func (s *Server) ConnectAs(who Who) *Client {
	s.T.Helper()
	c, err := s.tryConnectAs(who)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(c.Close)
	return c
}

// TryConnect connects a client that the caller closes.
func (s *Server) TryConnect() (*Client, error) { return s.tryConnectAs(Who{}) }

func (s *Server) tryConnectAs(who Who) (*Client, error) {
	c := &Client{
		T:       s.T,
		server:  s,
		raw:     rawclient.New(s.URL),
		done:    make(chan struct{}),
		aside:   s.Aside,
		changed: make(chan struct{}, 1),
	}
	c.raw.Timeout = 2 * Patience
	if who.Address != "" {
		c.raw.Header.Set(addressHeader, who.Address)
	}
	var err error
	if c.Conn, err = c.raw.Connect(context.Background()); err != nil {
		return nil, err
	}
	go c.run()
	if err := c.TrySend("0" + who.Auth); err != nil {
		return nil, err
	}
	m, err := c.Read()
	var answer struct{ SID, PID string }
	if payload, ok := strings.CutPrefix(m.Text, "0"); err != nil || !ok || json.Unmarshal([]byte(payload), &answer) != nil {
		c.Close()
		return nil, fmt.Errorf("want the answer to CONNECT, got %v, %w", m, err)
	}
	c.ID, c.PID = answer.SID, answer.PID
	c.socket = s.Of("/").Find(c.ID)
	if c.socket == nil {
		c.Close()
		return nil, errEnded
	}
	return c, nil
}

// Silence has the client answer no pings any more, as if its network were gone.
func (c *Client) Silence() { c.silent.Store(true) }

// Close ends the client without a word.
func (c *Client) Close() {
	_ = c.Conn.Close()
	<-c.done
	c.raw.Close()
}

// run reads until the connection ends.
func (c *Client) run() {
	defer func() {
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		c.signal()
		close(c.done)
	}()
	var partial Packet
	missing := 0
	for {
		frame, err := c.Conn.ReadFrame()
		if err != nil {
			return
		}
		switch {
		case frame.Header.OpCode == ws.OpClose:
			_ = c.Conn.WriteClose(ws.StatusNormalClosure)
			return
		case frame.Header.OpCode == ws.OpBinary:
			partial.Binary = append(partial.Binary, string(frame.Payload))
			missing--
		case string(frame.Payload) == "2":
			if !c.silent.Load() {
				_ = c.Conn.WriteText("3")
			}
			continue
		case frame.Payload[0] == '4':
			partial = Packet{Text: string(frame.Payload[1:])}
			if partial.Text[0] == '5' || partial.Text[0] == '6' {
				_, _ = fmt.Sscanf(partial.Text[1:], "%d-", &missing)
			}
		default:
			continue
		}
		if missing == 0 {
			c.mu.Lock()
			if c.aside != "" && strings.HasPrefix(partial.Text, c.aside) {
				c.asides = append(c.asides, partial.Text)
			} else {
				c.packets = append(c.packets, partial)
			}
			c.mu.Unlock()
			c.signal()
		}
	}
}

func (c *Client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Asides lists the packets that have come and were kept apart, see
// [Server.Aside].
func (c *Client) Asides() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asides)
}

var (
	errEnded  = errors.New("the server closed the connection")
	errNoNews = errors.New("the server sends nothing")
	errBusy   = errors.New("a handler does not come to its end")
)

// Read returns the next packet. It fails when the connection has ended, or when
// nothing comes within [Patience].
func (c *Client) Read() (Packet, error) {
	deadline := time.NewTimer(Patience)
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
			return Packet{}, errEnded
		}
		select {
		case <-c.changed:
		case <-deadline.C:
			return Packet{}, errNoNews
		}
	}
}

// Next returns the next packet.
func (c *Client) Next() Packet {
	c.T.Helper()
	r, err := c.Read()
	if err != nil {
		c.T.Fatal(err)
	}
	return r
}

// Expect checks the next packet.
func (c *Client) Expect(text string, binary ...string) {
	c.T.Helper()
	if got, want := c.Next(), (Packet{text, binary}); got.String() != want.String() {
		c.T.Fatalf("want %v, got %v", want, got)
	}
}

// ExpectNothing makes sure that nothing has come that the test has not looked
// at, once all has been handled that the client has sent, and that the
// connection lives. What another client has sent may still wait for its handler:
// that client is asked first.
func (c *Client) ExpectNothing() {
	c.T.Helper()
	came, err := c.CatchUp()
	if err != nil {
		c.T.Fatal(err)
	}
	if len(came) > 0 {
		c.T.Fatalf("want nothing, got %v", came)
	}
}

// Answers makes sure that the connection lives, past all that the client has
// sent and all that has come.
func (c *Client) Answers() error {
	_, err := c.CatchUp()
	return err
}

// CatchUp waits until the handlers of all that the client has sent are through,
// and returns what has come by then. Its first round trip puts what was sent
// into the inbox of the socket, which another goroutine may work on; the second
// one brings what the handlers have sent.
func (c *Client) CatchUp() ([]Packet, error) {
	came, err := c.roundTrip()
	if err != nil {
		return came, err
	}
	if err := c.handled(); err != nil {
		return came, err
	}
	more, err := c.roundTrip()
	return append(came, more...), err
}

// handled waits until all that is in the inbox of the socket has been handled.
func (c *Client) handled() error {
	through := make(chan struct{})
	c.socket.Do(func() { close(through) })
	select {
	case <-through:
		return nil
	case <-time.After(Patience):
		return errBusy
	}
}

// Gone waits until the server has noticed that the client is gone, and has
// handled that.
func (c *Client) Gone() {
	c.T.Helper()
	Eventually(c.T, "the server to notice that a client is gone", func() bool {
		_, told := c.server.gone.Load(c.socket)
		return told
	})
}

// roundTrip asks what the server answers at once, and returns what comes before
// the answer.
func (c *Client) roundTrip() (came []Packet, err error) {
	if err := c.TrySend("0/nowhere,"); err != nil {
		return nil, errEnded
	}
	for {
		r, err := c.Read()
		if err != nil || r.Text == `4/nowhere,{"message":"Invalid namespace"}` {
			return came, err
		}
		came = append(came, r)
	}
}

// Send sends a packet.
func (c *Client) Send(text string, binary ...string) {
	c.T.Helper()
	if err := c.TrySend(text, binary...); err != nil {
		c.T.Fatal(err)
	}
}

// TrySend is Send for goroutines.
func (c *Client) TrySend(text string, binary ...string) error {
	if err := c.Conn.WriteText("4" + text); err != nil {
		return err
	}
	for _, data := range binary {
		if err := c.Conn.WriteBinary([]byte(data)); err != nil {
			return err
		}
	}
	return nil
}

// Placeholder0 stands for the first binary of a packet.
const Placeholder0 = `{"_placeholder":true,"num":0}`

// Refusal is the packet of the "error" event that tells of a refusal.
func Refusal(code, message string) string {
	return fmt.Sprintf(`2["error",{"message":%q,"code":%q}]`, message, code)
}

// RefusedAck is the packet that acknowledges an event that was refused.
func RefusedAck(id int, code, message string) string {
	return fmt.Sprintf(`3%d[{"success":false,"error":%q,"code":%q}]`, id, message, code)
}
