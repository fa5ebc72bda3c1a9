package recovery

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddy-socketio/socketio-stream/internal/share"
)

// Room is a room as logs know it.
type Room struct {
	name string
	gone mark
}

// NewRoom makes a room.
func NewRoom(name string) *Room { return &Room{name: name} }

// Name is the room's name.
func (r *Room) Name() string { return r.name }

// mark is the highest place of what is no longer kept. A client that has sent it has missed nothing of its
// own, so that place is known without what one sender has sent, too.
type mark struct {
	place uint64
	by    *Session
	// others is the highest place of what others than by have sent.
	others uint64
}

func (m *mark) note(place uint64, by *Session) {
	switch {
	case by == m.by:
		m.place = max(m.place, place)
	case place > m.place:
		m.others, m.place, m.by = m.place, place, by
	default:
		m.others = max(m.others, place)
	}
}

// of is the highest place of what is no longer kept and may have been for a session.
func (m *mark) of(s *Session) uint64 {
	if m.by == s {
		return m.others
	}
	return m.place
}

// Session is what a socket goes on with when its client is back on another connection.
type Session struct {
	log *Log
	// id is the socket's, and secret what only its client knows besides.
	id, secret string
	// who the session's packets count for. It does not change while the socket is connected.
	who share.Client
	// gone is the highest place of what was for this session alone and is no longer kept. The store's
	// lock guards it.
	gone uint64

	mu sync.Mutex
	// first is where the session begins: all that comes after is for everyone, and so for it.
	first uint64
	// base is the place up to which its client had all when it connected last, and brought the offset
	// that it had then. A client that comes with the same one again has heard nothing since.
	base    uint64
	brought string
	// heard is a place up to which the client has answered a heartbeat that was sent later. before and
	// last are the places at the last two heartbeats.
	heard, before, last uint64
	// stays are when the socket was in which room.
	stays []stay
	// forgotten is the place up to which stays are not known any more.
	forgotten uint64
	// restoring is true while the socket gets back what the session knows already.
	restoring bool
}

// stay is a time in a room: what comes after from, up to until, was for the session.
type stay struct {
	room        *Room
	from, until uint64
}

// still is until of a socket that is in the room.
const still = math.MaxUint64

// maxStays is how many stays are known that are over.
const maxStays = 256

// secretBytes is the entropy of a secret.
const secretBytes = 16

// NewSession makes the session of a socket that is about to connect.
func (l *Log) NewSession(id string) *Session {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:])
	return &Session{log: l, id: id, secret: base64.RawURLEncoding.EncodeToString(b[:])}
}

// Log is where the session's packets are kept.
func (s *Session) Log() *Log { return s.log }

// PID is what the client shows to be recovered. Nobody else knows it.
func (s *Session) PID() string { return s.id + s.secret }

// SplitPID returns the ID of the socket that a client names, which has so many bytes, and the secret.
func SplitPID(pid string, idBytes int) (id, secret string, ok bool) {
	if len(pid) <= idBytes || len(pid) > idBytes+base64.RawURLEncoding.EncodedLen(secretBytes) {
		return "", "", false
	}
	return pid[:idBytes], pid[idBytes:], true
}

// Knows reports whether a secret is the session's.
func (s *Session) Knows(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(secret), []byte(s.secret)) == 1
}

// Of says who the session's packets count for: id tells clients apart, or is nil where nothing is known of
// the client, and address is where it comes from.
func (s *Session) Of(id any, address netip.Prefix) {
	if id == nil {
		id = s
	}
	s.log.store.mu.Lock()
	defer s.log.store.mu.Unlock()
	s.who = share.Client{ID: id, Address: address}
}

// Brings says which offset the client brings from a session that it had before, or "".
func (s *Session) Brings(offset string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brought = offset
}

// Begin says that the socket receives what comes from now on.
func (s *Session) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restoring {
		return
	}
	s.log.store.changes.Add(1)
	s.first = s.log.head.Load()
	s.base = s.first
}

// End says that the socket is gone.
func (s *Session) End() { s.log.store.changes.Add(1) }

