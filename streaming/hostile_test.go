package streaming

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// prototypeNames are what every object of JavaScript has, and no client of ours.
var prototypeNames = []string{"__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "__defineGetter__"}

// TestPrototypeNamesAreOrdinary holds that such a name is one like any other: as an event, a
// namespace, a room and a field.
func TestPrototypeNamesAreOrdinary(t *testing.T) {
	for _, name := range prototypeNames {
		t.Run(name, func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets), refusingUnknown())
			c, _ := s.connected(engineio.WebSocket)
			socket := receive(t, "the socket", sockets)
			c.send(fmt.Sprintf(`21[%q,{%q:1}]`, name, name))
			c.expect(`31[{"success":false,"error":"unknown event","code":"unknown_event"}]`)
			c.send("0/" + name + ",")
			c.expect("4/" + name + `,{"message":"Invalid namespace"}`)
			if rooms := socket.Rooms(); len(rooms) != 0 {
				t.Errorf("in %v", rooms)
			}
			if err := socket.Join(name); err != nil || len(socket.Rooms()) != 1 {
				t.Errorf("%v, in %v", err, socket.Rooms())
			}
			object, err := packet.NewObject([]byte(`{"a":1}`))
			if err != nil {
				t.Fatal(err)
			}
			if field := object.Field(name); field != nil {
				t.Errorf("field %s", field)
			}
			// With a handler it is an event, whose arguments pass as they came.
			if err := s.Of("/").Use(on(name, func(e *Event) { e.Ack.Reply(e.Args) })); err != nil {
				t.Fatal(err)
			}
			c.send(fmt.Sprintf(`22[%q,{%q:{"a":1}}]`, name, name))
			c.expect(fmt.Sprintf(`32[{%q:{"a":1}}]`, name))
		})
	}
}

// TestDeepAndWidePacketsAreBounded sends a message as large as may be, of what costs most to look
// at. That it is answered within the test's patience shows that the time grows with the size alone:
// anything more would not be.
func TestDeepAndWidePacketsAreBounded(t *testing.T) {
	const size = 900_000
	for name, test := range map[string]struct {
		packet string
		closes bool
	}{
		"arrays in arrays":           {`21["x",` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + "]", true},
		"objects in objects":         {`21["x",` + strings.Repeat(`{"a":`, size/6) + "1" + strings.Repeat("}", size/6) + "]", true},
		"as deep as may be, often":   {`21["x"` + strings.Repeat(","+strings.Repeat("[", 500)+strings.Repeat("]", 500), size/1001) + "]", false},
		"very many arguments":        {`21["x"` + strings.Repeat(",1", size/2) + "]", false},
		"very many fields":           {`21["x",{"a":1` + strings.Repeat(`,"a":1`, size/6) + "}]", false},
		"one long name":              {`21["` + strings.Repeat("x", size) + `"]`, false},
		"one long name of escapes":   {`21["` + strings.Repeat(`\u0061`, size/6) + `"]`, false},
		"white space":                {`21["x"` + strings.Repeat(" ", size) + "]", false},
		"no end":                     {`21["x",` + strings.Repeat(`[`, 500) + strings.Repeat("1,", size/2), true},
		"an open string":             {`21["x","` + strings.Repeat(`\`, size), true},
		"digits of an id":            {"2" + strings.Repeat("1", size) + `["x"]`, true},
		"a number of many digits":    {`21["x",` + strings.Repeat("1", size) + "]", false},
		"a long namespace":           {"2/" + strings.Repeat("a", size) + `,1["x"]`, true},
		"placeholders that are none": {`51-1["x"` + strings.Repeat(`,{"_placeholder":true,"num":9}`, size/30) + "]", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestServer(t, Options{}, refusingUnknown())
			c, _ := s.connected(engineio.WebSocket)
			c.send(test.packet)
			if test.closes {
				c.expectEnd()
				return
			}
			if m := c.next(); !strings.HasPrefix(m.text, `31[{"success":false,`) {
				t.Errorf("got %.100s", m)
			}
		})
	}
}
