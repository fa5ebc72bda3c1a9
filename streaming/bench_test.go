package streaming

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// benchmarkSockets makes sockets without clients, some of them in a room.
func benchmarkSockets(r *rooms, all, inRoom int) []*Socket {
	sockets := make([]*Socket, all)
	for i := range sockets {
		sockets[i] = &Socket{id: fmt.Sprintf("socket%d", i)}
		r.add(sockets[i])
		if i < inRoom {
			r.join(sockets[i], "room")
		}
	}
	return sockets
}

// BenchmarkBroadcastRoom sends to the 20 clients of a room, which are in this
// process too. What it costs does not depend on how many others are in the
// namespace.
func BenchmarkBroadcastRoom(b *testing.B) {
	const members = 20
	for _, others := range []int{20, 8000} {
		b.Run(fmt.Sprintf("%d others", others), func(b *testing.B) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(b, Options{}, onConnect(sockets))
			for range members {
				c, _ := s.connected(engineio.WebSocket)
				receive(b, "a socket", sockets).Admit("room")
				go c.discard()
			}
			n := s.Of("/")
			strangers := benchmarkSockets(n.rooms, others, 0)
			args := mustArgs(map[string]string{"from": "ann", "text": "hello"})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i%64 == 0 {
					// Let the clients keep up.
					for _, socket := range n.To("room").Sockets() {
						for socket.client().session.QueuedBytes() > 100_000 {
							hesitate()
						}
					}
				}
				_ = n.To("room").EmitArgs("message", args)
			}
			b.StopTimer()
			for _, socket := range strangers {
				n.rooms.remove(socket)
			}
		})
	}
}

// BenchmarkCall asks the clients of a room, which are in this process too, and waits for the answers
// of all.
func BenchmarkCall(b *testing.B) {
	for _, members := range []int{1, 20} {
		b.Run(fmt.Sprintf("%d clients", members), func(b *testing.B) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(b, Options{}, onConnect(sockets))
			for range members {
				c, _ := s.connected(engineio.WebSocket)
				receive(b, "a socket", sockets).Admit("room")
				go c.answer()
			}
			to, args := s.Of("/").To("room"), mustArgs(map[string]string{"from": "ann", "text": "hello"})
			b.ReportAllocs()
			for b.Loop() {
				if replies, err := to.Call(b.Context(), "question", args); err != nil || len(replies) != members {
					b.Fatalf("%d replies, %v", len(replies), err)
				}
			}
		})
	}
}

// answer acknowledges each event that asks for it.
func (c *testClient) answer() {
	for {
		m, err := c.read()
		if err != nil {
			return
		}
		if id, _, asked := strings.Cut(strings.TrimPrefix(m.text, "2"), "["); asked && id != "" {
			c.send("3" + id + `["yes"]`)
		}
	}
}

// discard forgets what comes.
func (c *testClient) discard() {
	for {
		if _, err := c.read(); err != nil {
			return
		}
	}
}

// BenchmarkBroadcastMayJoin sends to 100 clients: to all, to all who may join a room where nobody's
// rights are limited, and where all are, by few names and by many.
func BenchmarkBroadcastMayJoin(b *testing.B) {
	const members = 100
	many := make([]string, 0, 200)
	for range cap(many) {
		many = append(many, "stream:"+newSocketID())
	}
	for _, test := range []struct {
		name   string
		room   string
		rights *Rights
	}{
		{"all", "", nil},
		{"unlimited", "stream:board-1", nil},
		{"limited to 2", "stream:board-1", new(LimitTo("session:class", "stream:board-*"))},
		{"limited to 201", "stream:board-1", new(LimitTo(append(many, "stream:board-*")...))},
	} {
		b.Run(test.name, func(b *testing.B) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(b, Options{}, onConnect(sockets))
			all := make([]*Socket, members)
			for i := range all {
				c, _ := s.connected(engineio.WebSocket)
				all[i] = receive(b, "a socket", sockets)
				if test.rights != nil {
					s.auth.give(all[i], &Identity{ID: "ann", Rooms: *test.rights}, nil)
				}
				go c.discard()
			}
			everyone := s.Of("/").Everyone()
			if test.room != "" {
				everyone = everyone.MayJoin(test.room)
			}
			args := mustArgs(map[string]string{"from": "ann", "text": "hello"})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i%64 == 0 {
					// Let the clients keep up.
					for _, socket := range all {
						for socket.client().session.QueuedBytes() > 100_000 {
							hesitate()
						}
					}
				}
				_ = everyone.EmitArgs("message", args)
			}
		})
	}
}

// BenchmarkReceivers finds out who is meant, and nothing else.
func BenchmarkReceivers(b *testing.B) {
	for _, others := range []int{20, 8000} {
		for name, target := range map[string]Target{
			"room":                {Rooms: []string{"room"}},
			"room except another": {Rooms: []string{"room"}, Except: []string{"socket1"}},
			"everyone":            {},
		} {
			b.Run(fmt.Sprintf("%s/%d others", name, others), func(b *testing.B) {
				r := newRooms()
				benchmarkSockets(r, 20+others, 20)
				b.ReportAllocs()
				for b.Loop() {
					_, _ = r.receivers(target, everything, nil, nil)
				}
			})
		}
	}
}

// BenchmarkJoinLeave joins a room and leaves it, alone or with many others,
// and with a broadcast in between.
func BenchmarkJoinLeave(b *testing.B) {
	for _, others := range []int{0, 8000} {
		for _, broadcast := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d others/broadcast=%v", others, broadcast), func(b *testing.B) {
				r := newRooms()
				benchmarkSockets(r, others, others)
				s := &Socket{id: "me"}
				r.add(s)
				b.ReportAllocs()
				for b.Loop() {
					r.join(s, "room")
					if broadcast {
						_, _ = r.receivers(Target{Rooms: []string{"room"}}, everything, nil, nil)
					}
					r.leave(s, "room")
				}
			})
		}
	}
}
