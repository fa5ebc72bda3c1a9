package streaming

import (
	"fmt"
	"slices"
	"testing"
)

func TestUnknownEventsReachTheirHandler(t *testing.T) {
	names := make(chan string, 4)
	s := newTestServer(t, Options{}, on("known", func(e *Event) { names <- "known" }), handlers(func(_ *Namespace, h *Handlers) {
		h.OnUnknown(func(e *Event) {
			names <- "unknown " + e.Name
			e.Ack.Reply(e.Args)
		})
	}))
	c, _ := s.connected(bothTransports[0])
	c.send(`2["known"]`, `27["shout",1]`)
	c.expect(`37[1]`)
	if got := []string{<-names, <-names}; !slices.Equal(got, []string{"known", "unknown shout"}) {
		t.Error(got)
	}
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
