package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/model"
)

// begin begins the session.
func (c *client) begin() error {
	if c.kind == "websocket" {
		return c.open(func(m *model.Session, now time.Duration) *model.Socket { return m.Connect(now) })
	}
	if err := c.poll(); err != nil {
		return err
	}
	if c.sid == "" {
		return c.lose()
	}
	c.readers.Go(func() {
		for !c.isDone() && !c.isPausing() {
			if c.poll() != nil {
				return
			}
		}
	})
	return nil
}

func (c *client) isPausing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pausing
}

// open opens a WebSocket, and reads from it.
func (c *client) open(begin func(*model.Session, time.Duration) *model.Socket) error {
	conn, err := c.dial()
	if err != nil {
		return c.lose()
	}
	request, err := http.NewRequest(http.MethodGet, c.url("websocket"), nil)
	if err != nil {
		return err
	}
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	err = c.do(func(m *model.Session, now time.Duration) error {
		c.conn, c.socket = conn, begin(m, now)
		return nil
	})
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := request.Write(conn); err != nil {
		return c.lose()
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return c.lose()
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("a WebSocket is answered with status %d", response.StatusCode)
	}
	c.readers.Go(func() { c.read(reader) })
	return nil
}

// read reads from the WebSocket until its end.
func (c *client) read(reader *bufio.Reader) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		header, err := ws.ReadHeader(reader)
		var payload []byte
		if err == nil {
			payload = make([]byte, header.Length)
			_, err = io.ReadFull(reader, payload)
		}
		if err != nil {
			c.ended()
			return
		}
		pinged := false
		err = c.do(func(m *model.Session, now time.Duration) error {
			if header.OpCode == ws.OpText {
				pinged = c.look(string(payload))
			}
			err := c.socket.Frame(now, byte(header.OpCode), string(payload))
			c.over = c.over || m.Told()
			return err
		})
		switch {
		case err != nil:
			return
		case header.OpCode == ws.OpClose:
			_ = ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewCloseFrame(payload)))
		case pinged && !c.isDone():
			_ = c.write("3")
		}
	}
}

// ended notes that the connection has ended.
func (c *client) ended() {
	_ = c.do(func(_ *model.Session, now time.Duration) error {
		if c.lost || c.leaves {
			return nil
		}
		err := c.socket.Ended(now)
		c.lost = true
		return err
	})
}

// changeOver moves the session from long-polling to a WebSocket.
func (c *client) changeOver() error {
	if err := c.open(func(m *model.Session, now time.Duration) *model.Socket { return m.Upgrade(now) }); err != nil {
		return err
	}
	if err := c.write("2probe"); err != nil {
		return err
	}
	if err := c.await("the answer to the probe", c.socket.IsProbed); err != nil {
		return err
	}
	// As the client of Socket.IO does, this one waits for its poll to end.
	c.mu.Lock()
	c.pausing = true
	c.mu.Unlock()
	if err := c.await("the end of the poll", func() bool { return c.model.Polling() == 0 }); err != nil {
		return err
	}
	c.posting.Lock()
	defer c.posting.Unlock()
	c.run.upgrades.Add(1)
	return c.write("5")
}

// leave ends the session, in one of many ways.
func (c *client) leave() error {
	if c.random.IntN(4) == 0 {
		return c.cut()
	}
	delivered := func() bool { return len(c.model.Undelivered()) == 0 }
	if c.random.IntN(2) == 0 {
		if err := c.await("messages", delivered); err != nil {
			return err
		}
	}
	if c.random.IntN(3) == 0 {
		// The client leaves by itself.
		c.mu.Lock()
		c.leaves = true
		c.mu.Unlock()
		return c.send("1")
	}
	_ = c.do(func(m *model.Session, now time.Duration) error {
		m.Close(now, closed)
		return nil
	})
	c.run.kicks.Add(1)
	if err := c.send(`42["kick",true]`); err != nil {
		return err
	}
	if err := c.await("the news of the end", func() bool { return c.over }); err != nil {
		return err
	}
	return c.do(func(m *model.Session, now time.Duration) error {
		if err := m.Heard(now, closed); err != nil {
			return err
		}
		return m.Finish(now)
	})
}

// cut ends all connections of the client at the proxy.
func (c *client) cut() error {
	c.run.cuts.Add(1)
	c.mu.Lock()
	c.leaves = true
	var addresses []string
	for conn := range c.conns {
		addresses = append(addresses, conn.LocalAddr().String())
	}
	c.mu.Unlock()
	for _, address := range addresses {
		c.run.proxy.cut(address)
	}
	return nil
}
