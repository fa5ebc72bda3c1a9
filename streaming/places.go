package streaming

import "sync"

// places are where a socket is among the rooms of its namespace.
type places struct {
	// mu guards removed and joined. Whoever needs the lock of a shard as well takes
	// that one first.
	mu     sync.Mutex
	joined *joinedRooms

	// index is the place among everyone, once the socket was added. The shard of the
	// socket's ID guards both.
	index   int32
	added   bool
	removed bool
	// home is the order lock of the socket, see order. It changes only while these
	// locks are held: that order lock, those of the shards of the socket's ID and of
	// its rooms, and mu. So any one of them is enough to read it.
	home uint8
}

// membership is a socket's place in a room.
type membership struct {
	name string
	room *room
	// index is the place among the members. It changes only while the lock of the
	// room's shard is held as well as that of the socket's places.
	index int
}

// joinedRooms are the rooms that a socket has joined, in no order. A nil pointer is
// none.
type joinedRooms struct {
	list []membership
	// byName has the places in the list. It is nil as long as the list is short.
	byName map[string]int
}

// shortList is how many rooms a socket may have joined before they are found by a
// map.
const shortList = 16

func (j *joinedRooms) len() int {
	if j == nil {
		return 0
	}
	return len(j.list)
}

// find returns the membership in a room, or nil. It is valid until the next change.
func (j *joinedRooms) find(name string) *membership {
	if j == nil {
		return nil
	}
	if j.byName != nil {
		if at, ok := j.byName[name]; ok {
			return &j.list[at]
		}
		return nil
	}
	for i := range j.list {
		if j.list[i].name == name {
			return &j.list[i]
		}
	}
	return nil
}

func (j *joinedRooms) add(m membership) {
	j.list = append(j.list, m)
	switch {
	case j.byName != nil:
		j.byName[m.name] = len(j.list) - 1
	case len(j.list) > shortList:
		j.byName = make(map[string]int, 2*shortList)
		for i := range j.list {
			j.byName[j.list[i].name] = i
		}
	}
}

// take removes the membership in a room, and returns it.
func (j *joinedRooms) take(name string) (m membership, ok bool) {
	at := j.find(name)
	if at == nil {
		return membership{}, false
	}
	m = *at
	last := len(j.list) - 1
	*at = j.list[last]
	if j.byName != nil {
		j.byName[at.name] = j.byName[name]
		delete(j.byName, name)
	}
	j.list[last] = membership{}
	j.list = j.list[:last]
	if last == 0 {
		j.byName = nil
	}
	return m, true
}

// names lists the rooms.
func (j *joinedRooms) names() []string {
	names := make([]string, 0, j.len())
	if j != nil {
		for i := range j.list {
			names = append(names, j.list[i].name)
		}
	}
	return names
}
