package rooms_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
)

// Each primitive does what it says, for the sender, for the others in the room, and for nobody else.
func TestPrimitives(t *testing.T) {
	s := serve(t, `
		on join <room> {
			join {room}
			first emit alone {room}
			others {
				emit welcome {members.count}
				to {room} emit came {socket.id}
			}
		}
		on leave <room> {
			leave {room}
			last emit empty
			others to {room} emit went {members}
		}
		on say <room> <text> to {room} emit said {text}
		on shout <room> <text> to {room} all emit said {text}
		on call <text> to_everyone emit called {text}
		on callall <text> to_everyone all emit called {text}
		on whisper <to> <text> to_socket {to} emit whispered {socket.id} {text}
		on echo <text> volatile emit echoed {text}
		on ask <text> ack {text} 5 yes
		on no refuse not_now "not now"
		on color <color> {
			when {color} red emit warm
			when {color} blue green {
				emit cold {color}
				emit done
			}
		}
		on end <text> {
			emit ended {text}
			disconnect
		}
	`)
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	quiet := func() {
		t.Helper()
		for _, client := range []*eventstest.Client{a, b, c} {
			client.ExpectNothing()
		}
	}
	a.Send(`2["join","kitchen"]`)
	a.Expect(`2["alone","kitchen"]`)
	b.Send(`2["join","kitchen"]`)
	b.Expect(`2["welcome",2]`)
	a.Expect(fmt.Sprintf(`2["came",%q]`, b.ID))
	c.Send(`21["join","garden"]`)
	c.Expect(`2["alone","garden"]`)
	c.Expect(`31[{"success":true}]`)

	a.Send(`2["say","kitchen",{"a":[1, 2]}]`)
	b.Expect(`2["said",{"a":[1, 2]}]`)
	a.Send(`2["shout","kitchen","ä"]`)
	a.Expect(`2["said","ä"]`)
	b.Expect(`2["said","ä"]`)
	c.Send(`2["say","kitchen","from outside"]`)
	a.Expect(`2["said","from outside"]`)
	b.Expect(`2["said","from outside"]`)
	quiet()
	a.Send(`2["call",1]`)
	b.Expect(`2["called",1]`)
	c.Expect(`2["called",1]`)
	a.Send(`2["callall",null]`)
	for _, client := range []*eventstest.Client{a, b, c} {
		client.Expect(`2["called",null]`)
	}
	a.Send(fmt.Sprintf(`2["whisper",%q,"psst"]`, c.ID))
	c.Expect(fmt.Sprintf(`2["whispered",%q,"psst"]`, a.ID))
	a.Send(`2["whisper","room:kitchen","psst"]`)
	a.Expect(eventstest.Refusal("invalid_argument", "argument 1 (to) must be the ID of a socket"))
	a.Send(`2["echo",[]]`)
	a.Expect(`2["echoed",[]]`)
	a.Send(`27["ask","it"]`)
	a.Expect(`37["it",5,"yes"]`)
	a.Send(`2["ask","it"]`)
	a.Send(`28["no"]`)
	a.Expect(eventstest.RefusedAck(8, "not_now", "not now"))
	a.Expect(eventstest.Refusal("not_now", "not now"))
	for _, color := range []string{"red", "blue", "black"} {
		a.Send(fmt.Sprintf(`2["color",%q]`, color))
	}
	a.Expect(`2["warm"]`)
	a.Expect(`2["cold","blue"]`)
	a.Expect(`2["done"]`)
	quiet()

	a.Send(`2["leave","kitchen"]`)
	b.Expect(fmt.Sprintf(`2["went",[%q]]`, b.ID))
	a.Send(`2["leave","nowhere"]`)
	a.Expect(`2["empty"]`)
	b.Send(`2["leave","kitchen"]`)
	b.Expect(`2["empty"]`)
	a.Send(`2["say","kitchen","to nobody"]`)
	a.Send(`29["other"]`)
	a.Expect(eventstest.RefusedAck(9, "unknown_event", "unknown event"))
	quiet()
	c.Send(`2["end","bye"]`)
	c.Expect(`2["ended","bye"]`)
	c.Gone()
}

