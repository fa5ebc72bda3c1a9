package streaming

import (
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// An event and its answer carry text and binary data, nested, both ways.
func TestEventsAndAcksBothWays(t *testing.T) {
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			events := make(chan *Event, 1)
			s := newTestServer(t, Options{}, on("echo", func(e *Event) {
				events <- e
				e.Ack.Reply(e.Args)
				_ = e.Socket.EmitArgs("echoed", e.Args)
			}))
			c, id := s.connected(transport)
			for _, test := range []struct {
				name string
				list string
				// attachments that follow
				data [][]byte
				// empty when the list is repeated as it is
				repeated string
			}{
				{"nothing", "", nil, ""},
				{"text", `,"hello"`, nil, ""},
				{"several", `,1,null,true,{"a":[{}]},"\u00e4ä\"\\"`, nil, ""},
				{"spaces", ` , 1 , { "a" : 2 } `, nil, " 1 , { \"a\" : 2 } "},
				{"binary", `,` + placeholder0, [][]byte{{0, 1, 2, 0x1e, 0xff}}, ""},
				{"empty binary", `,` + placeholder0, [][]byte{{}}, ""},
				{"nested binary", `,{"a":[1,{"b":{"num":1,"_placeholder":true}}]},[[` + placeholder0 + `]],"x"`, [][]byte{[]byte("first"), []byte("second")}, ""},
				{"one attachment twice", `,{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}`, [][]byte{[]byte("first"), []byte("second")}, ""},
				{"ten attachments", tenPlaceholders(), tenAttachments(), ""},
			} {
				list := test.list
				messages := []any{`242["echo"` + list + `]`}
				if n := len(test.data); n > 0 {
					messages[0] = fmt.Sprintf(`5%d-42["echo"%s]`, n, list)
				}
				var data []any
				for _, attachment := range test.data {
					data = append(data, attachment)
				}
				c.send(append(messages, data...)...)

				e := receive(t, "the event", events)
				if e.Socket.ID() != id || e.Name != "echo" || len(e.Args.Attachments()) != len(data) {
					t.Errorf("%s: event %+v", test.name, e)
				}
				repeated := test.repeated
				if repeated == "" && list != "" {
					repeated = list[1:]
				}
				if len(data) == 0 {
					c.expect(`342[`+repeated+`]`, eventText("2", "echoed", repeated))
					continue
				}
				c.expect(fmt.Sprintf(`6%d-42[%s]`, len(data), repeated))
				c.expect(data...)
				c.expect(eventText(fmt.Sprintf("5%d-", len(data)), "echoed", repeated))
				c.expect(data...)
			}
			c.expectAlive()
		})
	}
}

func eventText(head, name, list string) string {
	if list == "" {
		return head + `["` + name + `"]`
	}
	return head + `["` + name + `",` + list + `]`
}

func tenPlaceholders() (list string) {
	for i := range DefaultAttachments {
		list += fmt.Sprintf(`,{"_placeholder":true,"num":%d}`, i)
	}
	return list
}

func tenAttachments() (data [][]byte) {
	for i := range DefaultAttachments {
		data = append(data, fmt.Appendf(nil, "attachment %d", i))
	}
	return data
}

// An event that one client sends to another arrives as it was sent, from
// either transport to either.
func TestEventBetweenTransports(t *testing.T) {
	for _, from := range bothTransports {
		for _, to := range bothTransports {
			t.Run(fmt.Sprintf("%s to %s", from, to), func(t *testing.T) {
				s := newTestServer(t, Options{}, relayTo("message"))
				sender, _ := s.connected(from)
				receiver, _ := s.connected(to)
				large := make([]byte, 300_000)
				for i := range large {
					large[i] = byte(i * 7)
				}
				sender.send(`2["message",{"a":"ä"}]`, `51-["message",[`+placeholder0+`]]`, large, `2["message"]`)
				receiver.expect(`2["message",{"a":"ä"}]`, `51-["message",[`+placeholder0+`]]`, large, `2["message"]`)
				sender.expectAlive()
			})
		}
	}
}

