package eventscaddy

import (
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/events/relay"
	"github.com/caddy-socketio/socketio-stream/events/rooms"
	"github.com/caddy-socketio/socketio-stream/events/rooms/lang"
	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/events/streams"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// The event sets that come with the server refuse events that nobody knows,
// alone and together, in whatever order. Those of sessions are told by an
// "error" event as well.
func TestUnknownEventsAreRefusedByEverySet(t *testing.T) {
	const quiet, loud = false, true
	relayed := &relay.Set{Events: []string{"chat"}}
	declared := &rooms.Set{Program: lang.Program{On: []lang.Handler{{Event: "join", Do: []lang.Step{{Do: "join", Room: "lobby"}}}}}}
	for name, test := range map[string]struct {
		sets []streaming.EventSet
		told bool
	}{
		"streaming":           {[]streaming.EventSet{new(streams.Set)}, quiet},
		"relay":               {[]streaming.EventSet{relayed}, quiet},
		"rooms":               {[]streaming.EventSet{declared}, quiet},
		"sessions":            {[]streaming.EventSet{new(sessions.Set)}, loud},
		"relay and sessions":  {[]streaming.EventSet{relayed, new(sessions.Set)}, loud},
		"sessions and relay":  {[]streaming.EventSet{new(sessions.Set), relayed}, loud},
		"streaming and relay": {[]streaming.EventSet{new(streams.Set), relayed}, quiet},
	} {
		t.Run(name, func(t *testing.T) {
			s := eventstest.NewServer(t, test.sets...)
			c := s.Connect()
			c.Send(`27["shout"]`)
			c.Expect(eventstest.RefusedAck(7, "unknown_event", "unknown event"))
			if test.told {
				c.Expect(eventstest.Refusal("unknown_event", "unknown event"))
			}
			c.ExpectNothing()
		})
	}
}

// another is an event set that takes what no other set knows.
type another struct{}

func (another) Register(_ *streaming.Namespace, h *streaming.Handlers) error {
	return h.OnUnknown(func(e *streaming.Event) { e.Ack.Reply(e.Args) })
}

// A set of somebody else may take the events that the sets of the server would
// refuse.
func TestAnotherSetTakesUnknownEvents(t *testing.T) {
	for name, set := range map[string]streaming.EventSet{
		"streaming": new(streams.Set), "relay": &relay.Set{Events: []string{"chat"}}, "sessions": new(sessions.Set),
	} {
		t.Run(name, func(t *testing.T) {
			s := eventstest.NewServer(t, set, another{})
			c := s.Connect()
			c.Send(`27["shout",1]`)
			c.Expect(`37[1]`)
			c.ExpectNothing()
		})
	}
}
