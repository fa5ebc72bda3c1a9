package streaming

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

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

// Values are sent in one line, to one and to many; bytes are binary.
func TestEmitTakesValues(t *testing.T) {
	sockets := make(chan *Socket, 2)
	s := newTestServer(t, Options{}, onConnect(sockets), on("ask", func(e *Event) {
		if err := e.Ack.ReplyWith("answer", []byte("data")); err != nil {
			t.Error(err)
		}
		if err := e.Ack.ReplyWith("another answer", func() {}); err != nil {
			t.Errorf("an answer that nobody waits for was encoded: %v", err)
		}
	}))
	one, _ := s.connected(engineio.WebSocket)
	other, _ := s.connected(engineio.WebSocket)
	first := receive(t, "a socket", sockets)
	second := receive(t, "another socket", sockets)
	second.Admit("room")
	n := s.Of("/")
	point := struct{ X, Y int }{1, 2}
	for name, emit := range map[string]func(event string, values ...any) error{
		"socket": second.Emit, "everyone else": first.Broadcast().Emit, "room": n.To("room").Emit,
		"namespace": func(event string, values ...any) error {
			err := n.Emit(event, values...)
			one.expect(`51-["news",{"X":1,"Y":2},`+placeholder0+`]`, []byte("bytes"))
			return err
		},
	} {
		if err := emit("news", point, []byte("bytes")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		other.expect(`51-["news",{"X":1,"Y":2},`+placeholder0+`]`, []byte("bytes"))
	}
	one.send(`27["ask"]`)
	one.expect(`61-7["answer",`+placeholder0+`]`, []byte("data"))
}

// What cannot be sent is an error to who sends it, and nothing is sent.
func TestEmitRefusesWhatCannotBeSent(t *testing.T) {
	sockets := make(chan *Socket, 1)
	s := newTestServer(t, Options{}, onConnect(sockets), on("ask", func(e *Event) {
		if err := e.Ack.ReplyWith(e.Args); !errors.Is(err, packet.ErrArgs) {
			t.Errorf("arguments among the values of an answer: %v", err)
		}
		e.Ack.Reply(e.Args)
	}))
	c, _ := s.connected(engineio.WebSocket)
	socket := receive(t, "a socket", sockets)
	n := s.Of("/")
	args := mustArgs(1)
	for name, emit := range map[string]func(event string, values ...any) error{
		"socket": socket.Emit, "broadcast": n.Everyone().Emit, "namespace": n.Emit,
	} {
		if err := emit("news", args); !errors.Is(err, packet.ErrArgs) {
			t.Errorf("%s: arguments among the values: %v", name, err)
		}
		if err := emit("news", func() {}); err == nil {
			t.Errorf("%s: a function was sent", name)
		}
		if err := emit("disconnect", 1); !errors.Is(err, packet.ErrReservedEvent) {
			t.Errorf("%s: a reserved name: %v", name, err)
		}
	}
	_, called := socket.Call(t.Context(), "connect", args)
	_, calledMany := n.Call(t.Context(), "connect", args)
	for name, err := range map[string]error{
		"emit": socket.EmitArgs("connect", args), "to many": n.EmitArgs("connect", args), "call": called, "call to many": calledMany,
		"with ack": socket.EmitWithAck("connect", args, time.Second, func(packet.Args, error) { t.Error("it was answered") }),
		"handler":  new(Handlers).On("connect", func(*Event) {}),
	} {
		if !errors.Is(err, packet.ErrReservedEvent) {
			t.Errorf("%s: a reserved name: %v", name, err)
		}
	}
	c.send(`27["ask",1]`)
	c.expect(`37[1]`)
	c.expectAlive()
}
