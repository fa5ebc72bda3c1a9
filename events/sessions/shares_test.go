package sessions

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// manyJoins lets a client join as often as it likes, for tests of what else holds it up.
var manyJoins = []Throttle{{"join", 1_000_000, time.Second}}

// elsewhere is an address that is not that of the other clients of a test.
const elsewhere = "192.0.2.7"

// from connects a client that comes from an address.
func (s *server) from(address string) *client {
	return &client{s.ConnectAs(eventstest.Who{Address: address})}
}

// beside runs a test with honest clients at the address of the hostile one, and elsewhere.
func beside(t *testing.T, test func(t *testing.T, address string)) {
	for name, address := range map[string]string{"the same address": "127.0.0.1", "another address": elsewhere} {
		t.Run(name, func(t *testing.T) { test(t, address) })
	}
}

// through waits until all that a client has sent has been handled.
func (c *client) through() {
	c.T.Helper()
	if err := c.Answers(); err != nil {
		c.T.Fatal(err)
	}
}

// says sends an event that asks for an acknowledgement, and wants it to be accepted, in these words.
func (c *client) says(event string, binary ...string) {
	c.T.Helper()
	head := "21"
	if len(binary) > 0 {
		head = fmt.Sprintf("5%d-1", len(binary))
	}
	c.Send(head+"["+event+"]", binary...)
	for {
		if r := c.Next(); strings.HasPrefix(r.Text, "31[") {
			if r.Text != `31[{"success":true}]` {
				c.T.Fatalf("%s is answered %s", event, r.Text)
			}
			return
		}
	}
}

// A client that fills sessions of its own with large contents and leaves takes no more than its share of
// what is kept for late joiners.
func TestOneClientTakesItsShareOfHistory(t *testing.T) {
	beside(t, func(t *testing.T, address string) {
		s := newServer(t, &Set{History: 10, Timeout: time.Minute, Throttle: manyJoins})
		hostile := s.Connect()
		large := strings.Repeat("h", 900_000)
		n := 0
		for _, part := range []struct{ count, size int }{{8, 900_000}, {6, 100_000}, {6, 10_000}, {6, 1000}} {
			for range part.count {
				n++
				hostile.Send(fmt.Sprintf(`2["join",{"sessionId":"x%d","clientName":"e"}]`, n))
				hostile.Send(fmt.Sprintf(`51-["content",{"sessionId":"x%d","content":%s}]`, n, placeholder0), large[:part.size])
				hostile.through()
			}
		}
		if got := s.stats().HistoryBytes; got > maxHistoryBytes/10 {
			t.Errorf("one client has %d bytes kept", got)
		}
		hostile.Close()
		a, b := s.from(address), s.from(address)
		a.enters("class", "a")
		content := strings.Repeat("q", 5000)
		a.says(`"content",{"sessionId":"class","content":`+placeholder0+`}`, content)
		b.enters("class", "b")
		b.Expect(relayed(`51-["content",{"sessionId":"class","content":`+placeholder0+`}]`, "class", a.ID), content)
	})
}

// Connections that join as many sessions as they may do not fill the table.
func TestManyConnectionsDoNotFillTheTableOfSessions(t *testing.T) {
	beside(t, func(t *testing.T, address string) {
		const most = DefaultMaxSessions / 4
		s := newServer(t, &Set{MaxSessions: most})
		for c := range 25 {
			hostile := s.Connect()
			for i := range maxJoined {
				hostile.Send(fmt.Sprintf(`2["join",{"sessionId":"x%d-%d","clientName":"e"}]`, c, i))
			}
			hostile.through()
		}
		if got := s.stats().Sessions; got > most/2 {
			t.Errorf("one address has %d sessions", got)
		}
		for i := range 10 {
			s.from(address).enters(fmt.Sprint("class ", i), "a")
		}
	})
}

// One client makes and leaves as many sessions as there may be. What gives way is its own: others find
// their sessions, with the key and with what was shared.
func TestOneClientEvictsOnlyItsOwnEmptySessions(t *testing.T) {
	for _, option := range []Fingerprint{FingerprintOff, FingerprintFirst} {
		t.Run(string(option), func(t *testing.T) {
			const most = 2000
			s := newServer(t, &Set{
				MaxSessions: most, History: 10, Timeout: 10 * time.Minute, Fingerprint: option, Throttle: manyJoins,
			})
			a := s.Connect()
			const key, other = `,"fingerprint":"secret"`, `,"fingerprint":"not the secret"`
			token := a.enters("board", "a", key).Token
			a.says(`"content",{"sessionId":"board","content":"minutes"` + withToken(token) + `}`)
			a.says(`"leave",{"sessionId":"board"}`)
			hostile := s.Connect()
			for i := range most {
				hostile.Send(fmt.Sprintf(`2["join",{"sessionId":"x%d","clientName":"e","fingerprint":"e"}]`, i))
				hostile.Send(fmt.Sprintf(`2["leave",{"sessionId":"x%d"}]`, i))
				if i%100 == 0 {
					hostile.through()
				}
			}
			hostile.through()
			if got := s.stats().Sessions; got > most/10+1 {
				t.Errorf("one client has %d sessions", got)
			}
			if !s.table().has(fmt.Sprint("x", most-1)) || s.table().has("x0") {
				t.Error("it is not the oldest that gave way")
			}
			if option == FingerprintFirst {
				hostile.refused("wrong_fingerprint", "board", "e", other)
			}
			a.enters("board", "a", key)
			a.Expect(contentText("board", a.ID, `"content":"minutes"`))
		})
	}
}

