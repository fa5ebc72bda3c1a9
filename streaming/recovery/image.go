package recovery

import (
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Image is a log with its sessions at one moment, in a form that can be written down. Rooms and sessions
// are named by their places in the lists, plus one: zero is none.
type Image struct {
	// Eras are those of the log, its own last.
	Eras     []Era
	Head     uint64
	Everyone MarkImage
	Rooms    []RoomImage
	Sessions []SessionImage
	Entries  []EntryImage
}

// Era is a part of a log: the places that one process has given, which are up to UpTo.
type Era struct {
	Epoch string
	UpTo  uint64
	// Clean is true if the process has given no other places. Otherwise it may have: they are lost.
	Clean bool
}

// MarkImage is what is known of packets that are no longer kept.
type MarkImage struct {
	Place, Others uint64
	By            int
}

// RoomImage is a room.
type RoomImage struct {
	Name string
	Gone MarkImage
}

// SessionImage is a session.
type SessionImage struct {
	ID, Secret, Brought                 string
	Gone, First, Base, Heard, Forgotten uint64
	Stays                               []StayImage
}

// StayImage is a time in a room.
type StayImage struct {
	Room        int
	From, Until uint64
}

// EntryImage is a packet.
type EntryImage struct {
	Place uint64
	// At is when it was sent, in nanoseconds since 1970.
	At                                           int64
	Everyone, Asks                               bool
	Rooms, Sessions, ExceptRooms, ExceptSessions []int
	Sender, Cause                                int
	MayJoin                                      string
	AckID                                        uint64
	Frames                                       []byte
	Flags                                        wire.Flags
}

// imageBatch is how many packets, or rooms, are looked at before others get the lock.
const imageBatch = 512

// copied is an entry as it was.
type copied struct {
	place   uint64
	at      time.Time
	target  Target
	message *wire.Message
	cause   *Session
}

// Seal lets nothing more into the log. What is in it stays.
func (l *Log) Seal() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.closed = true
}

