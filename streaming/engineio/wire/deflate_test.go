package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestOffersDeflate(t *testing.T) {
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                                 true,
		"permessage-deflate; server_max_window_bits=15":                              true,
		"permessage-deflate; server_max_window_bits=10":                              false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":          true,
		"permessage-deflate; server_no_context_takeover":                             true,
		"permessage-deflate; unknown":                                                false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover": false,
		"permessage-bzip2, permessage-deflate":                                       true,
		"permessage-deflate;;;=":                                                     false,
	} {
		if got := OffersDeflate([]string{offer}); got != want {
			t.Errorf("%q: got %t, want %t", offer, got, want)
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
		if message, err := inflate(data, limit); err == nil && len(message) > limit {
			t.Errorf("%d bytes", len(message))
		}
		var compressed bytes.Buffer
		deflateTo(&compressed, data)
		if message, err := inflate(compressed.Bytes(), int64(len(data))); err != nil || !bytes.Equal(message, data) {
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
