package streams

import (
	"hash/maphash"
	"sync"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// streams are the streams of one namespace, and the names that are held for owners
// who have lost their connections.
type streams struct {
	namespace *streaming.Namespace
	started   *measure.Counter
	turns     turns
	// sent slows down who has replays sent to it again and again.
	sent share.Meter

	// mu guards what follows. It is held for a moment only; nothing is sent while it is.
	mu     sync.Mutex
	byID   map[string]*stream
	owners map[*streaming.Socket][]*stream
	// held are the names that are held, and due the same and those that are not any
	// more, in the order in which their time is over.
	held map[string]*heldName
	due  []*heldName
	// names are who has how many streams and held names, and replays who has how many
	// bytes that are kept for late joiners.
	names, replays share.Table[struct{}]
}

const (
	// maxReplayBytes bounds what is kept for the late joiners of a namespace.
	maxReplayBytes = 64 << 20
	// leastStreams and leastReplay are how many streams, and bytes, count as little, see
	// [share.Table].
	leastStreams = 4
	leastReplay  = 256 << 10
)

// What a client is sent of replays: so many bytes at once, and so many in each second
// from then on. An address is sent so many times as much.
const (
	replayBurst   = 8_000_000
	replayRate    = 1_000_000
	replayClients = 32
)

func newStreams(n *streaming.Namespace) *streams {
	return &streams{
		namespace: n,
		started:   n.Counter(startedFigure),
		turns:     turns{seed: maphash.MakeSeed()},
		sent:      share.Meter{Rate: replayRate, Burst: replayBurst, Clients: replayClients},
		byID:      make(map[string]*stream),
		owners:    make(map[*streaming.Socket][]*stream),
		held:      make(map[string]*heldName),
		names:     share.Table[struct{}]{Least: leastStreams},
		replays:   share.Table[struct{}]{Bound: maxReplayBytes, Least: leastReplay},
	}
}

// claim is a client's wish to be the owner of a stream.
type claim struct {
	id     string
	socket *streaming.Socket
	header *packet.Args
	// secret is what the client shows, or empty.
	secret string
	// told is true if it is going to be told the secret of the stream.
	told bool
	// most is how many streams there may be.
	most int
}

// claim makes a socket the owner of a stream. An owner that starts its stream again
// begins anew. One that is back on another connection takes its stream over by the
// secret of the stream: old is then the socket that it had, and without a header the
// replay stays as it is. The caller has the stream's turn, and tells of what has
// changed.
func (t *streams) claim(c *claim) (s *stream, old *streaming.Socket, refused *refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.heldLocked(c.id)
	s = t.byID[c.id]
	switch {
	case s == nil && (held == nil || held.isOf(c.socket, c.secret)):
		s, refused = t.addLocked(c, held)
		return s, nil, refused
	case s == nil:
		return nil, nil, streamTaken
	case s.owner.Load() == c.socket:
	case events.SameSecret(c.secret, s.secret) && events.SameIdentity(s.owner.Load(), c.socket):
		old = s.owner.Load()
	default:
		return nil, nil, streamTaken
	}
	if c.header != nil || old == nil {
		if !t.keepLocked(s, events.Client(c.socket), c.header) {
			return nil, nil, replayFull
		}
	}
	if old != nil {
		who := events.Client(c.socket)
		s.name.HandTo(who)
		if s.kept != nil {
			s.kept.HandTo(who)
		}
		t.disown(s)
		t.own(s, c.socket)
	}
	s.told = s.told || c.told
	return s, old, nil
}

// addLocked makes the stream of a claim. If its name was held, the stream has the
// place and the secret of that. The caller holds the lock.
func (t *streams) addLocked(c *claim, held *heldName) (*stream, *refusal) {
	who := events.Client(c.socket)
	s := &stream{id: c.id, room: room(c.id), table: t, turn: t.turns.of(c.id), told: c.told}
	if !t.keepLocked(s, who, c.header) {
		return nil, replayFull
	}
	if held != nil {
		delete(t.held, c.id)
		s.name, s.secret = held.name, held.secret
		s.name.HandTo(who)
	} else {
		var over share.Over
		t.names.Bound = int64(c.most)
		if s.name, over = t.names.Take(who, 1, struct{}{}); over != share.Within {
			t.forgetLocked(s)
			return nil, tooMany[over]
		}
		s.secret = events.NewSecret()
	}
	t.byID[c.id] = s
	t.own(s, c.socket)
	t.started.Add(0, 1)
	return s, nil
}

// keepLocked takes room for a replay in place of the one that a stream has; nil is
// none. It reports false, and changes nothing, if there is no room for it. The caller
// holds the lock.
func (t *streams) keepLocked(s *stream, who share.Client, replay *packet.Args) bool {
	if replay == nil {
		t.forgetLocked(s)
		return true
	}
	size := int64(replay.Size())
	if s.kept != nil {
		return s.kept.Resize(size) == share.Within
	}
	kept, over := t.replays.Take(who, size, struct{}{})
	if over == share.Within {
		s.kept = kept
	}
	return over == share.Within
}

// forgetLocked gives back the room of a stream's replay. The caller holds the lock.
func (t *streams) forgetLocked(s *stream) {
	if s.kept != nil {
		s.kept.Release()
		s.kept = nil
	}
}

// keepFirst keeps data for the late joiners of a stream that has nothing for them yet,
// if there is room for it. The caller has the stream's turn.
func (t *streams) keepFirst(s *stream, data packet.Args) {
	if s.replay.Load() != nil {
		return
	}
	// What is kept must not hold on to all that came with it.
	kept := data.Clone()
	t.mu.Lock()
	ok := t.keepLocked(s, events.Client(s.owner.Load()), &kept)
	t.mu.Unlock()
	if ok {
		s.replay.Store(&kept)
	}
}

// own makes a socket the owner of a stream that has none.
func (t *streams) own(s *stream, socket *streaming.Socket) {
	s.owner.Store(socket)
	t.owners[socket] = append(t.owners[socket], s)
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

// owned lists the streams that a socket is the owner of.
func (t *streams) owned(socket *streaming.Socket) []*stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*stream(nil), t.owners[socket]...)
}

// recount has the streams of an owner count for the connection on which its client is back.
func (t *streams) recount(socket *streaming.Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := events.Client(socket)
	for _, s := range t.owners[socket] {
		s.name.HandTo(who)
		if s.kept != nil {
			s.kept.HandTo(who)
		}
	}
}

// owns reports whether a socket is the owner of any stream.
func (t *streams) owns(socket *streaming.Socket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.owners[socket]) > 0
}

// remove takes a stream out that has ended, and holds its name for its owner if that
// is wanted. The caller has the stream's turn, and has told of the end.
func (t *streams) remove(s *stream, hold bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	owner := s.owner.Load()
	delete(t.byID, s.id)
	t.forgetLocked(s)
	t.disown(s)
	if !hold || !t.hold(s, owner) {
		s.name.Release()
	}
}

// get returns a started stream, or nil.
func (t *streams) get(id string) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[id]
}

// find returns a started stream, or nil, and whether its name is held for another
// client than that of a socket.
func (t *streams) find(id string, socket *streaming.Socket) (s *stream, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.byID[id]; s != nil || len(t.held) == 0 {
		return s, false
	}
	h := t.heldLocked(id)
	return nil, h != nil && !h.isOf(socket, "")
}
