package streaming

import "slices"

// members returns the members of a room and the socket of that ID. The socket
// is not itself in the room of its ID, see rooms.join. The caller holds the lock, at
// least for reading.
func (s *shard) members(name string) []*Socket {
	var members []*Socket
	if in := s.byName[name]; in != nil {
		members = in.snapshot()
	}
	if socket := s.byID[name]; socket != nil {
		// A snapshot has no room for more: this makes a copy.
		members = append(members, socket)
	}
	return members
}

// reach returns the order locks of the members of a room and of the socket of that
// ID, and how many they are. The caller holds the lock, at least for reading.
func (s *shard) reach(name string) (homes set, size int) {
	if in := s.byName[name]; in != nil {
		homes, size = in.homes, len(in.members)
	}
	if socket := s.byID[name]; socket != nil {
		homes |= one(socket.places.home)
		size++
	}
	return homes, size
}

// sockets lists the sockets that a target means.
func (r *rooms) sockets(t Target) (sockets []*Socket) {
	receivers, _ := r.receivers(t, everything, nil, nil)
	for _, list := range receivers {
		sockets = append(sockets, list...)
	}
	return slices.DeleteFunc(sockets, func(s *Socket) bool {
		return s == t.Sender || t.MayJoin != "" && !s.MayJoin(t.MayJoin)
	})
}

// receivers lists whom a target means, the sender still among them, in lists that it
// appends to lists. None of them is empty. It returns missing instead if there may be
// several, and they have order locks that are not among held, or if they may miss what is sent to them,
// and it is kept. The broadcast of the audience, if there is one, then has its place in the log.
func (r *rooms) receivers(t Target, held set, lists [][]*Socket, a *audience) (receivers [][]*Socket, missing set) {
	if len(t.Rooms) == 0 {
		// Each home is added here before the first socket gets it, and a socket gets no
		// other one while its own is held.
		if missing = set(r.homes.Load()) &^ held; missing != 0 {
			return nil, missing
		}
	}
	shards := r.shardsOf(t.Rooms) | r.shardsOf(t.Except)
	if len(t.Rooms) == 0 {
		shards = r.all()
	}
	r.rLock(shards)
	defer r.rUnlock(shards)
	var homes set
	size := 0
	for _, name := range t.Rooms {
		more, n := r.shard(name).reach(name)
		homes |= more
		size += n
	}
	if missing = homes &^ held; missing != 0 && (size > 1 || a != nil && a.keeping != nil) {
		return nil, missing
	}
	if len(t.Except) > 0 || len(t.Rooms) > 1 {
		if distinct := r.distinct(t); len(distinct) > 0 {
			lists = append(lists, distinct)
		}
		r.append(a, lists)
		return lists, 0
	}
	for shards != 0 {
		at := &r.shards[shards.cut()]
		list := at.everyone.members
		if len(t.Rooms) > 0 {
			list = at.members(t.Rooms[0])
		} else if len(list) > 0 {
			list = at.everyone.snapshot()
		}
		if len(list) > 0 {
			lists = append(lists, list)
		}
	}
	r.append(a, lists)
	return lists, 0
}

// distinct lists each socket that a target means once. The caller holds the locks of
// the shards, at least for reading.
func (r *rooms) distinct(t Target) (receivers []*Socket) {
	// seen holds those who receive nothing, or nothing more.
	seen := make(map[*Socket]struct{})
	for _, name := range t.Except {
		for _, s := range r.shard(name).members(name) {
			seen[s] = struct{}{}
		}
	}
	add := func(members []*Socket) {
		for _, s := range members {
			if _, ok := seen[s]; !ok {
				seen[s] = struct{}{}
				receivers = append(receivers, s)
			}
		}
	}
	for _, name := range t.Rooms {
		add(r.shard(name).members(name))
	}
	if len(t.Rooms) == 0 {
		for i := range r.shards {
			add(r.shards[i].everyone.members)
		}
	}
	return receivers
}
