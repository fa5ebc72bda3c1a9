package wire

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// decoded collects what DecodePayload yields. ok is false when the payload is
// malformed.
func decoded(body string) (packets []Packet, ok bool) {
	for p, ok := range DecodePayload([]byte(body)) {
		if !ok {
			return packets, false
		}
		packets = append(packets, p)
	}
	return packets, true
}

func TestDecodePayload(t *testing.T) {
	tests := []struct {
		name string
		body string
		want []Packet
		ok   bool
	}{
		{"one", "4hello", []Packet{{PacketMessage, []byte("hello"), false}}, true},
		{"empty message", "4", []Packet{{PacketMessage, []byte{}, false}}, true},
		{"several", "4a\x1e2\x1e4b", []Packet{{PacketMessage, []byte("a"), false}, {PacketPing, []byte{}, false}, {PacketMessage, []byte("b"), false}}, true},
		{"all types", "0\x1e1\x1e2\x1e3\x1e4\x1e5\x1e6", []Packet{
			{PacketOpen, nil, false}, {PacketClose, nil, false}, {PacketPing, nil, false}, {PacketPong, nil, false},
			{PacketMessage, nil, false}, {PacketUpgrade, nil, false}, {PacketNoop, nil, false},
		}, true},
		{"binary, padded", "bAQIDBA==", []Packet{{PacketMessage, []byte{1, 2, 3, 4}, true}}, true},
		{"binary, not padded", "bAQIDBA", []Packet{{PacketMessage, []byte{1, 2, 3, 4}, true}}, true},
		{"binary, no padding needed", "bAQID", []Packet{{PacketMessage, []byte{1, 2, 3}, true}}, true},
		{"binary, empty", "b", []Packet{{PacketMessage, nil, true}}, true},
		{"binary that holds the separator", "bHh4e", []Packet{{PacketMessage, []byte{0x1e, 0x1e, 0x1e}, true}}, true},
		{"text and binary", "4a\x1ebAQ==\x1e4c", []Packet{{PacketMessage, []byte("a"), false}, {PacketMessage, []byte{1}, true}, {PacketMessage, []byte("c"), false}}, true},
		{"many-byte characters", "4€\x1e4😀", []Packet{{PacketMessage, []byte("€"), false}, {PacketMessage, []byte("😀"), false}}, true},

		{"nothing", "", nil, false},
		{"unknown type", "x", nil, false},
		{"type after the last", "7", nil, false},
		{"separator alone", "\x1e", nil, false},
		{"separator at the end", "4a\x1e", []Packet{{PacketMessage, []byte("a"), false}}, false},
		{"two separators", "4a\x1e\x1e4b", []Packet{{PacketMessage, []byte("a"), false}}, false},
		{"nothing after the first fault", "4a\x1ex\x1e4b", []Packet{{PacketMessage, []byte("a"), false}}, false},
		{"bad base64", "b!", nil, false},
		{"base64 of URLs", "b-_", nil, false},
		{"base64 of an impossible length", "bA", nil, false},
		{"padding in the middle", "bAQ==AQ==", nil, false},
		{"not UTF-8", "4a\x1e4\xc3\x28", nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := decoded(test.body)
			expect(t, "ok", ok, test.ok)
			if !slices.EqualFunc(got, test.want, samePacket) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func samePacket(a, b Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

// TestDecodePayloadStops breaks off in the middle.
func TestDecodePayloadStops(t *testing.T) {
	n := 0
	for range DecodePayload([]byte("4a\x1e4b\x1e4c")) {
		if n++; n == 2 {
			break
		}
	}
	expect(t, "packets", n, 2)
}

func TestAppendPayload(t *testing.T) {
	attachments := [][]byte{{1, 2, 3, 4}, {}, bytes.Repeat([]byte{0xff}, 70_000)}
	messages := []*Message{
		text("one"),
		NewControl(ws.OpClose, []byte{1, 2}),
		New([][]byte{[]byte("t"), nil, []byte("wo")}, attachments, 0),
		New(nil, attachments[:1], 0),
		text(strings.Repeat("x", 200)),
		text(""),
		NewPacket(PacketPing, ""),
	}
	got := AppendPayload(nil, messages)
	if size := PayloadSize(messages); len(got) > size || size > len(got)+1 {
		t.Errorf("%d bytes, and %d were announced", len(got), size)
	}
	want := []string{
		"4one", "4two", "bAQIDBA==", "b", "b" + base64.StdEncoding.EncodeToString(attachments[2]),
		"bAQIDBA==", "4" + strings.Repeat("x", 200), "4", "2",
	}
	if packets := strings.Split(string(got), "\x1e"); !slices.Equal(packets, want) {
		t.Errorf("got %.200q", packets)
	}
	expect(t, "appended to something", string(AppendPayload([]byte("6"), messages[:1])), "6\x1e4one")
	expect(t, "nothing", len(AppendPayload(nil, nil)), 0)
}

// FuzzDecodePayload decodes what clients may send. What is valid survives
// being encoded and decoded again.
func FuzzDecodePayload(f *testing.F) {
	for _, seed := range []string{
		"", "4", "4hello", "4a\x1e4b", "bAQIDBA==", "bAQIDBA", "b", "2probe\x1e5\x1e6\x1e1", "x", "4\x1e", "\x1e\x1e",
		"b=", "b====", "bA\nQ", "4\xff", "4😀\x1ebHh4e", "0{\"sid\":\"a\"}", "bAR",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var packets []Packet
		for p, ok := range DecodePayload(body) {
			if !ok {
				return
			}
			if len(p.Data) > len(body) {
				t.Fatalf("a packet of %d bytes out of a body of %d", len(p.Data), len(body))
			}
			packets = append(packets, p)
		}
		if len(packets) > len(body) {
			t.Fatalf("%d packets out of %d bytes", len(packets), len(body))
		}
		messages := make([]*Message, len(packets))
		for i, p := range packets {
			if p.Binary {
				messages[i] = New(nil, [][]byte{p.Data}, 0)
			} else {
				messages[i] = NewPacket(p.Type, string(p.Data))
			}
		}
		again, ok := decoded(string(AppendPayload(nil, messages)))
		if !ok || !slices.EqualFunc(packets, again, samePacket) {
			t.Fatalf("got %+v, want %+v", again, packets)
		}
	})
}

func BenchmarkNewMessage(b *testing.B) {
	parts := [][]byte{[]byte(`2["stream:data",`), bytes.Repeat([]byte("x"), 200), []byte("]")}
	attachments := [][]byte{make([]byte, 1024)}
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			New(parts, nil, 0)
		}
	})
	b.Run("binary", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			New(parts, attachments, 0)
		}
	})
}

func BenchmarkAppendPayload(b *testing.B) {
	m := New([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)}, 0)
	messages := slices.Repeat([]*Message{m}, 10)
	buffer := make([]byte, 0, PayloadSize(messages))
	b.SetBytes(int64(len(AppendPayload(nil, messages))))
	b.ReportAllocs()
	for b.Loop() {
		AppendPayload(buffer, messages)
	}
}

func BenchmarkDecodePayload(b *testing.B) {
	m := New([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)}, 0)
	for name, m := range map[string]*Message{"text": text(string(m.frames[4:200])), "binary": m} {
		b.Run(name, func(b *testing.B) {
			body := AppendPayload(nil, slices.Repeat([]*Message{m}, 10))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				for _, ok := range DecodePayload(body) {
					if !ok {
						b.Fatal("malformed")
					}
				}
			}
		})
	}
}
