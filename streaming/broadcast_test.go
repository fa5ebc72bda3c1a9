package streaming

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// A client that has been told that it is connected is a member of its
// namespace: what is broadcast from then on reaches it, and nothing reaches it
// before it was told.
func TestConnectedClientMissesNoBroadcast(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			s := newTestServer(t, Options{})
			for i := range 100 {
				c, err := dialClient(s, transport)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.tryConnect("/"); err != nil {
					t.Fatal(err)
				}
				if err := s.Of("/").EmitArgs("hello", mustArgs(i)); err != nil {
					t.Fatal(err)
				}
				c.expect(fmt.Sprintf(`2["hello",%d]`, i))
				c.close()
			}
		})
	}
}

// Whoever connects while others broadcast is told that it is connected before
// it hears anything else, and hears all that comes from then on.
func TestNothingComesBeforeTheAnswerToConnect(t *testing.T) {
	s := newTestServer(t, Options{})
	n := s.Of("/")
	stop := make(chan struct{})
	var broadcasting sync.WaitGroup
	broadcasting.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			keepUp(n)
			switch i % 3 {
			case 0:
				_ = n.EmitArgs("hello", packet.Args{})
			case 1:
				for _, socket := range n.Everyone().Sockets() {
					_ = socket.EmitArgs("hello", packet.Args{})
				}
			case 2:
				for _, socket := range n.Everyone().Sockets() {
					_ = n.To(socket.ID()).EmitArgs("hello", packet.Args{})
				}
			}
		}
	})
	for i := range 200 {
		c, err := dialClient(s, bothTransports[i%2])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.tryConnect("/"); err != nil {
			t.Fatal(err)
		}
		c.close()
	}
	close(stop)
	broadcasting.Wait()
}

// keepUp waits for the clients of a namespace: one that is slower than a loop
// that broadcasts would be cut off.
func keepUp(n *Namespace) {
	const most = 100_000
	for _, socket := range n.Everyone().Sockets() {
		for socket.client().session.QueuedBytes() > most {
			runtime.Gosched()
		}
	}
}

// rooms are clients in rooms, by name.
type roomsTest struct {
	s       *testServer
	names   []string
	clients map[string]*testClient
	sockets map[string]*Socket
}

// newRoomsTest connects a client for each name; member says which rooms it is
// in.
func newRoomsTest(t *testing.T, members map[string][]string) *roomsTest {
	r := &roomsTest{clients: make(map[string]*testClient), sockets: make(map[string]*Socket)}
	sockets := make(chan *Socket, 1)
	r.s = newTestServer(t, Options{}, onConnect(sockets))
	for name := range members {
		r.names = append(r.names, name)
	}
	slices.Sort(r.names)
	for i, name := range r.names {
		r.clients[name], _ = r.s.connected(bothTransports[i%2])
		r.sockets[name] = receive(t, "a socket", sockets)
		r.sockets[name].Admit(members[name]...)
	}
	return r
}

