package streaming

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

func TestKeysKeepValuesOfSockets(t *testing.T) {
	sockets := make(chan *Socket, 2)
	s := newTestServer(t, Options{}, onConnect(sockets))
	s.connected(engineio.WebSocket)
	s.connected(engineio.WebSocket)
	one, other := receive(t, "a socket", sockets), receive(t, "another socket", sockets)

	name, title, failure := NewKey[string](), NewKey[string](), NewKey[error]()
	if value, ok := name.Lookup(one); ok || value != "" || name.Get(one) != "" {
		t.Errorf("before anything was set: %q, %v", value, ok)
	}
	name.Delete(one)
	name.Set(one, "ann")
	title.Set(one, "dr")
	title.Set(one, "prof")
	name.Set(other, "")
	failure.Set(one, nil)
	for _, test := range []struct {
		socket *Socket
		key    *Key[string]
		value  string
		ok     bool
	}{
		{one, name, "ann", true}, {one, title, "prof", true}, {other, name, "", true}, {other, title, "", false},
	} {
		value, ok := test.key.Lookup(test.socket)
		if value != test.value || ok != test.ok || test.key.Get(test.socket) != test.value {
			t.Errorf("%q, %v, want %q, %v", value, ok, test.value, test.ok)
		}
	}
	if value, ok := failure.Lookup(one); value != nil || !ok {
		t.Errorf("an interface that is nil: %v, %v", value, ok)
	}
	name.Delete(one)
	if value, ok := name.Lookup(one); ok || title.Get(one) != "prof" {
		t.Errorf("deleted: %q, %v; the other is %q", value, ok, title.Get(one))
	}
}

// Two keys never meet: neither those of one type nor those of types that take no
// room.
func TestKeysNeverMeet(t *testing.T) {
	socket := &Socket{}
	keys := make([]*Key[struct{}], 1000)
	for i := range keys {
		keys[i] = NewKey[struct{}]()
		if _, ok := keys[i].Lookup(socket); ok {
			t.Fatalf("key %d has met another", i)
		}
		keys[i].Set(socket, struct{}{})
	}
	var zero, other Key[int]
	zero.Set(socket, 1)
	other.Set(socket, 2)
	if zero.Get(socket) != 1 || other.Get(socket) != 2 {
		t.Error("the zero values of keys have met")
	}
}

// Handlers find what was kept until the last of them, that of the disconnect.
func TestKeysAreThereUntilTheSocketHasGone(t *testing.T) {
	key := NewKey[int]()
	last := make(chan int, 1)
	s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
		h.OnConnect(func(s *Socket) { key.Set(s, 1) })
		_ = h.On("count", func(e *Event) { key.Set(e.Socket, key.Get(e.Socket)+1) })
		h.OnDisconnect(func(s *Socket, _ Reason) { last <- key.Get(s) })
	}))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`2["count"]`, `2["count"]`, "1")
	if n := receive(t, "the disconnect", last); n != 3 {
		t.Errorf("kept %d", n)
	}
}

func TestKeysFromManyGoroutines(t *testing.T) {
	socket := &Socket{}
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			key := NewKey[int]()
			for i := range 1000 {
				key.Set(socket, i)
				if key.Get(socket) != i {
					t.Error("somebody else's value")
				}
			}
			key.Delete(socket)
		})
	}
	running.Wait()
}

// What a socket has kept is garbage once the socket is.
func TestKeptValuesGoWithTheSocket(t *testing.T) {
	gone := make(chan struct{})
	func() {
		socket, value := &Socket{}, new([1 << 10]byte)
		runtime.AddCleanup(value, func(struct{}) { close(gone) }, struct{}{})
		NewKey[*[1 << 10]byte]().Set(socket, value)
	}()
	eventually(t, "the value to be collected", func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
}

// A socket that uses none of it has no context and no values.
func TestExtrasAreMadeWhenTheyAreNeeded(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets), on("fine", func(e *Event) { e.Ack.Reply(e.Args) }))
	c, _ := s.connected(engineio.WebSocket)
	c.send(`21["fine"]`)
	c.expect(`31[]`)
	socket := receive(t, "a socket", sockets)
	NewKey[int]().Get(socket)
	if socket.extras != nil {
		t.Error("an idle socket has extras")
	}
	if size := unsafe.Sizeof(Socket{}); size > 240 {
		t.Errorf("a socket takes %d bytes, and so the next larger size class", size)
	}
}

func BenchmarkKey(b *testing.B) {
	for _, others := range []int{0, 10} {
		b.Run(fmt.Sprintf("%d others", others), func(b *testing.B) {
			socket, key := &Socket{}, NewKey[*time.Time]()
			for range others {
				NewKey[int]().Set(socket, 1)
			}
			key.Set(socket, new(time.Time))
			b.ReportAllocs()
			for b.Loop() {
				key.Set(socket, key.Get(socket))
			}
		})
	}
}
