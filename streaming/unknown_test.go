package streaming

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestUnknownEventsReachTheirHandler(t *testing.T) {
	names := make(chan string, 4)
	s := newTestServer(t, Options{}, on("known", func(e *Event) { names <- "known" }), handlers(func(_ *Namespace, h *Handlers) {
		h.RefuseUnknown()
		if err := h.OnUnknown(func(e *Event) {
			names <- "unknown " + e.Name
			e.Ack.Reply(e.Args)
		}); err != nil {
			t.Error(err)
		}
	}), refusingUnknown())
	c, _ := s.connected(bothTransports[0])
	c.send(`2["known"]`, `27["shout",1]`)
	c.expect(`37[1]`)
	if got := []string{<-names, <-names}; !slices.Equal(got, []string{"known", "unknown shout"}) {
		t.Error(got)
	}
}

// As in the reference implementation, nobody hears of an event that no event set
// handles, unless a set wants that.
func TestUnknownEventsAreIgnored(t *testing.T) {
	for _, transport := range bothTransports {
		s := newTestServer(t, Options{}, on("known", func(e *Event) { e.Ack.Reply(e.Args) }))
		c, _ := s.connected(transport)
		c.send(`2["shout"]`, `27["shout"]`, `51-8["shout",`+placeholder0+`]`, []byte("x"), `29["known",1]`)
		c.expect(`39[1]`)
		c.expectAlive()
	}
}

// Where a set wants it, who waits for an acknowledgement hears that nobody knows
// the event.
func TestUnknownEventsAreRefused(t *testing.T) {
	s := newTestServer(t, Options{}, refusingUnknown(), on("known", func(e *Event) { e.Ack.Reply(e.Args) }), refusingUnknown())
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["shout"]`, `27["shout"]`, `29["known",1]`)
	c.expect(`37[{"success":false,"error":"unknown event","code":"unknown_event"}]`, `39[1]`)
	c.expectAlive()
}

type takesUnknown struct{}

func (takesUnknown) Register(_ *Namespace, h *Handlers) error { return h.OnUnknown(func(*Event) {}) }

type takesUnknownToo struct{}

func (*takesUnknownToo) Register(_ *Namespace, h *Handlers) error {
	return h.OnUnknown(func(*Event) {})
}

// Two sets that take unknown events are an error that names both, and changes
// nothing.
func TestOnlyOneEventSetTakesUnknownEvents(t *testing.T) {
	s := newTestServer(t, Options{}, on("known", func(e *Event) { e.Ack.Reply(e.Args) }))
	err := s.Of("/").Use(takesUnknown{}, new(takesUnknownToo))
	if err == nil || !strings.Contains(err.Error(), "streaming.takesUnknown and *streaming.takesUnknownToo") {
		t.Errorf("error %v", err)
	}
	c, _ := s.connected(engineio.WebSocket)
	c.send(`29["known",1]`)
	c.expect(`39[1]`)
}

// Do runs in order with the handlers of the socket, the last of them included.
func TestDoIsInOrderWithHandlers(t *testing.T) {
	order := make(chan string, 8)
	done := make(chan struct{})
	var socket *Socket
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnDisconnect(func(s *Socket, _ Reason) {
			order <- "disconnect"
			s.Do(func() {
				order <- "after"
				close(done)
			})
		})
		_ = h.On("go", func(e *Event) {
			socket = e.Socket
			e.Socket.Do(func() { order <- "done" })
			if waiting, limit := socket.Backlog(); waiting < 0 || limit <= waiting {
				order <- fmt.Sprint("backlog ", waiting, " of ", limit)
			}
			order <- "event"
			e.Socket.Disconnect(false)
		})
	}))
	c, _ := s.connected(bothTransports[0])
	c.send(`2["go"]`)
	<-done
	for _, want := range []string{"event", "done", "disconnect", "after"} {
		if got := <-order; got != want {
			t.Errorf("want %s, got %s", want, got)
		}
	}
}
