package load

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// talker is one client.
type talker struct {
	talk *Talk
	kind Kind
	name string

	write  sync.Mutex
	socket *Socket
	post   *line
	sid    string
	// life ends with the connection; hangUp ends it.
	life   context.Context
	hangUp context.CancelCauseFunc

	mu sync.Mutex
	// first and last are the first and the last broadcast that this connection has had.
	first, last int64
	// asked and answered number this connection's questions.
	asked, answered int64
}

// The times of Socket.IO's client between two attempts to connect again, before half of it is added
// or taken at random.
const (
	firstRetry = time.Second
	maxRetry   = 5 * time.Second
)

// run keeps one client connected until the talk ends.
func (c *talker) run(places chan struct{}) {
	delay := firstRetry
	for first := true; c.talk.ctx.Err() == nil; {
		if first {
			places <- struct{}{}
		}
		err := c.connect()
		if first {
			<-places
		}
		if err == nil {
			c.talk.connected.Add(1)
			if !first {
				c.talk.mu.Lock()
				c.talk.back = append(c.talk.back, now())
				c.talk.mu.Unlock()
			}
			first, delay = false, firstRetry
			c.life, c.hangUp = context.WithCancelCause(c.talk.ctx)
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				c.ask()
			}()
			err = c.listen()
			c.hangUp(nil)
			<-asked
			c.talk.connected.Add(-1)
			if c.talk.closing.Load() {
				return
			}
			c.dropped(err)
		}
		if sleep(c.talk.ctx, time.Duration(float64(delay)*(0.5+rand.Float64()))) != nil {
			return
		}
		delay = min(2*delay, maxRetry)
	}
}

// dropped notes the end of a connection that was not meant to end.
func (c *talker) dropped(err error) {
	t := c.talk
	// What it had still to get is no loss on top of this.
	c.mu.Lock()
	c.first, c.last, c.asked, c.answered = 0, 0, 0, 0
	c.mu.Unlock()
	t.drops.add(fmt.Errorf("%s: %s", c.kind, cause(err)))
	t.mu.Lock()
	t.perKind[c.kind]++
	t.ended = append(t.ended, now())
	t.mu.Unlock()
}

// connect makes a connection of the talker's kind, and joins the main namespace.
func (c *talker) connect() (err error) {
	c.mu.Lock()
	c.first, c.last, c.asked, c.answered = 0, 0, 0, 0
	c.mu.Unlock()
	if c.kind == ByWebSocket {
		socket, err := Dial(c.talk.ctx, c.talk.target, 1<<10)
		c.use(socket, err)
		return err
	}
	c.write.Lock()
	c.post, c.sid = &line{target: c.talk.target, single: c.kind == BySingles}, ""
	c.write.Unlock()
	defer func() {
		if err != nil {
			c.post.close()
		}
	}()
	body, err := c.post.exchange(c.talk.ctx, "GET", "", "")
	if err != nil {
		return err
	}
	if c.sid = sidOf(body); c.sid == "" {
		return fmt.Errorf("got %.60q where the open packet was due", body)
	}
	if _, err := c.post.exchange(c.talk.ctx, "POST", c.sid, "40"); err != nil {
		return err
	}
	if body, err = c.post.exchange(c.talk.ctx, "GET", c.sid, ""); err != nil {
		return err
	}
	for packet := range strings.SplitSeq(body, packetSeparator) {
		if strings.HasPrefix(packet, "42") {
			c.receive([]byte(packet))
		}
	}
	if c.kind != ByUpgrade {
		return nil
	}
	socket, err := dialUpgrade(c.talk.ctx, c.talk.target, c.sid)
	c.use(socket, err)
	c.post.close()
	return err
}

func (c *talker) use(socket *Socket, err error) {
	if err != nil {
		return
	}
	c.write.Lock()
	defer c.write.Unlock()
	c.socket = socket
	if c.talk.closing.Load() {
		socket.Abort()
	}
}

func sidOf(open string) string {
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	return sid
}

