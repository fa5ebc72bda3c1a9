package sessions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// came returns how many bytes have come until all is through that the client has sent.
func (c *client) came() (bytes int) {
	c.T.Helper()
	c.Send(`29["batch",[]]`)
	for {
		r := c.Next()
		if strings.HasPrefix(r.Text, "39[") {
			return bytes
		}
		bytes += size(r)
	}
}

// The list that answers a join has no more than 0.8 KB for each member, also with the longest names, and
// each member hears little of a join. By default they are few.
func TestJoinsBringAboutLittle(t *testing.T) {
	const members = 50
	s := newServer(t, &Set{})
	var witness *client
	for range members {
		witness = s.Connect()
		witness.enters("room", strings.Repeat("<", maxClientName))
	}
	late := s.Connect()
	late.Send(joinText("room", "late"))
	if got := late.came(); got > (members+1)*800+100 {
		t.Errorf("the answer to a join has %d bytes", got)
	}
	witness.came()
	hostile := s.Connect()
	begun := time.Now()
	for range 200 {
		hostile.Send(joinText("room", "e"))
		hostile.Send(`2["leave",{"sessionId":"room"}]`)
	}
	hostile.came()
	joins := DefaultJoinThrottle.Count + int(time.Since(begun).Seconds()*10) + 1
	if got := witness.came(); got > joins*200 {
		t.Errorf("a member hears %d bytes of %d joins", got, joins)
	}
}

// What is shared goes to each other member with little added.
func TestRelayedContentsAreNotMuchMore(t *testing.T) {
	s := newServer(t, &Set{})
	ann, ben := s.Connect(), s.Connect()
	ann.enters("room", "Ann")
	ben.enters("room", "Ben")
	ann.came()
	sent := 0
	for i := range 100 {
		text := fmt.Sprintf(`2["content",{"sessionId":"room","content":%d}]`, i)
		sent += len(text)
		ann.Send(text)
	}
	ann.came()
	if got := ben.came(); got > sent+100*50 {
		t.Errorf("of %d bytes in 100 contents %d came", sent, got)
	}
}

// Acknowledgements and refusals have a few hundred bytes, whatever the event.
func TestAnswersAreShort(t *testing.T) {
	longest := 0
	for _, message := range messages {
		longest = max(longest, len(message))
	}
	s := newServer(t, &Set{})
	c := s.Connect()
	c.enters("room", "Ann")
	for _, test := range []struct {
		event string
		most  int
	}{
		{`21["content",{"sessionId":"room","content":1}]`, 60},
		{`21["leave",{"sessionId":"elsewhere"}]`, 400},
		{`21["join",{}]`, 400},
		{`21["join"]`, 400},
		{`21["x"]`, 400},
		{`2["x"]`, 200},
		{`21["chunk",{"sessionId":"room"}]`, 2*longest + 150},
		{`21["batch",[` + strings.Join(slices.Repeat([]string{`{"event":"x"}`}, DefaultBatch), ",") + `]]`, 400 * DefaultBatch},
	} {
		c.Send(test.event)
		if got := c.came(); got > test.most {
			t.Errorf("%.60s is answered with %d bytes", test.event, got)
		}
	}
}
