package sessions

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// attack is a client that takes all it is given of one table.
type attack struct {
	name string
	set  Set
	run  func(t *testing.T, s *server)
}

var attacks = []attack{
	{"sessions made by one connection", Set{}, func(_ *testing.T, s *server) {
		fill(s.Connect(), "own", maxJoined)
	}},
	{"sessions made by many connections", Set{}, func(_ *testing.T, s *server) {
		for c := range 45 {
			fill(s.Connect(), fmt.Sprint("own ", c), maxJoined)
		}
	}},
	{"sessions that are kept", Set{Throttle: manyJoins}, func(_ *testing.T, s *server) {
		comeAndGo(s.Connect(), DefaultMaxSessions/10+200)
	}},
	{"sessions that are kept, by default", Set{}, func(_ *testing.T, s *server) {
		comeAndGo(s.Connect(), 300)
	}},
	{"keys", Set{Fingerprint: FingerprintFirst, Throttle: manyJoins}, func(t *testing.T, s *server) {
		hostile := s.Connect()
		comeAndGo(hostile, DefaultMaxSessions/10+200)
		for i := range 10 {
			hostile.refused("wrong_fingerprint", fmt.Sprint("honest ", i), "e", `,"fingerprint":"e"`)
		}
	}},
	{"history", Set{Throttle: manyJoins}, func(_ *testing.T, s *server) {
		hostile := s.Connect()
		content := strings.Repeat("h", 900_000)
		for i := range 9 {
			hostile.Send(joinText(fmt.Sprint("own ", i), "e"))
			hostile.Send(fmt.Sprintf(`51-["content",{"sessionId":"own %d","content":%s}]`, i, placeholder0), content)
			hostile.through()
		}
	}},
	{"members", Set{}, func(_ *testing.T, s *server) {
		hostile := s.Connect()
		for range 300 {
			hostile.Send(joinText("class", "e"))
			hostile.Send(`2["leave",{"sessionId":"class"}]`)
		}
		hostile.through()
	}},
	{"sockets on one connection", Set{}, func(t *testing.T, s *server) {
		hostile := s.Connect()
		for range 100 {
			fill(hostile, "own", 10)
			hostile.Send("1")
			hostile.Send("0")
			for !strings.HasPrefix(hostile.Next().Text, `0{"sid"`) {
			}
		}
	}},
	{"replayed history", Set{Throttle: manyJoins}, func(t *testing.T, s *server) {
		giveUpAfter(t, time.Millisecond)
		hostile := s.Connect()
		hostile.enters("own", "e")
		for range 10 {
			hostile.says(`"content",{"sessionId":"own","content":`+placeholder0+`}`, strings.Repeat("h", 95_000))
		}
		other := s.Connect()
		for range 100 {
			other.visits("own")
		}
	}},
	{"contents that are begun", Set{}, func(_ *testing.T, s *server) {
		hostile := s.Connect()
		hostile.enters("class", "e")
		for i := range 1000 {
			hostile.Send(fmt.Sprintf(`2["chunk",{"sessionId":"class","chunk":{"contentId":"%d","chunkIndex":0,"totalChunks":9,"encryptedData":"x","iv":""}}]`, i))
		}
		hostile.through()
	}},
	{"the pace of chunks", Set{}, func(t *testing.T, s *server) {
		shorten(t, 100*time.Millisecond)
		s.reluctant("class") // never reads again
		hostile := s.Connect()
		hostile.enters("class", "e")
		for i := range 20 {
			hostile.Send(chunkText("52-", "class", i, 1000), strings.Repeat("x", 64<<10), "iv")
		}
	}},
	{"batches", Set{}, func(_ *testing.T, s *server) {
		hostile := s.Connect()
		entries := strings.TrimSuffix(strings.Repeat(`{"event":"content","data":{"sessionId":"class","content":1}},`, DefaultBatch), ",")
		for range 100 {
			hostile.Send(`2["batch",[` + entries + `]]`)
		}
		hostile.through()
	}},
}

// fill joins so many sessions.
func fill(c *client, name string, count int) {
	c.T.Helper()
	for i := range count {
		c.Send(joinText(fmt.Sprint(name, " ", i), "e"))
	}
	c.through()
}

// comeAndGo joins so many sessions, and leaves each.
func comeAndGo(c *client, count int) {
	c.T.Helper()
	for i := range count {
		c.Send(joinText(fmt.Sprint("own ", i), "e", `,"fingerprint":"e"`))
		c.Send(fmt.Sprintf(`2["leave",{"sessionId":"own %d"}]`, i))
		if i%100 == 0 {
			c.through()
		}
	}
	c.through()
}