// dialUpgrade moves a session from long-polling to WebSocket.
func dialUpgrade(ctx context.Context, target *Target, sid string) (*Socket, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tcp, err := target.dialTCP(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := target.secure(ctx, tcp)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	s := &Socket{conn: conn, tcp: tcp, buffer: make([]byte, 1<<10)}
	steps := func() error {
		if err := conn.SetDeadline(time.Now().Add(stepTimeout)); err != nil {
			return err
		}
		request := bytes.Replace(upgradeRequest(target), []byte(" HTTP/1.1"), []byte("&sid="+sid+" HTTP/1.1"), 1)
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := s.readUpgrade(); err != nil {
			return err
		}
		if _, err := conn.Write(appendFrame(nil, opText, []byte("2probe"))); err != nil {
			return err
		}
		if err := s.expect("3probe"); err != nil {
			return err
		}
		if _, err := conn.Write(appendFrame(nil, opText, []byte("5"))); err != nil {
			return err
		}
		return conn.SetDeadline(time.Time{})
	}
	if err := steps(); err != nil {
		s.Abort()
		return nil, err
	}
	return s, nil
}

// listen takes what the server sends until the connection ends, and returns why.
func (c *talker) listen() error {
	if c.kind == ByWebSocket || c.kind == ByUpgrade {
		defer c.socket.Abort()
		for {
			f, err := c.socket.next()
			if err != nil {
				return err
			}
			c.receive(f.head)
		}
	}
	get := &line{target: c.talk.target, single: c.kind == BySingles}
	defer func() {
		get.close()
		c.write.Lock()
		c.post.close()
		c.talk.resent.Add(int64(get.resent + c.post.resent))
		c.write.Unlock()
	}()
	for {
		body, err := get.exchange(c.life, "GET", c.sid, "")
		if err != nil {
			if cause := context.Cause(c.life); cause != nil {
				err = cause
			}
			return err
		}
		for packet := range strings.SplitSeq(body, packetSeparator) {
			switch packet {
			case "2":
				if err := c.say("3"); err != nil {
					return err
				}
			case "1":
				return errClosedByServer
			default:
				c.receive([]byte(packet))
			}
		}
	}
}

// receive counts one packet: a numbered broadcast, or the answer to a question.
func (c *talker) receive(packet []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rest, found := bytes.CutPrefix(packet, []byte("43")); found {
		digits, _, _ := bytes.Cut(rest, []byte("["))
		id, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil || id != c.answered {
			c.talk.disordered.Add(1)
		}
		c.answered++
		c.talk.answered.Add(1)
		return
	}
	var reader stampReader
	stamp, found := reader.read(packet)
	if !found {
		return
	}
	number := int64(stamp)
	switch {
	case c.last == 0:
		c.first = number
	case number <= c.last:
		c.talk.disordered.Add(1)
		return
	default:
		c.talk.missed.Add(number - c.last - 1)
	}
	c.last = number
	c.talk.heard.Add(1)
}

// ask asks questions until the connection ends.
func (c *talker) ask() {
	if sleep(c.life, rand.N(c.talk.every)) != nil {
		return
	}
	for {
		if !c.talk.quiet.Load() {
			c.mu.Lock()
			id := c.asked
			c.asked++
			c.mu.Unlock()
			c.talk.asked.Add(1)
			if err := c.say(fmt.Sprintf(`42%d["stream:join",{"streamId":%q}]`, id, c.name)); err != nil {
				c.fail(err)
				return
			}
		}
		if sleep(c.life, c.talk.every) != nil {
			return
		}
	}
}

// say sends one packet.
func (c *talker) say(packet string) error {
	c.write.Lock()
	defer c.write.Unlock()
	if c.kind == ByWebSocket || c.kind == ByUpgrade {
		return c.socket.send(appendFrame(nil, opText, []byte(packet)))
	}
	_, err := c.post.exchange(c.life, "POST", c.sid, packet)
	return err
}

// fail ends a connection one side of which has failed.
func (c *talker) fail(err error) {
	if c.kind == ByWebSocket || c.kind == ByUpgrade {
		c.socket.Abort()
		return
	}
	c.hangUp(err)
}
