package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/model"
)

// client is a client in one session.
type client struct {
	run    *run
	random *rand.Rand
	number int
	kind   string

	http *http.Client
	// posting is held during a POST: there is one at a time.
	posting sync.Mutex

	mu    sync.Mutex
	model *model.Session
	err   error
	// lost is true once the session is over by the network or by the client.
	lost bool
	// leaves is true once the client takes no more of what comes, over once it has been told of
	// the end, connected once its CONNECT was answered.
	leaves, over, connected bool
	// gone is true once the client is through with the session.
	gone    bool
	sid     string
	said    int
	conns   map[net.Conn]bool
	conn    net.Conn
	socket  *model.Socket
	readers sync.WaitGroup
	// pausing is true once the client polls no more, since it changes over.
	pausing bool
}

// What a client waits for at most.
const patience = 30 * time.Second

// closed is the reason for the end of clients that have asked for it.
const closed = "put out"

var errLost = errors.New("the session is lost")

// live lives one session, and returns what has differed from the model.
func (c *client) live() error {
	c.kind = []string{"polling", "websocket", "upgraded"}[c.random.IntN(3)]
	c.conns = make(map[net.Conn]bool)
	c.http = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return c.dial() }}}
	now := c.run.now()
	c.model = model.New(model.Options{
		PingInterval: pingInterval, PingTimeout: pingTimeout, UpgradeTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		CloseWait: pingTimeout, ShutdownWait: time.Second, CloseGrace: 5 * time.Second, Slack: 2 * time.Second, PollEnd: time.Minute,
		SendBuffer: 4_000_000, MaxPayload: 1_000_000,
	}, now)
	// A reload answers polls with nothing.
	c.model.Released(now)

	err := c.talk()
	c.mu.Lock()
	c.leaves, c.gone = true, true
	conns := maps.Clone(c.conns)
	c.mu.Unlock()
	for conn := range conns {
		_ = conn.Close()
	}
	c.readers.Wait()
	if c.err != nil {
		return c.err
	}
	if errors.Is(err, errLost) {
		return nil
	}
	return err
}

func (c *client) talk() error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.send("40"); err != nil {
		return err
	}
	if err := c.await("the answer to CONNECT", func() bool { return c.connected }); err != nil {
		return err
	}
	turns := 3 + c.random.IntN(40)
	changeAt := c.random.IntN(turns)
	for i := range turns {
		if !c.run.turn() {
			break
		}
		if c.kind == "upgraded" && i == changeAt {
			if err := c.changeOver(); err != nil {
				return err
			}
		}
		if err := c.sayEchoes(1 + c.random.IntN(4)); err != nil {
			return err
		}
		if c.random.IntN(4) == 0 {
			time.Sleep(time.Duration(c.random.Int64N(int64(2 * time.Second))))
		}
	}
	return c.leave()
}

// do does something with the model, and remembers the first error.
func (c *client) do(f func(m *model.Session, now time.Duration) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return errLost
	}
	err := f(c.model, c.run.now())
	if errors.Is(err, errLost) {
		return err
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}

// await waits for a condition, which is asked with the lock.
func (c *client) await(what string, condition func() bool) error {
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c.mu.Lock()
		is, lost, err := condition(), c.lost, c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case is:
			return nil
		case lost:
			return errLost
		case time.Now().After(limit):
			return fmt.Errorf("waited in vain for %s", what)
		}
	}
}

// lose notes that the session is over by the network.
func (c *client) lose() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lost && !c.leaves && !c.over {
		c.run.broken.Add(1)
	}
	c.lost = true
	return errLost
}

func (c *client) isDone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost || c.leaves || c.over || c.err != nil
}

// dial connects to the proxy.
func (c *client) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", c.run.proxy.address(), patience)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		// The HTTP client has wanted a connection that nobody needs any more.
		_ = conn.Close()
		return nil, errLost
	}
	k := &known{conn, c}
	c.conns[k] = true
	return k, nil
}

// known is a connection that its client forgets when it is closed: another client may then get its
// address.
type known struct {
	net.Conn
	client *client
}

func (k *known) Close() error {
	k.client.mu.Lock()
	delete(k.client.conns, k)
	k.client.mu.Unlock()
	return k.Conn.Close()
}

