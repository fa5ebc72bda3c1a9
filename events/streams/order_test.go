package streams

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// listen takes all that has come once the server has handled all that the client has sent, and returns
// which streams are live by what it was told last.
func (c *client) listen() (live map[string]bool) {
	c.T.Helper()
	came, err := c.CatchUp()
	if err != nil {
		c.T.Fatal(err)
	}
	live = make(map[string]bool)
	for _, r := range came {
		if id, now, ok := stateOf(r.Text); ok {
			live[id] = now
		}
	}
	return live
}

// stateOf returns what a packet says of whether a stream is live: an event, or the answer to a join.
func stateOf(text string) (id string, live, ok bool) {
	var list []json.RawMessage
	if json.Unmarshal([]byte(strings.TrimLeft(text, "0123456789")), &list) != nil || len(list) == 0 {
		return "", false, false
	}
	var event string
	if json.Unmarshal(list[0], &event) != nil {
		var told struct{ Stream *info }
		if json.Unmarshal(list[0], &told) != nil || told.Stream == nil {
			return "", false, false
		}
		return told.Stream.StreamID, told.Stream.Live, true
	}
	var told status
	if event != "stream:started" && event != "stream:stopped" || json.Unmarshal(list[1], &told) != nil {
		return "", false, false
	}
	return told.StreamID, event == "stream:started", true
}

// The connection of an owner of very many streams ends, and another client starts one of them at
// once: what viewers hear last is true.
func TestViewersHearOfTheEndBeforeTheNextStart(t *testing.T) {
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience})
			for round := range 6 {
				viewer, owner, next := s.Connect(), s.Connect(), s.Connect()
				viewer.join("watched")
				owner.Send(`2["stream:start",{"streamId":"a"}]`)
				owner.Send(`2["stream:start",{"streamId":"watched"}]`)
				for i := range 998 {
					owner.Send(fmt.Sprintf(`2["stream:start",{"streamId":"m%d"}]`, i))
				}
				if err := owner.Answers(); err != nil {
					t.Fatal(err)
				}
				go owner.Close()
				for started := false; !started; {
					next.Send(`29["stream:start",{"streamId":"watched"}]`)
					text := ""
					for !strings.HasPrefix(text, "39[") {
						text = next.Next().Text
					}
					started = strings.Contains(text, `"success":true`)
				}
				owner.Gone()
				if !viewer.listen()["watched"] {
					t.Errorf("round %d: the stream is live, and the viewer was told last that it has stopped", round)
				}
				next.Send(`2["stream:stop",{"streamId":"watched"}]`)
				next.Close()
				next.Gone()
				viewer.Close()
			}
		})
	}
}

// Owners start and stop streams, go and come back, and viewers join and leave, all at random: what
// each viewer has heard last of a stream that it is in is true.
func TestWhatIsHeardLastIsTrue(t *testing.T) {
	const owners, viewers, names, rounds, steps = 4, 4, 3, 6, 80
	for _, audience := range []Audience{AudienceAll, AudienceSubscribers} {
		t.Run(string(audience), func(t *testing.T) {
			s := newServer(t, &Set{Audience: audience})
			for round := range rounds {
				var running sync.WaitGroup
				watching := make([]*client, viewers)
				for i := range watching {
					watching[i] = s.Connect()
					for id := range names {
						watching[i].Send(joinOf(id))
					}
				}
				for i := range owners {
					random := rand.New(rand.NewPCG(uint64(round), uint64(i))) //nolint:gosec // a test
					running.Go(func() { ownAtRandom(s, random, names, steps) })
				}
				for i, c := range watching[1:] {
					random := rand.New(rand.NewPCG(uint64(round), uint64(owners+i))) //nolint:gosec // a test
					running.Go(func() { watchAtRandom(c, random, names, steps) })
				}
				running.Wait()
				for i, c := range watching {
					known := c.listen()
					for id := range names {
						id := fmt.Sprint("stream ", id)
						live := s.table().get(id) != nil
						if known[id] != live {
							t.Errorf("round %d: %s is live: %v, and viewer %d was told last: %v", round, id, live, i, known[id])
						}
						if live {
							c.expectLastCount(id, viewers)
						}
					}
				}
				for _, c := range watching {
					c.Close()
					c.Gone()
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// expectLastCount waits until the last count of viewers that a client has heard of a stream is the
// right one.
func (c *client) expectLastCount(id string, n int) {
	c.T.Helper()
	eventstest.Eventually(c.T, fmt.Sprintf("%d viewers of %s", n, id), func() bool {
		last := ""
		for _, text := range c.Asides() {
			if strings.Contains(text, fmt.Sprintf(`{"streamId":%q,`, id)) {
				last = text
			}
		}
		return last == viewersOf(id, n)
	})
}

func joinOf(id int) string { return fmt.Sprintf(`299["stream:join",{"streamId":"stream %d"}]`, id) }

// ownAtRandom starts and stops streams, on one connection after the other, and waits until the last
// of them is dealt with.
func ownAtRandom(s *server, random *rand.Rand, names, steps int) {
	c := s.Connect()
	for range steps {
		switch id := random.IntN(names); random.IntN(8) {
		case 0:
			go c.Close()
			c.Gone()
			c = s.Connect()
		case 1, 2:
			_ = c.TrySend(fmt.Sprintf(`2["stream:stop",{"streamId":"stream %d"}]`, id))
		default:
			_ = c.TrySend(fmt.Sprintf(`2["stream:start",{"streamId":"stream %d"}]`, id))
		}
	}
	if err := c.Answers(); err != nil {
		s.T.Error(err)
	}
}

// watchAtRandom leaves and joins streams, and has joined all of them in the end.
func watchAtRandom(c *client, random *rand.Rand, names, steps int) {
	for range steps {
		id := random.IntN(names)
		_ = c.TrySend(fmt.Sprintf(`2["stream:leave",{"streamId":"stream %d"}]`, id))
		_ = c.TrySend(joinOf(id))
	}
}
