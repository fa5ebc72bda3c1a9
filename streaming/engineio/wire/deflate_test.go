package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestAcceptDeflate(t *testing.T) {
	const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": accepted,
		"permessage-deflate; client_max_window_bits":                                 accepted,
		"permessage-deflate; server_max_window_bits=15":                              accepted + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=10":                              "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          accepted,
		"permessage-deflate; server_no_context_takeover":                             accepted,
		"permessage-deflate; unknown":                                                "",
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": "",
		"permessage-bzip2, permessage-deflate":                                       accepted,
		"permessage-deflate;;;=":                                                     "",
	} {
		if got := AcceptDeflate([]string{offer}); got != want {
			t.Errorf("%q: got %q, want %q", offer, got, want)
		}
	}
}

func FuzzInflate(f *testing.F) {
	var compressed bytes.Buffer
	deflateTo(&compressed, []byte(strings.Repeat("seed ", 100)))
	f.Add(compressed.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		if message, err := (&Reader{Limit: limit}).inflate(data); err == nil && len(message) > limit {
			t.Errorf("%d bytes", len(message))
		}
		var compressed bytes.Buffer
		deflateTo(&compressed, data)
		if message, err := (&Reader{Limit: int64(len(data))}).inflate(compressed.Bytes()); err != nil || !bytes.Equal(message, data) {
			t.Errorf("%q came back as %q (%v)", data, message, err)
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	m := text(strings.Repeat(`{"user":"someone","text":"what one says"},`, 50))
	b.SetBytes(int64(m.Size()))
	b.ReportAllocs()
	for b.Loop() {
		m.deflate(1024)
	}
}

// keepsMeter notes what a reader takes.
type keepsMeter struct{ now, most int }

func (m *keepsMeter) Heard()       {}
func (m *keepsMeter) Arrived(int)  {}
func (m *keepsMeter) Inflated(int) {}
func (m *keepsMeter) Keeps(bytes int) {
	m.now += bytes
	m.most = max(m.most, m.now)
}

// A short message may stand for a long one. The Meter, which may make the reader wait, knows of all the
// memory before it is taken.
func TestInflatedMessagesAreKnownToTheMeter(t *testing.T) {
	for _, size := range []int{100, 10_000, 10_000_000} {
		var compressed bytes.Buffer
		deflateTo(&compressed, make([]byte, size))
		frame := ws.NewFrame(ws.OpBinary, true, compressed.Bytes())
		frame.Header.Rsv = 4
		sent, err := ws.CompileFrame(ws.MaskFrame(frame))
		if err != nil {
			t.Fatal(err)
		}
		m := new(keepsMeter)
		r := NewReader(bytes.NewReader(sent), int64(size), nil)
		r.Deflate, r.Meter = true, m
		_, data, err := r.Next()
		if err != nil || len(data) != size {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if size > firstInflated && m.most < cap(data) {
			t.Errorf("%d bytes are known of %d", m.most, cap(data))
		}
		r.Release()
		expect(t, "bytes in the end", m.now, 0)
	}
}
