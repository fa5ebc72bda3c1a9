package streaming

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// memoryAdapter is the adapter of a single process.
type memoryAdapter struct {
	mu       sync.RWMutex
	everyone room
	rooms    map[string]*room
	sockets  map[string]*Socket
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

// rooms is an adapter's part of a socket, guarded by the adapter's lock.
type socketRooms struct {
	// index is the place among everyone.
	index   int
	added   bool
	removed bool
	joined  []membership
}

func newMemoryAdapter() *memoryAdapter {
	return &memoryAdapter{rooms: make(map[string]*room), sockets: make(map[string]*Socket)}
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

func (a *memoryAdapter) Add(s *Socket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.rooms.removed || s.rooms.added {
		return
	}
	s.rooms.added = true
	s.rooms.index = len(a.everyone.members)
	a.everyone.members = append(a.everyone.members, s)
	a.sockets[s.id] = s
}

func (a *memoryAdapter) Remove(s *Socket) (rooms []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.rooms.removed {
		return nil
	}
	s.rooms.removed = true
	for len(s.rooms.joined) > 0 {
		rooms = append(rooms, s.rooms.joined[len(s.rooms.joined)-1].name)
		a.leave(s, len(s.rooms.joined)-1)
	}
	s.rooms.joined = nil
	if s.rooms.added {
		if moved := a.everyone.removeAt(s.rooms.index); moved != nil {
			moved.rooms.index = s.rooms.index
		}
		delete(a.sockets, s.id)
	}
	return rooms
}

func (a *memoryAdapter) Join(s *Socket, rooms ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range rooms {
		if s.rooms.removed || name == s.id || s.place(name) >= 0 {
			continue
		}
		r := a.rooms[name]
		if r == nil {
			r = &room{}
			a.rooms[name] = r
		}
		s.rooms.joined = append(s.rooms.joined, membership{name: name, room: r, index: len(r.members)})
		r.members = append(r.members, s)
	}
}

func (a *memoryAdapter) Leave(s *Socket, rooms ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range rooms {
		if place := s.place(name); place >= 0 {
			a.leave(s, place)
		}
	}
}

// place returns the index of a room among those the socket has joined, or -1.
func (s *Socket) place(room string) int {
	return slices.IndexFunc(s.rooms.joined, func(m membership) bool { return m.name == room })
}

// leave takes a socket out of the room that is at place among its rooms.
func (a *memoryAdapter) leave(s *Socket, place int) {
	m := s.rooms.joined[place]
	if moved := m.room.removeAt(m.index); moved != nil {
		moved.rooms.joined[moved.place(m.name)].index = m.index
	}
	if len(m.room.members) == 0 {
		delete(a.rooms, m.name)
	}
	s.rooms.joined = slices.Delete(s.rooms.joined, place, place+1)
}

func (a *memoryAdapter) Rooms(s *Socket) []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	names := make([]string, 0, len(s.rooms.joined))
	for _, m := range s.rooms.joined {
		names = append(names, m.name)
	}
	return names
}

func (a *memoryAdapter) Count(name string) int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.members(name))
}

// members returns the members of a room and the socket of that ID. The socket
// is not itself in the room of its ID, see Join.
func (a *memoryAdapter) members(name string) []*Socket {
	var members []*Socket
	if r := a.rooms[name]; r != nil {
		members = r.snapshot()
	}
	if s := a.sockets[name]; s != nil {
		// A snapshot has no room for more: this makes a copy.
		members = append(members, s)
	}
	return members
}

func (a *memoryAdapter) Sockets(t Target) []*Socket {
	return slices.DeleteFunc(slices.Clone(a.receivers(t)), func(s *Socket) bool { return s == t.Sender })
}

func (a *memoryAdapter) Broadcast(p *packet.Packet, t Target) {
	receivers := a.receivers(t)
	if len(receivers) == 0 {
		return
	}
	message := p.Message()
	var burst engineio.Burst
	for _, s := range receivers {
		if s != t.Sender {
			s.greet(&burst)
			burst.Send(s.client.session, message)
		}
	}
	burst.Flush()
}

// receivers lists whom a target means, the sender still among them.
func (a *memoryAdapter) receivers(t Target) []*Socket {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(t.Rooms) == 0 && len(t.Except) == 0 {
		return a.everyone.snapshot()
	}
	if len(t.Rooms) == 1 && len(t.Except) == 0 {
		return a.members(t.Rooms[0])
	}
	// seen holds those who receive nothing, or nothing more.
	seen := make(map[*Socket]struct{})
	for _, name := range t.Except {
		for _, s := range a.members(name) {
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
		add(a.everyone.members)
	}
	for _, name := range t.Rooms {
		add(a.members(name))
	}
	return receivers
}