// Image returns the log as it is, with some of its sessions. It holds no lock for long, and so what
// happens meanwhile may be in it or not: what it has of the log is whole up to Head, and no session is
// older than that. Messages are not copied.
func (l *Log) Image(sessions []*Session) *Image {
	entries, head := l.copy()
	d := drawing{sessions: make(map[*Session]int, len(sessions)), rooms: make(map[*Room]int), head: head}
	for i, s := range sessions {
		d.sessions[s] = i + 1
	}
	img := &Image{Head: head, Eras: append(l.formerEras(), Era{Epoch: l.epoch, UpTo: head})}
	for _, s := range sessions {
		img.Sessions = append(img.Sessions, d.session(s))
	}
	for _, e := range entries {
		img.Entries = append(img.Entries, d.entry(e))
	}
	s := l.store
	for i, session := range sessions {
		if i%imageBatch == 0 {
			s.mu.RLock()
		}
		img.Sessions[i].Gone = min(session.gone, head)
		if i%imageBatch == imageBatch-1 || i == len(sessions)-1 {
			s.mu.RUnlock()
		}
	}
	for i, room := range d.inOrder {
		if i%imageBatch == 0 {
			s.mu.RLock()
		}
		img.Rooms = append(img.Rooms, RoomImage{room.name, d.mark(&room.gone)})
		if i%imageBatch == imageBatch-1 || i == len(d.inOrder)-1 {
			s.mu.RUnlock()
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	img.Everyone = d.mark(&l.everyone)
	return img
}

// copy returns the entries, in order, and the place up to which they are whole: one that has no message
// yet ends them.
func (l *Log) copy() (entries []copied, head uint64) {
	l.store.mu.RLock()
	defer l.store.mu.RUnlock()
	for e, n := l.oldest, 0; e != nil; e, n = e.next, n+1 {
		if n == imageBatch {
			n = 0
			l.store.mu.RUnlock()
			l.store.mu.RLock()
			if e.log == nil {
				// It was let go meanwhile.
				e = l.after(entries)
				if e == nil {
					break
				}
			}
		}
		if e.message == nil {
			return entries, e.place - 1
		}
		entries = append(entries, copied{e.place, e.at, e.target, e.message, e.cause})
	}
	return entries, l.head.Load()
}

// after returns the first entry that is not copied. The caller holds the store's lock.
func (l *Log) after(entries []copied) *Entry {
	last := entries[len(entries)-1].place
	for e := l.oldest; e != nil; e = e.next {
		if e.place > last {
			return e
		}
	}
	return nil
}

// formerEras are the eras before that of this process.
func (l *Log) formerEras() []Era { return append([]Era(nil), l.eras...) }

// drawing makes an image.
type drawing struct {
	sessions map[*Session]int
	rooms    map[*Room]int
	inOrder  []*Room
	head     uint64
}

func (d *drawing) room(r *Room) int {
	at := d.rooms[r]
	if at == 0 {
		d.inOrder = append(d.inOrder, r)
		at = len(d.inOrder)
		d.rooms[r] = at
	}
	return at
}

func (d *drawing) roomList(rooms []*Room) (list []int) {
	for _, r := range rooms {
		list = append(list, d.room(r))
	}
	return list
}

// sessionList names sessions. Those that are gone are left out.
func (d *drawing) sessionList(sessions []*Session) (list []int) {
	for _, s := range sessions {
		if at := d.sessions[s]; at > 0 {
			list = append(list, at)
		}
	}
	return list
}

func (d *drawing) mark(m *mark) MarkImage {
	return MarkImage{Place: min(m.place, d.head), Others: min(m.others, d.head), By: d.sessions[m.by]}
}

func (d *drawing) session(s *Session) SessionImage {
	s.mu.Lock()
	defer s.mu.Unlock()
	img := SessionImage{
		ID: s.id, Secret: s.secret, Brought: s.brought, First: min(s.first, d.head), Base: min(s.base, d.head),
		Heard: min(s.heard, d.head), Forgotten: min(s.forgotten, d.head),
	}
	for _, at := range s.stays {
		until := at.until
		if until != still {
			until = min(until, d.head)
		}
		img.Stays = append(img.Stays, StayImage{d.room(at.room), min(at.from, d.head), until})
	}
	return img
}

func (d *drawing) entry(e copied) EntryImage {
	t := &e.target
	frames, flags := e.message.Written()
	return EntryImage{
		Place: e.place, At: e.at.UnixNano(), Everyone: t.Everyone, Asks: t.Asks, AckID: t.AckID, MayJoin: t.MayJoin,
		Rooms: d.roomList(t.Rooms), ExceptRooms: d.roomList(t.ExceptRooms),
		Sessions: d.sessionList(t.Sessions), ExceptSessions: d.sessionList(t.ExceptSessions),
		Sender: d.sessions[t.Sender], Cause: d.sessions[e.cause], Frames: frames, Flags: flags,
	}
}

// maxEras is how many eras of earlier processes a log knows.
const maxEras = 16

var (
	errInUse  = errors.New("the log has packets already")
	errBroken = errors.New("the image contradicts itself")
)

// Restore makes the log go on where an image was taken, and returns its sessions, in order. clean is true
// if nothing was sent after that. who says whom a session's packets count for. Nobody may use the log
// meanwhile. The error means that nothing was restored.
func (l *Log) Restore(img *Image, clean bool, who func(i int) (id any, address netip.Prefix)) ([]*Session, error) {
	if len(img.Eras) == 0 || img.Eras[len(img.Eras)-1].UpTo != img.Head || img.Head == math.MaxUint64 {
		return nil, errBroken
	}
	r := restoring{img: img, log: l}
	for i := range img.Rooms {
		r.rooms = append(r.rooms, &Room{name: img.Rooms[i].Name})
	}
	for i := range img.Sessions {
		r.sessions = append(r.sessions, r.session(&img.Sessions[i]))
	}
	entries := make([]*Entry, 0, len(img.Entries))
	for i := range img.Entries {
		e := r.entry(&img.Entries[i])
		if n := len(entries); e.message == nil || e.place > img.Head || n > 0 && e.place <= entries[n-1].place {
			return nil, errBroken
		}
		entries = append(entries, e)
	}
	everyone := r.mark(&img.Everyone)
	for i := range img.Rooms {
		r.rooms[i].gone = r.mark(&img.Rooms[i].Gone)
	}
	if r.broken {
		return nil, errBroken
	}
	for i, s := range r.sessions {
		id, address := who(i)
		s.Of(id, address)
	}
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed || l.head.Load() != 0 {
		return nil, errInUse
	}
	l.eras = img.Eras[max(len(img.Eras)-maxEras, 0):]
	l.eras[len(l.eras)-1].Clean = clean
	l.head.Store(img.Head)
	l.everyone = everyone
	for _, e := range entries {
		l.enterRestoredLocked(e)
	}
	l.forgetOldLocked(time.Now())
	return r.sessions, nil
}

// enterRestoredLocked appends an entry that has its place and its message.
func (l *Log) enterRestoredLocked(e *Entry) {
	if e.prev = l.newest; e.prev != nil {
		e.prev.next = e
	} else {
		l.oldest = e
	}
	l.newest = e
	l.store.packets++
	l.store.sweepInLocked()
	if !l.store.enterLocked(e, int64(e.message.Cost())) {
		e.removeLocked()
	}
}

// restoring makes a log of an image. broken is true once it has met what cannot be.
type restoring struct {
	img      *Image
	log      *Log
	rooms    []*Room
	sessions []*Session
	broken   bool
}

func (r *restoring) room(at int) *Room {
	if at < 1 || at > len(r.rooms) {
		r.broken = true
		return nil
	}
	return r.rooms[at-1]
}

func (r *restoring) roomList(list []int) (rooms []*Room) {
	for _, at := range list {
		rooms = append(rooms, r.room(at))
	}
	return rooms
}

// sessionAt returns a session, or nil for zero.
func (r *restoring) sessionAt(at int) *Session {
	if at < 0 || at > len(r.sessions) {
		r.broken = true
		return nil
	}
	if at == 0 {
		return nil
	}
	return r.sessions[at-1]
}

func (r *restoring) sessionList(list []int) (sessions []*Session) {
	for _, at := range list {
		if s := r.sessionAt(at); s != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

func (r *restoring) mark(m *MarkImage) mark {
	return mark{place: m.Place, others: m.Others, by: r.sessionAt(m.By)}
}

func (r *restoring) session(img *SessionImage) *Session {
	s := &Session{
		log: r.log, id: img.ID, secret: img.Secret, brought: img.Brought, gone: img.Gone, first: img.First, base: img.Base,
		heard: img.Heard, forgotten: img.Forgotten, restoring: true,
	}
	for _, at := range img.Stays {
		if at.From > r.img.Head || at.Until != still && at.Until > r.img.Head {
			r.broken = true
		}
		s.stays = append(s.stays, stay{r.room(at.Room), at.From, at.Until})
	}
	return s
}

func (r *restoring) entry(img *EntryImage) *Entry {
	e := &Entry{
		log: r.log, place: img.Place, at: time.Unix(0, img.At), cause: r.sessionAt(img.Cause),
		target: Target{
			Everyone: img.Everyone, Asks: img.Asks, AckID: img.AckID, MayJoin: img.MayJoin, Sender: r.sessionAt(img.Sender),
			Rooms: r.roomList(img.Rooms), ExceptRooms: r.roomList(img.ExceptRooms),
			Sessions: r.sessionList(img.Sessions), ExceptSessions: r.sessionList(img.ExceptSessions),
		},
	}
	if m, err := wire.Read(img.Frames, img.Flags); err == nil {
		e.message = m
	}
	return e
}
