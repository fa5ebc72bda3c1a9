package relay

import (
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

func TestRelay(t *testing.T) {
	s := eventstest.NewServer(t, &Set{Events: []string{"chat", "move"}})
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	for _, test := range []struct {
		list   string
		binary []string
	}{
		{"", nil},
		{`,"text"`, nil},
		{`,1,{"a":[null]},"ä"`, nil},
		{`,` + eventstest.Placeholder0, []string{"binary"}},
		{`,{"a":[{"_placeholder":true,"num":1}]},` + eventstest.Placeholder0, []string{"one", ""}},
	} {
		for _, name := range []string{"chat", "move"} {
			head := "2"
			if n := len(test.binary); n > 0 {
				head = fmt.Sprintf("5%d-", n)
			}
			a.Send(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			b.Expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			c.Expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			a.Send(fmt.Sprintf(`%s7["%s"%s]`, head, name, test.list), test.binary...)
			a.Expect(`37[{"success":true}]`)
			// The others are not asked for an answer.
			b.Expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			c.Expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
		}
	}
	a.Send(`27["other"]`)
	a.Expect(eventstest.RefusedAck(7, "unknown_event", "unknown event"))
	for _, client := range []*eventstest.Client{a, b, c} {
		client.ExpectNothing()
	}
}

// Namespaces do not hear of one another.
func TestRelayStaysInItsNamespace(t *testing.T) {
	s := eventstest.NewServer(t, &Set{Events: []string{"chat"}})
	if err := s.Of("/other").Use(&Set{Events: []string{"chat"}}); err != nil {
		t.Fatal(err)
	}
	a, b := s.Connect(), s.Connect()
	for _, c := range []*eventstest.Client{a, b} {
		c.Send("0/other,")
		c.Next()
	}
	a.Send(`2/other,1["chat",1]`)
	a.Expect(`3/other,1[{"success":true}]`)
	b.Expect(`2/other,["chat",1]`)
	b.ExpectNothing()
}

// Everyone gets what each of the others sends, in order.
func TestRelayKeepsTheOrderOfEachSender(t *testing.T) {
	const clients, each = 6, 50
	s := eventstest.NewServer(t, &Set{Events: []string{"chat"}})
	var all []*eventstest.Client
	for range clients {
		all = append(all, s.Connect())
	}
	var running sync.WaitGroup
	for me, c := range all {
		running.Go(func() {
			for i := range each {
				if err := c.TrySend(fmt.Sprintf(`2["chat",%d,%d]`, me, i)); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			next := make([]int, clients)
			for range (clients - 1) * each {
				r, err := c.Read()
				var from, i int
				if err == nil {
					_, err = fmt.Sscanf(r.Text, `2["chat",%d,%d]`, &from, &i)
				}
				if err != nil || from == me || i != next[from] {
					t.Errorf("got %v from %d after %v, %v", r, from, next, err)
					return
				}
				next[from]++
			}
		})
	}
	running.Wait()
}