// check broadcasts and checks that exactly these clients receive, once.
func (r *roomsTest) check(t *testing.T, what string, b Broadcast, want ...string) {
	t.Helper()
	if err := b.EmitArgs("hello", mustArgs(what)); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Of("/").EmitArgs("end", packet.Args{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.names {
		if slices.Contains(want, name) {
			r.clients[name].expect(fmt.Sprintf(`2["hello","%s"]`, what))
		}
		if m := r.clients[name].next(); m.text != `2["end"]` {
			t.Errorf("%s: %s got %v", what, name, m)
		}
	}
	var got []string
	for _, socket := range b.Sockets() {
		for name, s := range r.sockets {
			if s == socket {
				got = append(got, name)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: sockets %v, want %v", what, got, want)
	}
}

func TestBroadcastReachesWhomItMeans(t *testing.T) {
	r := newRoomsTest(t, map[string][]string{
		"ann": {"red", "blue"}, "bob": {"red"}, "cat": {"blue"}, "dan": {},
	})
	n := r.s.Of("/")
	ann, bob, dan := r.sockets["ann"], r.sockets["bob"], r.sockets["dan"]
	r.check(t, "everyone", n.Everyone(), "ann", "bob", "cat", "dan")
	r.check(t, "one room", n.To("red"), "ann", "bob")
	r.check(t, "two rooms, each member once", n.To("red", "blue"), "ann", "bob", "cat")
	r.check(t, "two rooms, one after the other", n.To("red").To("blue"), "ann", "bob", "cat")
	r.check(t, "a room twice", n.To("red", "red"), "ann", "bob")
	r.check(t, "a room that is not there", n.To("green"))
	r.check(t, "a room and one that is not there", n.To("green", "red"), "ann", "bob")
	r.check(t, "except a room", n.Everyone().Except("red"), "cat", "dan")
	r.check(t, "a room except another", n.To("red").Except("blue"), "bob")
	r.check(t, "a room except itself", n.To("red").Except("red"))
	r.check(t, "except two rooms", n.Everyone().Except("red").Except("blue"), "dan")
	r.check(t, "except a room that is not there", n.To("red").Except("green"), "ann", "bob")
	r.check(t, "own room", n.To(dan.ID()), "dan")
	r.check(t, "own rooms of two", n.To(dan.ID(), ann.ID()), "ann", "dan")
	r.check(t, "own room and a room", n.To(ann.ID(), "red"), "ann", "bob")
	r.check(t, "except an own room", n.Everyone().Except(ann.ID()), "bob", "cat", "dan")
	r.check(t, "everyone else", ann.Broadcast(), "bob", "cat", "dan")
	r.check(t, "others of a room", ann.To("red"), "bob")
	r.check(t, "others of two rooms", ann.To("red", "blue"), "bob", "cat")
	r.check(t, "others of one's own room", ann.To(ann.ID()))
	r.check(t, "others, except a room", ann.Broadcast().Except("blue"), "bob", "dan")
	r.check(t, "from outside the room", dan.To("red"), "ann", "bob")

	bob.Leave("red", "green")
	r.check(t, "after one has left", n.To("red"), "ann")
	ann.Leave("red")
	r.check(t, "after all have left", n.To("red"))
	n.To("blue").Join("red", "green")
	r.check(t, "after others have joined", n.To("red"), "ann", "cat")
	n.To("green").Leave("blue")
	r.check(t, "after all were made to leave", n.To("blue"))
	if got := ann.State().Rooms; !slices.Equal(got, []string{"green", "red"}) {
		t.Errorf("rooms %v", got)
	}
	if n.Count("red") != 2 || n.Count("blue") != 0 || n.Count(ann.ID()) != 1 {
		t.Errorf("counts %d, %d, %d", n.Count("red"), n.Count("blue"), n.Count(ann.ID()))
	}
}

// Who joins a room that has the name of another socket's own room hears what
// is sent there, but takes nothing away from the other.
func TestOwnRoomCannotBeTakenAway(t *testing.T) {
	r := newRoomsTest(t, map[string][]string{"ann": {}, "bob": {}, "cat": {}})
	n := r.s.Of("/")
	id := r.sockets["ann"].ID()
	r.sockets["bob"].Admit(id)
	r.check(t, "own room that another has joined", n.To(id), "ann", "bob")
	r.check(t, "except such a room", n.Everyone().Except(id), "cat")
	r.check(t, "others of such a room", r.sockets["bob"].To(id), "ann")
	r.sockets["ann"].Admit(id)
	r.sockets["ann"].Leave(id)
	r.check(t, "own room that its owner has left", n.To(id), "ann", "bob")
	if n.Count(id) != 2 {
		t.Errorf("count %d", n.Count(id))
	}
	r.sockets["bob"].Leave(id)
	r.check(t, "own room once more", n.To(id), "ann")
}

func TestBroadcastDisconnect(t *testing.T) {
	r := newRoomsTest(t, map[string][]string{"ann": {"red"}, "bob": {"red"}, "cat": {}})
	r.s.Of("/").To("red").Disconnect(false)
	r.clients["ann"].expect("1")
	r.clients["bob"].expect("1")
	r.clients["ann"].expectAlive()
	r.clients["cat"].expectAlive()
	r.s.Of("/").Everyone().Disconnect(true)
	r.clients["cat"].expect("1")
	r.clients["cat"].expectEnd()
	r.clients["ann"].expectAlive()
}

// A broadcast is atomic: who was in the room before the call gets it, who
// joins after it does not. A single goroutine joins and broadcasts by turns,
// while others come and go.
func TestBroadcastIsAtomic(t *testing.T) {
	r := newRoomsTest(t, map[string][]string{"ann": {}, "bob": {}, "other": {}, "room": {}})
	n := r.s.Of("/")
	stop := make(chan struct{})
	var others sync.WaitGroup
	for _, name := range []string{"other", "room"} {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					r.sockets[name].Admit("red", "blue")
					r.sockets[name].Leave("red")
					r.sockets[name].Leave("blue")
				}
			}
		})
	}
	const rounds = 200
	for i := range rounds {
		r.sockets["ann"].Admit("red")
		_ = n.To("red").EmitArgs("count", mustArgs("before", i))
		r.sockets["ann"].Leave("red")
		_ = n.To("red").EmitArgs("count", mustArgs("after", i))
		_ = n.To("red", "blue").EmitArgs("count", mustArgs("after", i))
		r.sockets["ann"].Admit("blue")
		_ = n.To("red", "blue").EmitArgs("count", mustArgs("before", i))
		_ = n.To("red", "blue").Except(r.sockets["ann"].ID()).EmitArgs("count", mustArgs("after", i))
		_ = r.sockets["ann"].To("red", "blue").EmitArgs("count", mustArgs("after", i))
		r.sockets["ann"].Leave("blue")
	}
	close(stop)
	others.Wait()
	for i := range rounds {
		r.clients["ann"].expect(fmt.Sprintf(`2["count","before",%d]`, i), fmt.Sprintf(`2["count","before",%d]`, i))
	}
	r.clients["ann"].expectAlive()
	r.clients["bob"].expectAlive()
}

