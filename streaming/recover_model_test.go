package streaming

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// modelClient is a client and what it should have got.
type modelClient struct {
	*recoverableClient
	rooms map[string]bool
	// want is what was sent to its session, got what has come, and offsets the offset after each of
	// those.
	want, got, offsets []string
	away               bool
}

// drain takes what has come before the connection was cut.
func (c *modelClient) drain() error {
	for {
		event, err := c.tryEvent()
		if err != nil {
			return err
		}
		c.got, c.offsets = append(c.got, event), append(c.offsets, c.offset)
	}
}

// TestEverySequenceIsCompleteOrNotClaimed plays random cuts, comebacks, joins, leaves, kicks and broadcasts.
// Whoever is recovered has got everything that was for it, in order and once.
func TestEverySequenceIsCompleteOrNotClaimed(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playRecovery(t, rand.New(rand.NewPCG(seed, 1)), 250) }) //nolint:gosec // no secret
	}
}

func playRecovery(t *testing.T, random *rand.Rand, steps int) {
	s := newTestServer(t, recovering())
	n := s.Of("/")
	clients := make([]*modelClient, 5)
	for i := range clients {
		clients[i] = &modelClient{recoverableClient: s.recoverableClient(), rooms: make(map[string]bool)}
	}
	roomNames := []string{"red", "green", "blue"}
	recovered, anew := 0, 0
	for step := range steps {
		c := clients[random.IntN(len(clients))]
		room := roomNames[random.IntN(len(roomNames))]
		socket := s.Find(c.sid)
		switch random.IntN(12) {
		case 0:
			socket.Admit(room)
			c.rooms[room] = true
		case 1:
			socket.Leave(room)
			delete(c.rooms, room)
		case 2, 3:
			if c.away {
				break
			}
			c.away = true
			if random.IntN(2) == 0 {
				s.cut(c.recoverableClient)
			} else {
				c.vanish()
			}
			if err := c.drain(); err == nil || !strings.Contains(err.Error(), errEnded.Error()) {
				t.Fatal(err)
			}
		case 4, 5, 6:
			if !c.away {
				break
			}
			spoiled := c.spoil(s, random, n)
			if err := s.tryComeIn(c.recoverableClient, engineio.WebSocket, ""); err != nil {
				t.Fatal(err)
			}
			c.away = false
			if c.recovered {
				recovered++
			} else {
				anew++
				c.rooms = make(map[string]bool)
				c.want, c.got, c.offsets = nil, nil, nil
			}
			if c.recovered == spoiled {
				t.Fatalf("step %d: recovered %v, spoiled %v, %+v", step, c.recovered, spoiled, s.Metrics().Recovery)
			}
		default:
			event := fmt.Sprintf("%d", step)
			want := fmt.Sprintf("[%q]", event)
			b, meant := n.Everyone(), func(*modelClient) bool { return true }
			switch random.IntN(4) {
			case 0:
				b, meant = n.To(room), func(c *modelClient) bool { return c.rooms[room] }
			case 1:
				b, meant = socket.Broadcast().Except(room), func(other *modelClient) bool { return other != c && !other.rooms[room] }
			case 2:
				b, meant = n.To(room, c.sid), func(other *modelClient) bool { return other == c || other.rooms[room] }
			}
			_ = b.Emit(event)
			for _, other := range clients {
				if meant(other) {
					other.want = append(other.want, want)
				}
			}
		}
	}
	_ = n.Emit("end")
	for i, c := range clients {
		if c.away {
			if err := s.tryComeIn(c.recoverableClient, engineio.WebSocket, ""); err != nil {
				t.Fatal(err)
			}
			if !c.recovered {
				continue
			}
		}
		c.want = append(c.want, `["end"]`)
		for len(c.got) == 0 || c.got[len(c.got)-1] != `["end"]` {
			event, err := c.tryEvent()
			if err != nil {
				t.Fatalf("client %d: %v; got %v, want %v", i, err, c.got, c.want)
			}
			c.got = append(c.got, event)
		}
		if !slices.Equal(c.got, c.want) {
			t.Errorf("client %d got\n%v, want\n%v", i, c.got, c.want)
		}
		c.testClient.close()
	}
	t.Logf("%d recovered, %d anew", recovered, anew)
}

// spoil makes a comeback one that is not recovered, or one that is from an older place, at times.
func (c *modelClient) spoil(s *testServer, random *rand.Rand, n *Namespace) (spoiled bool) {
	switch random.IntN(8) {
	case 0:
		c.pid = c.pid[:socketIDLength] + "AAAAAAAAAAAAAAAAAAAAAA"
		return true
	case 1:
		c.offset = n.rooms.log.Load().Head() + "1"
		return true
	case 2:
		n.Find(c.sid).Disconnect(random.IntN(2) == 0)
		return true
	case 3:
		// It is told of that the first time that it comes back, if it is known that it is away.
		socket := n.Find(c.sid)
		eventually(s.t, "the socket to wait for its client", func() bool { return !socket.reachable() })
		socket.Kick(random.IntN(2) == 0)
		told := &recoverableClient{pid: c.pid, offset: c.offset}
		if err := s.tryComeIn(told, engineio.WebSocket, ""); err == nil || !strings.Contains(err.Error(), CodeKicked) {
			s.t.Fatal(err)
		}
		told.testClient.close()
		return true
	}
	return false
}

// TestNothingIsMissedUnderCuts has several send at once, to everyone, while the clients are cut again and
// again: each gets all that each of the senders has sent, in order and once.
func TestNothingIsMissedUnderCuts(t *testing.T) {
	const senders, events, receivers = 3, 400, 6
	s := newTestServer(t, recovering())
	n := s.Of("/")
	clients := make([]*recoverableClient, receivers)
	for i := range clients {
		clients[i] = s.recoverableClient()
	}
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := range events {
				switch i % 3 {
				case 0:
					_ = n.Emit("event", sender, i)
				case 1:
					_ = n.Everyone().Except("nobody").Emit("event", sender, i)
				default:
					for _, socket := range n.Everyone().Sockets() {
						_ = socket.Emit("event", sender, i)
					}
				}
			}
		})
	}
	for i, c := range clients {
		all.Go(func() {
			transport := bothTransports[i%2]
			random := rand.New(rand.NewPCG(uint64(i), 2)) //nolint:gosec // no secret
			next := make([]int, senders)
			for total, cut := 0, 40; total < senders*events; total++ {
				event, err := c.tryEvent()
				for err != nil || total == cut {
					cut = total + 20 + random.IntN(60)
					if err == nil {
						c.vanish()
						break
					}
					if err := s.tryComeIn(c, transport, ""); err != nil || !c.recovered {
						t.Errorf("client %d: recovered %v, %v, %+v", i, c.recovered, err, s.Metrics().Recovery)
						return
					}
					event, err = c.tryEvent()
				}
				var sender, number int
				if _, err := fmt.Sscanf(event, `["event",%d,%d]`, &sender, &number); err != nil || number != next[sender] {
					t.Errorf("client %d got %s, and waits for %v", i, event, next)
					return
				}
				next[sender]++
			}
		})
	}
	all.Wait()
	if m := s.Metrics().Recovery; m.Recovered == 0 {
		t.Errorf("%+v", m)
	}
}
