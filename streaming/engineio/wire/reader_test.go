package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// chunkedConn is a connection whose reads return so many bytes at most, in
// turn.
type chunkedConn struct {
	net.Conn
	bytes []byte
	sizes []int
	reads int
}

func (c *chunkedConn) Read(p []byte) (int, error) {
	if len(c.bytes) == 0 {
		return 0, io.EOF
	}
	most := len(p)
	if len(c.sizes) > 0 {
		most = min(most, c.sizes[c.reads%len(c.sizes)])
	}
	c.reads++
	n := copy(p[:most], c.bytes)
	c.bytes = c.bytes[n:]
	return n, nil
}

// readMessage is one message or control frame that was read.
type readMessage struct {
	op   ws.OpCode
	data string
}

// readAll reads until the first error.
func readAll(raw []byte, before int, sizes []int, limit int64) ([]readMessage, error) {
	conn := &chunkedConn{bytes: raw[before:], sizes: sizes}
	f := NewReader(conn, limit, slices.Clone(raw[:before]))
	defer f.Release()
	var messages []readMessage
	for {
		op, data, err := f.Next()
		if err != nil {
			return messages, err
		}
		messages = append(messages, readMessage{op, string(data)})
	}
}

func TestFrameReader(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	large := strings.Repeat("y", 40_000)
	raw := slices.Concat(
		clientFrame(ws.OpText, true, "4hello"),
		clientFrame(ws.OpText, true, ""),
		clientFrame(ws.OpBinary, true, long),
		// Fragments, with control frames between them.
		clientFrame(ws.OpText, false, "4fr"),
		clientFrame(ws.OpPing, true, "a"),
		clientFrame(ws.OpContinuation, false, ""),
		clientFrame(ws.OpContinuation, false, "ag"),
		clientFrame(ws.OpPong, true, ""),
		clientFrame(ws.OpContinuation, true, "ment"),
		// A character split between two fragments.
		clientFrame(ws.OpText, false, "4\xe2\x82"),
		clientFrame(ws.OpContinuation, true, "\xac"),
		// An empty first fragment.
		clientFrame(ws.OpBinary, false, ""),
		clientFrame(ws.OpContinuation, true, "rest"),
		clientFrame(ws.OpText, true, large),
		clientFrame(ws.OpText, true, strings.Repeat("z", 125)),
		clientFrame(ws.OpText, true, strings.Repeat("z", 126)),
		clientFrame(ws.OpText, true, strings.Repeat("z", 65535)),
		clientFrame(ws.OpText, true, strings.Repeat("z", 65536)),
		clientFrame(ws.OpClose, true, "\x03\xe8"),
	)
	want := []readMessage{
		{ws.OpText, "4hello"}, {ws.OpText, ""}, {ws.OpBinary, long},
		{ws.OpPing, "a"}, {ws.OpPong, ""}, {ws.OpText, "4fragment"}, {ws.OpText, "4€"}, {ws.OpBinary, "rest"},
		{ws.OpText, large}, {ws.OpText, strings.Repeat("z", 125)}, {ws.OpText, strings.Repeat("z", 126)},
		{ws.OpText, strings.Repeat("z", 65535)}, {ws.OpText, strings.Repeat("z", 65536)}, {ws.OpClose, "\x03\xe8"},
	}
	random := rand.New(rand.NewPCG(3, 4))
	for _, before := range []int{0, 1, 512, 513, 4096, len(raw)} {
		for _, sizes := range [][]int{nil, {1}, {2, 3, 5, 7}, {600, 1}, {random.IntN(9000) + 1, random.IntN(90) + 1}} {
			got, err := readAll(raw, before, sizes, 1_000_000)
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%d bytes before, reads of %v: ended with %v", before, sizes, err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d bytes before, reads of %v: got other messages: %d, want %d", before, sizes, len(got), len(want))
			}
		}
	}
}

// rawFrame is a frame whose header says what the arguments say.
func rawFrame(first, second byte, rest ...byte) []byte {
	return append([]byte{first, second}, rest...)
}