// What is sent is made of what came, of what the server knows, and of JSON.
func TestValues(t *testing.T) {
	s := serve(t, `
		on connect emit hello {socket.id} {socket.identity} 1.5 true "a b"
		on field <user> emit field {user.name} {user.tags.first} "<{user.name}> {user.age}"
		on object <data> <more?> {
			emit object `+"`{\"id\": \"{socket.id}\", \"list\": [\"{data}\", \"x{more}\", {}], \"n\": 1}`"+`
		}
		on optional <a> <b?> <c?> emit optional {a} {b} {c}
		on hole <a> <b?> emit hole {b} {a}
		on rest <a> <rest...> emit rest {rest} {a}
		on onlyrest <a> <rest...> emit onlyrest {rest}
		on nothing emit nothing
		on swap <a> <b> emit swap {b} {a}
		on twice <a> emit twice {a} {a}
		on joined <room> {
			join {room}
			emit joined {joined} {members.joined} {members} {members.identity}
		}
	`)
	a := s.Connect()
	a.Expect(fmt.Sprintf(`2["hello",%q,null,1.5,true,"a b"]`, a.ID))
	const zero, one = eventstest.Placeholder0, placeholder1
	for _, test := range []struct {
		send   string
		binary []string
		want   string
		back   []string
	}{
		{`2["field",{"name":"Ada","age":36,"tags":{"first":[1]}}]`, nil, `2["field","Ada",[1],"\u003cAda\u003e 36"]`, nil},
		{`51-["field",{"name":"Ada","age":36,"tags":{"first":` + zero + `}}]`, []string{"bin"},
			`51-["field","Ada",` + zero + `,"\u003cAda\u003e 36"]`, []string{"bin"}},
		{`2["optional",1]`, nil, `2["optional",1]`, nil},
		{`2["optional",1,2]`, nil, `2["optional",1,2]`, nil},
		{`2["optional",1,2,3]`, nil, `2["optional",1,2,3]`, nil},
		{`2["optional",1,2,3,4]`, nil, `2["optional",1,2,3]`, nil},
		{`52-["optional",` + zero + `,2,3,` + one + `]`, []string{"a", "cut"}, `51-["optional",` + zero + `,2,3]`, []string{"a"}},
		{`2["hole",1]`, nil, `2["hole",null,1]`, nil},
		{`2["rest",1]`, nil, `2["rest",1]`, nil},
		{`2["rest",1,2,"3"]`, nil, `2["rest",2,"3",1]`, nil},
		{`2["onlyrest",1]`, nil, `2["onlyrest"]`, nil},
		{`2["onlyrest",{},2]`, nil, `2["onlyrest",2]`, nil},
		{`52-["onlyrest",` + zero + `,` + one + `]`, []string{"cut", "b"}, `51-["onlyrest",` + zero + `]`, []string{"b"}},
		{`2["nothing",1]`, nil, `2["nothing"]`, nil},
		{`52-["swap",` + zero + `,` + one + `]`, []string{"a", "b"}, `52-["swap",` + zero + `,` + one + `]`, []string{"b", "a"}},
		{`51-["twice",` + zero + `]`, []string{"a"}, `52-["twice",` + zero + `,` + one + `]`, []string{"a", "a"}},
	} {
		a.Send(test.send, test.binary...)
		a.Expect(test.want, test.back...)
	}
	a.Send(`51-["object",{"deep":`+zero+`},"y"]`, "bin")
	a.Expect(fmt.Sprintf(`51-["object",{"id": %q, "list": [{"deep":%s}, "xy", {}], "n": 1}]`, a.ID, zero), "bin")
	a.Send(`2["joined","r"]`)
	got := a.Next().Text
	if !regexp.MustCompile(`^2\["joined",\d{13},\{"` + a.ID + `":\d{13}\},\["` + a.ID + `"\],\[\]\]$`).MatchString(got) {
		t.Errorf("got %s", got)
	}
	a.ExpectNothing()
}

// A room holds no more than it may. What is to be done then is done in place of all that follows.
func TestFullRooms(t *testing.T) {
	s := serve(t, `
		max_members 2
		on join <room> {
			join {room}
			to {room} all emit members {members.count}
		}
		on pair <room> {
			join {room} max 1
			full {
				emit full {room}
				disconnect
			}
			emit paired
		}
	`)
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	for i, client := range []*eventstest.Client{a, b} {
		client.Send(`2["join","r"]`)
		client.Expect(fmt.Sprintf(`2["members",%d]`, i+1))
	}
	a.Expect(`2["members",2]`)
	c.Send(`21["join","r"]`)
	c.Expect(eventstest.RefusedAck(1, "room_full", "the room is full"))
	c.Expect(eventstest.Refusal("room_full", "the room is full"))
	a.Send(`2["join","r"]`) // It is in there already.
	a.Expect(`2["members",2]`)
	b.Expect(`2["members",2]`)
	a.Send(`2["pair","p"]`)
	a.Expect(`2["paired"]`)
	c.Send(`2["pair","p"]`)
	c.Expect(`2["full","p"]`)
	c.Gone()
	a.ExpectNothing()
}

// Who is in a room is listed by the order of joining, also after some have left and come again.
func TestMembersAreInTheOrderOfJoining(t *testing.T) {
	s := serve(t, `
		on join <room> {
			join {room}
			ack {members}
		}
		on leave <room> leave {room}
	`)
	a, b, c := s.Connect(), s.Connect(), s.Connect()
	joins := func(who *eventstest.Client, want string) {
		t.Helper()
		who.Send(`21["join","r"]`)
		who.Expect(`31[[` + want + `]]`)
	}
	list := func(clients ...*eventstest.Client) (list string) {
		for i, client := range clients {
			if i > 0 {
				list += ","
			}
			list += fmt.Sprintf("%q", client.ID)
		}
		return list
	}
	joins(a, list(a))
	joins(b, list(a, b))
	joins(c, list(a, b, c))
	joins(b, list(a, b, c))
	a.Send(`22["leave","r"]`)
	a.Expect(`32[{"success":true}]`)
	joins(a, list(b, c, a))
	b.Close()
	b.Gone()
	joins(c, list(c, a))
}
