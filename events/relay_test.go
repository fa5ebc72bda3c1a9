package events

import (
	"fmt"
	"sync"
	"testing"
)

func TestRelay(t *testing.T) {
	s := newService(t, &Relay{Events: []string{"chat", "move"}})
	a, b, c := s.connect(), s.connect(), s.connect()
	for _, test := range []struct {
		list   string
		binary []string
	}{
		{"", nil},
		{`,"text"`, nil},
		{`,1,{"a":[null]},"ä"`, nil},
		{`,` + placeholder0, []string{"binary"}},
		{`,{"a":[{"_placeholder":true,"num":1}]},` + placeholder0, []string{"one", ""}},
	} {
		for _, name := range []string{"chat", "move"} {
			head := "2"
			if n := len(test.binary); n > 0 {
				head = fmt.Sprintf("5%d-", n)
			}
			a.send(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			b.expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			c.expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			a.send(fmt.Sprintf(`%s7["%s"%s]`, head, name, test.list), test.binary...)
			a.expect(`37[{"success":true}]`)
			// The others are not asked for an answer.
			b.expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
			c.expect(fmt.Sprintf(`%s["%s"%s]`, head, name, test.list), test.binary...)
		}
	}
	a.send(`27["other"]`)
	a.expect(refusedAck(7, "unknown_event", "unknown event"))
	for _, client := range []*client{a, b, c} {
		client.expectNothing()
	}
}

// Namespaces do not hear of one another.
func TestRelayStaysInItsNamespace(t *testing.T) {
	s := newService(t, &Relay{Events: []string{"chat"}})
	if err := s.Of("/other").Use(&Relay{Events: []string{"chat"}}); err != nil {
		t.Fatal(err)
	}
	a, b := s.connect(), s.connect()
	for _, c := range []*client{a, b} {
		c.send("0/other,")
		c.next()
	}
	a.send(`2/other,["chat",1]`)
	b.expect(`2/other,["chat",1]`)
	b.expectNothing()
}

// Everyone gets what each of the others sends, in order.
func TestRelayKeepsTheOrderOfEachSender(t *testing.T) {
	const clients, each = 6, 50
	s := newService(t, &Relay{Events: []string{"chat"}})
	var all []*client
	for range clients {
		all = append(all, s.connect())
	}
	var running sync.WaitGroup
	for me, c := range all {
		running.Go(func() {
			for i := range each {
				if err := c.trySend(fmt.Sprintf(`2["chat",%d,%d]`, me, i)); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			next := make([]int, clients)
			for range (clients - 1) * each {
				r, err := c.read()
				var from, i int
				if err == nil {
					_, err = fmt.Sscanf(r.text, `2["chat",%d,%d]`, &from, &i)
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
