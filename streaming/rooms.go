package streaming

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// rooms knows which sockets of one namespace are in which rooms of this
// process. Its methods may be called from any goroutine, and do not wait for a
// client.
type rooms struct {
	mu       sync.RWMutex
	everyone room
	byName   map[string]*room
	byID     map[string]*Socket
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
	shared  atomic.Bool
}

// membership is a socket's place in a room.
type membership struct {
	name  string
	room  *room
	index int
}

// places are where a socket is, guarded by the lock of its rooms.
type places struct {
	// index is the place among everyone.
	index   int
	added   bool
	removed bool
	joined  []membership
}

// of returns the index of a room among those the socket has joined, or -1.
func (p *places) of(room string) int {
	return slices.IndexFunc(p.joined, func(m membership) bool { return m.name == room })
}

func newRooms() *rooms {
	return &rooms{byName: make(map[string]*room), byID: make(map[string]*Socket)}
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

// add makes a socket receive what is for everyone. It does nothing for one that
// was removed before.
func (r *rooms) add(s *Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.places.removed || s.places.added {
		return
	}
	s.places.added = true
	s.places.index = len(r.everyone.members)
	r.everyone.members = append(r.everyone.members, s)
	r.byID[s.id] = s
}

// remove takes a socket out of everything, for good. It returns the rooms it
// was in.
func (r *rooms) remove(s *Socket) (rooms []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.places.removed {
		return nil
	}
	s.places.removed = true
	for len(s.places.joined) > 0 {
		rooms = append(rooms, s.places.joined[len(s.places.joined)-1].name)
		r.leavePlace(s, len(s.places.joined)-1)
	}
	s.places.joined = nil
	if s.places.added {
		if moved := r.everyone.removeAt(s.places.index); moved != nil {
			moved.places.index = s.places.index
		}
		delete(r.byID, s.id)
	}
	return rooms
}

// join puts a socket into rooms.
func (r *rooms) join(s *Socket, rooms ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range rooms {
		if s.places.removed || name == s.id || s.places.of(name) >= 0 {
			continue
		}
		in := r.byName[name]
		if in == nil {
			in = &room{}
			r.byName[name] = in
		}
		s.places.joined = append(s.places.joined, membership{name: name, room: in, index: len(in.members)})
		in.members = append(in.members, s)
	}
}

// leave takes a socket out of rooms.
func (r *rooms) leave(s *Socket, rooms ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range rooms {
		if place := s.places.of(name); place >= 0 {
			r.leavePlace(s, place)
		}
	}
}

// leavePlace takes a socket out of the room that is at place among its rooms.
func (r *rooms) leavePlace(s *Socket, place int) {
	m := s.places.joined[place]
	if moved := m.room.removeAt(m.index); moved != nil {
		moved.places.joined[moved.places.of(m.name)].index = m.index
	}
	if len(m.room.members) == 0 {
		delete(r.byName, m.name)
	}
	s.places.joined = slices.Delete(s.places.joined, place, place+1)
}

// of lists the rooms a socket is in, without that of its own ID.
func (r *rooms) of(s *Socket) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := make([]string, 0, len(s.places.joined))
	for _, m := range s.places.joined {
		names = append(names, m.name)
	}
	return names
}

// count is the number of sockets in a room.
func (r *rooms) count(name string) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.members(name))
}

// members returns the members of a room and the socket of that ID. The socket
// is not itself in the room of its ID, see join.
func (r *rooms) members(name string) []*Socket {
	var members []*Socket
	if in := r.byName[name]; in != nil {
		members = in.snapshot()
	}
	if s := r.byID[name]; s != nil {
		// A snapshot has no room for more: this makes a copy.
		members = append(members, s)
	}
	return members
}

// sockets lists the sockets that a target means.
func (r *rooms) sockets(t Target) []*Socket {
	return slices.DeleteFunc(slices.Clone(r.receivers(t)), func(s *Socket) bool { return s == t.Sender })
}

// receivers lists whom a target means, the sender still among them.
func (r *rooms) receivers(t Target) []*Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(t.Rooms) == 0 && len(t.Except) == 0 {
		return r.everyone.snapshot()
	}
	if len(t.Rooms) == 1 && len(t.Except) == 0 {
		return r.members(t.Rooms[0])
	}
	// seen holds those who receive nothing, or nothing more.
	seen := make(map[*Socket]struct{})
	for _, name := range t.Except {
		for _, s := range r.members(name) {
			seen[s] = struct{}{}
		}
	}
	var receivers []*Socket
	add := func(members []*Socket) {
		for _, s := range members {
			if _, ok := seen[s]; !ok {
				seen[s] = struct{}{}
				receivers = append(receivers, s)
			}
		}
	}
	if len(t.Rooms) == 0 {
		add(r.everyone.members)
	}
	for _, name := range t.Rooms {
		add(r.members(name))
	}
	return receivers
}

// find returns the socket of that ID, or nil.
func (r *rooms) find(id string) *Socket {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// size is the number of sockets, and that of the rooms they have joined.
func (r *rooms) size() (sockets, rooms int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.everyone.members), len(r.byName)
}

// roomBatch is how many rooms are looked at before others get the lock.
const roomBatch = 256

// sizes yields the rooms that have members, in no order. A room that comes or
// goes meanwhile may be left out, or come twice. The lock is given away after
// each batch, so that a long walk holds nobody up: a map may change between the
// steps of a walk over it.
func (r *rooms) sizes() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		batch := make([]RoomSize, 0, roomBatch)
		yieldBatch := func() bool {
			for _, found := range batch {
				if !yield(found.Name, found.Sockets) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		r.mu.RLock()
		for name, in := range r.byName {
			if batch = append(batch, RoomSize{Name: name, Sockets: len(in.members)}); len(batch) < roomBatch {
				continue
			}
			r.mu.RUnlock()
			if !yieldBatch() {
				return
			}
			r.mu.RLock()
		}
		r.mu.RUnlock()
		yieldBatch()
	}
}
