package streaming

import (
	"math/bits"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// order makes all receivers see broadcasts in one order: of any two broadcasts that
// both reach both of two sockets, both sockets get the same one first.
//
// Each socket has one of a few order locks, its home. A broadcast holds the homes of
// all its receivers while it is queued for them, and a socket gets another home only
// while its old one is held. So two broadcasts that have a receiver in common never
// take place at the same time. What is for one socket alone needs no lock.
//
// Rooms whose members have one home in common are in nobody's way but that of rooms
// with the same home. Therefore a socket that joins a room takes the home of the
// members, unless it is in a larger room already, see rooms.settle.
type order []orderLock

type orderLock struct {
	sync.Mutex
	_ [120]byte // two cache lines, which processors load together
}

// maxSpread is the most order locks, and the most shards, that a namespace has.
const maxSpread = 32

// set is a set of numbers below maxSpread: of order locks, or of shards.
type set uint32

// everything has every number.
const everything = ^set(0)

func one(i uint8) set { return 1 << i }

// cut takes the smallest number out of a set that is not empty.
func (s *set) cut() (smallest int) {
	smallest = bits.TrailingZeros32(uint32(*s))
	*s &= *s - 1
	return smallest
}

// lock takes the locks of a set. All do so in ascending order, and before they take the
// lock of any shard.
func (o order) lock(locks set) {
	for locks != 0 {
		o[locks.cut()].Lock()
	}
}

func (o order) unlock(locks set) {
	for locks != 0 {
		o[locks.cut()].Unlock()
	}
}

// audience is who in this process receives a broadcast. With a method Session it
// implements [engineio.Audience].
type audience struct {
	rooms  *rooms
	target Target
	// held are the order locks that are held, or are to be.
	held set
	// receivers is what Lock returns, few its memory for a few lists.
	receivers [][]*Socket
	few       [4][]*Socket
	// keeping is how the broadcast is kept, or nil.
	keeping *keeping
}

// find makes an empty audience that of a target. It reports false if that is nobody.
func (a *audience) find(r *rooms, t Target) bool {
	a.rooms, a.target = r, t
	a.receivers, a.held = r.receivers(t, 0, a.few[:0], a)
	return len(a.receivers) > 0 || a.held != 0
}

// only returns the receiver of an audience that is found and needs no lock, since there is
// but one, or nil.
func (a *audience) only() *Socket {
	if a.held != 0 {
		return nil
	}
	return a.receivers[0][0]
}

// receiving is an audience of sockets.
type receiving interface {
	engineio.Audience[*Socket]
	only() *Socket
}

// broadcast is [engineio.Broadcast]. A socket that gets the message alone cannot be put out
// meanwhile, see [Socket.send].
func broadcast(m *wire.Message, to receiving) (receivers int) {
	s := to.only()
	if s == nil {
		return engineio.Broadcast[*Socket](m, to)
	}
	if to.Session(s) != nil && !s.queue(m) {
		to.Missed(s)
	}
	return 1
}

// Lock implements engineio.Audience.
func (a *audience) Lock() [][]*Socket {
	if a.keeping != nil && a.keeping.locked {
		return a.receivers
	}
	for {
		a.rooms.order.lock(a.held)
		receivers, missing := a.rooms.receivers(a.target, a.held, a.few[:0], a)
		if missing == 0 {
			return receivers
		}
		// Somebody has joined who has another home.
		a.rooms.order.unlock(a.held)
		a.held |= missing
	}
}

// Unlock implements engineio.Audience.
func (a *audience) Unlock() { a.rooms.order.unlock(a.held) }

// Missed implements engineio.Audience.
func (a *audience) Missed(*Socket) {}

var _ engineio.Audience[*Socket] = (*delivery)(nil)

// takeLeave makes the socket one that nothing more is sent to. No broadcast to several
// sockets is on its way to it when takeLeave returns, so that what is sent after that is
// the last.
func (r *rooms) takeLeave(s *Socket) {
	r.atHome(s, func() { s.greeted.Store(takesLeave) })
}

// atHome does something while the socket's order lock is held.
func (r *rooms) atHome(s *Socket, do func()) {
	for home := s.home(); ; home = s.home() {
		r.order.lock(one(home))
		if s.home() == home {
			defer r.order.unlock(one(home))
			do()
			return
		}
		r.order.unlock(one(home))
	}
}

// home is the number of the socket's order lock.
func (s *Socket) home() uint8 {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	return s.places.home
}

// atRest reports whether nobody sends to the socket now. It does not wait: false may also mean that
// somebody sends to another one.
func (r *rooms) atRest(s *Socket) bool {
	home := s.home()
	if !r.order[home].TryLock() {
		return false
	}
	defer r.order[home].Unlock()
	return s.home() == home
}

// fewRooms is how many rooms a socket may be in that gets another home: all of them
// are looked at.
const fewRooms = 8

// settle gives a socket the home that is best for it in the rooms that it is about to
// join: that of the members of the largest one, unless it is in a larger one already.
// One that is in no room and makes one gets a home by the name of that.
func (r *rooms) settle(s *Socket, names []string) {
	if len(names) == 0 {
		return
	}
	to, size, homes := r.largest(names)
	s.places.mu.Lock()
	home, in := s.places.home, s.places.joined.len()
	var joined []string
	if in <= fewRooms && homes&one(home) == 0 {
		joined = s.places.joined.names()
	}
	s.places.mu.Unlock()
	switch {
	case in > fewRooms, homes&one(home) != 0:
		return
	case size == 0:
		if _, made := r.place(to); in > 0 || home == made {
			return
		}
	default:
		if _, most, _ := r.largest(joined); most >= size {
			return
		}
	}
	r.resettle(s, home, joined, to)
}

// largest returns the first room of those that have the most members, how many those
// are, and their order locks.
func (r *rooms) largest(names []string) (name string, size int, homes set) {
	for i, each := range names {
		at := r.shard(each)
		at.mu.RLock()
		if in := at.byName[each]; i == 0 || in != nil && len(in.members) > size {
			name = each
			if in != nil {
				size, homes = len(in.members), in.homes
			}
		}
		at.mu.RUnlock()
	}
	return name, size, homes
}

// resettle gives a socket the home of the members of a room, or one by its name if
// there are none. It does nothing if home and joined, which are those of the socket,
// have changed meanwhile.
func (r *rooms) resettle(s *Socket, home uint8, joined []string, to string) {
	shards := r.shardsOf(joined) | r.shardsOf([]string{s.id, to})
	r.order.lock(one(home))
	defer r.order.unlock(one(home))
	r.lock(shards)
	defer r.unlock(shards)
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	if s.places.home != home || s.places.joined.len() != len(joined) {
		return
	}
	for _, name := range joined {
		if s.places.joined.find(name) == nil {
			return
		}
	}
	_, next := r.place(to)
	if in := r.shard(to).byName[to]; in != nil {
		homes := in.homes
		next = uint8(homes.cut()) //nolint:gosec // below maxSpread
	}
	r.homes.Or(uint32(one(next)))
	s.places.home = next
	for _, name := range joined {
		if in := s.places.joined.find(name).room; len(in.members) == 1 {
			in.homes = one(next)
		} else {
			in.homes |= one(next)
		}
	}
}