func (c *client) url(transport string) string {
	url := "http://" + c.run.proxy.address() + "/socket.io/?EIO=4&transport=" + transport
	if c.sid != "" {
		url += "&sid=" + c.sid
	}
	return url
}

// sayEchoes sends events that the server answers with the same.
func (c *client) sayEchoes(n int) error {
	var packets []string
	_ = c.do(func(m *model.Session, now time.Duration) error {
		for range n {
			c.said++
			packet := fmt.Sprintf(`42["echo",%d]`, c.said)
			if err := m.Sent(now, model.Message{Packets: []model.Packet{model.Text(packet[1:])}}, true); err != nil {
				return err
			}
			packets = append(packets, packet)
		}
		return nil
	})
	c.run.messages.Add(int64(n))
	return c.send(packets...)
}

// send sends packets on the transport that the client is on.
func (c *client) send(packets ...string) error {
	c.mu.Lock()
	onSocket := c.socket != nil && c.socket.IsConfirmed()
	c.mu.Unlock()
	if !onSocket {
		return c.post(strings.Join(packets, model.Separator))
	}
	for _, packet := range packets {
		if err := c.write(packet); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) write(packet string) error {
	_ = c.do(func(_ *model.Session, now time.Duration) error {
		c.socket.Text(now, packet)
		return nil
	})
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewTextFrame([]byte(packet)))); err != nil {
		return c.lose()
	}
	return nil
}

func (c *client) post(body string) error {
	c.posting.Lock()
	defer c.posting.Unlock()
	var post *model.Post
	_ = c.do(func(m *model.Session, now time.Duration) error {
		post = m.Post(now)
		m.Complete(now, post, body, true)
		return nil
	})
	if post == nil {
		return errLost
	}
	response, err := c.http.Post(c.url("polling"), "text/plain;charset=UTF-8", strings.NewReader(body))
	if err != nil {
		return c.lose()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return c.lose()
	}
	return c.do(func(m *model.Session, now time.Duration) error {
		return m.PostAnswered(now, post, response.StatusCode, string(answer))
	})
}

// get sends a GET. Go's client sends it again when its connection ends before there is an answer, as a
// reload may end it; for the server that may be a second poll at the same time, which ends a session.
func (c *client) get() (*http.Response, error) {
	request, err := http.NewRequest(http.MethodGet, c.url("polling"), nil)
	if err != nil {
		return nil, err
	}
	attempts := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if attempts++; attempts > 1 {
			_ = c.lose()
		}
	}}
	return c.http.Do(request.WithContext(httptrace.WithClientTrace(context.Background(), trace)))
}

// poll polls once.
func (c *client) poll() error {
	var poll *model.Poll
	_ = c.do(func(m *model.Session, now time.Duration) error {
		poll = m.Poll(now, false)
		return nil
	})
	if poll == nil {
		return errLost
	}
	response, err := c.get()
	if err != nil {
		return c.lose()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return c.lose()
	}
	pinged := false
	err = c.do(func(m *model.Session, now time.Duration) error {
		if c.leaves {
			// What was cut may have been sent again, to a session that is over.
			return errLost
		}
		if response.StatusCode == http.StatusOK {
			for packet := range strings.SplitSeq(string(body), model.Separator) {
				pinged = c.look(packet) || pinged
			}
		}
		err := m.Answered(now, poll, response.StatusCode, string(body))
		c.over = c.over || m.Told()
		return err
	})
	if pinged && err == nil && !c.isDone() {
		return c.post("3")
	}
	return err
}

// look looks at a packet before the model sees it, and reports whether it is a ping. What the server
// says of its own accord, the model has to be told of.
func (c *client) look(packet string) (ping bool) {
	switch {
	case strings.HasPrefix(packet, "0{"):
		var open struct{ SID string }
		_ = json.Unmarshal([]byte(packet[1:]), &open)
		c.sid = open.SID
	case strings.HasPrefix(packet, "40") && !c.connected, packet == "41":
		c.connected = true
		_ = c.model.Sent(c.run.now(), model.Message{Packets: []model.Packet{model.Text(packet[1:])}}, true)
	case packet == "2":
		return true
	}
	return false
}