// One hostile client takes all that it is given of one table after the other. Ten honest ones beside it,
// some of them there before it, lose nothing and are refused nothing.
func TestHonestClientsBesideAHostileOne(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			beside(t, func(t *testing.T, address string) {
				set := attack.set
				set.History, set.Timeout = 50, 10*time.Minute
				s := newServer(t, &set)
				var honest []*honestClient
				for i := range 10 {
					honest = append(honest, &honestClient{client: s.from(address), own: fmt.Sprint("honest ", i)})
					honest[i].arrives()
				}
				attack.run(t, s)
				for _, c := range honest {
					c.findsItsSession()
				}
				for i := range 10 {
					c := &honestClient{client: s.from(address), own: fmt.Sprint("late ", i)}
					c.arrives()
					c.findsItsSession()
				}
			})
		})
	}
}

// One connection of an address after the other makes sessions with keys, which give way to nobody, fills
// their histories, and goes. Ten honest clients elsewhere, some of them there before it, lose nothing and
// are refused nothing, while it does so and once the address has used up all that it may have.
func TestAnAddressThatComesAndGoesUsesUpItsOwnShare(t *testing.T) {
	const most, perConnection = 2000, 20
	s := newServer(t, &Set{MaxSessions: most, History: 50, Timeout: time.Hour, Fingerprint: FingerprintFirst})
	s.historyBound(2_000_000)
	var honest []*honestClient
	arrive := func(i int) {
		c := &honestClient{client: s.from(fmt.Sprint("192.0.2.", 1+i%5)), own: fmt.Sprint("honest ", i)}
		c.arrives()
		honest = append(honest, c)
	}
	content := strings.Repeat("h", 2000)
	refused := 0
	for n := 0; refused < 2*perConnection; n++ {
		if n > most {
			t.Fatalf("after %d connections there is still room for one address", n)
		}
		hostile := s.Connect()
		for i := range perConnection {
			id := fmt.Sprintf("left behind %d-%d", n, i)
			hostile.Send(joinText(id, "e", `,"fingerprint":"e"`))
			answer, err := hostile.readAnswer()
			if err != nil {
				t.Fatal(err)
			}
			if !answer.Success {
				refused++
				continue
			}
			refused = 0
			hostile.Send(fmt.Sprintf(`2["content",{"sessionId":%q,"content":%q,"token":%q}]`, id, content, answer.Token))
		}
		hostile.Close()
		hostile.Gone()
		if n%40 == 0 && len(honest) < 5 {
			arrive(len(honest))
		}
		if n%40 == 20 {
			honest[n/40%len(honest)].findsItsSession()
		}
	}
	if got := s.stats().Sessions; got < most/3 || got > most/2+20 {
		t.Errorf("%d sessions are left behind", got)
	}
	for len(honest) < 10 {
		arrive(len(honest))
	}
	for _, c := range honest {
		c.findsItsSession()
	}
}

// honestClient has a session of its own, which it leaves and joins again, and is in one with others.
type honestClient struct {
	*client
	own, token string
}

const honestKey = `,"fingerprint":"honest"`

// arrives joins, shares something, and leaves the session of its own.
func (c *honestClient) arrives() {
	c.T.Helper()
	token := c.enters(c.own, c.own, honestKey).Token
	c.says(fmt.Sprintf(`"content",{"sessionId":%q,"content":"of %s","token":%q}`, c.own, c.own, token))
	c.says(fmt.Sprintf(`"leave",{"sessionId":%q}`, c.own))
	c.token = c.enters("class", c.own, honestKey).Token
	c.says(fmt.Sprintf(`"content",{"sessionId":"class","content":"hello","token":%q}`, c.token))
}

// findsItsSession joins its own session, which has what it has shared there, and shares something large
// in that of all.
func (c *honestClient) findsItsSession() {
	c.T.Helper()
	c.enters(c.own, c.own, honestKey)
	want := fmt.Sprintf(`"content":"of %s"`, c.own)
	for {
		r, err := c.Read()
		if err != nil {
			c.T.Fatalf("%s does not get what it has shared: %v", c.own, err)
		}
		if strings.Contains(r.Text, want) {
			break
		}
	}
	c.says(fmt.Sprintf(`"content",{"sessionId":"class","content":%s,"token":%q}`, placeholder0, c.token), strings.Repeat("x", pacedSize))
	c.says(fmt.Sprintf(`"leave",{"sessionId":%q}`, c.own))
}
