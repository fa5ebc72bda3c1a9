package streaming

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// nested is an event whose arguments nest this deep, the array of the event
// itself included.
func nested(levels int) string {
	return `2["message",` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + "]"
}

const placeholder0 = `{"_placeholder":true,"num":0}`

// malformed packets, each a list of messages of one client. told is true when
// an "error" event comes before the connection is closed, acked when there is
// an acknowledgement before that.
var malformed = []struct {
	name     string
	messages []any
	told     bool
	acked    bool
}{
	{"empty", []any{""}, false, false},
	{"unknown type", []any{"7"}, false, false},
	{"letter as type", []any{`a["message"]`}, false, false},
	{"CONNECT_ERROR from a client", []any{`4{"message":"x"}`}, false, false},
	{"DISCONNECT with payload", []any{"1{}"}, false, false},
	{"CONNECT with array", []any{"0/other,[]"}, false, false},
	{"CONNECT with string", []any{`0/other,"x"`}, false, false},
	{"CONNECT with null", []any{`0/other,null`}, false, false},
	{"CONNECT with bad JSON", []any{`0/other,{`}, false, false},
	{"CONNECT with bytes after the JSON", []any{`0/other,{}{}`}, false, false},
	{"namespace too long", []any{"0/" + strings.Repeat("x", packet.MaxNamespaceLength) + ","}, false, false},

	{"event without payload", []any{"2"}, true, false},
	{"event with ID without payload", []any{"21"}, true, true},
	{"event with object", []any{"2{}"}, true, false},
	{"event with string", []any{`2"message"`}, true, false},
	{"event with null", []any{"2null"}, true, false},
	{"event with ID and object", []any{"21{}"}, true, true},
	{"event without name", []any{"2[]"}, true, false},
	{"event with null as name", []any{"2[null]"}, true, false},
	{"event with object as name", []any{"2[{}]"}, true, false},
	{"event with array as name", []any{`2[["message"]]`}, true, false},
	{"event with boolean as name", []any{"2[true]"}, true, false},
	{"binary event with object", []any{`51-` + placeholder0, []byte("x")}, true, false},
	{"binary event with binary name", []any{`51-[` + placeholder0 + `]`, []byte("x")}, true, false},

	{"truncated JSON", []any{`2["message"`}, false, false},
	{"truncated string", []any{`2["message`}, false, false},
	{"bracket too many", []any{`2["message"]]`}, false, false},
	{"comma at the end", []any{`2["message",]`}, false, false},
	{"single quotes", []any{`2['message']`}, false, false},
	{"bare word", []any{`2[message]`}, false, false},
	{"NaN", []any{`2["message",NaN]`}, false, false},
	{"control character in string", []any{"2[\"mess\nage\"]"}, false, false},
	{"leading space", []any{` 2["message"]`}, false, false},
	{"only a space as payload", []any{"2 "}, false, false},
	{"nested too deep", []any{nested(packet.MaxDepth + 1)}, false, false},
	{"nested too deep in an acknowledgement", []any{"30" + nested(packet.MaxDepth + 1)[1:]}, false, false},
	{"nested far too deep and never closed", []any{`2["message",` + strings.Repeat("[", 400_000)}, false, false},

	{"ID too large", []any{`29223372036854775808["message"]`}, false, false},
	{"ID far too large", []any{"2" + strings.Repeat("9", 1000) + `["message"]`}, false, false},
	{"negative ID", []any{`2-1["message"]`}, false, false},
	{"ID with point", []any{`21.5["message"]`}, false, false},
	{"ack without ID", []any{`3[]`}, false, false},
	{"ack without payload", []any{`31`}, false, false},
	{"ack with object", []any{`31{}`}, false, false},
	{"ack with string", []any{`31"x"`}, false, false},
	{"binary ack without ID", []any{`61-[` + placeholder0 + `]`}, false, false},

	{"binary event without count", []any{`5["message"]`}, false, false},
	{"binary event with empty count", []any{`5-["message"]`}, false, false},
	{"binary event with letter as count", []any{`5a-["message"]`}, false, false},
	{"binary event with signed count", []any{`5+1-["message",` + placeholder0 + `]`}, false, false},
	{"binary event with negative count", []any{`5-1-["message",` + placeholder0 + `]`}, false, false},
	{"binary event with long count", []any{`5` + strings.Repeat("0", 1000) + `1-["message",` + placeholder0 + `]`}, false, false},
	{"binary event without dash", []any{`51["message",` + placeholder0 + `]`}, false, false},
	{"attachment count 11", []any{`511-["message"` + strings.Repeat(","+placeholder0, 11) + `]`}, false, false},
	{"attachment count 4 billion", []any{`54294967297-["message",` + placeholder0 + `]`}, false, false},
	{"attachment count too high", []any{`52-["message",` + placeholder0 + `]`}, false, false},
	{"attachment count too low", []any{`51-["message",` + placeholder0 + `,` + placeholder0 + `]`}, false, false},
	{"attachment count zero", []any{`50-["message",` + placeholder0 + `]`}, false, false},
	{"attachment that nothing refers to", []any{`51-["message"]`}, false, false},
	{"placeholder out of range", []any{`51-["message",{"_placeholder":true,"num":1}]`}, false, false},
	{"placeholder far out of range", []any{`51-["message",{"_placeholder":true,"num":99999999999999999999}]`}, false, false},
	{"placeholder with negative number", []any{`51-["message",{"_placeholder":true,"num":-1}]`}, false, false},
	{"placeholder with text as number", []any{`51-["message",{"_placeholder":true,"num":"0"}]`}, false, false},
	{"placeholder with half a number", []any{`51-["message",{"_placeholder":true,"num":0.5}]`}, false, false},
	{"placeholder without number", []any{`51-["message",{"_placeholder":true}]`}, false, false},
	{"placeholder whose last number is wrong", []any{`51-["message",{"_placeholder":true,"num":0,"num":1}]`}, false, false},
	{"placeholder that is none after all", []any{`51-["message",{"_placeholder":true,"num":0,"_placeholder":false}]`}, false, false},

	{"binary without header", []any{[]byte("x")}, false, false},
	{"empty binary without header", []any{[]byte{}}, false, false},
	{"one attachment too many", []any{`51-["message",` + placeholder0 + `]`, []byte("x"), []byte("y")}, false, false},
	{"text while binary data is expected", []any{`51-["message",` + placeholder0 + `]`, `2["message"]`}, false, false},
	{"CONNECT while binary data is expected", []any{`51-["message",` + placeholder0 + `]`, "0/other,"}, false, false},
	{"binary CONNECT_ERROR", []any{`7-[]`}, false, false},
}

