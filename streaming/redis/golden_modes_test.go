package redis

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// command is what two servers of Node.js have sent to Redis, and what was asked of them: with the sharded
// adapter of @socket.io/redis-adapter 8.3, or with @socket.io/redis-streams-adapter 0.3.
type command struct {
	Step    string   `json:"step"`
	Command [][]byte `json:"command"`
}

// commands reads those of a mode.
func commands(t testing.TB, in mode) (list []command) {
	t.Helper()
	if list = readLines[command](t, "testdata/"+string(in)+".jsonl"); len(list) < 30 {
		t.Fatalf("%d commands", len(list))
	}
	return list
}

// heard reads what a command brings to other servers.
func (c command) heard(t testing.TB) *heardMessage {
	t.Helper()
	var h *heardMessage
	var err error
	if strings.EqualFold(string(c.Command[0]), "XADD") {
		h = new(heardMessage)
		if h.Type = new(int); json.Unmarshal(c.Command[11], h.Type) != nil {
			t.Fatalf("%s: type %s", c.Step, c.Command[11])
		}
		h.UID, h.Namespace = string(c.Command[7]), string(c.Command[9])
		err = h.readData(string(c.Command[13]))
	} else {
		h, err = readMessage(string(c.Command[2]))
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Step, err)
	}
	return h
}

// args are the words of the command that a message becomes, as far as they are compared.
func (m message) args() [][]byte {
	switch m.verb {
	case addToStream:
		list := [][]byte{[]byte("XADD"), []byte(m.channel), []byte("MAXLEN"), []byte("~"), []byte("10000"), []byte("*")}
		for _, field := range m.fields {
			list = append(list, []byte(field))
		}
		return append(list, []byte("data"), m.payload)
	case shardedPublish:
		return [][]byte{[]byte("SPUBLISH"), []byte(m.channel), m.payload}
	}
	return [][]byte{[]byte("PUBLISH"), []byte(m.channel), m.payload}
}

// TestMessagesOfNodeInEachMode holds that what servers of Node.js send to each other is understood, and
// that the same is written byte for byte as a server of Node.js does it.
func TestMessagesOfNodeInEachMode(t *testing.T) {
	for _, in := range []mode{ModeSharded, ModeStreams} {
		t.Run(string(in), func(t *testing.T) {
			a := testAdapter()
			o := Options{Mode: string(in)}.withDefaults()
			kinds := make(map[int]int)
			for _, c := range commands(t, in) {
				h := c.heard(t)
				kinds[*h.Type]++
				if h.Namespace != "/" {
					continue
				}
				e, err := h.envelope()
				if err != nil {
					t.Errorf("%s: %v", c.Step, err)
					continue
				}
				a.node.uid = h.UID
				got, err := a.again(t, h, e, &o)
				if err != nil {
					t.Errorf("%s: %v", c.Step, err)
					continue
				}
				words := got.args()
				if *h.Type == fetchResponse || c.Step == "undefined" {
					continue // what a Node server knows of a socket is more than what we say
				}
				want := c.Command
				if e.RequestID != "" && *h.Type == broadcastMessage {
					// We say in a call what only servers of this kind understand.
					words[2] = withoutExtended(words[2])
				}
				if len(words) != len(want) {
					t.Fatalf("%s: %d words, want %d", c.Step, len(words), len(want))
				}
				for i := range want {
					if i == 0 && strings.EqualFold(string(words[i]), string(want[i])) {
						continue
					}
					if i == 1 && *h.Type >= fetchResponse && *h.Type != serverSideMessage {
						continue // the channel of who has asked
					}
					if !bytes.Equal(words[i], want[i]) {
						t.Errorf("%s: written\n%q\nand by Node.js\n%q", c.Step, words[i], want[i])
					}
				}
			}
			for kind := broadcastMessage; kind <= ackResponse; kind++ {
				if kinds[kind] == 0 {
					t.Errorf("no message of the type %d", kind)
				}
			}
		})
	}
}

// withoutExtended takes out of a call that it is extended.
func withoutExtended(text []byte) []byte {
	if bytes.HasPrefix(text, []byte("{")) {
		return bytes.Replace(text, []byte(`,"extended":true`), nil, 1)
	}
	extended := append(appendStr(nil, "extended"), trueForm)
	at := bytes.Index(text, extended)
	text = append(bytes.Clone(text[:at]), text[at+len(extended):]...)
	data := bytes.Index(text, appendStr(nil, "data")) + len("_data")
	text[data]--
	return text
}

// again writes a message once more.
func (a *adapter) again(t testing.TB, h *heardMessage, e *envelope, o *Options) (message, error) {
	t.Helper()
	var target streaming.Target
	if e.Opts != nil {
		target = e.Opts.target()
	}
	p := &packet.Packet{Type: packet.TypeEvent, Namespace: "/"}
	var err error
	switch *h.Type {
	case broadcastMessage:
		p.Event, p.Args, err = a.event(e)
		p.Flags = e.Opts.packetFlags()
		if err != nil {
			return message{}, err
		}
		if e.RequestID == "" {
			return o.protocol.broadcast(a, p, target, o)
		}
		return o.protocol.request(a, &request{
			kind: requestBroadcast, id: e.RequestID, target: target, packet: p, timeout: int64(e.Opts.Flags.Timeout),
		}, o)
	case serverSideMessage:
		if p.Event, p.Args, err = e.event(e.Packet); err != nil {
			return message{}, err
		}
		m, err := o.protocol.request(a, &request{kind: requestServerSide, packet: p}, o)
		if e.RequestID != "" {
			// We ask nobody in this way.
			m.payload = bytes.Clone(m.payload)
			if m.payload[0] == '{' {
				m.payload = bytes.Replace(m.payload, []byte(`"data":{`), []byte(`"data":{"requestId":"`+e.RequestID+`",`), 1)
			} else {
				at := bytes.Index(m.payload, appendStr(nil, "data")) + len("_data")
				m.payload[at]++
				id := appendStr(appendStr(nil, "requestId"), e.RequestID)
				m.payload = append(m.payload[:at+1:at+1], append(id, m.payload[at+1:]...)...)
			}
		}
		return m, err
	case fetchResponse:
		return o.protocol.response(a, e, &response{kind: requestFetch}, o)
	case serverSideResponse:
		m, err := o.protocol.response(a, e, &response{kind: responseAck, reply: streaming.Reply{Args: a.reply(e).Args}}, o)
		// One with a value is written as that of a client is, but for its type.
		if m.payload[0] == '{' {
			m.payload = bytes.Replace(m.payload, []byte(`"type":12`), []byte(`"type":10`), 1)
		} else {
			m.payload = bytes.Replace(m.payload, append(appendStr(nil, "type"), ackResponse), append(appendStr(nil, "type"), serverSideResponse), 1)
		}
		return m, err
	case askedCountResponse:
		return o.protocol.response(a, e, &response{kind: responseAskedCount, count: *e.ClientCount}, o)
	case ackResponse:
		return o.protocol.response(a, e, &response{kind: responseAck, reply: a.reply(e)}, o)
	}
	for _, kind := range []int{requestJoin, requestLeave, requestDisconnect, requestFetch} {
		if requestKinds[*h.Type] == kind {
			return o.protocol.request(a, &request{kind: kind, id: e.RequestID, target: target, rooms: namesOf(e.Rooms), close: e.Close}, o)
		}
	}
	t.Fatalf("type %d", *h.Type)
	return message{}, nil
}
