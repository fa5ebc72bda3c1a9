package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// TestRoomsHaveChannelsOfTheirOwn holds that in the mode sharded a server subscribes the channels of the
// rooms that it has, also after a new connection and for namespaces that come late, and no others.
func TestRoomsHaveChannelsOfTheirOwn(t *testing.T) {
	r := startRedis(t)
	o := mode(ModeSharded).at(r)
	one, two := newServer(t, o), newServer(t, o)
	subscribed := func(channel string, servers int) func() bool {
		return func() bool {
			counts, err := one.node.live.Load().client.PubSubShardNumSub(t.Context(), channel).Result()
			return err == nil && counts[channel] == int64(servers)
		}
	}
	c := two.connect()
	idLong := strings.Repeat("x", 20)
	c.socket.Admit("red", idLong)
	eventually(t, "the channel of the room", subscribed("socket.io#/#red#", 1))
	if !subscribed("socket.io#/#"+idLong+"#", 0)() || !subscribed("socket.io#/#"+c.id+"#", 0)() {
		t.Error("a name as long as an ID has a channel")
	}
	_ = one.Of("/").To("red").Emit("red")
	_ = one.Of("/").To(idLong).Emit("long")
	_ = one.Of("/").To(c.id).Emit("one")
	c.expect(`2["red"]`, `2["long"]`, `2["one"]`)

	before := two.node.live.Load()
	o.Same = "changed"
	if err := two.node.Use(o); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection to be changed", func() bool { return before.ctx.Err() != nil })
	eventually(t, "the channel of the room to be subscribed once", subscribed("socket.io#/#red#", 1))
	c.socket.Admit("blue")
	eventually(t, "the channel of another room", subscribed("socket.io#/#blue#", 1))
	_ = one.Of("/").To("blue").Emit("blue")
	c.expect(`2["blue"]`)
	c.socket.Leave("red", "blue")
	eventually(t, "no channel", subscribed("socket.io#/#red#", 0))
	eventually(t, "no channel", subscribed("socket.io#/#blue#", 0))
}

// TestNothingIsMissedInAnOutage holds that in the mode streams a server that was cut off gets what others
// have added meanwhile, once and in order.
func TestNothingIsMissedInAnOutage(t *testing.T) {
	r := startRedis(t)
	o := mode(ModeStreams).at(r)
	one, two := newServer(t, o), newServer(t, o)
	there := two.connect()
	_ = one.Of("/").Emit("news", 0)
	there.expect(`2["news",0]`)
	if two.node.Offset() == "" {
		t.Error("it is not known where the server is in the stream")
	}
	// All connections of the server are cut again and again.
	for i := 1; i < 300; i++ {
		_ = one.Of("/").Emit("news", i)
		if i%100 == 50 {
			l := two.node.live.Load()
			l.mu.Lock()
			if l.sub != nil {
				_ = l.sub.plain.Close()
			}
			l.mu.Unlock()
			r.do("CLIENT KILL TYPE normal SKIPME no")
			eventually(t, "the server to be back", func() bool { return two.node.Health() == nil && one.node.Health() == nil })
		}
	}
	_ = one.Of("/").Emit("end")
	lost, last := one.figure(figureLost), 0
	for {
		text := there.next()
		if text == `2["end"]` {
			break
		}
		var i int
		if _, err := fmt.Sscanf(text, `2["news",%d]`, &i); err != nil || i <= last {
			t.Fatalf("got %s after %d", text, last)
		}
		lost -= int64(i - last - 1)
		last = i
	}
	if lost < int64(299-last) {
		t.Errorf("more is missing than the sender has counted as lost")
	}
}

// TestRedisWithoutWhatAModeNeeds holds that it is named, and that the server does its work all the same.
func TestRedisWithoutWhatAModeNeeds(t *testing.T) {
	for in, commands := range map[mode][]string{
		ModeSharded: {"--rename-command", "SSUBSCRIBE", "", "--rename-command", "SPUBLISH", ""},
		ModeStreams: {"--rename-command", "XREAD", "", "--rename-command", "XADD", "", "--rename-command", "XREVRANGE", ""},
	} {
		t.Run(string(in), func(t *testing.T) {
			r := startRedis(t, commands...)
			s := newUnconnected(t, in.at(r))
			c := s.connect()
			eventually(t, "the reason", func() bool {
				err := s.Health()
				return err != nil && strings.Contains(err.Error(), "it has not what the mode needs")
			})
			eventually(t, "the line", func() bool { return len(s.logs.with("it has not what the mode needs")) > 0 })
			_ = s.Of("/").Emit("news")
			c.expect(`2["news"]`)
		})
	}
}

