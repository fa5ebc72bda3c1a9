package sessions

import (
	"container/list"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// table has the sessions of one namespace.
type table struct {
	counts counts
	// clients is how many members all sessions have.
	clients atomic.Int64
	// history is what is kept for late joiners. replays bounds how much of it clients are sent,
	// and throttles how often they send events.
	history            *histories
	replays, throttles *buckets

	// mu comes before the lock of a session.
	mu   sync.Mutex
	byID map[string]*session
	// shares are those of the clients who have made the sessions. Those that are kept empty may
	// give way.
	shares       share.Table[*session]
	participants map[*streaming.Socket]*participant
	// kept holds the empty sessions, that which was left first in front.
	kept list.List
	// sweeping is true while a sweep is due.
	sweeping bool
}

// leastSessions is how many sessions count as little, see [share.Table].
const leastSessions = 4

// sweepInterval is how far sweeps of the empty sessions are apart, at least.
const sweepInterval = 100 * time.Millisecond

func newTable(n *streaming.Namespace) *table {
	return &table{
		counts:       newCounts(n),
		history:      newHistories(),
		replays:      newBuckets(),
		throttles:    newBuckets(),
		byID:         make(map[string]*session),
		shares:       share.Table[*session]{Least: leastSessions},
		participants: make(map[*streaming.Socket]*participant),
	}
}

// participant returns what is known of a client, for the handlers of its
// socket: they run one at a time, and nobody else looks into it.
func (t *table) participant(socket *streaming.Socket) *participant {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.participants[socket]
	if p == nil {
		p = &participant{joined: make(map[string]*member)}
		t.participants[socket] = p
	}
	return p
}

// enter returns the session of an ID, which it makes for a client if there is
// none. Over the client's share the empty one of its own that was left first gives
// way. Where its address, or the table, has no room for what little the client has, it is
// the one of anybody there, but for those that have a key: a stranger could come back in
// the place of who knows it.
func (t *table) enter(id string, who share.Client, most int) (*session, *denial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil && !(s.place != nil && !time.Now().Before(s.expires) && t.dropEmpty(s)) {
		return s, nil
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		return nil, deniedSessionID
	}
	s := &session{id: id, quoted: quoted, room: room(id), table: t, turn: make(chan struct{}, 1)}
	if s.holding = t.hold(s, who, most); s.holding == nil {
		return nil, deniedTooManySessions
	}
	t.byID[id] = s
	return s, nil
}

// hold takes a place for a session, or returns nil.
func (t *table) hold(s *session, who share.Client, most int) *share.Holding[*session] {
	t.shares.Bound = int64(most)
	for {
		holding, over := t.shares.Take(who, 1, s)
		if over == share.Within {
			return holding
		}
		empty := t.shares.GivesWay(who, over)
		if empty == nil {
			return nil
		}
		if !t.dropEmpty(empty.Value) {
			empty.Keep() // somebody has just joined it
		}
	}
}

// settle is called after a session has got its first client or lost its last
// one, or has not got the one that it was made for: an empty session is kept for
// a while or removed.
func (t *table) settle(s *session, timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
	case len(s.members) > 0:
		t.takeBack(s)
	case s.place != nil:
	case timeout <= 0:
		t.dropLocked(s)
	default:
		s.expires = time.Now().Add(timeout)
		s.place = t.kept.PushBack(s)
		s.holding.Spare(s.key == nil)
		t.history.leave(&s.history)
		t.sweepIn(timeout)
	}
}

// takeBack takes a session from those that are kept although they are empty.
func (t *table) takeBack(s *session) {
	if s.place != nil {
		t.kept.Remove(s.place)
		s.place = nil
		s.holding.Keep()
	}
}

// dropEmpty removes a session that is kept, unless somebody has just joined.
func (t *table) dropEmpty(s *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.members) > 0 {
		return false
	}
	t.dropLocked(s)
	return true
}

// dropLocked removes a session. Who has found it before sees that it is gone.
func (t *table) dropLocked(s *session) {
	t.takeBack(s)
	s.gone = true
	t.history.clear(&s.history)
	s.holding.Release()
	delete(t.byID, s.id)
}

// sweepIn has the empty sessions looked at after some time: one timer serves
// them all. It does not keep the table alive.
func (t *table) sweepIn(wait time.Duration) {
	if t.sweeping {
		return
	}
	t.sweeping = true
	table := weak.Make(t)
	time.AfterFunc(max(wait, sweepInterval), func() {
		if t := table.Value(); t != nil {
			t.sweep()
		}
	})
}

// maxSweepWait bounds the time to the next sweep, for sessions that come later
// and are kept for a shorter time.
const maxSweepWait = 5 * time.Second

// sweep removes the empty sessions whose time is up.
func (t *table) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweeping = false
	now, next := time.Now(), maxSweepWait
	for at := t.kept.Front(); at != nil; {
		s := at.Value.(*session)
		at = at.Next()
		if left := s.expires.Sub(now); left > 0 {
			next = min(next, left)
		} else {
			t.dropEmpty(s)
		}
	}
	if t.kept.Len() > 0 {
		t.sweepIn(next)
	}
}

// remove takes a client out of a session, and tells the others.
func (t *table) remove(m *member, timeout time.Duration) {
	if m.session.dismiss(m) {
		t.settle(m.session, timeout)
	}
}

// disconnect takes a client that is gone out of all its sessions. It runs
// after all other handlers of the socket.
func (t *table) disconnect(socket *streaming.Socket, timeout time.Duration) {
	t.mu.Lock()
	p := t.participants[socket]
	delete(t.participants, socket)
	t.mu.Unlock()
	if p == nil {
		return
	}
	for _, m := range p.joined {
		t.remove(m, timeout)
	}
}

// missed makes up for the clients that have disconnected while the namespace
// had other event sets.
func (t *table) missed(timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for socket := range t.participants {
		if !socket.Connected() {
			socket.Do(func() { t.disconnect(socket, timeout) })
		}
	}
}
