package eventstest

import (
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// late is an event set that answers some time after the event has been read.
type late struct{}

func (late) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.On("ask", func(e *streaming.Event) {
		time.Sleep(20 * time.Millisecond)
		_ = e.Socket.Emit("answer")
	})
}

// What a handler sends that is still at work when the test asks counts as
// something that has come.
func TestNothingIsExpectedOnceHandlersAreThrough(t *testing.T) {
	s := NewServer(t, late{})
	c := s.Connect()
	c.Send(`2["ask"]`)
	c.Send(`2["ask"]`)
	came, err := c.CatchUp()
	if err != nil || len(came) != 2 || came[1].Text != `2["answer"]` {
		t.Errorf("got %v, %v", came, err)
	}
	c.ExpectNothing()
}
