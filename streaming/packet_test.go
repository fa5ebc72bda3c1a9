package streaming

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// contentOf takes a message apart: the text of its packet, and what is
// attached. A message shows its bytes to nobody, so this looks into it.
func contentOf(t testing.TB, m *engineio.Message) (text []byte, attachments [][]byte) {
	t.Helper()
	wire := bytes.NewReader(reflect.ValueOf(m).Elem().FieldByName("wire").Bytes())
	for wire.Len() > 0 {
		frame, err := ws.ReadFrame(wire)
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
	for text, want := range map[string]inPacket{
		`0`:                             {kind: packetConnect, namespace: "/"},
		`0{"a":1}`:                      {kind: packetConnect, namespace: "/", payload: []byte(`{"a":1}`)},
		`0/admin`:                       {kind: packetConnect, namespace: "/admin"},
		`0/admin,`:                      {kind: packetConnect, namespace: "/admin"},
		`0/admin, {"a":1} `:             {kind: packetConnect, namespace: "/admin", payload: []byte(`{"a":1}`)},
		`1`:                             {kind: packetDisconnect, namespace: "/"},
		`1/admin,`:                      {kind: packetDisconnect, namespace: "/admin"},
		`2["x"]`:                        {kind: packetEvent, namespace: "/", payload: []byte(`["x"]`)},
		`20["x"]`:                       {kind: packetEvent, namespace: "/", hasID: true, payload: []byte(`["x"]`)},
		`2/a/b?c=d,12["x",{}]`:          {kind: packetEvent, namespace: "/a/b?c=d", id: 12, hasID: true, payload: []byte(`["x",{}]`)},
		`2/12["x"]`:                     {kind: packetEvent, namespace: `/12["x"]`},
		`312[]`:                         {kind: packetAck, namespace: "/", id: 12, hasID: true, payload: []byte(`[]`)},
		`4{"message":"no"}`:             {kind: packetConnectError, namespace: "/", payload: []byte(`{"message":"no"}`)},
		`51-["x",` + placeholder0 + `]`: {kind: packetBinaryEvent, namespace: "/", expected: 1, payload: []byte(`["x",` + placeholder0 + `]`)},
		`61-/a,7[` + placeholder0 + `]`: {kind: packetBinaryAck, namespace: "/a", id: 7, hasID: true, expected: 1, payload: []byte(`[` + placeholder0 + `]`)},
		`50-/a,7["x"]`:                  {kind: packetBinaryEvent, namespace: "/a", id: 7, hasID: true, payload: []byte(`["x"]`)},
		`29223372036854775807["x"]`:     {kind: packetEvent, namespace: "/", id: 1<<63 - 1, hasID: true, payload: []byte(`["x"]`)},
		`2` + strings.Repeat("0", 1000) + `7["x"]`: {kind: packetEvent, namespace: "/", id: 7, hasID: true, payload: []byte(`["x"]`)},
	} {
		got, err := decodePacket([]byte(text), defaultAttachments)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// What is refused at once; packets that are refused later, or only in a
// connection, are in malformed.
func TestDecodePacketRefuses(t *testing.T) {
	for text, want := range map[string]error{
		``: errPacketType, `7`: errPacketType, `/`: errPacketType, "\x000": errPacketType,
		`5`: errAttachments, `5["x"]`: errAttachments, `511-["x"]`: errAttachments, `5-1-["x"]`: errAttachments, `5 1-["x"]`: errAttachments, `51`: errAttachments, `5999999-`: errAttachments,
		`0/` + strings.Repeat("a", maxNamespaceLength): errNamespace,
		`29223372036854775808["x"]`:                    errAckID,
		`2[`:                                           errPayload, `2x`: errPayload, `0[]`: errPayload, `0"x"`: errPayload, `1{}`: errPayload, `3[]`: errPayload, `31`: errPayload, `31{}`: errPayload,
		`51-`: errPlaceholders, `51-["x"]`: errPlaceholders, `50-["x",` + placeholder0 + `]`: errPlaceholders,
	} {
		if p, err := decodePacket([]byte(text), defaultAttachments); err != want {
			t.Errorf("%s: %+v, %v, want %v", text, p, err, want)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, test := range []struct {
		packet outPacket
		want   string
	}{
		{outPacket{kind: packetConnect, namespace: "/", object: []byte(`{"sid":"x"}`)}, `0{"sid":"x"}`},
		{outPacket{kind: packetConnect, namespace: "/a", object: []byte(`{"sid":"x"}`)}, `0/a,{"sid":"x"}`},
		{outPacket{kind: packetDisconnect, namespace: "/"}, `1`},
		{outPacket{kind: packetDisconnect, namespace: "/a"}, `1/a,`},
		{outPacket{kind: packetConnectError, namespace: "/a", object: []byte(`{"message":"x"}`)}, `4/a,{"message":"x"}`},
		{outPacket{kind: packetEvent, namespace: "/", event: "x"}, `2["x"]`},
		{outPacket{kind: packetEvent, namespace: "/a", event: `"\`, id: 0, hasID: true, args: mustArgs(1, nil)}, `2/a,0["\"\\",1,null]`},
		{outPacket{kind: packetAck, namespace: "/", id: 7, hasID: true}, `37[]`},
		{outPacket{kind: packetAck, namespace: "/a", id: 7, hasID: true, args: mustArgs("x")}, `3/a,7["x"]`},
		{outPacket{kind: packetEvent, namespace: "/a", event: "x", id: 7, hasID: true, args: oneAttachment()}, `51-/a,7["x",` + placeholder0 + `]`},
		{outPacket{kind: packetAck, namespace: "/", id: 7, hasID: true, args: oneAttachment()}, `61-7[` + placeholder0 + `]`},
	} {
		text, attachments := contentOf(t, test.packet.encode())
		if string(text) != test.want || !slices.EqualFunc(attachments, test.packet.args.attachments, bytes.Equal) {
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
		p, err := decodePacket([]byte(text), defaultAttachments)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, args, err := p.event()
		if err != nil || name != want.name || string(args.list) != want.list {
			t.Errorf("%s: %q, %q, %v", text, name, args.list, err)
		}
	}
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "c\\u006fnnect"} {
		p, err := decodePacket(fmt.Appendf(nil, `2["%s"]`, name), defaultAttachments)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.event(); err != errReservedEvent {
			t.Errorf("%s: %v", name, err)
		}
	}
	if IsReservedEvent("Connect") || IsReservedEvent("message") || IsReservedEvent("error") {
		t.Error("too much is reserved")
	}
}