// In returns the rooms that the socket is in.
func (s *Session) In() (rooms []*Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.stays {
		if s.stays[i].until == still {
			rooms = append(rooms, s.stays[i].room)
		}
	}
	return rooms
}

// Restored says that the socket has all that the session knows of: it is in its rooms.
func (s *Session) Restored() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restoring = false
}

// Join says that the socket receives what is for a room from now on, and Leave that it does not any more.
// Nothing is sent to the room meanwhile.
func (s *Session) Join(room *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restoring {
		return
	}
	s.log.store.changes.Add(1)
	s.stays = append(s.stays, stay{room, s.log.head.Load(), still})
}

// Leave is the end of what Join has begun.
func (s *Session) Leave(room *Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.store.changes.Add(1)
	over, first := 0, -1
	for i := range s.stays {
		at := &s.stays[i]
		if at.room == room && at.until == still {
			at.until = s.log.head.Load()
		}
		if at.until != still {
			if over++; first < 0 {
				first = i
			}
		}
	}
	if over > maxStays {
		s.forgotten = max(s.forgotten, s.stays[first].until)
		s.stays = slices.Delete(s.stays, first, first+1)
	}
}

// Beat takes note of a heartbeat that was just sent, after the one before was answered. atRest is true if
// nobody sends to the socket now.
func (s *Session) Beat(atRest bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard, s.before = s.before, s.last
	if atRest {
		s.last = s.log.head.Load()
	}
	if s.heard == 0 {
		return
	}
	s.stays = slices.DeleteFunc(s.stays, func(at stay) bool { return at.until <= s.heard })
}

// After returns the place up to which the client has all, by the offset that it names, which is "" if it
// names none. The reason is that for which it cannot be recovered if it names that, or [Recovered].
func (s *Session) After(offset string) (place uint64, reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if offset == s.brought {
		return max(s.base, s.heard), Recovered
	}
	place, reason = s.log.place(offset)
	switch {
	case reason != Recovered:
		return 0, reason
	case place < s.base:
		return 0, BadOffset
	}
	return max(place, s.heard), Recovered
}

// Resume says that the client goes on from a place on, which it has named by an offset.
func (s *Session) Resume(offset string, place uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.store.changes.Add(1)
	s.base, s.brought = place, offset
	s.heard, s.before, s.last = 0, 0, 0
}

// IsOffset reports whether a text has the form of an offset. An application may use the word for something
// of its own.
func IsOffset(text string) bool {
	epoch, digits, _ := strings.Cut(text, ".")
	_, err := strconv.ParseUint(digits, 36, 64)
	return len(epoch) == 8 && len(digits) <= 13 && err == nil
}

// hasLostLocked reports whether something after a place may have been for the session that is not kept.
func (s *Session) hasLostLocked(after uint64) bool {
	if s.forgotten > after || s.gone > after || s.log.everyone.of(s) > max(after, s.first) {
		return true
	}
	for i := range s.stays {
		at := &s.stays[i]
		if max(after, at.from) < min(at.until, at.room.gone.of(s)) {
			return true
		}
	}
	return false
}

// roomStays are the stays of a session by their rooms: a client chooses how many packets are looked at
// when it comes back, and in how many rooms it is.
type roomStays map[*Room][]stay

func (s *Session) staysInLocked() roomStays {
	in := make(roomStays, len(s.stays))
	for _, at := range s.stays {
		in[at.room] = append(in[at.room], at)
	}
	return in
}

// receivesLocked reports whether a packet was for the session.
func (s *Session) receivesLocked(e *Entry, in roomStays) bool {
	t := &e.target
	switch {
	case t.Sender == s, slices.Contains(t.ExceptSessions, s), in.one(t.ExceptRooms, e.place):
		return false
	case t.Everyone:
		return e.place > s.first
	}
	return slices.Contains(t.Sessions, s) || in.one(t.Rooms, e.place)
}

// one reports whether the socket was in one of some rooms when a packet was sent.
func (in roomStays) one(rooms []*Room, place uint64) bool {
	for _, room := range rooms {
		for _, at := range in[room] {
			if at.from < place && place <= at.until {
				return true
			}
		}
	}
	return false
}