// An empty session with a key gives way to its own maker alone, also when there is no room for others.
func TestKeysAreNotForgottenForOthers(t *testing.T) {
	s := newServer(t, &Set{Timeout: time.Hour, MaxSessions: 4, Fingerprint: FingerprintFirst})
	for i := range 2 {
		c := s.Connect()
		c.enters(fmt.Sprint("board ", i), "a", `,"fingerprint":"secret"`)
		c.says(fmt.Sprintf(`"leave",{"sessionId":"board %d"}`, i))
	}
	hostile := s.Connect()
	hostile.refused("too_many_sessions", "x", "e", `,"fingerprint":"e"`)
	for i := range 2 {
		hostile.refused("wrong_fingerprint", fmt.Sprint("board ", i), "e", `,"fingerprint":"e"`)
	}
	far := s.from(elsewhere)
	far.enters("far", "f", `,"fingerprint":"f"`)
	for i := range 2 {
		hostile.enters(fmt.Sprint("board ", i), "a", `,"fingerprint":"secret"`)
	}
}

// All connections of one identity, from wherever, are one client.
func TestSharesAreOfAnIdentity(t *testing.T) {
	s := newServer(t, identified(func() string { return "ada" }), &Set{MaxSessions: 200})
	made := 0
	for i := range 40 {
		c := s.from(fmt.Sprint("192.0.2.", i))
		c.Send(joinText(fmt.Sprint("x", i), "Ada"))
		answer, err := c.readAnswer()
		if err != nil {
			t.Fatal(err)
		}
		if answer.Success {
			made++
		} else if answer.Code != "too_many_sessions" {
			t.Errorf("%+v", answer)
		}
	}
	if made > 20 || made < 15 {
		t.Errorf("one identity has made %d sessions of 200", made)
	}
}

// historyBound makes the namespace keep no more than so many bytes for late joiners.
func (s *server) historyBound(bytes int64) {
	history := s.table().history
	history.mu.Lock()
	defer history.mu.Unlock()
	history.shares.Bound = bytes
}

// What nobody is left to read is the first to go.
func TestHistoryOfEmptySessionsGoesFirst(t *testing.T) {
	s := newServer(t, &Set{History: 10, Timeout: time.Hour})
	s.historyBound(1_000_000)
	c, late := s.Connect(), s.Connect()
	content := strings.Repeat("x", 30_000)
	share := func(session string) {
		t.Helper()
		c.says(`"content",{"sessionId":"`+session+`","content":`+placeholder0+`}`, content)
	}
	c.enters("live", "Ann")
	share("live")
	c.enters("empty", "Ann")
	share("empty")
	share("live")
	c.says(`"leave",{"sessionId":"empty"}`)
	eventstest.Eventually(t, "the session is empty", func() bool { return s.stats().Empty == 1 })
	share("live") // a fourth one is more than a tenth
	late.enters("live", "Ben")
	for range 3 {
		late.Expect(relayed(`51-["content",{"sessionId":"live","content":`+placeholder0+`}]`, "live", c.ID), content)
	}
	late.enters("empty", "Ben")
	late.ExpectNothing()
}

// Who has something accepted that late joiners will not get is told so.
func TestContentThatIsNotKeptIsAnsweredSo(t *testing.T) {
	s := newServer(t, &Set{History: 10, Timeout: time.Hour})
	s.historyBound(1_000_000)
	ann, ben, cem := s.Connect(), s.Connect(), s.Connect()
	for _, c := range []*client{ann, ben, cem} {
		c.enters("room", "one of three")
	}
	large := strings.Repeat("x", 90_000)
	for _, c := range []*client{ann, ben} {
		c.says(`"content",{"sessionId":"room","content":"small"}`)
	}
	cem.through()
	cem.Send(`51-1["content",{"sessionId":"room","content":`+placeholder0+`}]`, large)
	cem.Expect(`31[{"success":true,"kept":false}]`)
	cem.says(`"content",{"sessionId":"room","content":"small, too"}`)
	late := s.Connect()
	late.enters("room", "Late")
	for _, want := range []string{
		contentText("room", ann.ID, `"content":"small"`), contentText("room", ben.ID, `"content":"small"`),
		contentText("room", cem.ID, `"content":"small, too"`),
	} {
		late.Expect(want)
	}
	late.ExpectNothing()
}
