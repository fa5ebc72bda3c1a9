package rooms_test

import (
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// An argument that is not what it must be is named, and nothing of the event is done.
func TestArgumentsThatDoNotFit(t *testing.T) {
	s := serve(t, `
		on any <room> <data> {
			emit before
			to {room} emit any {data}
		}
		on doc <d> <n> join doc:{d}/{n}
		on open <room> join {room}
		on text <s> {
			check {s} string 2..3
			ack
		}
		on bin <b> {
			check {b} binary 3B
			ack
		}
		on num <n> {
			check {n} number -1..1.5
			ack
		}
		on int <n> {
			check {n} integer 1..10
			ack
		}
		on bool <b> {
			check {b} boolean
			ack
		}
		on obj <o> {
			check {o} object
			check {o.list} array 1..2
			ack
		}
		on word <w?> {
			check {w} one_of red green
			ack
		}
		on begin <w> {
			check {w} begins a- b-
			ack
		}
		on field <o> emit field {o.a.b}
	`)
	c := s.Connect()
	const name = "must be a string of 1 to 256 bytes without control characters"
	long := strings.Repeat("x", 257)
	for _, test := range []struct{ send, binary, want string }{
		{`"any"`, "", "argument 1 (room) is missing"},
		{`"any","r"`, "", "argument 2 (data) is missing"},
		{`"any",null,1`, "", "argument 1 (room) must be a string"},
		{`"any",{},1`, "", "argument 1 (room) must be a string"},
		{`"any",1.5,1`, "", "argument 1 (room) must be a string"},
		{`"any","",1`, "", "argument 1 (room) " + name},
		{`"any","a\nb",1`, "", "argument 1 (room) " + name},
		{`"any","` + long + `",1`, "", "argument 1 (room) " + name},
		{`"doc","a/b","c"`, "", `argument 1 (d) must not have "/" in it`},
		{`"doc","` + long[:200] + `","` + long[:200] + `"`, "", "argument 2 (n) makes a name of more than 256 bytes"},
		{`"doc","a","b/c"`, "", ""},
		{`"doc","a",5`, "", ""},
		{`"open","doc:a/b"`, "", "argument 1 (room) names a room that is not for this event"},
		{`"open","doc"`, "", ""},
		{`"text","a"`, "", "argument 1 (s) must be a string of 2 to 3 bytes"},
		{`"text","abcd"`, "", "argument 1 (s) must be a string of 2 to 3 bytes"},
		{`"text",22`, "", "argument 1 (s) must be a string of 2 to 3 bytes"},
		{`"text","ää"`, "", "argument 1 (s) must be a string of 2 to 3 bytes"},
		{`"text","abc"`, "", ""},
		{`"bin","abc"`, "", "argument 1 (b) must be binary of at most 3 bytes"},
		{`"bin",` + eventstest.Placeholder0, "abcd", "argument 1 (b) must be binary of at most 3 bytes"},
		{`"bin",` + eventstest.Placeholder0, "abc", ""},
		{`"num",1.6`, "", "argument 1 (n) must be a number of -1 to 1.5"},
		{`"num","1"`, "", "argument 1 (n) must be a number of -1 to 1.5"},
		{`"num",-1e0`, "", ""},
		{`"int",1.5`, "", "argument 1 (n) must be a whole number of 1 to 10"},
		{`"int",11`, "", "argument 1 (n) must be a whole number of 1 to 10"},
		{`"int",10`, "", ""},
		{`"bool",0`, "", "argument 1 (b) must be true or false"},
		{`"bool",false`, "", ""},
		{`"obj",[1]`, "", "argument 1 (o) must be an object"},
		{`"obj",` + eventstest.Placeholder0, "abc", "argument 1 (o) must be an object"},
		{`"obj",{}`, "", "argument 1 (o.list) is missing"},
		{`"obj",{"list":[]}`, "", "argument 1 (o.list) must be an array of 1 to 2 elements"},
		{`"obj",{"list":[[],{}]}`, "", ""},
		{`"word","blue"`, "", "argument 1 (w) must be red or green"},
		{`"word",null`, "", "argument 1 (w) must be red or green"},
		{`"word","green"`, "", ""},
		{`"word"`, "", ""},
		{`"begin","c-"`, "", "argument 1 (w) must be a string that begins with a- or b-"},
		{`"begin","b-1"`, "", ""},
		{`"field",1`, "", "argument 1 (o.a.b) is missing"},
		{`"field",{"a":{"c":1}}`, "", "argument 1 (o.a.b) is missing"},
	} {
		if test.binary == "" {
			c.Send(`21[` + test.send + `]`)
		} else {
			c.Send(`51-1[`+test.send+`]`, test.binary)
		}
		if test.want == "" {
			if got := c.Next().Text; got != `31[]` && got != `31[{"success":true}]` {
				t.Errorf("%.80s: got %s", test.send, got)
			}
			continue
		}
		if got, want := c.Next().Text, eventstest.RefusedAck(1, "invalid_argument", test.want); got != want {
			t.Errorf("%.80s: got %s, want %s", test.send, got, want)
		}
		if got, want := c.Next().Text, eventstest.Refusal("invalid_argument", test.want); got != want {
			t.Errorf("%.80s: got %s, want %s", test.send, got, want)
		}
	}
	c.ExpectNothing()
}

// Of equal names in an object the last one counts, as for those to whom the object is passed on.
func TestNamesInArgumentsMeanWhatClientsRead(t *testing.T) {
	s := serve(t, `
		on say <m> {
			check {m.kind} one_of good
			to_everyone all emit said {m}
		}
	`)
	c := s.Connect()
	c.Send(`2["say",{"kind":"good","kind":"bad"}]`)
	c.Expect(eventstest.Refusal("invalid_argument", "argument 1 (m.kind) must be good"))
	c.Send(`2["say",{"Kind":"good"}]`)
	c.Expect(eventstest.Refusal("invalid_argument", "argument 1 (m.kind) is missing"))
	c.Send(`2["say",{"kind":"bad","\u006bind":"good"}]`)
	c.Expect(`2["said",{"kind":"bad","\u006bind":"good"}]`)
	c.ExpectNothing()
}
