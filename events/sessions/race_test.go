package sessions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// Hundreds of clients join, leave and vanish at random. Whatever races, every
// client that stays believes in exactly the members that there are in the end,
// hears of each exactly once, and gets nothing of a session it is not in.
func TestMembersBelieveWhatTheServerKnows(t *testing.T) {
	const sessionCount, stayers, goers, rounds = 12, 4, 16, 4
	s := newServer(t, &Set{Timeout: time.Millisecond, History: 5})
	var watchers []*believer
	for i := range sessionCount {
		for range stayers {
			b := &believer{client: s.Connect(), session: fmt.Sprint("room ", i), members: make(map[string]bool)}
			b.enters(b.session, "stayer")
			watchers = append(watchers, b)
		}
	}
	var group sync.WaitGroup
	for g := range sessionCount * goers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 7))
			for range rounds {
				if err := visit(s, random, sessionCount); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	eventstest.Eventually(t, "those who left are gone", func() bool {
		return s.stats().Clients == sessionCount*stayers
	})
	for _, b := range watchers {
		if err := b.catchUp(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, m := range s.table().membersOf(b.session) {
			want = append(want, m.id)
		}
		if slices.Sort(want); len(want) != stayers || !slices.Equal(want, b.believes()) {
			t.Errorf("%s: the server has %v, a client believes in %v", b.session, want, b.believes())
		}
	}
	table := s.table()
	table.mu.Lock()
	defer table.mu.Unlock()
	if len(table.participants) != len(watchers) {
		t.Errorf("%d participants for %d clients", len(table.participants), len(watchers))
	}
}

// visit connects, joins some sessions, shares something, and goes away: after
// it has left, by closing, or in the middle of a join.
func visit(s *server, random *rand.Rand, sessionCount int) error {
	c, err := s.TryConnect()
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 1 + random.IntN(3) {
		id := fmt.Sprint("room ", random.IntN(sessionCount))
		if random.IntN(8) == 0 {
			id = fmt.Sprint("short-lived ", random.IntN(3))
		}
		err := c.TrySend(joinText(id, "goer"))
		if err == nil && random.IntN(2) == 0 {
			err = c.TrySend(fmt.Sprintf(`2["content",{"sessionId":%q,"content":%d}]`, id, i))
		}
		if err == nil && random.IntN(3) == 0 {
			err = c.TrySend(fmt.Sprintf(`2["leave",{"sessionId":%q}]`, id))
		}
		if err != nil {
			return err
		}
	}
	switch random.IntN(3) {
	case 0:
		_ = c.Answers()
	case 1:
		_ = c.TrySend("1") // leaves the namespace with a word
	}
	return nil
}

// believer is a client that keeps a list of members as a page would.
type believer struct {
	*client
	session string
	members map[string]bool
}

// enters joins, and believes the answer.
func (b *believer) enters(session, name string) {
	b.T.Helper()
	for _, other := range b.client.enters(session, name).Clients {
		b.members[other.ID] = true
	}
}

func (b *believer) believes() []string {
	var ids []string
	for id := range b.members {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// catchUp reads all that has come.
func (b *believer) catchUp() error {
	if err := b.TrySend("0/nowhere,"); err != nil {
		return err
	}
	for {
		r, err := b.Read()
		if err != nil {
			return err
		}
		if strings.HasPrefix(r.Text, "4/nowhere,") {
			return nil
		}
		if err := b.hear(r.Text); err != nil {
			return err
		}
	}
}

func (b *believer) hear(text string) error {
	var event [2]json.RawMessage
	var name string
	var payload clientJoined
	if err := json.Unmarshal([]byte(text[1:]), &event); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if err := json.Unmarshal(event[0], &name); err != nil {
		return err
	}
	if err := json.Unmarshal(event[1], &payload); err != nil {
		return err
	}
	if payload.SessionID != b.session {
		return fmt.Errorf("a client of %s has got %s", b.session, text)
	}
	switch name {
	case "client-joined":
		if b.members[payload.ClientID] {
			return fmt.Errorf("told twice: %s", text)
		}
		b.members[payload.ClientID] = true
	case "client-left":
		if !b.members[payload.ClientID] {
			return fmt.Errorf("told of one that was not there: %s", text)
		}
		delete(b.members, payload.ClientID)
	}
	return nil
}

func (t *table) membersOf(id string) []*member {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byID[id]
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members)
}

// Sessions become empty and are joined anew all the time, while they are
// removed at once, for lack of room, or because their time is up.
func TestSessionsThatComeAndGo(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Millisecond, time.Hour} {
		t.Run(timeout.String(), func(t *testing.T) {
			const clients, rounds, most = 24, 40, 8
			s := newServer(t, &Set{Timeout: timeout, MaxSessions: most, Fingerprint: FingerprintFirst, History: 2})
			var group sync.WaitGroup
			for i := range clients {
				c := s.Connect()
				group.Go(func() {
					for round := range rounds {
						id := fmt.Sprint("room ", (i+round)%12)
						err := c.TrySend(joinText(id, "X", fmt.Sprintf(`,"fingerprint":"%d"`, i%2)))
						if err == nil {
							var answer joinAnswer
							answer, err = c.readAnswer()
							if !answer.Success && answer.Code != "wrong_fingerprint" && answer.Code != "too_many_sessions" {
								t.Errorf("%+v", answer)
							}
						}
						if err == nil {
							err = c.TrySend(fmt.Sprintf(`2["leave",{"sessionId":%q}]`, id))
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
					if err := c.Answers(); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			// The figures are read one after the other, and empty sessions may be removed in
			// between.
			eventstest.Eventually(t, "nobody is in a session", func() bool {
				stats := s.stats()
				return stats.Clients == 0 && stats.Sessions == stats.Empty && stats.Sessions <= most
			})
			if timeout < time.Hour {
				eventstest.Eventually(t, "all sessions are removed", func() bool { return s.stats().Sessions == 0 })
			}
		})
	}
}
