package streaming

import (
	"hash/maphash"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// rooms knows which sockets of one namespace are in which rooms of this
// process. Its methods may be called from any goroutine, and do not wait for a
// client.
//
// It is spread over shards, so that sockets seldom wait for each other: rooms by
// their names, sockets by their IDs, which are names of rooms as well. What concerns
// several rooms holds the locks of all their shards, in ascending order.
type rooms struct {
	seed   maphash.Seed
	shards []shard
	order  order
	// log is nil where nothing is kept.
	log atomic.Pointer[recovery.Log]
	// homes has the order locks of all sockets.
	homes atomic.Uint32
	// bytes is what all that sockets are in rooms takes of memory, see roomBytes.
	bytes atomic.Int64
	// changed is called with a room that has got its first member or lost its last one, if it is not nil.
	changed atomic.Pointer[func(name string)]
}

// roomBytes is what it takes of memory that a socket is in a room, besides the room's name.
const roomBytes = 176

type shard struct {
	mu     sync.RWMutex
	byName map[string]*room
	byID   map[string]*Socket
	// everyone has the sockets of byID.
	everyone room
	// kept has the rooms as logs know them, those that a socket has joined which can be recovered.
	kept map[string]*recovery.Room
	_    [48]byte // two cache lines, which processors load together
}

// RoomSize is a room and how many sockets have joined it.
type RoomSize struct {
	Name    string
	Sockets int
}

// room is a set of sockets. Its list may be read without the lock once
// snapshot has handed it out: from then on a removal works on a copy, and what
// is appended lies beyond what was handed out.
type room struct {
	members []*Socket
	// homes has the order locks of the members. There may be those of former
	// members among them.
	homes  set
	shared atomic.Bool
}

func newRooms() *rooms {
	n := 1
	for n < 2*runtime.GOMAXPROCS(0) && n < maxSpread {
		n *= 2
	}
	r := &rooms{seed: maphash.MakeSeed(), shards: make([]shard, n), order: make(order, n)}
	// That of sockets which have not joined any room.
	r.homes.Store(uint32(one(0)))
	return r
}

// snapshot returns the members as they are. The caller must hold the lock, at
// least for reading, and must not change the list.
func (r *room) snapshot() []*Socket {
	if !r.shared.Load() {
		r.shared.Store(true)
	}
	return r.members[:len(r.members):len(r.members)]
}

// removeAt removes the member at index and returns the one that has taken its
// place, or nil.
func (r *room) removeAt(index int) (moved *Socket) {
	if r.shared.Load() {
		r.members = slices.Clone(r.members)
		r.shared.Store(false)
	}
	last := len(r.members) - 1
	if index != last {
		moved = r.members[last]
		r.members[index] = moved
	}
	r.members[last] = nil
	r.members = r.members[:last]
	return moved
}

// forgetHomes finds out which order locks the members have, once in as many calls as
// there are members. It is called when one has left.
func (r *room) forgetHomes() {
	if r.homes&(r.homes-1) == 0 || rand.IntN(len(r.members)+1) > 0 { //nolint:gosec // this is about time, not about secrets
		return
	}
	r.homes = 0
	for _, s := range r.members {
		r.homes |= one(s.places.home)
	}
}

// place returns the number of a name's shard, and that of the order lock which is
// the home of a socket that makes a room of that name.
func (r *rooms) place(name string) (shard, home uint8) {
	hash := maphash.String(r.seed, name)
	mask := uint64(len(r.shards) - 1)                   //nolint:gosec // there are some
	return uint8(hash & mask), uint8(hash >> 32 & mask) //nolint:gosec // below maxSpread
}

func (r *rooms) shard(name string) *shard {
	at, _ := r.place(name)
	return &r.shards[at]
}

// shardsOf returns the shards of some names.
func (r *rooms) shardsOf(names []string) (shards set) {
	for _, name := range names {
		at, _ := r.place(name)
		shards |= one(at)
	}
	return shards
}

// all returns all shards.
func (r *rooms) all() set { return one(uint8(len(r.shards))) - 1 } //nolint:gosec // at most maxSpread

func (r *rooms) lock(shards set) {
	for shards != 0 {
		r.shards[shards.cut()].mu.Lock()
	}
}

func (r *rooms) unlock(shards set) {
	for shards != 0 {
		r.shards[shards.cut()].mu.Unlock()
	}
}

func (r *rooms) rLock(shards set) {
	for shards != 0 {
		r.shards[shards.cut()].mu.RLock()
	}
}

func (r *rooms) rUnlock(shards set) {
	for shards != 0 {
		r.shards[shards.cut()].mu.RUnlock()
	}
}

// add makes a socket receive what is for everyone. It does nothing for one that
// was removed before.
func (r *rooms) add(s *Socket) {
	at := r.shard(s.id)
	at.mu.Lock()
	defer at.mu.Unlock()
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	if s.places.removed || s.places.added {
		return
	}
	s.places.added = true
	s.places.index = int32(len(at.everyone.members)) //nolint:gosec // never that many
	at.everyone.members = append(at.everyone.members, s)
	if at.byID == nil {
		at.byID = make(map[string]*Socket)
	}
	at.byID[s.id] = s
	if s.kept != nil {
		s.kept.Begin()
	}
}

// remove takes a socket out of everything, for good. It returns the rooms it
// was in.
func (r *rooms) remove(s *Socket) (rooms []string) {
	s.places.mu.Lock()
	if s.places.removed {
		s.places.mu.Unlock()
		return nil
	}
	s.places.removed = true
	rooms = s.places.joined.names()
	s.places.mu.Unlock()
	for _, name := range rooms {
		r.leave(s, name)
	}
	at := r.shard(s.id)
	at.mu.Lock()
	defer at.mu.Unlock()
	if s.places.added {
		if moved := at.everyone.removeAt(int(s.places.index)); moved != nil {
			moved.places.index = s.places.index
		}
		delete(at.byID, s.id)
	}
	return rooms
}

// join puts a socket into rooms.
func (r *rooms) join(s *Socket, names ...string) {
	r.settle(s, names)
	shards := r.shardsOf(names)
	r.lock(shards)
	defer r.unlock(shards)
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	bytes := 0
	defer func() { r.bytes.Add(int64(bytes)) }()
	for _, name := range names {
		if s.places.removed || name == s.id || s.places.joined.find(name) != nil {
			continue
		}
		at := r.shard(name)
		in := at.byName[name]
		if in == nil {
			in = &room{}
			if at.byName == nil {
				at.byName = make(map[string]*room)
			}
			at.byName[name] = in
			r.tell(name)
		}
		in.homes |= one(s.places.home)
		if s.places.joined == nil {
			s.places.joined = &joinedRooms{}
		}
		s.places.joined.add(membership{name: name, room: in, index: len(in.members)})
		in.members = append(in.members, s)
		bytes += roomBytes + len(name)
		if s.kept != nil {
			s.kept.Join(at.keptRoom(name))
		}
	}
}

// leave takes a socket out of rooms.
func (r *rooms) leave(s *Socket, names ...string) {
	shards := r.shardsOf(names)
	r.lock(shards)
	defer r.unlock(shards)
	for _, name := range names {
		s.places.mu.Lock()
		m, ok := s.places.joined.take(name)
		s.places.mu.Unlock()
		if !ok {
			continue
		}
		r.bytes.Add(-int64(roomBytes + len(name)))
		if s.kept != nil {
			s.kept.Leave(r.shard(name).keptRoom(name))
		}
		if moved := m.room.removeAt(m.index); moved != nil {
			moved.places.mu.Lock()
			moved.places.joined.find(name).index = m.index
			moved.places.mu.Unlock()
		}
		if len(m.room.members) == 0 {
			delete(r.shard(name).byName, name)
			delete(r.shard(name).kept, name)
			r.tell(name)
		} else {
			m.room.forgetHomes()
		}
	}
}

// tell tells who wants to know that a room has come or gone. The caller holds its lock.
func (r *rooms) tell(name string) {
	if changed := r.changed.Load(); changed != nil {
		(*changed)(name)
	}
}

// of lists the rooms a socket is in, without that of its own ID.
func (r *rooms) of(s *Socket) []string {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	return s.places.joined.names()
}

// joining returns how many rooms a socket is in, and how many more it would be in
// after joining some.
func (r *rooms) joining(s *Socket, names []string) (joined, more int) {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	for i, name := range names {
		if name != s.id && s.places.joined.find(name) == nil && !slices.Contains(names[:i], name) {
			more++
		}
	}
	return s.places.joined.len(), more
}

// count is the number of sockets in a room.
func (r *rooms) count(name string) int {
	at := r.shard(name)
	at.mu.RLock()
	defer at.mu.RUnlock()
	return len(at.members(name))
}

// find returns the socket of that ID, or nil.
func (r *rooms) find(id string) *Socket {
	at := r.shard(id)
	at.mu.RLock()
	defer at.mu.RUnlock()
	return at.byID[id]
}

// size is the number of sockets, and that of the rooms they have joined.
func (r *rooms) size() (sockets, rooms int) {
	for i := range r.shards {
		at := &r.shards[i]
		at.mu.RLock()
		sockets += len(at.everyone.members)
		rooms += len(at.byName)
		at.mu.RUnlock()
	}
	return sockets, rooms
}

// roomBatch is how many rooms are looked at before others get the lock.
const roomBatch = 256

// sizes yields the rooms that have members, in no order. A room that comes or
// goes meanwhile may be left out, or come twice. The lock of a shard is given away
// after each batch, so that a long walk holds nobody up: a map may change between
// the steps of a walk over it.
func (r *rooms) sizes() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		batch := make([]RoomSize, 0, roomBatch)
		for i := range r.shards {
			if !r.shards[i].sizes(batch, yield) {
				return
			}
		}
	}
}

// sizes yields the rooms of a shard. It reports false when yield has. batch is
// memory that it may use.
func (s *shard) sizes(batch []RoomSize, yield func(string, int) bool) bool {
	yieldBatch := func() bool {
		for _, found := range batch {
			if !yield(found.Name, found.Sockets) {
				return false
			}
		}
		batch = batch[:0]
		return true
	}
	s.mu.RLock()
	for name, in := range s.byName {
		if batch = append(batch, RoomSize{Name: name, Sockets: len(in.members)}); len(batch) < roomBatch {
			continue
		}
		s.mu.RUnlock()
		if !yieldBatch() {
			return false
		}
		s.mu.RLock()
	}
	s.mu.RUnlock()
	return yieldBatch()
}