func TestMalformedPacketCloses(t *testing.T) {
	for _, transport := range bothTransports {
		for _, test := range malformed {
			t.Run(string(transport)+"/"+test.name, func(t *testing.T) {
				reasons := make(chan Reason, 1)
				s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
					_ = h.On("message", func(*Event) {})
					h.OnDisconnect(func(_ *Socket, r Reason) { reasons <- r })
				}))
				s.Of("/other")
				c, _ := s.connected(transport)
				_ = c.trySend(test.messages...)
				rest := c.expectEnd()
				if test.acked && len(rest) > 0 {
					if !strings.HasPrefix(rest[0].text, `31[{"success":false,"error":"`) {
						t.Errorf("acknowledged with %v", rest[0])
					}
					rest = rest[1:]
				}
				told := len(rest) == 1 && strings.HasPrefix(rest[0].text, `2["error",{"message":"`) && strings.HasSuffix(rest[0].text, `","code":"invalid_payload"}]`)
				if told != (test.told || test.acked) || !told && len(rest) > 0 {
					t.Errorf("before the end came %v", rest)
				}
				if reason := receive(t, "the disconnect", reasons); reason != engineio.ReasonParseError {
					t.Errorf("reason %s", reason)
				}
				s.empty()
				if records := s.logs.panics(t); len(records) > 0 {
					t.Errorf("panics: %v", records)
				}
			})
		}
	}
}

func TestBadUTF8Closes(t *testing.T) {
	for _, transport := range bothTransports {
		for _, packet := range []string{"2[\"message\",\"\xff\"]", "2[\"\xc3\x28\"]", "0/\xed\xa0\x80,"} {
			t.Run(fmt.Sprintf("%s/%q", transport, packet), func(t *testing.T) {
				s := newTestServer(t, Options{}, on("message", func(*Event) { t.Error("handled") }))
				c, _ := s.connected(transport)
				_ = c.trySend(packet)
				if rest := c.expectEnd(); len(rest) != 0 {
					t.Errorf("got %v", rest)
				}
				s.empty()
			})
		}
	}
}

// A connection is closed at its first malformed packet: nothing that comes
// with it or after it is handled.
func TestNothingIsHandledAfterMalformedPacket(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			handled := make(chan string, 10)
			s := newTestServer(t, Options{}, on("message", func(e *Event) { handled <- string(e.Args.At(0)) }))
			c, _ := s.connected(transport)
			_ = c.trySend(`2["message",1]`, `2["message",`, `2["message",2]`)
			c.expectEnd()
			s.empty()
			if got := receive(t, "the first event", handled); got != "1" || len(handled) != 0 {
				t.Errorf("handled %s and %d more", got, len(handled))
			}
		})
	}
}

