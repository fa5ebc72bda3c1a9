package streams

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// stream is a stream that was started.
type stream struct {
	id, room string
	table    *streams
	turn     *turn
	// secret is what its owner alone has been told, see claim.
	secret string
	// owner and replay change only in the turn of the stream. replay is what late joiners get.
	owner  atomic.Pointer[streaming.Socket]
	replay atomic.Pointer[packet.Args]

	// The rest is guarded by the table.

	// told is true once an owner was told the secret.
	told bool
	// counting is true while a count of viewers is due to be told.
	counting bool
	// name is its place among the names, kept the bytes of its replay, or nil.
	name, kept *share.Holding[struct{}]
}

const roomPrefix = "stream:"

// room is the room of those who have joined a stream, and the name by which rights know of it.
func room(id string) string { return roomPrefix + id }

func idOfRoom(name string) (id string, ok bool) { return strings.CutPrefix(name, roomPrefix) }

// begin tells those who wait for a stream that it has started, and keeps its header for those who
// come later. The caller has the stream's turn.
func (s *stream) begin(header *packet.Args) {
	s.replay.Store(header)
	viewers := s.owner.Load().To(s.room)
	_ = viewers.Emit("stream:started", status{Status: "ok", StreamID: s.id})
	if header != nil {
		_ = viewers.EmitArgs("stream:data", *header)
	}
	s.table.countViewers(s.id)
}

// viewersInterval is how long changes of a stream's audience are gathered
// before they are told.
const viewersInterval = 250 * time.Millisecond

// countViewers sees to it that the owner and the viewers of a stream hear, a
// little later, how many they are.
func (t *streams) countViewers(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil || s.counting {
		return
	}
	s.counting = true
	time.AfterFunc(viewersInterval, s.tellViewers)
}

func (s *stream) tellViewers() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.table.mu.Lock()
	s.counting = false
	over := s.table.byID[s.id] != s
	s.table.mu.Unlock()
	if over {
		return
	}
	n := s.table.namespace
	count := struct {
		StreamID string `json:"streamId"`
		Viewers  int    `json:"viewers"`
	}{s.id, n.Count(s.room)}
	_ = n.To(s.room, s.owner.Load().ID()).Emit("stream:viewers", count)
}
