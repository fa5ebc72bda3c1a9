package streams

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// streams are the streams of one namespace.
type streams struct {
	namespace *streaming.Namespace
	started   *measure.Counter

	mu     sync.Mutex
	byID   map[string]*stream
	owners map[*streaming.Socket][]*stream
	// replayBytes is the size of all that is kept for late joiners.
	replayBytes int
}

// maxReplayBytes bounds what is kept for the late joiners of a namespace.
const maxReplayBytes = 64 << 20

// viewersInterval is how long changes of a stream's audience are gathered
// before they are told.
const viewersInterval = 250 * time.Millisecond

// stream is a stream that was started.
type stream struct {
	id    string
	table *streams
	// secret is what its owner alone has been told, see claim.
	secret string
	// owner is changed under the lock of the table.
	owner atomic.Pointer[streaming.Socket]

	// mu keeps what a late joiner gets in order: the replay first, then what
	// is sent from then on. What is sent while it is held is only queued. The
	// table's lock comes before it.
	mu     sync.Mutex
	replay atomic.Pointer[packet.Args]

	// counting is true while a count of viewers is due to be told. Guarded by
	// the table.
	counting bool
	// replayed is the size of replay. Guarded by the table.
	replayed int
}

func newStreams(n *streaming.Namespace) *streams {
	return &streams{
		namespace: n,
		started:   n.Counter(startedFigure),
		byID:      make(map[string]*stream),
		owners:    make(map[*streaming.Socket][]*stream),
	}
}

const roomPrefix = "stream:"

// room is the room of those who have joined a stream.
func room(id string) string { return roomPrefix + id }

func idOfRoom(name string) (id string, ok bool) { return strings.CutPrefix(name, roomPrefix) }

// claim makes socket the owner of a stream, or returns the code of a refusal.
// An owner that starts its stream again begins anew. One that is back on another
// connection takes its stream over by the secret of the stream: old is then the
// socket that it had, and without a header the replay stays as it is.
func (t *streams) claim(
	id string, socket *streaming.Socket, header *packet.Args, secret string, most int,
) (s *stream, old *streaming.Socket, code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s = t.byID[id]
	switch {
	case s == nil && len(t.byID) >= most:
		return nil, nil, CodeTooManyStreams
	case s == nil || s.owner.Load() == socket:
	case events.SameSecret(secret, s.secret) && events.SameIdentity(s.owner.Load(), socket):
		old = s.owner.Load()
	default:
		return nil, nil, CodeStreamTaken
	}
	size, before := 0, 0
	if s != nil {
		before = s.replayed
	}
	switch {
	case header != nil:
		size = header.Size()
	case old != nil:
		size = before
	}
	if t.replayBytes-before+size > maxReplayBytes {
		return nil, nil, CodeReplayFull
	}
	switch {
	case s == nil:
		s = &stream{id: id, table: t, secret: events.NewSecret()}
		t.byID[id] = s
		t.own(s, socket)
		t.started.Add(0, 1)
	case old != nil:
		t.disown(s)
		t.own(s, socket)
	}
	t.replayBytes += size - before
	s.replayed = size
	return s, old, ""
}

// own makes a socket the owner of a stream that has none.
func (t *streams) own(s *stream, socket *streaming.Socket) {
	s.owner.Store(socket)
	t.owners[socket] = append(t.owners[socket], s)
}

// owns reports whether a socket is the owner of any stream.
func (t *streams) owns(socket *streaming.Socket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.owners[socket]) > 0
}

// named returns the stream that the data of an event names, or nil. ok is false
// when the name is no string: a client that uses it as one would take 7 or
// ["7"] for "7", and the data for that of another's stream.
func (t *streams) named(e *streaming.Event) (s *stream, ok bool) {
	object, ok := e.Args.Object(0)
	if !ok {
		return nil, true
	}
	field := object.Field("streamId")
	if field == nil || string(field) == "null" {
		return nil, true
	}
	id, ok := object.Text("streamId")
	if !ok {
		return nil, false
	}
	return t.get(id), true
}

