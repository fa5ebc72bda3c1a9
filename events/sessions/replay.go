package sessions

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// A join of a few bytes has the history sent, which may be megabytes. How much of that a client, and
// an address, is sent is bounded by a bucket for each: who joins again and again waits for it, and
// then gets less and is told so.
const (
	// replayBurst is how many bytes a client is sent at once, or the size of two histories where
	// that is more. replayRate is how many come in each second from then on.
	replayBurst = 8_000_000
	replayRate  = 1_000_000
	// replayClients is how many times as much an address is sent: a school comes back as one.
	replayClients = 32
	// replayOverhead is more than what a message adds to its arguments.
	replayOverhead = 256
)

// replayWait is how long a join waits for its history at most. A variable for tests alone.
var replayWait = 5 * time.Second

// allowance is what a joiner may be sent of a history, in bytes.
type allowance struct {
	buckets *buckets
	who     share.Client
	burst   float64
	bytes   int
}

// allowance waits, for a bounded time, until the sender of a join may be sent what a session keeps.
func (s *service) allowance(r *request, session *session) *allowance {
	a := &allowance{buckets: s.table.replays, who: events.Client(r.socket)}
	if s.History == 0 {
		return a
	}
	a.burst = float64(max(replayBurst, 2*(s.HistorySize+s.History*replayOverhead)))
	_, limit := r.socket.Backlog()
	want := min(s.table.history.bytesOf(&session.history, s.History), limit/2)
	for deadline := time.Now().Add(replayWait); want > 0; {
		wait := a.take(want, !time.Now().Before(deadline))
		if wait == 0 || !events.Rest(r.socket.Context(), min(wait, time.Until(deadline))) {
			break
		}
	}
	return a
}

// take takes so many bytes out of the buckets, or with less what there is. Without that it takes
// nothing where there is less, and returns how long it would have to wait.
func (a *allowance) take(want int, less bool) (wait time.Duration) {
	a.buckets.mu.Lock()
	defer a.buckets.mu.Unlock()
	now := time.Now()
	client := a.buckets.get(a.who.ID, replayRate, a.burst, now)
	address := a.buckets.get(a.who.Address, replayClients*replayRate, replayClients*a.burst, now)
	much := float64(want)
	if there := min(client.left, address.left); there < much {
		if !less {
			return max(client.wait(much), address.wait(much), time.Millisecond)
		}
		much = max(there, 0)
	}
	client.left -= much
	address.left -= much
	a.bytes += int(much)
	return 0
}

// end gives back what was not used.
func (a *allowance) end() {
	if a.bytes == 0 {
		return
	}
	a.buckets.mu.Lock()
	defer a.buckets.mu.Unlock()
	for _, key := range []any{a.who.ID, a.who.Address} {
		if b := a.buckets.byKey[key]; b != nil {
			b.left = min(b.left+float64(a.bytes), b.burst)
		}
	}
	a.bytes = 0
}

// of returns the latest contents that a joiner is sent of a session, and how many it misses. It is
// sent no more than half of what may still wait for it, since it must not be cut off for having
// joined. The session does not change meanwhile.
func (a *allowance) of(s *session, socket *streaming.Socket, most int) (contents []packet.Args, missed int) {
	if most == 0 {
		return nil, 0
	}
	waiting, limit := socket.Backlog()
	room := (limit - waiting) / 2
	// There may be more than there was when the join began to wait.
	if more := min(s.table.history.bytesOf(&s.history, most), room) - a.bytes; more > 0 {
		a.take(more, true)
	}
	contents, bytes, missed := s.table.history.latest(&s.history, most, min(a.bytes, room))
	a.bytes -= bytes
	return contents, missed
}
