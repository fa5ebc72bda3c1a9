package streaming

import (
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// keeping is how a broadcast is kept for those who may miss it.
type keeping struct {
	log    *recovery.Log
	packet *packet.Packet
	// entry is its place in the log, or nil if it is not kept.
	entry *recovery.Entry
	// locked is true once the audience has its locks.
	locked bool
}

// keepIn has the broadcast of a packet kept in the log of the namespace, if there is one.
func (a *audience) keepIn(log *recovery.Log, p *packet.Packet) {
	if log != nil {
		a.keeping = &keeping{log: log, packet: p}
	}
}

// broadcastKept is [engineio.Broadcast] in a namespace with a log. The packet gets its place in the log
// while the locks of its receivers are held, and the message that has it is built once for all of them.
func broadcastKept(p *packet.Packet, to engineio.Audience[*Socket], a *audience) (receivers int) {
	a.receivers = to.Lock()
	a.keeping.locked = true
	begun := false
	defer func() {
		if !begun {
			to.Unlock()
		}
	}()
	m := keptMessage(p, a.keeping.log, a.keeping.entry)
	begun = true
	return engineio.Broadcast(m, to)
}

// keptMessage builds the message of a packet, with its offset, and has it kept if it has a place in the
// log. One that asks for an answer has no offset, as clients find their way to answer by the last
// argument; the answer is what tells that it has come. A volatile one has none either, but where a client
// would take its last argument for one: all before it are on their way, too.
func keptMessage(p *packet.Packet, log *recovery.Log, entry *recovery.Entry) (m *wire.Message) {
	offset := ""
	switch {
	case p.HasID:
	case entry != nil:
		offset = log.OffsetOf(entry)
	case p.Flags&packet.Volatile != 0 && p.EndsInText():
		offset = log.Head()
	}
	if offset == "" {
		m = p.Message()
	} else {
		m = p.EncodeAt(offset)
	}
	if entry != nil {
		log.Keep(entry, m)
	}
	return m
}

// append gives the broadcast of an audience its place in the log. The receivers are those in lists, and
// the caller holds what keeps others from joining the rooms.
func (r *rooms) append(a *audience, lists [][]*Socket) {
	if a == nil || len(lists) == 0 {
		return
	}
	log := r.log.Load()
	switch {
	case log == nil:
	case a.keeping == nil || a.keeping.log != log:
		// Recovery was turned on after the broadcast had begun.
		log.Lose()
	case a.keeping.packet.Flags&packet.Volatile == 0:
		a.keeping.entry = log.Append(r.kept(a))
	}
}

// kept returns whom a broadcast is for as logs know it, and whose client has brought it about.
func (r *rooms) kept(a *audience) (to recovery.Target, cause *recovery.Session) {
	t := &a.target
	to.Everyone, to.MayJoin = len(t.Rooms) == 0, t.MayJoin
	to.Asks, to.AckID = a.keeping.packet.HasID, a.keeping.packet.ID
	to.Rooms, to.Sessions = r.keptNames(t.Rooms)
	to.ExceptRooms, to.ExceptSessions = r.keptNames(t.Except)
	if t.Sender != nil {
		to.Sender, cause = t.Sender.kept, t.Sender.kept
	}
	return to, cause
}

func (r *rooms) keptNames(names []string) (rooms []*recovery.Room, sessions []*recovery.Session) {
	for _, name := range names {
		at := r.shard(name)
		// A room that logs do not know has no members who can be recovered.
		if in := at.kept[name]; in != nil {
			rooms = append(rooms, in)
		}
		if s := at.byID[name]; s != nil && s.kept != nil {
			sessions = append(sessions, s.kept)
		}
	}
	return rooms, sessions
}

// keptRoom returns a room as logs know it, and makes it at the first call. The caller holds the lock.
func (s *shard) keptRoom(name string) *recovery.Room {
	if s.kept == nil {
		s.kept = make(map[string]*recovery.Room)
	}
	room := s.kept[name]
	if room == nil {
		room = recovery.NewRoom(name)
		s.kept[name] = room
	}
	return room
}

// sendKept is send for an event to a socket that can be recovered. It reports false for a volatile one
// that does not arrive, and for a socket that is gone.
func (s *Socket) sendKept(p *packet.Packet) (sent bool) {
	s.namespace.rooms.atHome(s, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.state != socketConnected || !s.greet() {
			return
		}
		s.namespace.server.taps.toOne(s, p)
		log := s.kept.Log()
		var entry *recovery.Entry
		if p.Flags&packet.Volatile == 0 {
			to := recovery.Target{Sessions: []*recovery.Session{s.kept}, Asks: p.HasID, AckID: p.ID}
			entry = log.Append(to, s.kept)
		}
		sent = s.client().session.SendUnderLocks(keptMessage(p, log, entry), false) || entry != nil
	})
	return sent
}