// release ends a stream. ended is false when there was none; ok is false when
// the stream is another socket's.
func (t *streams) release(id string, socket *streaming.Socket) (ended, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil {
		return false, true
	}
	if s.owner.Load() != socket {
		return false, false
	}
	t.remove(s)
	return true, true
}

// releaseAll ends all streams of a socket and returns their IDs.
func (t *streams) releaseAll(socket *streaming.Socket) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var ids []string
	for len(t.owners[socket]) > 0 {
		s := t.owners[socket][0]
		ids = append(ids, s.id)
		t.remove(s)
	}
	return ids
}

func (t *streams) remove(s *stream) {
	delete(t.byID, s.id)
	t.replayBytes -= s.replayed
	t.disown(s)
}

// disown takes a stream from its owner.
func (t *streams) disown(s *stream) {
	owner := s.owner.Load()
	owned := t.owners[owner]
	for i := range owned {
		if owned[i] == s {
			owned[i] = owned[len(owned)-1]
			owned[len(owned)-1] = nil
			owned = owned[:len(owned)-1]
			break
		}
	}
	if len(owned) == 0 {
		delete(t.owners, owner)
	} else {
		t.owners[owner] = owned
	}
}

// get returns a started stream, or nil.
func (t *streams) get(id string) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// join makes a socket receive what is for those who have joined. A stream that
// was not started yet may be waited for. Nobody starts or ends the stream
// meanwhile, so that the socket gets the replay once: here, or with all others
// when the stream begins.
// The error is streaming.ErrTooManyRooms.
func (t *streams) join(id string, socket *streaming.Socket) error {
	t.mu.Lock()
	var err error
	if s := t.byID[id]; s != nil {
		err = s.letIn(socket)
	} else {
		err = socket.Join(room(id))
	}
	t.mu.Unlock()
	if err == nil {
		t.countViewers(id)
	}
	return err
}

// letIn makes a socket receive the stream, the replay first.
func (s *stream) letIn(socket *streaming.Socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := socket.RoomFor(room(s.id)); err != nil {
		return err
	}
	if replay := s.replay.Load(); replay != nil {
		_ = socket.EmitArgs("stream:data", *replay)
	}
	return socket.Join(room(s.id))
}

// answer tells about a stream, and its owner the secret.
func (t *streams) answer(id, secret string) answer {
	return answer{
		Success: events.Success{Success: true},
		Stream:  info{StreamID: id, Live: t.get(id) != nil, Viewers: t.namespace.Count(room(id))},
		Secret:  secret,
	}
}

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
	}{s.id, n.Count(room(s.id))}
	_ = n.To(room(s.id), s.owner.Load().ID()).Emit("stream:viewers", count)
}

// begin tells those who wait for a stream that it has started.
func (s *stream) begin(header *packet.Args) {
	defer s.table.countViewers(s.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replay.Store(header)
	viewers := s.owner.Load().To(room(s.id))
	_ = viewers.Emit("stream:started", status{Status: "ok", StreamID: s.id})
	if header != nil {
		_ = viewers.EmitArgs("stream:data", *header)
	}
}

// send sends data to an audience, and keeps the first of it where that is
// wanted.
func (s *stream) send(audience streaming.Broadcast, args packet.Args, replay Replay) {
	if replay != ReplayFirst || s.replay.Load() != nil || !s.table.keep(s, args.Size()) {
		_ = audience.EmitArgs("stream:data", args)
		return
	}
	// What is kept must not hold on to all that came with it.
	kept := args.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replay.Store(&kept)
	_ = audience.EmitArgs("stream:data", args)
}

// keep takes room for a replay.
func (t *streams) keep(s *stream, size int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replayBytes+size > maxReplayBytes || t.byID[s.id] != s || s.replayed > 0 {
		return false
	}
	t.replayBytes += size
	s.replayed = size
	return true
}
