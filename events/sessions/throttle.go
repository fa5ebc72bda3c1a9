package sessions

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
)

// Throttle bounds how often one client may send an event: Count times at once, and Count times in
// each Per from then on. A client is a connection.
type Throttle struct {
	Event string
	Count int
	Per   time.Duration
}

// DefaultJoinThrottle bounds how often one client may join sessions, unless [Set.Throttle] has a
// throttle for that: a client that is back joins again all sessions that it may be in at once.
var DefaultJoinThrottle = Throttle{Event: "join", Count: maxJoined, Per: 10 * time.Second}

// throttled is what the bucket of a throttle is known by. It outlasts a socket: a client would have a
// full one for each time that it connects to the namespace.
type throttled struct {
	connection any
	event      string
}

// allows reports whether a client may send the event now.
func (s *service) allows(r *request) bool {
	for _, t := range s.Throttle {
		if t.Event == r.name {
			rate := float64(t.Count) / t.Per.Seconds()
			return s.table.throttles.allow(throttled{events.Connection(r.socket), t.Event}, rate, float64(t.Count))
		}
	}
	return true
}
