package engineio

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// decoded collects what decodePayload yields. ok is false when the payload is
// malformed.
func decoded(body string) (packets []packet, ok bool) {
	for p, ok := range decodePayload([]byte(body)) {
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
		want []packet
		ok   bool
	}{
		{"one", "4hello", []packet{{packetMessage, []byte("hello"), false}}, true},
		{"empty message", "4", []packet{{packetMessage, []byte{}, false}}, true},
		{"several", "4a\x1e2\x1e4b", []packet{{packetMessage, []byte("a"), false}, {packetPing, []byte{}, false}, {packetMessage, []byte("b"), false}}, true},
		{"all types", "0\x1e1\x1e2\x1e3\x1e4\x1e5\x1e6", []packet{
			{packetOpen, nil, false}, {packetClose, nil, false}, {packetPing, nil, false}, {packetPong, nil, false},
			{packetMessage, nil, false}, {packetUpgrade, nil, false}, {packetNoop, nil, false},
		}, true},
		{"binary, padded", "bAQIDBA==", []packet{{packetMessage, []byte{1, 2, 3, 4}, true}}, true},
		{"binary, not padded", "bAQIDBA", []packet{{packetMessage, []byte{1, 2, 3, 4}, true}}, true},
		{"binary, no padding needed", "bAQID", []packet{{packetMessage, []byte{1, 2, 3}, true}}, true},
		{"binary, empty", "b", []packet{{packetMessage, nil, true}}, true},
		{"binary that holds the separator", "bHh4e", []packet{{packetMessage, []byte{0x1e, 0x1e, 0x1e}, true}}, true},
		{"text and binary", "4a\x1ebAQ==\x1e4c", []packet{{packetMessage, []byte("a"), false}, {packetMessage, []byte{1}, true}, {packetMessage, []byte("c"), false}}, true},
		{"many-byte characters", "4€\x1e4😀", []packet{{packetMessage, []byte("€"), false}, {packetMessage, []byte("😀"), false}}, true},

		{"nothing", "", nil, false},
		{"unknown type", "x", nil, false},
		{"type after the last", "7", nil, false},
		{"separator alone", "\x1e", nil, false},
		{"separator at the end", "4a\x1e", []packet{{packetMessage, []byte("a"), false}}, false},
		{"two separators", "4a\x1e\x1e4b", []packet{{packetMessage, []byte("a"), false}}, false},
		{"nothing after the first fault", "4a\x1ex\x1e4b", []packet{{packetMessage, []byte("a"), false}}, false},
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

func samePacket(a, b packet) bool {
	return a.kind == b.kind && a.binary == b.binary && bytes.Equal(a.data, b.data)
}

// TestDecodePayloadStops breaks off in the middle.
func TestDecodePayloadStops(t *testing.T) {
	n := 0
	for range decodePayload([]byte("4a\x1e4b\x1e4c")) {
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
		newControl(ws.OpClose, []byte{1, 2}),
		NewMessage([][]byte{[]byte("t"), nil, []byte("wo")}, attachments),
		NewMessage(nil, attachments[:1]),
		text(strings.Repeat("x", 200)),
		text(""),
		newPacket(packetPing, ""),
	}
	got := appendPayload(nil, messages)
	if size := payloadSize(messages); len(got) > size || size > len(got)+1 {
		t.Errorf("%d bytes, and %d were announced", len(got), size)
	}
	want := []string{
		"4one", "4two", "bAQIDBA==", "b", "b" + base64.StdEncoding.EncodeToString(attachments[2]),
		"bAQIDBA==", "4" + strings.Repeat("x", 200), "4", "2",
	}
	if packets := strings.Split(string(got), "\x1e"); !slices.Equal(packets, want) {
		t.Errorf("got %.200q", packets)
	}
	expect(t, "appended to something", string(appendPayload([]byte("6"), messages[:1])), "6\x1e4one")
	expect(t, "nothing", len(appendPayload(nil, nil)), 0)
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
		var packets []packet
		for p, ok := range decodePayload(body) {
			if !ok {
				return
			}
			if len(p.data) > len(body) {
				t.Fatalf("a packet of %d bytes out of a body of %d", len(p.data), len(body))
			}
			packets = append(packets, p)
		}
		if len(packets) > len(body) {
			t.Fatalf("%d packets out of %d bytes", len(packets), len(body))
		}
		messages := make([]*Message, len(packets))
		for i, p := range packets {
			if p.binary {
				messages[i] = NewMessage(nil, [][]byte{p.data})
			} else {
				messages[i] = newPacket(p.kind, string(p.data))
			}
		}
		again, ok := decoded(string(appendPayload(nil, messages)))
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
			NewMessage(parts, nil)
		}
	})
	b.Run("binary", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewMessage(parts, attachments)
		}
	})
}

func BenchmarkAppendPayload(b *testing.B) {
	m := NewMessage([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)})
	messages := slices.Repeat([]*Message{m}, 10)
	buffer := make([]byte, 0, payloadSize(messages))
	b.SetBytes(int64(len(appendPayload(nil, messages))))
	b.ReportAllocs()
	for b.Loop() {
		appendPayload(buffer, messages)
	}
}

func BenchmarkDecodePayload(b *testing.B) {
	m := NewMessage([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)})
	for name, m := range map[string]*Message{"text": text(string(m.wire[4:200])), "binary": m} {
		b.Run(name, func(b *testing.B) {
			body := appendPayload(nil, slices.Repeat([]*Message{m}, 10))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				for _, ok := range decodePayload(body) {
					if !ok {
						b.Fatal("malformed")
					}
				}
			}
		})
	}
}
