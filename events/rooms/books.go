package rooms

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/events"
	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// books know who is in which room of one namespace, in the order in which they have joined. They
// outlive programs.
//
// Rooms share pages, of which there are a few. A handler that changes who is in a room, or tells of it,
// has the pages of all its rooms from before that until everybody has been sent what they are to know:
// so all are told of a room in the order in which it changed. It takes them in ascending order, and all
// locks of package streaming come after them.
type books struct {
	namespace *streaming.Namespace
	seed      maphash.Seed
	pages     [pageCount]page
	// lists slows down who has lists of members told again and again.
	lists share.Meter
}

// What the lists of members may take that a client has told: so many bytes at once, and so many in each
// second from then on. An address may have so many times as much told.
const (
	listBurst   = 32_000_000
	listRate    = 4_000_000
	listClients = 16
	// listedMember is what a member takes in a list, in bytes.
	listedMember = 23
)

const pageCount = 64

// page is some of the rooms.
type page struct {
	mu    sync.Mutex
	rooms map[string]*room
	_     [48]byte // a cache line with what is before
}

// room has its members as a list, so that one of many leaves as fast as one of few.
type room struct {
	name        string
	first, last *member
	size        int
}

// member is a socket in a room. The page of the room guards it.
type member struct {
	socket         *streaming.Socket
	room           *room
	previous, next *member
	// joined is when the socket has joined, in milliseconds since 1970, and turn is greater than that of
	// rooms which the socket has joined before.
	joined int64
	turn   uint64
}

// seats are the rooms that a socket is in, by their names. Only the handlers of the socket touch them,
// which run one at a time.
type seats struct {
	byRoom map[string]*member
	turns  uint64
}

var seatsKey = streaming.NewKey[*seats]()

func newBooks(n *streaming.Namespace) *books {
	return &books{namespace: n, seed: maphash.MakeSeed(), lists: share.Meter{Rate: listRate, Burst: listBurst, Clients: listClients}}
}

// awaitList waits until a client may have a list of the members of a room told to all of them: a few bytes
// that a client sends bring as many lists as there are members. It reports false when the client goes
// before that.
func (b *books) awaitList(e *streaming.Event, name string) bool {
	members := int64(b.namespace.Count(name))
	who, size := events.Client(e.Socket), members*members*listedMember
	return events.Rest(e.Context(), b.lists.WaitOwn(who, size, time.Now())) && events.Rest(e.Context(), b.lists.WaitOthers(who, size, time.Now()))
}

// pageOf returns the number of the page that a room is on.
func (b *books) pageOf(name string) uint64 { return maphash.String(b.seed, name) % pageCount }

// lock takes the pages of some rooms, and returns which they are. A room without a name has none.
func (b *books) lock(names []string) (taken uint64) {
	for _, name := range names {
		if name != "" {
			taken |= 1 << b.pageOf(name)
		}
	}
	for i := range b.pages {
		if taken&(1<<i) != 0 {
			b.pages[i].mu.Lock()
		}
	}
	return taken
}

// unlock gives pages back.
func (b *books) unlock(taken uint64) {
	for i := range b.pages {
		if taken&(1<<i) != 0 {
			b.pages[i].mu.Unlock()
		}
	}
}

// room returns a room, or nil if nobody is in it. The caller has its page, as for all that follows.
func (b *books) room(name string) *room { return b.pages[b.pageOf(name)].rooms[name] }

// seat returns a socket's place in a room, or nil.
func seat(s *streaming.Socket, name string) *member {
	at := seatsKey.Get(s)
	if at == nil {
		return nil
	}
	return at.byRoom[name]
}

// enter notes that a socket is in a room.
func (b *books) enter(s *streaming.Socket, name string) {
	at := seatsKey.Get(s)
	if at == nil {
		at = &seats{byRoom: make(map[string]*member)}
		seatsKey.Set(s, at)
	}
	if at.byRoom[name] != nil {
		return
	}
	p := &b.pages[b.pageOf(name)]
	r := p.rooms[name]
	if r == nil {
		r = &room{name: name}
		if p.rooms == nil {
			p.rooms = make(map[string]*room)
		}
		p.rooms[name] = r
	}
	at.turns++
	m := &member{socket: s, room: r, previous: r.last, joined: time.Now().UnixMilli(), turn: at.turns}
	if r.last != nil {
		r.last.next = m
	} else {
		r.first = m
	}
	r.last = m
	r.size++
	at.byRoom[name] = m
}

// exit notes that a socket is not in a room any more.
func (b *books) exit(s *streaming.Socket, name string) {
	m := seat(s, name)
	if m == nil {
		return
	}
	delete(seatsKey.Get(s).byRoom, name)
	b.remove(m)
}

// remove takes a member out of its room, unless it is out already.
func (b *books) remove(m *member) {
	r := m.room
	if r == nil {
		return
	}
	m.room = nil
	if m.previous != nil {
		m.previous.next = m.next
	} else {
		r.first = m.next
	}
	if m.next != nil {
		m.next.previous = m.previous
	} else {
		r.last = m.previous
	}
	if r.size--; r.size == 0 {
		delete(b.pages[b.pageOf(r.name)].rooms, r.name)
	}
}

// seated lists the rooms that a socket is in, in the order in which it has joined them.
func seated(s *streaming.Socket) (names []string) {
	at := seatsKey.Get(s)
	if at == nil {
		return nil
	}
	for name := range at.byRoom {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(at.byRoom[a].turn) - int(at.byRoom[b].turn) }) //nolint:gosec // never that many
	return names
}

// others is how many sockets besides one are in a room.
func (b *books) others(s *streaming.Socket, name string) int {
	r := b.room(name)
	if r == nil {
		return 0
	}
	if seat(s, name) != nil {
		return r.size - 1
	}
	return r.size
}

// forgetGone takes those out who have gone while the namespace had no program. Those who are just going
// still have their seats, of which the new program is told.
func (b *books) forgetGone() {
	for i := range b.pages {
		b.forgetGoneOf(&b.pages[i])
	}
}

func (b *books) forgetGoneOf(p *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rooms {
		for m := r.first; m != nil; {
			next := m.next
			if b.namespace.Find(m.socket.ID()) != m.socket {
				b.remove(m)
			}
			m = next
		}
	}
}
