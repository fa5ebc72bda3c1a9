package streaming

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// names lists rooms with their sizes.
func names(rooms []RoomSize) string {
	var list []string
	for _, r := range rooms {
		list = append(list, fmt.Sprintf("%s=%d", r.Name, r.Sockets))
	}
	return strings.Join(list, " ")
}

func TestRoomPages(t *testing.T) {
	s := newTestServer(t, Options{})
	a, aID := s.connected(engineio.WebSocket)
	_, bID := s.connected(engineio.Polling)
	n := s.Of("/")
	n.Find(aID).Admit("d", "b", "a", "c")
	n.Find(bID).Admit("b", "e")
	for _, test := range []struct {
		after string
		limit int
		want  string
		more  bool
	}{
		{"", 100, "a=1 b=2 c=1 d=1 e=1", false},
		{"", 5, "a=1 b=2 c=1 d=1 e=1", false},
		{"", 2, "a=1 b=2", true},
		{"b", 2, "c=1 d=1", true},
		{"bb", 2, "c=1 d=1", true},
		{"d", 2, "e=1", false},
		{"e", 2, "", false},
		{"", 0, "a=1", true},
	} {
		got, more := n.RoomPage(test.after, test.limit)
		if names(got) != test.want || more != test.more {
			t.Errorf("%d after %q: %s, more %t; want %s, %t", test.limit, test.after, names(got), more, test.want, test.more)
		}
	}
	if sockets, rooms := n.Size(); sockets != 2 || rooms != 5 {
		t.Errorf("%d sockets, %d rooms", sockets, rooms)
	}
	a.close()
	eventually(t, "the rooms of one to be gone", func() bool {
		sockets, rooms := n.Size()
		return sockets == 1 && rooms == 2
	})
}

func TestSocketPages(t *testing.T) {
	s := newTestServer(t, Options{})
	_ = s.Of("/b").Use()
	var ids []string
	for range 5 {
		client, id := s.connected(engineio.WebSocket)
		ids = append(ids, id, client.connect("/b"))
	}
	slices.Sort(ids)
	all := []*Namespace{s.Of("/"), s.Of("/b")}
	var seen []string
	pages := 0
	for after, more := "", true; more; pages++ {
		var page []*Socket
		page, more = SocketPage(SocketQuery{Namespaces: all, After: after, Limit: 3})
		for _, socket := range page {
			seen = append(seen, socket.ID())
		}
		after = seen[len(seen)-1]
	}
	if !slices.Equal(seen, ids) || pages != 4 {
		t.Errorf("got %q in %d pages, want %q in 4", seen, pages, ids)
	}
	s.Find(ids[3]).Admit("room")
	page, more := SocketPage(SocketQuery{Namespaces: all, Room: "room", Limit: 10})
	if len(page) != 1 || page[0].ID() != ids[3] || more {
		t.Errorf("by room: %v, more %t", page, more)
	}
	if page, _ := SocketPage(SocketQuery{Namespaces: all, Slow: true, Limit: 10}); len(page) != 0 {
		t.Errorf("slow ones: %v", page)
	}
}

func TestSocketState(t *testing.T) {
	s := newTestServer(t, Options{})
	began := time.Now()
	_, id := s.connected(engineio.Polling)
	s.Find(id).Admit("b", "a")
	state := s.Find(id).State()
	if state.ID != id || state.Namespace != "/" || state.Transport != engineio.Polling || state.Handshake.RemoteAddr != "127.0.0.1" ||
		state.Handshake.Time.Before(began) || strings.Join(state.Rooms, " ") != "a b" || state.Slow {
		t.Errorf("got %+v", state)
	}
	if s.Find("nobody") != nil || s.Lookup("/nowhere") != nil || s.Lookup("/") != s.Of("/") {
		t.Error("found what is not there, or not what is")
	}
}

// TestSlowSocketShows holds that a client that does not read is found, with
// what waits for it.
func TestSlowSocketShows(t *testing.T) {
	s := newTestServer(t, Options{})
	raw := rawclient.New(s.url)
	defer raw.Close()
	// It connects, and then asks for nothing.
	poller, err := raw.Handshake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := poller.Post(t.Context(), "40"); err != nil || answer.Status != 200 {
		t.Fatalf("CONNECT: %v %v", answer, err)
	}
	eventually(t, "the socket to be there", func() bool {
		sockets, _ := s.Of("/").Size()
		return sockets == 1
	})
	id := s.Of("/").Everyone().Sockets()[0].ID()
	args := mustArgs(strings.Repeat("x", 64<<10))
	eventually(t, "the socket to be slow", func() bool {
		socket := s.Find(id)
		if socket == nil {
			t.Fatal("the client's socket is gone")
		}
		_ = socket.EmitArgs("large", args)
		return socket.State().Slow && socket.State().QueuedBytes > 64<<10
	})
	if page, _ := SocketPage(SocketQuery{Namespaces: s.Namespaces(), Slow: true, Limit: 1}); len(page) != 1 || page[0].ID() != id {
		t.Errorf("slow ones: %v", page)
	}
}

// TestInspectionWhileAllChanges holds that a walk over the rooms is sound while
// they come and go, and sees those that stay.
func TestInspectionWhileAllChanges(t *testing.T) {
	s := newTestServer(t, Options{})
	_, id := s.connected(engineio.WebSocket)
	_, otherID := s.connected(engineio.WebSocket)
	n := s.Of("/")
	const stay = 3 * roomBatch
	for i := range stay {
		n.Find(id).Admit(fmt.Sprintf("stays %04d", i))
	}
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				other := n.Find(otherID)
				other.Admit(fmt.Sprintf("goes %d", i))
				other.Leave(fmt.Sprintf("goes %d", i-100))
			}
		}
	})
	for range 50 {
		rooms, more := n.RoomPage("stays", stay)
		if len(rooms) != stay || more {
			t.Errorf("%d rooms, more %t", len(rooms), more)
			break
		}
		SocketPage(SocketQuery{Namespaces: s.Namespaces(), Room: "stays 0001", Limit: 1})
		n.Find(otherID).State()
	}
	close(stop)
	changing.Wait()
}

// BenchmarkRoomPage shows what a page of many rooms costs.
func BenchmarkRoomPage(b *testing.B) {
	r := newRooms()
	for i := range 100_000 {
		r.join(&Socket{id: fmt.Sprint(i)}, fmt.Sprintf("room %d", i))
	}
	n := &Namespace{name: "/", rooms: r}
	b.ReportAllocs()
	for b.Loop() {
		if rooms, more := n.RoomPage("", 100); len(rooms) != 100 || !more {
			b.Fatal("not a page")
		}
	}
}