func TestFrameReaderRefuses(t *testing.T) {
	const limit = 1000
	mask := []byte{0, 0, 0, 0}
	tests := []struct {
		name string
		raw  []byte
		code ws.StatusCode
	}{
		{"unmasked", rawFrame(0x81, 1, 'x'), ws.StatusProtocolError},
		{"first reserved bit", rawFrame(0xc1, 0x80, mask...), ws.StatusProtocolError},
		{"second reserved bit", rawFrame(0xa1, 0x80, mask...), ws.StatusProtocolError},
		{"third reserved bit", rawFrame(0x91, 0x80, mask...), ws.StatusProtocolError},
		{"reserved opcode", rawFrame(0x83, 0x80, mask...), ws.StatusProtocolError},
		{"reserved control opcode", rawFrame(0x8b, 0x80, mask...), ws.StatusProtocolError},
		{"large ping", clientFrame(ws.OpPing, true, strings.Repeat("x", 126)), ws.StatusProtocolError},
		{"fragmented ping", clientFrame(ws.OpPing, false, "x"), ws.StatusProtocolError},
		{"continuation of nothing", clientFrame(ws.OpContinuation, true, "x"), ws.StatusProtocolError},
		{"message within a message", slices.Concat(clientFrame(ws.OpText, false, "x"), clientFrame(ws.OpText, true, "x")), ws.StatusProtocolError},
		{"message within an empty fragment", slices.Concat(clientFrame(ws.OpText, false, ""), clientFrame(ws.OpText, true, "x")), ws.StatusProtocolError},
		{"negative length", rawFrame(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0), ws.StatusProtocolError},
		{"over the limit", clientFrame(ws.OpBinary, true, strings.Repeat("x", limit+1)), ws.StatusMessageTooBig},
		{"far over the limit", rawFrame(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), ws.StatusMessageTooBig},
		{"over the limit in fragments", slices.Concat(
			clientFrame(ws.OpBinary, false, strings.Repeat("x", limit)),
			clientFrame(ws.OpContinuation, true, "x")), ws.StatusMessageTooBig},
		{"not UTF-8", clientFrame(ws.OpText, true, "4\xff"), ws.StatusInvalidFramePayloadData},
		{"half a character", clientFrame(ws.OpText, true, "4\xe2\x82"), ws.StatusInvalidFramePayloadData},
		{"not UTF-8 in fragments", slices.Concat(clientFrame(ws.OpText, false, "4\xe2"), clientFrame(ws.OpContinuation, true, "\xff")), ws.StatusInvalidFramePayloadData},
		{"surrogate", clientFrame(ws.OpText, true, "4\xed\xa0\x80"), ws.StatusInvalidFramePayloadData},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readAll(slices.Concat(clientFrame(ws.OpText, true, "4good"), test.raw), 0, nil, limit)
			violation := (*FrameError)(nil)
			if !errors.As(err, &violation) {
				t.Fatalf("ended with %v", err)
			}
			expect(t, "close code", violation.Code, test.code)
			if !slices.Equal(got, []readMessage{{ws.OpText, "4good"}}) {
				t.Errorf("read %q before", got)
			}
		})
	}
	t.Run("at the limit", func(t *testing.T) {
		got, err := readAll(clientFrame(ws.OpBinary, true, strings.Repeat("x", limit)), 0, nil, limit)
		if !errors.Is(err, io.EOF) || len(got) != 1 {
			t.Errorf("read %d messages, ended with %v", len(got), err)
		}
	})
}

// TestFrameReaderUnexpectedEnd cuts frames short at each byte.
func TestFrameReaderUnexpectedEnd(t *testing.T) {
	raw := slices.Concat(clientFrame(ws.OpText, true, "4x"), clientFrame(ws.OpText, true, strings.Repeat("y", 200)))
	first := len(clientFrame(ws.OpText, true, "4x"))
	for end := range raw {
		got, err := readAll(raw[:end], 0, nil, 1000)
		want := io.ErrUnexpectedEOF
		if end == 0 || end == first {
			want = io.EOF
		}
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: ended with %v, want %v", end, err, want)
		}
		if (len(got) == 1) != (end >= first) {
			t.Errorf("%d bytes: %d messages", end, len(got))
		}
	}
}

// TestFrameReaderIsSmallWhileSilent looks at the buffer after traffic.
func TestFrameReaderIsSmallWhileSilent(t *testing.T) {
	raw := slices.Concat(clientFrame(ws.OpBinary, true, strings.Repeat("x", 100_000)), clientFrame(ws.OpText, true, "4x"))
	conn := &chunkedConn{bytes: raw}
	f := NewReader(conn, 1_000_000, nil)
	for range 2 {
		_, _, err := f.Next()
		must(t, err)
	}
	if _, _, err := f.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if f.borrowed != nil || len(f.buffer) != smallReadBuffer {
		t.Errorf("a silent connection holds %d bytes", len(f.buffer))
	}
}

