package wire

import (
	"bytes"
	"strings"
	"testing"
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
