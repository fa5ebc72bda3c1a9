package packet

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// contentOf takes a message apart: the text of its packet, and what is
// attached.
func contentOf(t testing.TB, m *wire.Message) (text []byte, attachments [][]byte) {
	t.Helper()
	wire, _ := m.Frames(0)
	frames := bytes.NewReader(wire)
	for frames.Len() > 0 {
		frame, err := ws.ReadFrame(frames)
		if err != nil {
			t.Fatal(err)
		}
		if frame.Header.OpCode == ws.OpBinary {
			attachments = append(attachments, frame.Payload)
		} else {
			text = frame.Payload[1:] // without Engine.IO's type of packet
		}
	}
	return text, attachments
}

func TestDecodePacket(t *testing.T) {
	for text, want := range map[string]Incoming{
		`0`:                             {Type: TypeConnect, Namespace: "/"},
		`0{"a":1}`:                      {Type: TypeConnect, Namespace: "/", Payload: []byte(`{"a":1}`)},
		`0/admin`:                       {Type: TypeConnect, Namespace: "/admin"},
		`0/admin,`:                      {Type: TypeConnect, Namespace: "/admin"},
		`0/admin, {"a":1} `:             {Type: TypeConnect, Namespace: "/admin", Payload: []byte(`{"a":1}`)},
		`1`:                             {Type: TypeDisconnect, Namespace: "/"},
		`1/admin,`:                      {Type: TypeDisconnect, Namespace: "/admin"},
		`2["x"]`:                        {Type: TypeEvent, Namespace: "/", Payload: []byte(`["x"]`)},
		`20["x"]`:                       {Type: TypeEvent, Namespace: "/", HasID: true, Payload: []byte(`["x"]`)},
		`2/a/b?c=d,12["x",{}]`:          {Type: TypeEvent, Namespace: "/a/b?c=d", ID: 12, HasID: true, Payload: []byte(`["x",{}]`)},
		`2/12["x"]`:                     {Type: TypeEvent, Namespace: `/12["x"]`},
		`312[]`:                         {Type: TypeAck, Namespace: "/", ID: 12, HasID: true, Payload: []byte(`[]`)},
		`4{"message":"no"}`:             {Type: TypeConnectError, Namespace: "/", Payload: []byte(`{"message":"no"}`)},
		`51-["x",` + placeholder0 + `]`: {Type: TypeBinaryEvent, Namespace: "/", expected: 1, Payload: []byte(`["x",` + placeholder0 + `]`)},
		`61-/a,7[` + placeholder0 + `]`: {Type: TypeBinaryAck, Namespace: "/a", ID: 7, HasID: true, expected: 1, Payload: []byte(`[` + placeholder0 + `]`)},
		`50-/a,7["x"]`:                  {Type: TypeBinaryEvent, Namespace: "/a", ID: 7, HasID: true, Payload: []byte(`["x"]`)},
		`29223372036854775807["x"]`:     {Type: TypeEvent, Namespace: "/", ID: 1<<63 - 1, HasID: true, Payload: []byte(`["x"]`)},
		`2` + strings.Repeat("0", 1000) + `7["x"]`: {Type: TypeEvent, Namespace: "/", ID: 7, HasID: true, Payload: []byte(`["x"]`)},
	} {
		got, err := Decode([]byte(text), maxAttachments)
		if got.Memory() < len(text) {
			t.Errorf("%s: holds on to %d bytes", text, got.Memory())
		}
		got.memory = 0
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// What is refused at once; packets that are refused later, or only in a
// connection, are in malformed.
func TestDecodePacketRefuses(t *testing.T) {
	for text, want := range map[string]error{
		``: ErrType, `7`: ErrType, `/`: ErrType, "\x000": ErrType,
		`5`: ErrAttachments, `5["x"]`: ErrAttachments, `511-["x"]`: ErrAttachments, `5-1-["x"]`: ErrAttachments, `5 1-["x"]`: ErrAttachments, `51`: ErrAttachments, `5999999-`: ErrAttachments,
		`0/` + strings.Repeat("a", MaxNamespaceLength): ErrNamespace,
		`29223372036854775808["x"]`:                    ErrAckID,
		`2[`:                                           ErrPayload, `2x`: ErrPayload, `0[]`: ErrPayload, `0"x"`: ErrPayload, `1{}`: ErrPayload, `3[]`: ErrPayload, `31`: ErrPayload, `31{}`: ErrPayload,
		`51-`: ErrPlaceholders, `51-["x"]`: ErrPlaceholders, `50-["x",` + placeholder0 + `]`: ErrPlaceholders,
	} {
		if p, err := Decode([]byte(text), maxAttachments); err != want {
			t.Errorf("%s: %+v, %v, want %v", text, p, err, want)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		packet *Packet
		want   string
	}{
		{&Packet{Type: TypeConnect, Namespace: "/", Object: []byte(`{"sid":"x"}`)}, `0{"sid":"x"}`},
		{&Packet{Type: TypeConnect, Namespace: "/a", Object: []byte(`{"sid":"x"}`)}, `0/a,{"sid":"x"}`},
		{&Packet{Type: TypeDisconnect, Namespace: "/"}, `1`},
		{&Packet{Type: TypeDisconnect, Namespace: "/a"}, `1/a,`},
		{&Packet{Type: TypeConnectError, Namespace: "/a", Object: []byte(`{"message":"x"}`)}, `4/a,{"message":"x"}`},
		{&Packet{Type: TypeEvent, Namespace: "/", Event: "x"}, `2["x"]`},
		{&Packet{Type: TypeEvent, Namespace: "/a", Event: `"\`, ID: 0, HasID: true, Args: mustArgs(1, nil)}, `2/a,0["\"\\",1,null]`},
		{&Packet{Type: TypeAck, Namespace: "/", ID: 7, HasID: true}, `37[]`},
		{&Packet{Type: TypeAck, Namespace: "/a", ID: 7, HasID: true, Args: mustArgs("x")}, `3/a,7["x"]`},
		{&Packet{Type: TypeEvent, Namespace: "/a", Event: "x", ID: 7, HasID: true, Args: oneAttachment()}, `51-/a,7["x",` + placeholder0 + `]`},
		{&Packet{Type: TypeAck, Namespace: "/", ID: 7, HasID: true, Args: oneAttachment()}, `61-7[` + placeholder0 + `]`},
	} {
		text, attachments := contentOf(t, test.packet.Encode())
		if string(text) != test.want || !slices.EqualFunc(attachments, test.packet.Args.attachments, bytes.Equal) {
			t.Errorf("got %s with %q, want %s", text, attachments, test.want)
		}
	}
}

func oneAttachment() Args {
	var b ArgsBuilder
	b.Add(b.Binary([]byte("binary")))
	args, _ := b.Args()
	return args
}

func TestEventOfPacket(t *testing.T) {
	for text, want := range map[string]struct{ name, list string }{
		`2["x"]`:             {"x", ""},
		"2 [ \"x\" ] ":       {"x", ""},
		`2["x",1,[2]]`:       {"x", "1,[2]"},
		`2[ "x" , 1 , [2] ]`: {"x", " 1 , [2] "},
		`2["a\u0062c",{}]`:   {"abc", "{}"},
		`2["",0]`:            {"", "0"},
		`2[7,0]`:             {"7", "0"},
		`2[-1.5e3]`:          {"-1.5e3", ""},
		`2["\"],[",0]`:       {`"],[`, "0"},
	} {
		p, err := Decode([]byte(text), maxAttachments)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, args, err := p.Event()
		if err != nil || name != want.name || string(args.list) != want.list {
			t.Errorf("%s: %q, %q, %v", text, name, args.list, err)
		}
	}
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "c\\u006fnnect"} {
		p, err := Decode(fmt.Appendf(nil, `2["%s"]`, name), maxAttachments)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Event(); err != ErrReservedEvent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if IsReservedEvent("Connect") || IsReservedEvent("message") || IsReservedEvent("error") {
		t.Error("too much is reserved")
	}
}