// TestFrameReaderDoesNotTrustLengths announces a large message and sends
// little of it.
func TestFrameReaderDoesNotTrustLengths(t *testing.T) {
	const limit = 1 << 30
	raw := append(rawFrame(0x82, 0xff, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0xff, 0, 0, 0, 0), make([]byte, 100)...)
	const runs = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := readAll(raw, 0, nil, limit); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / runs
	if allocated > 4*eagerAllocation {
		t.Errorf("%d bytes were allocated for 100 that came", allocated)
	}
}

// FuzzFrameReader reads arbitrary bytes in pieces of arbitrary sizes: the
// pieces make no difference, and no message is over the limit. What a client
// sends is read as it was.
func FuzzFrameReader(f *testing.F) {
	f.Add(clientFrame(ws.OpText, true, "4hello"), []byte{1}, uint8(0))
	f.Add(clientFrame(ws.OpBinary, true, strings.Repeat("x", 600)), []byte{255, 1}, uint8(20))
	f.Add(slices.Concat(clientFrame(ws.OpText, false, "4fr"), clientFrame(ws.OpPing, true, ""), clientFrame(ws.OpContinuation, true, "ag")), []byte{3, 200}, uint8(2))
	f.Add(clientFrame(ws.OpClose, true, "\x03\xe8"), []byte{}, uint8(255))
	f.Add(rawFrame(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), []byte{7}, uint8(1))
	f.Add(rawFrame(0x81, 1, 'x'), []byte{1}, uint8(0))
	f.Add([]byte{0xc1, 0x80}, []byte{1}, uint8(0))
	f.Fuzz(func(t *testing.T, raw, pieces []byte, before uint8) {
		const limit = 4096
		sizes := make([]int, len(pieces))
		for i, piece := range pieces {
			sizes[i] = int(piece) + 1
		}
		whole, wholeErr := readAll(raw, 0, nil, limit)
		split, splitErr := readAll(raw, min(int(before)*4, len(raw)), sizes, limit)
		if !slices.Equal(whole, split) || wholeErr.Error() != splitErr.Error() {
			t.Fatalf("read %q and %v in one piece, %q and %v in many", whole, wholeErr, split, splitErr)
		}
		for _, m := range whole {
			if len(m.data) > limit {
				t.Fatalf("a message of %d bytes", len(m.data))
			}
		}

		// The same bytes as the content of proper frames, in two fragments
		// when there are enough.
		op, cut := ws.OpBinary, min(int(before), len(raw))
		if len(raw) > limit {
			raw = raw[:limit]
			cut = min(cut, limit)
		}
		var stream bytes.Buffer
		for _, frame := range []ws.Frame{
			ws.NewFrame(op, false, raw[:cut]),
			ws.NewPingFrame(raw[:min(cut, 125)]),
			ws.NewFrame(ws.OpContinuation, true, raw[cut:]),
			ws.NewFrame(op, true, raw),
		} {
			must(t, ws.WriteFrame(&stream, ws.MaskFrame(frame)))
		}
		got, err := readAll(stream.Bytes(), 0, sizes, limit)
		want := []readMessage{{ws.OpPing, string(raw[:min(cut, 125)])}, {op, string(raw)}, {op, string(raw)}}
		if !errors.Is(err, io.EOF) || !slices.Equal(got, want) {
			t.Fatalf("read %q and %v, want %q", got, err, want)
		}
	})
}

// endlessConn yields the same bytes again and again.
type endlessConn struct {
	net.Conn
	bytes []byte
	at    int
}

func (c *endlessConn) Read(p []byte) (int, error) {
	n := copy(p, c.bytes[c.at:])
	c.at = (c.at + n) % len(c.bytes)
	return n, nil
}

func BenchmarkFrameReader(b *testing.B) {
	for _, size := range []int{20, 200, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			f := NewReader(&endlessConn{bytes: clientFrame(ws.OpBinary, true, strings.Repeat("x", size))}, 1<<20, nil)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