func TestEventIsBuiltFromValues(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	var b packet.ArgsBuilder
	b.Add("text")
	b.Add(map[string]any{"deep": []any{1, b.Binary([]byte("one"))}})
	b.Add(b.Binary([]byte("two")))
	args, err := b.Args()
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.EmitArgs(`quo"ted`, args); err != nil {
		t.Fatal(err)
	}
	c.expect(`52-["quo\"ted","text",{"deep":[1,`+placeholder0+`]},{"_placeholder":true,"num":1}]`, []byte("one"), []byte("two"))
	if _, err := packet.NewArgs(1, func() {}); err == nil {
		t.Error("a function was encoded")
	}
}

func TestEmitToDisconnectedSocket(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	c.close()
	s.empty()
	if err := socket.EmitArgs("hello", packet.Args{}); err != ErrDisconnected {
		t.Errorf("emit: %v", err)
	}
	if err := socket.EmitArgs("hello", packet.Args{}, packet.Volatile); err != nil {
		t.Errorf("volatile emit: %v", err)
	}
	socket.Admit("room")
	if rooms := socket.Rooms(); len(rooms) != 0 || s.Of("/").Count("room") != 0 {
		t.Errorf("a socket that was gone joined %v", rooms)
	}
}

// What one goroutine emits arrives in the order of its emits, whatever others
// emit meanwhile, and whichever way each of them emits.
func TestOrderIsThatOfEmits(t *testing.T) {
	const senders, each = 8, 100
	for _, transport := range bothTransports {
		t.Run(string(transport), func(t *testing.T) {
			sockets := make(chan *Socket, 1)
			s := newTestServer(t, Options{}, onConnect(sockets))
			c, id := s.connected(transport)
			socket := receive(t, "a socket", sockets)
			socket.Admit("room")
			n := s.Of("/")
			emit := []func(packet.Args) error{
				func(a packet.Args) error { return socket.EmitArgs("count", a) },
				func(a packet.Args) error { return n.EmitArgs("count", a) },
				func(a packet.Args) error { return n.To("room").EmitArgs("count", a) },
				func(a packet.Args) error { return n.To(id, "room", "other").EmitArgs("count", a) },
			}
			var running sync.WaitGroup
			for sender := range senders {
				running.Go(func() {
					for i := range each {
						if err := emit[(sender+i)%len(emit)](mustArgs(sender, i)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			running.Wait()
			next := make([]int, senders)
			for range senders * each {
				var sender, i int
				m := c.next()
				if _, err := fmt.Sscanf(m.text, `2["count",%d,%d]`, &sender, &i); err != nil {
					t.Fatalf("%v: %v", m, err)
				}
				if i != next[sender] {
					t.Fatalf("sender %d: got %d, want %d", sender, i, next[sender])
				}
				next[sender]++
			}
			c.expectAlive()
		})
	}
}

// What one client sends another gets in order, and a binary packet is never
// torn apart.
func TestOrderFromClientToClient(t *testing.T) {
	const senders, each = 4, 50
	s := newTestServer(t, Options{}, relayTo("count"))
	receiver, _ := s.connected(engineio.WebSocket)
	var running sync.WaitGroup
	for sender := range senders {
		c, _ := s.connected(bothTransports[sender%2])
		running.Go(func() {
			for i := range each {
				if err := c.trySend(fmt.Sprintf(`52-["count",%d,%d,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, sender, i),
					fmt.Appendf(nil, "%d %d a", sender, i), fmt.Appendf(nil, "%d %d b", sender, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	next := make([]int, senders)
	for range senders * each {
		var sender, i int
		m := receiver.next()
		if _, err := fmt.Sscanf(m.text, `52-["count",%d,%d,`, &sender, &i); err != nil {
			t.Fatalf("%v: %v", m, err)
		}
		receiver.expect(fmt.Appendf(nil, "%d %d a", sender, i), fmt.Appendf(nil, "%d %d b", sender, i))
		if i != next[sender] {
			t.Fatalf("sender %d: got %d, want %d", sender, i, next[sender])
		}
		next[sender]++
	}
}
