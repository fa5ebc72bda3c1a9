package sessions

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// The list of members in the acknowledgement of a batch is that of the moment when it is sent: who has
// left while the batch was handled is not in it.
func TestListsOfABatchAreThoseOfItsAnswer(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben, cem := s.Connect(), s.Connect(), s.Connect()
	ben.enters("room", "Ben")
	ann.enters("slow", "Ann")
	// What is large waits in this session until the test lets it go on.
	table := s.table()
	table.mu.Lock()
	turn := table.byID["slow"].turn
	table.mu.Unlock()
	turn <- struct{}{}
	ann.Send(`51-1["batch",[{"event":"join","data":{"sessionId":"room","clientName":"Ann"}},`+
		`{"event":"content","data":{"sessionId":"slow","content":`+placeholder0+`}}]]`, strings.Repeat("x", pacedSize))
	ben.Expect(joinedText("room", ann.ID, "Ann"))
	ben.says(`"leave",{"sessionId":"room"}`)
	cem.enters("room", "Cem")
	<-turn
	ann.Expect(leftText("room", ben.ID))
	ann.Expect(joinedText("room", cem.ID, "Cem"))
	answer := ann.Next()
	want := fmt.Sprintf(`31[{"success":true,"results":[{"success":true,"clients":[{"id":%q,"name":"Ann"},{"id":%q,"name":"Cem"}],"token":"`, ann.ID, cem.ID)
	if !strings.HasPrefix(answer.Text, want) || !strings.HasSuffix(answer.Text, `"},{"success":true}]}]`) {
		t.Errorf("got %v, want %s…", answer, want)
	}
	ann.ExpectNothing()
}

// Clients join several sessions by one batch, leave them and join them again, while others do the same.
// Each believes the list that it is answered with, and whatever it hears after that. In the end it
// believes in those who are there.
func TestWhoJoinsByBatchHearsOfOthersInOrder(t *testing.T) {
	const clients, rounds, sessionCount = 12, 15, 3
	s := newServer(t, &Set{})
	watchers := make([]*batchBeliever, clients)
	var group sync.WaitGroup
	for i := range clients {
		b := &batchBeliever{client: s.Connect(), sessions: make(map[string]*believer)}
		watchers[i] = b
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 3))
			for range rounds {
				if err := b.joinAll(sessionCount); err != nil {
					t.Error(err)
					return
				}
				if random.IntN(3) > 0 {
					if err := b.leave(fmt.Sprint("room ", random.IntN(sessionCount))); err != nil {
						t.Error(err)
						return
					}
				}
			}
			if err := b.joinAll(sessionCount); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, b := range watchers {
		if err := b.catchUp(); err != nil {
			t.Fatal(err)
		}
		for id, session := range b.sessions {
			var want []string
			for _, m := range s.table().membersOf(id) {
				want = append(want, m.id)
			}
			if slices.Sort(want); len(want) != clients || !slices.Equal(want, session.believes()) {
				t.Errorf("%s: the server has %v, a client believes in %v", id, want, session.believes())
			}
		}
	}
}

// batchBeliever is a client that joins sessions by batches, and believes what it hears of each.
type batchBeliever struct {
	*client
	sessions map[string]*believer
}

// joinAll joins all sessions by one batch, and believes the lists of its answer.
func (b *batchBeliever) joinAll(count int) error {
	var entries []string
	for i := range count {
		entries = append(entries, fmt.Sprintf(`{"event":"join","data":{"sessionId":"room %d","clientName":"X"}}`, i))
	}
	if err := b.TrySend(`21["batch",[` + strings.Join(entries, ",") + `]]`); err != nil {
		return err
	}
	for {
		r, err := b.Read()
		if err != nil {
			return err
		}
		text, ok := strings.CutPrefix(r.Text, "31[")
		if !ok {
			if err := b.hear(r); err != nil {
				return err
			}
			continue
		}
		var answer struct{ Results []joinAnswer }
		if err := json.Unmarshal([]byte(strings.TrimSuffix(text, "]")), &answer); err != nil {
			return err
		}
		for i, result := range answer.Results {
			if !result.Success {
				return fmt.Errorf("a join was refused: %s", r.Text)
			}
			id := fmt.Sprint("room ", i)
			session := &believer{client: b.client, session: id, members: make(map[string]bool)}
			for _, other := range result.Clients {
				session.members[other.ID] = true
			}
			b.sessions[id] = session
		}
		return nil
	}
}

// leave leaves a session. What comes of it until the next join means nothing.
func (b *batchBeliever) leave(id string) error {
	if err := b.TrySend(fmt.Sprintf(`22["leave",{"sessionId":%q}]`, id)); err != nil {
		return err
	}
	for {
		r, err := b.Read()
		if err != nil {
			return err
		}
		if r.Text == `32[{"success":true}]` {
			delete(b.sessions, id)
			return nil
		}
		if err := b.hear(r); err != nil {
			return err
		}
	}
}

// hear believes an event of a session whose members the client knows.
func (b *batchBeliever) hear(r eventstest.Packet) error {
	for id, session := range b.sessions {
		if strings.Contains(r.Text, fmt.Sprintf(`"sessionId":%q`, id)) {
			return session.hear(r.Text)
		}
	}
	return nil
}

// catchUp reads all that has come.
func (b *batchBeliever) catchUp() error {
	if err := b.TrySend("0/nowhere,"); err != nil {
		return err
	}
	for {
		r, err := b.Read()
		if err != nil || strings.HasPrefix(r.Text, "4/nowhere,") {
			return err
		}
		if err := b.hear(r); err != nil {
			return err
		}
	}
}

// Who gets something is told by the server who has sent it, whatever the sender says.
func TestWhatIsSharedSaysWhoHasSentIt(t *testing.T) {
	s := newServer(t, &Set{History: 10})
	ann, ben, eve := s.Connect(), s.Connect(), s.Connect()
	token := ann.enters("room", "Ann").Token
	ben.enters("room", "Ben")
	eve.enters("room", "Eve")
	ben.Expect(joinedText("room", eve.ID, "Eve"))
	forged := fmt.Sprintf(`"clientId":%q`, ann.ID)
	const chunk = `"chunk":{"contentId":"c","chunkIndex":0,"totalChunks":1,"encryptedData":"x","iv":"","clientId":"x"}`
	want := []string{contentText("room", eve.ID, `"content":{`+forged+`}`)}
	eve.says(`"content",{` + forged + `,"sessionId":"room","content":{` + forged + `},` + forged + `}`)
	eve.says(`"chunk",{` + forged + `,"sessionId":"room",` + chunk + `}`)
	eve.says(`"content",{"sessionId":"room","content":1,"volatile":true,` + forged + `}`)
	for _, text := range append(want, relayed(`2["chunk",{"sessionId":"room",`+chunk+`}]`, "room", eve.ID), contentText("room", eve.ID, `"content":1`)) {
		ben.Expect(text)
	}
	// In a batch, and in the history, too; and who is back is known as before.
	back := s.Connect()
	back.enters("room", "Ann", withToken(token))
	back.Expect(want[0])
	back.Send(`2["batch",[{"event":"content","data":{"sessionId":"room","content":2,` + forged + `}}]]`)
	ben.Expect(contentText("room", ann.ID, `"content":2`))
	late := s.Connect()
	late.enters("room", "Late")
	late.Expect(want[0])
	late.Expect(contentText("room", ann.ID, `"content":2`))
}