// TestForeignMessagesAreNamedInEachMode holds that each message that is not understood has a line, and
// harms nobody.
func TestForeignMessagesAreNamedInEachMode(t *testing.T) {
	for in, publish := range map[mode]string{
		ModeSharded: `SPUBLISH socket.io#/# "{\"uid\":\"x\",\"nsp\":\"/\",\"type\":99}"`,
		ModeStreams: `XADD socket.io * nsp / type 99 data {}`,
	} {
		t.Run(string(in), func(t *testing.T) {
			r := startRedis(t)
			s := newServer(t, in.at(r))
			c := s.connect()
			r.do(publish)
			eventually(t, "the line", func() bool {
				return len(s.logs.with("request of an unknown type: 99")) == 1 && s.figure(figureRefused) == 1
			})
			if in == ModeStreams {
				r.do(`XADD socket.io * nsp / type x data {}`)
				r.do(`XADD socket.io * nsp / type 3 data !`)
				r.do(`XADD socket.io * nobody knows`)
				eventually(t, "the lines", func() bool {
					return len(s.logs.with(`request of an unknown type: "x"`)) == 1 && len(s.logs.with("neither JSON nor base64")) == 1
				})
			}
			_ = s.Of("/").Emit("alive")
			c.expect(`2["alive"]`)
		})
	}
}

// TestErrorsOfForeignMessages holds that the error says what is wrong.
func TestErrorsOfForeignMessages(t *testing.T) {
	a := testAdapter()
	for message, want := range map[string]string{
		``:                                 "ends too early",
		`["x"]`:                            "not MessagePack as Socket.IO servers write it",
		`{"uid":"x"`:                       "it is no message of a Socket.IO server",
		`{"uid":"x","nsp":"/"}`:            "request of an unknown type",
		`{"uid":"x","nsp":7}`:              "it is no message of a Socket.IO server",
		`{"uid":"x","nsp":"/","type":0}`:   "request of an unknown type: 0",
		`{"uid":"x","nsp":"/","type":3}`:   "its data is not that of its type",
		`{"uid":"x","nsp":"/","type":"3"}`: "it is no message of a Socket.IO server",
		`{"uid":"x","nsp":"/","type":4,"data":{"rooms":["a"]}}`:                                    "does not say whom it is for",
		`{"uid":"x","nsp":"/","type":4,"data":[]}`:                                                 "its data is not that of its type",
		`{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["e"]}}}`:                 "it is no event",
		`{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":3,"data":[]},"opts":{}}}`:          "it is no event",
		`{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["connect"]},"opts":{}}}`: "reserved",
		`{"uid":"x","nsp":"/","type":3,"data":"` + strings.Repeat("x", DefaultMaxMessage) + `"}`:   "larger than max_message",
	} {
		own, err := a.takePayload(message)
		if !own || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, %v, want %s", message, own, err, want)
		}
	}
	for _, message := range []string{
		`{"uid":"x","nsp":"/other","type":3}`,
		`{"uid":"` + a.node.uid + `","nsp":"/","type":3}`,
		`{"uid":"x","nsp":"/","type":1}`, `{"uid":"x","nsp":"/","type":2}`, `{"uid":"x","nsp":"/","type":13}`,
		`{"uid":"x","nsp":"/","type":8,"data":{"requestId":"nobody's","sockets":[1]}}`,
	} {
		if _, err := a.takePayload(message); err != nil {
			t.Errorf("%s: %v", message, err)
		}
	}
}

// FuzzClusterMessages holds that nothing that others publish in the modes sharded and streams makes a
// server panic, or hand something to clients that is not JSON.
func FuzzClusterMessages(f *testing.F) {
	for _, in := range []mode{ModeSharded, ModeStreams} {
		for _, c := range commands(f, in) {
			f.Add(c.Command[len(c.Command)-1])
		}
	}
	f.Add([]byte(`{"uid":"x","nsp":"/","type":3,"data":{"packet":{"type":2,"data":["e",{"_placeholder":true,"num":5}]},"opts":{}}}`))
	a := testAdapter()
	sharded := Options{Mode: ModeSharded}.withDefaults()
	f.Fuzz(func(t *testing.T, message []byte) {
		text := string(message)
		_, _ = a.takePayload(text)
		h, err := readMessage(text)
		if err == nil {
			check(t, a, h, &sharded)
		}
		for kind := range adapterCloseMessage + 1 {
			h := &heardMessage{UID: "x", Namespace: "/", Type: &kind}
			if h.readData(text) == nil {
				_ = a.takeMessage(h)
				check(t, a, h, &sharded)
			}
			_ = new(heardMessage).readData(base64.StdEncoding.EncodeToString(message))
		}
	})
}

// check reads the event of a broadcast, and writes it again.
func check(t *testing.T, a *adapter, h *heardMessage, o *Options) {
	t.Helper()
	if len(h.Data) == 0 {
		return
	}
	e, err := h.envelope()
	if err != nil {
		return
	}
	a.states(e)
	a.reply(e)
	event, args, err := a.event(e)
	if err != nil || event == "" {
		return
	}
	if array := args.AppendJSON(nil); !json.Valid(array) {
		t.Fatalf("arguments %q", array)
	}
	p := &packet.Packet{Type: packet.TypeEvent, Namespace: "/", Event: event, Args: args, Flags: e.Opts.packetFlags()}
	_ = p.Message()
	m, err := o.protocol.broadcast(a, p, e.Opts.target(), o)
	if err != nil {
		return
	}
	if _, err := readMessage(string(m.payload)); err != nil {
		t.Fatalf("%q cannot be read again: %v", m.payload, err)
	}
}