// flagRecorder is an adapter that remembers the broadcasts it was given.
type flagRecorder struct {
	brokenAdapter
	mu         sync.Mutex
	broadcasts []recorded
}

type recorded struct {
	flags  packet.Flags
	target Target
	event  string
}

func (f *flagRecorder) Broadcast(p *packet.Packet, t Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broadcasts = append(f.broadcasts, recorded{p.Flags, t, p.Event})
}

// Flags and rooms are values: broadcasts that are made of one another, in
// several goroutines, do not mix.
func TestFlagsAreValues(t *testing.T) {
	s := newTestServer(t, Options{})
	n := s.Of("/")
	recorder := new(flagRecorder)
	if err := n.attach(func(Local) (Adapter, error) { return recorder, nil }); err != nil {
		t.Fatal(err)
	}
	base := n.To("one", "two").Except("three")
	emit := func(b Broadcast, flags ...packet.Flags) func(name string) error {
		return func(name string) error { return b.EmitArgs(name, packet.Args{}, flags...) }
	}
	variants := map[string]func(name string) error{
		"plain":          emit(base),
		"values":         func(name string) error { return base.Emit(name) },
		"volatile":       emit(base, packet.Volatile),
		"incompressible": emit(base, packet.NoCompress),
		"both":           emit(base, packet.NoCompress, packet.Volatile),
		"both in one":    emit(base, packet.NoCompress|packet.Volatile),
		"more rooms":     emit(base.To("four")),
		"other rooms":    emit(base.To("five")),
		"more excepted":  emit(base.Except("six")),
	}
	want := map[string]recorded{
		"plain":          {0, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"volatile":       {packet.Volatile, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"incompressible": {packet.NoCompress, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"both":           {packet.NoCompress | packet.Volatile, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"both in one":    {packet.NoCompress | packet.Volatile, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"values":         {0, Target{Rooms: []string{"one", "two"}, Except: []string{"three"}}, ""},
		"more rooms":     {0, Target{Rooms: []string{"one", "two", "four"}, Except: []string{"three"}}, ""},
		"other rooms":    {0, Target{Rooms: []string{"one", "two", "five"}, Except: []string{"three"}}, ""},
		"more excepted":  {0, Target{Rooms: []string{"one", "two"}, Except: []string{"three", "six"}}, ""},
	}
	var running sync.WaitGroup
	for name, variant := range variants {
		running.Go(func() {
			for range 200 {
				_ = variant(name)
			}
		})
	}
	running.Wait()
	if len(recorder.broadcasts) != 200*len(variants) {
		t.Errorf("%d broadcasts", len(recorder.broadcasts))
	}
	for _, got := range recorder.broadcasts {
		w := want[got.event]
		if got.flags != w.flags || !slices.Equal(got.target.Rooms, w.target.Rooms) || !slices.Equal(got.target.Except, w.target.Except) {
			t.Fatalf("%s: got %+v", got.event, got)
		}
	}
}

// The flags of an emit hold for it alone.
func TestFlagsOfOneEmit(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	for _, flags := range [][]packet.Flags{nil, {packet.Volatile}, {packet.NoCompress}, {packet.Volatile, packet.NoCompress}, {0}} {
		if err := socket.EmitArgs("hello", packet.Args{}, flags...); err != nil {
			t.Error(err)
		}
		c.expect(`2["hello"]`)
	}
}