// What the protocol allows, however odd, does not close the connection.
func TestOddPacketsAreNotMalformed(t *testing.T) {
	for _, transport := range bothTransports {
		for _, test := range []struct {
			name     string
			messages []any
			answers  []any
		}{
			{"nested 500 deep", []any{nested(500)}, nil},
			{"nested as deep as allowed", []any{nested(packet.MaxDepth)}, nil},
			{"spaces", []any{"2 [ \"message\" ,\t1 ]\r\n"}, nil},
			{"number as name", []any{"2[7,1]", "24[-7.5,1]"}, []any{`34[{"success":false,"error":"unknown event","code":"unknown_event"}]`}},
			{"unknown event", []any{`2["unknown"]`}, nil},
			{"unknown event with acknowledgement", []any{`27["unknown"]`}, []any{`37[{"success":false,"error":"unknown event","code":"unknown_event"}]`}},
			{"event with empty name", []any{`27[""]`}, []any{`37[{"success":false,"error":"unknown event","code":"unknown_event"}]`}},
			{"largest ID", []any{`29223372036854775807["ping"]`}, []any{`39223372036854775807[]`}},
			{"ID with zeros in front", []any{`2007["ping"]`}, []any{`37[]`}},
			{"main namespace by name", []any{`2/,7["ping"]`}, []any{`37[]`}},
			{"binary event without attachments", []any{`50-7["ping"]`}, []any{`37[]`}},
			{"count with zeros in front", []any{`501-7["ping",` + placeholder0 + `]`, []byte("x")}, []any{`37[]`}},
			{"placeholder with escapes", []any{`51-7["ping",{"_pl\u0061ceholder":true,"n\u0075m":0}]`, []byte("x")}, []any{`37[]`}},
			{"placeholder with more fields", []any{`51-7["ping",{"x":[],"num":0,"_placeholder":true}]`, []byte("x")}, []any{`37[]`}},
			{"empty attachment", []any{`51-7["ping",` + placeholder0 + `]`, []byte{}}, []any{`37[]`}},
			{"placeholder in text", []any{`27["ping",{"_placeholder":true,"num":7}]`}, []any{`37[]`}},
			{"answer nobody asked for", []any{`3999["x"]`}, nil},
			{"binary answer nobody asked for", []any{`61-999[` + placeholder0 + `]`, []byte("x")}, nil},
		} {
			t.Run(string(transport)+"/"+test.name, func(t *testing.T) {
				s := newTestServer(t, Options{}, handlers(func(_ *Namespace, h *Handlers) {
					_ = h.On("message", func(*Event) {})
					_ = h.On("ping", func(e *Event) { e.Ack.Reply(packet.Args{}) })
					h.RefuseUnknown()
				}))
				c, _ := s.connected(transport)
				c.send(test.messages...)
				c.expect(test.answers...)
				c.expectAlive()
			})
		}
	}
}

// reservedEvents are the names of events that clients give a meaning of their own.
var reservedEvents = []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

func TestReservedEventNamesAreRefused(t *testing.T) {
	for _, transport := range bothTransports {
		s := newTestServer(t, Options{})
		c, _ := s.connected(transport)
		for _, name := range append([]string{"c\\u006fnnect"}, reservedEvents...) {
			const told = `2["error",{"message":"the event name is reserved","code":"reserved_event"}]`
			c.send(`2["` + name + `"]`)
			c.expect(told)
			c.send(`27["`+name+`",{}]`, `51-8["`+name+`",`+placeholder0+`]`, []byte("x"))
			for _, id := range []string{"7", "8"} {
				c.expect(`3`+id+`[{"success":false,"error":"the event name is reserved","code":"reserved_event"}]`, told)
			}
		}
		c.expectAlive()
	}
}

func TestReservedEventNamesCannotBeUsed(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	for _, name := range reservedEvents {
		if new(Handlers).On(name, func(*Event) {}) == nil {
			t.Errorf("%s has a handler", name)
		}
		if socket.EmitArgs(name, packet.Args{}) == nil || s.Of("/").EmitArgs(name, packet.Args{}) == nil {
			t.Errorf("%s was sent", name)
		}
		if _, err := socket.Call(t.Context(), name, packet.Args{}); err == nil {
			t.Errorf("%s was called", name)
		}
		if _, err := s.Of("/").Everyone().Call(t.Context(), name, packet.Args{}); err == nil {
			t.Errorf("%s was called", name)
		}
		if socket.EmitWithAck(name, packet.Args{}, patience, func(packet.Args, error) { t.Error("answered") }) == nil {
			t.Errorf("%s was sent", name)
		}
	}
	c.expectAlive()
}

// One client that breaks the protocol does not disturb the others.
func TestMalformedPacketsHarmNobodyElse(t *testing.T) {
	s := newTestServer(t, Options{}, relayTo("round"))
	witness, _ := s.connected(engineio.WebSocket)
	other, _ := s.connected(engineio.Polling)
	for i, test := range malformed {
		c, err := dialClient(s, bothTransports[i%2])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.tryConnect("/"); err != nil {
			t.Fatal(err)
		}
		_ = c.trySend(test.messages...)
		receive(t, "the end of the connection", c.done)
		c.close()
		other.send(fmt.Sprintf(`2["round",%d]`, i))
		witness.expect(fmt.Sprintf(`2["round",%d]`, i))
	}
}
