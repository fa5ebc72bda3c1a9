package streaming

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// naiveRooms does what an adapter does, in the simplest way.
type naiveRooms struct {
	added, removed map[*Socket]bool
	rooms          map[*Socket][]string
}

func (n *naiveRooms) isIn(s *Socket, room string) bool {
	return slices.Contains(n.rooms[s], room) || n.added[s] && s.id == room
}

func (n *naiveRooms) sockets(all []*Socket, t Target) (ids []string) {
	for _, s := range all {
		in := func(room string) bool { return n.isIn(s, room) }
		everyone := len(t.Rooms) == 0 && n.added[s]
		if s != t.Sender && (everyone || slices.ContainsFunc(t.Rooms, in)) && !slices.ContainsFunc(t.Except, in) {
			ids = append(ids, s.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// checkHomes holds that a broadcast finds the order locks of all whom it reaches. It
// must not be called while others change the rooms.
func (r *rooms) checkHomes(t *testing.T) {
	t.Helper()
	for i := range r.shards {
		for name, in := range r.shards[i].byName {
			for at, s := range in.members {
				if in.homes&one(s.places.home) == 0 || s.places.joined.find(name).index != at {
					t.Fatalf("%s has the order locks %b, and at %d the member %+v", name, in.homes, at, &s.places)
				}
			}
		}
		for at, s := range r.shards[i].everyone.members {
			if set(r.homes.Load())&one(s.places.home) == 0 || int(s.places.index) != at || r.find(s.id) != s {
				t.Fatalf("all have the order locks %b, and at %d is %+v", r.homes.Load(), at, &s.places)
			}
		}
	}
}

// checkEmpty holds that nobody is left.
func (r *rooms) checkEmpty(t *testing.T) {
	t.Helper()
	r.rLock(r.all())
	defer r.rUnlock(r.all())
	for i := range r.shards {
		at := &r.shards[i]
		if len(at.byName) != 0 || len(at.byID) != 0 || len(at.everyone.members) != 0 {
			t.Errorf("left over: %d rooms, %d sockets, %d members", len(at.byName), len(at.byID), len(at.everyone.members))
		}
	}
}

// Random operations have the same result with rooms as with naive ones.
func TestRoomsAgainstNaiveModel(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			r := newRooms()
			n := &naiveRooms{added: make(map[*Socket]bool), removed: make(map[*Socket]bool), rooms: make(map[*Socket][]string)}
			var all []*Socket
			for i := range 12 {
				all = append(all, &Socket{id: fmt.Sprintf("socket%d", i)})
			}
			anyRoom := func() string {
				if random.IntN(5) == 0 {
					return all[random.IntN(len(all))].id
				}
				return fmt.Sprintf("room%d", random.IntN(6))
			}
			someRooms := func() (rooms []string) {
				for range random.IntN(3) {
					rooms = append(rooms, anyRoom())
				}
				return rooms
			}
			for step := range 800 {
				s := all[random.IntN(len(all))]
				switch random.IntN(12) {
				case 0, 1:
					r.add(s)
					n.added[s] = !n.removed[s]
				case 2:
					got, want := r.remove(s), n.rooms[s]
					slices.Sort(got)
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Fatalf("step %d: removed from %v, want %v", step, got, want)
					}
					delete(n.rooms, s)
					n.added[s], n.removed[s] = false, true
					// Another takes its place, so that there are always enough.
					all[slices.Index(all, s)] = &Socket{id: fmt.Sprintf("socket%d", random.IntN(1_000_000)+12)}
				case 3, 4, 5, 6:
					rooms := someRooms()
					r.join(s, rooms...)
					for _, room := range rooms {
						if !n.removed[s] && room != s.id && !slices.Contains(n.rooms[s], room) {
							n.rooms[s] = append(n.rooms[s], room)
						}
					}
				case 7, 8:
					rooms := someRooms()
					r.leave(s, rooms...)
					for _, room := range rooms {
						n.rooms[s] = slices.DeleteFunc(n.rooms[s], func(r string) bool { return r == room })
					}
				default:
					target := Target{Rooms: someRooms(), Except: someRooms()}
					if random.IntN(2) == 0 {
						target.Except = nil
					}
					if random.IntN(3) == 0 {
						target.Sender = s
					}
					var got []string
					for _, s := range r.sockets(target) {
						got = append(got, s.id)
					}
					slices.Sort(got)
					if want := n.sockets(all, target); !slices.Equal(got, want) {
						t.Fatalf("step %d: %+v means %v, want %v", step, target, got, want)
					}
				}
				room := anyRoom()
				want := 0
				for _, s := range all {
					if n.isIn(s, room) {
						want++
					}
				}
				if got := r.count(room); got != want {
					t.Fatalf("step %d: %d in %s, want %d", step, got, room, want)
				}
				got, joined := r.of(s), slices.Clone(n.rooms[s])
				slices.Sort(got)
				slices.Sort(joined)
				if !n.removed[s] && !slices.Equal(got, joined) {
					t.Fatalf("step %d: %s is in %v, want %v", step, s.id, got, joined)
				}
				r.checkHomes(t)
			}
			for _, s := range all {
				r.remove(s)
			}
			r.checkEmpty(t)
		})
	}
}

// What a broadcast has taken as its receivers does not change under it. The
// race detector sees it if it does.
func TestRoomsSnapshotsAreIsolated(t *testing.T) {
	r := newRooms()
	// These stay, so that every snapshot must hold them.
	steady := make([]*Socket, 5)
	for i := range steady {
		steady[i] = &Socket{id: fmt.Sprintf("steady%d", i)}
		r.add(steady[i])
		r.join(steady[i], "red", "blue")
	}
	stop := make(chan struct{})
	var changing, reading sync.WaitGroup
	for worker := range 4 {
		changing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s := &Socket{id: fmt.Sprintf("s%d-%d", worker, i)}
				r.join(s, "red")
				r.add(s)
				r.join(s, "blue")
				r.leave(s, "red")
				r.remove(s)
			}
		})
	}
	targets := []Target{{}, {Rooms: []string{"red"}}, {Rooms: []string{"red", "blue"}}, {Except: []string{"green"}}, {Rooms: []string{"blue"}, Except: []string{steady[0].id}}}
	for worker := range 4 {
		reading.Go(func() {
			for i := range 1000 {
				target := targets[(worker+i)%len(targets)]
				lists, _ := r.receivers(target, everything, nil, nil)
				receivers := slices.Concat(lists...)
				seen := make(map[*Socket]int)
				for range 2 {
					for _, s := range receivers {
						if s == nil {
							t.Error("a receiver has vanished from a snapshot")
							return
						}
						seen[s]++
					}
				}
				for _, s := range steady[1:] {
					if seen[s] != 2 {
						t.Errorf("%s was seen %d times in two passes", s.id, seen[s])
						return
					}
				}
				if r.count("red") < len(steady) {
					t.Error("the count is too low")
				}
			}
		})
	}
	reading.Wait()
	close(stop)
	changing.Wait()
	if got := len(r.sockets(Target{})); got != len(steady) {
		t.Errorf("%d sockets are left", got)
	}
}
