package wire

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestPayloadsOfRevision3 holds payloads against those that the Node.js implementation makes, byte for
// byte.
func TestPayloadsOfRevision3(t *testing.T) {
	message := func(content string, attachments ...[]byte) *Message {
		return New([][]byte{[]byte(content)}, attachments, 0)
	}
	for name, test := range map[string]struct {
		messages []*Message
		form     Form
		want     string
	}{
		"text":                   {[]*Message{message("hello")}, Bytes3, "6:4hello"},
		"two":                    {[]*Message{message("a"), NewPacket(PacketNoop, "")}, Bytes3, "2:4a1:6"},
		"units of UTF-16":        {[]*Message{message("€😀")}, Text3, "4:4€😀"},
		"bytes":                  {[]*Message{message("€", []byte{1, 2, 3})}, Bytes3, "\x00\x04\xff4€\x01\x04\xff\x04\x01\x02\x03"},
		"bytes as text":          {[]*Message{message("x", []byte{1, 2, 3})}, Text3, "2:4x6:b4AQID"},
		"a length of two digits": {[]*Message{message("x", make([]byte, 11))}, Bytes3, "\x00\x02\xff4x\x01\x01\x02\xff\x04" + string(make([]byte, 11))},
		"empty bytes":            {[]*Message{New(nil, [][]byte{{}}, 0)}, Bytes3, "\x01\x01\xff\x04"},
		"empty bytes as text":    {[]*Message{New(nil, [][]byte{{}}, 0)}, Text3, "2:b4"},
		"nothing":                {nil, Text3, ""},
	} {
		for i, m := range test.messages {
			test.messages[i] = m.As(test.form)
		}
		p := NewPayload(test.messages, test.form)
		var got bytes.Buffer
		if err := p.Write(&got, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if got.String() != test.want || p.Size() != got.Len() {
			t.Errorf("%s: %q of %d bytes, want %q", name, got.String(), p.Size(), test.want)
		}
		wantType := "text/plain; charset=UTF-8"
		if test.want != "" && test.want[0] < ' ' {
			wantType = "application/octet-stream"
		}
		if p.ContentType() != wantType {
			t.Errorf("%s: content type %s", name, p.ContentType())
		}
		if again := decode3(t, test.want, wantType != "text/plain; charset=UTF-8"); len(again) != count(test.messages) {
			t.Errorf("%s: decoded as %v", name, again)
		}
	}
}

func count(messages []*Message) (n int) {
	for _, m := range messages {
		for range m.payloads() {
			n++
		}
	}
	return n
}

func decode3(t *testing.T, body string, isBytes bool) (packets []Packet) {
	cut := CutText3
	if isBytes {
		cut = CutBytes3
	}
	for rest := []byte(body); len(rest) > 0; {
		p, more, ok := cut(rest)
		if !ok {
			t.Fatalf("%q cannot be decoded", rest)
		}
		packets, rest = append(packets, p), more
	}
	return packets
}

func TestMalformedPayloadsOfRevision3(t *testing.T) {
	for _, body := range []string{
		"", ":", "1", "1:", "2:4", ":4", "-1:4", "01x:4", "2:4😀", "99999999999:4", "1:9", "0:", "4:b", "2:bx", "3:b3A", "5:b4!!!",
	} {
		if p, rest, ok := CutText3([]byte(body)); ok {
			t.Errorf("%q is %+v, and %q", body, p, rest)
		}
	}
	for _, body := range []string{
		"", "\x00", "\x00\xff", "\x00\x01", "\x00\x01\xff", "\x02\x01\xff4", "\x00\x0a\xff4", "\x01\x01\xff4", "\x01\x00\xff",
		"\x00\x02\xff4", "\x00\x02\xff4\xff", "\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\xff4",
	} {
		if p, rest, ok := CutBytes3([]byte(body)); ok {
			t.Errorf("%q is %+v, and %q", body, p, rest)
		}
	}
}

func TestPacketsOfRevision3(t *testing.T) {
	for encoded, want := range map[string]string{"4a": "a", "b4AQID": "\x01\x02\x03", "b4": ""} {
		if p, ok := DecodeText3([]byte(encoded)); !ok || string(p.Data) != want || p.Type != PacketMessage || p.Binary != strings.HasPrefix(encoded, "b") {
			t.Errorf("%q is %+v, %v", encoded, p, ok)
		}
	}
	if p, ok := DecodeBinary3([]byte{4, 1, 2}); !ok || !p.Binary || !slices.Equal(p.Data, []byte{1, 2}) {
		t.Errorf("got %+v, %v", p, ok)
	}
	for _, encoded := range []string{"", "\x03a", "4a"} {
		if _, ok := DecodeBinary3([]byte(encoded)); ok {
			t.Errorf("%q is a packet", encoded)
		}
	}
}

// FuzzRevision3 holds that whatever is decoded is encoded as the same again.
func FuzzRevision3(f *testing.F) {
	f.Add([]byte("6:4hello2:4a"), "4€😀")
	f.Add([]byte("\x00\x04\xff4\xe2\x82\xac\x01\x04\xff\x04\x01\x02\x03"), "b4AQID")
	f.Fuzz(func(t *testing.T, body []byte, text string) {
		for _, cut := range []func([]byte) (Packet, []byte, bool){CutText3, CutBytes3} {
			for rest := body; rest != nil; {
				p, more, ok := cut(rest)
				if !ok {
					break
				}
				if len(more) >= len(rest) || len(p.Data) > len(rest) {
					t.Fatalf("%q is %+v and %q", rest, p, more)
				}
				rest = more
			}
		}
		if valid := []byte(strings.ToValidUTF8(text, "")); lengthInUTF16(valid) != len(utf16.Encode([]rune(string(valid)))) {
			t.Errorf("%q has %d units", valid, lengthInUTF16(valid))
		}
	})
}
