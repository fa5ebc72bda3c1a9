package streaming

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// kept is how many bytes are counted of what is kept for clients.
func (s *testServer) kept() int { return int(s.Metrics().Engine.KeptBytes) }

// expectKept waits until so many bytes are counted, or a little more.
func (s *testServer) expectKept(what string, bytes int) {
	s.t.Helper()
	eventually(s.t, what, func() bool { return s.kept() >= bytes && s.kept() <= bytes+bytes/4+16<<10 })
}

// Packets without all of their attachments count, until they are complete or their
// client is gone.
func TestPacketsWithoutTheirAttachmentsCount(t *testing.T) {
	const size = 200_000
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			handled := make(chan int, 1)
			s := newTestServer(t, Options{}, on("picture", func(e *Event) { handled <- len(e.Args.Attachments()) }))
			completes, _ := s.connected(transport)
			leaves, _ := s.connected(transport)
			begin := `53-["picture",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`
			one := make([]byte, size)
			completes.send(begin, one, one)
			s.expectKept("two attachments to count", 2*size)
			leaves.send(begin, one)
			s.expectKept("another one to count", 3*size)
			leaves.vanish()
			s.expectKept("that of who is gone to count no more", 2*size)
			completes.send([]byte("three"))
			if n := receive(t, "the event", handled); n != 3 {
				t.Errorf("%d attachments", n)
			}
			s.expectKept("nothing to count", 0)
		})
	}
}

// Many clients of which each has nearly all of a large packet there take no more than
// their part of the hub's buffer, and one that sends a small one is heard.
func TestPacketsWithoutTheirAttachmentsAreBoundedInSum(t *testing.T) {
	const (
		clients, attachments, size = 30, 9, 90_000
		limit                      = 40_000_000
		bound                      = limit / 8
	)
	s := newTestServer(t, Options{Engine: engineio.Options{ServerBuffer: limit}}, echo())
	text := `510-["echo"`
	for i := range attachments + 1 {
		text += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
	}
	begin := []any{text + "]"}
	for range attachments {
		begin = append(begin, make([]byte, size))
	}
	for range clients {
		c, _ := s.connected(engineio.WebSocket)
		c.send(begin...)
	}
	eventually(t, "the bound to be reached", func() bool { return s.kept() >= bound })
	honest, _ := s.connected(engineio.WebSocket)
	for range 20 {
		honest.send(`21["echo",1]`)
		honest.expect(`31[1]`)
		if kept := s.kept(); kept > bound+clients*(size+128<<10) {
			t.Fatalf("%d bytes are kept, the bound is %d", kept, bound)
		}
	}
}

// Events count while they wait for their handlers and while those run. When there is no
// room for more, those of one socket that wait are few.
func TestEventsThatWaitCount(t *testing.T) {
	const size = 20_000
	for name, test := range map[string]struct {
		limit   int64
		waiting int
	}{
		"with room":    {0, 9},
		"without room": {8 * size, modestWaitingBytes / (size + eventBytes)},
	} {
		t.Run(name, func(t *testing.T) {
			begun, leave := make(chan struct{}, 10), make(chan struct{})
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{Engine: engineio.Options{ServerBuffer: test.limit}}, onConnect(sockets),
				on("slow", func(*Event) { begun <- struct{}{}; <-leave }))
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "the socket", sockets)
			for range 10 {
				c.send(`2["slow","` + strings.Repeat("x", size) + `"]`)
			}
			receive(t, "the first", begun)
			eventually(t, "the others to wait", func() bool {
				waits, tasks, _ := socket.waitingForRoom()
				return tasks == test.waiting && waits == (test.waiting < 9)
			})
			s.expectKept("all to count", (test.waiting+1)*size)
			close(leave)
			for range 9 {
				receive(t, "the next", begun)
			}
			s.expectKept("nothing to count", 0)
		})
	}
}

// Answers that a client owes count until they come or the client goes, and are few
// when there is no room for more.
func TestAnswersThatAreOwedCount(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{Engine: engineio.Options{ServerBuffer: 8 * 1000 * ackBytes}}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "the socket", sockets)
	ask := func() error {
		return socket.EmitWithAck("ask", packet.Args{}, time.Hour, func(packet.Args, error) {})
	}
	for range modestAcks {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	s.expectKept("answers to count", modestAcks*ackBytes)
	c.send("30[]")
	s.expectKept("one less to count", (modestAcks-1)*ackBytes)
	if err := ask(); err != nil {
		t.Error(err)
	}
	socket.client().session.Keep(1000 * ackBytes)
	if err := ask(); !errors.Is(err, ErrTooManyAcks) {
		t.Errorf("without room: %v", err)
	}
	socket.client().session.Keep(-1000 * ackBytes)
	if err := ask(); err != nil {
		t.Error(err)
	}
	c.close()
	s.expectKept("nothing to count", 0)
}

// What a client shows counts for as long as it is kept.
func TestWhatClientsShowCounts(t *testing.T) {
	const size = 10_000
	s := newTestServer(t, Options{Engine: engineio.Options{ServerBuffer: 8 * 1_000_000}}, echo())
	for _, name := range []string{"/a", "/b"} {
		if err := s.Of(name).Use(echo()); err != nil {
			t.Fatal(err)
		}
	}
	c := s.dial(engineio.WebSocket)
	c.send(`0/a,{"token":"` + strings.Repeat("x", size) + `"}`)
	if m := c.next(); !strings.HasPrefix(m.text, `0/a,{"sid"`) {
		t.Fatalf("got %v", m)
	}
	s.expectKept("it to count", size)
	c.send(`1/a,`)
	s.expectKept("nothing to count", 0)
}
