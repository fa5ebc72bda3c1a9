package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
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

// written is what a payload was written as.
type written struct {
	pieces []string
	// counted is how many bytes count, most the most that have.
	counted, most int
	// fails is the piece from which on writing fails; zero stands for none.
	fails int
}

var errWritten = errors.New("no more is taken")

func (w *written) Write(piece []byte) (int, error) {
	if w.pieces = append(w.pieces, string(piece)); len(w.pieces) == w.fails {
		return 0, errWritten
	}
	return len(piece), nil
}

func (w *written) count(bytes int) {
	w.counted += bytes
	w.most = max(w.most, w.counted)
}

// payloadOf returns the payload of messages as a whole.
func payloadOf(t testing.TB, messages []*Message) string {
	t.Helper()
	var w written
	p := newPayload(messages)
	if err := p.Write(&w, w.count); err != nil {
		t.Fatal(err)
	}
	all := strings.Join(w.pieces, "")
	expect(t, "bytes that were announced", p.Size(), len(all))
	expect(t, "bytes that count in the end", w.counted, 0)
	return all
}

func TestPayload(t *testing.T) {
	attachments := [][]byte{{1, 2, 3, 4}, {}, bytes.Repeat([]byte{0xff}, 70_000)}
	messages := []*Message{
		text("one"),
		NewControl(ws.OpClose, []byte{1, 2}),
		New([][]byte{[]byte("t"), nil, []byte("wo")}, attachments, 0),
		New(nil, attachments[:1], 0),
		text(strings.Repeat("x", 200)),
		text(strings.Repeat("y", 100_000)),
		text(""),
		NewPacket(PacketPing, ""),
	}
	want := []string{
		"4one", "4two", "bAQIDBA==", "b", "b" + base64.StdEncoding.EncodeToString(attachments[2]),
		"bAQIDBA==", "4" + strings.Repeat("x", 200), "4" + strings.Repeat("y", 100_000), "4", "2",
	}
	if packets := strings.Split(payloadOf(t, messages), "\x1e"); !slices.Equal(packets, want) {
		t.Errorf("got %.200q", packets)
	}
	expect(t, "one", payloadOf(t, messages[:1]), "4one")
	expect(t, "nothing", payloadOf(t, nil), "")
	expect(t, "no packet", payloadOf(t, messages[1:2]), "")
}

// Whatever the sizes of packets, pieces are small, and no more than one is put together at a time.
func TestPayloadIsWrittenInPieces(t *testing.T) {
	sizes := []int{0, 1, 2, 3, 4, 100, directSize - 2, directSize - 1, directSize, PieceSize - 3, PieceSize - 2, PieceSize - 1, PieceSize, PieceSize + 1, 3*PieceSize + 1}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var messages []*Message
		var want []string
		for range 1 + random.IntN(8) {
			size := sizes[random.IntN(len(sizes))]
			if random.IntN(2) == 0 {
				messages = append(messages, text(strings.Repeat("x", size)))
				want = append(want, "4"+strings.Repeat("x", size))
			} else {
				data := bytes.Repeat([]byte{byte(size)}, size) //nolint:gosec // any byte will do
				messages = append(messages, New(nil, [][]byte{data}, 0))
				want = append(want, "b"+base64.StdEncoding.EncodeToString(data))
			}
		}
		var w written
		p := newPayload(messages)
		if err := p.Write(&w, w.count); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(want, "\x1e")
		if strings.Join(w.pieces, "") != all || p.Size() != len(all) {
			t.Fatalf("%d bytes, %d were announced, want %d", len(strings.Join(w.pieces, "")), p.Size(), len(all))
		}
		for _, piece := range w.pieces {
			if len(piece) > PieceSize || piece == "" {
				t.Fatalf("a piece of %d bytes", len(piece))
			}
		}
		if w.counted != 0 || w.most > PieceSize {
			t.Fatalf("%d bytes count at most, and %d in the end", w.most, w.counted)
		}
		if len(all) < directSize && len(w.pieces) > 1 {
			t.Fatalf("%d bytes in %d pieces", len(all), len(w.pieces))
		}
	}
}

// Long text is not copied, and takes no memory while it is written.
func TestLongTextIsWrittenFromItsMessage(t *testing.T) {
	var w written
	m := text(strings.Repeat("x", 1_000_000))
	if err := newPayload([]*Message{m}).Write(&w, w.count); err != nil {
		t.Fatal(err)
	}
	expect(t, "bytes that count at most", w.most, 0)
	// Behind something short, that is written before it.
	w = written{}
	buffered := false
	if err := newPayload([]*Message{text("short"), m}).Write(writerFunc(func(piece []byte) (int, error) {
		buffered = buffered || len(piece) == PieceSize && w.counted > 0
		return w.Write(piece)
	}), w.count); err != nil {
		t.Fatal(err)
	}
	expect(t, "a buffer is kept meanwhile", buffered, false)
	expect(t, "the first piece", w.pieces[0], "4short\x1e")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(piece []byte) (int, error) { return f(piece) }

// Nothing counts any more after a failure, wherever it comes.
func TestPayloadThatFails(t *testing.T) {
	messages := []*Message{text("one"), text(strings.Repeat("x", 100_000)), New(nil, [][]byte{make([]byte, 100_000)}, 0), text("two")}
	var whole written
	if err := newPayload(messages).Write(&whole, whole.count); err != nil {
		t.Fatal(err)
	}
	for i := range whole.pieces {
		w := written{fails: i + 1}
		err := newPayload(messages).Write(&w, w.count)
		if !errors.Is(err, errWritten) || w.counted != 0 || len(w.pieces) != i+1 {
			t.Errorf("at piece %d of %d: %v, %d pieces, %d bytes count", i+1, len(whole.pieces), err, len(w.pieces), w.counted)
		}
	}
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
		again, ok := decoded(payloadOf(t, messages))
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

func BenchmarkPayload(b *testing.B) {
	small := New([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)}, 0)
	for _, test := range []struct {
		name     string
		messages []*Message
	}{
		{"one", []*Message{text("hello")}},
		{"several", slices.Repeat([]*Message{small}, 10)},
		{"long text", []*Message{text(strings.Repeat("x", 1<<20))}},
		{"long binary", []*Message{New(nil, [][]byte{make([]byte, 1<<20)}, 0)}},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.SetBytes(int64(newPayload(test.messages).Size()))
			b.ReportAllocs()
			for b.Loop() {
				if err := newPayload(test.messages).Write(io.Discard, func(int) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePayload(b *testing.B) {
	m := New([][]byte{[]byte(`2["stream:data","`), bytes.Repeat([]byte("x"), 200), []byte(`"]`)}, [][]byte{make([]byte, 1024)}, 0)
	for name, m := range map[string]*Message{"text": text(string(m.frames[4:200])), "binary": m} {
		b.Run(name, func(b *testing.B) {
			body := []byte(payloadOf(b, slices.Repeat([]*Message{m}, 10)))
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

func newPayload(messages []*Message) *Payload {
	p := NewPayload(messages, Bytes)
	return &p
}
