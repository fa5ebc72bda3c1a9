package engineio

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
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
		header := http.Header{}
		if offer != "" {
			header.Set("Sec-WebSocket-Extensions", offer)
		}
		if got := offersDeflate(header); got != want {
			t.Errorf("%q: got %t, want %t", offer, got, want)
		}
	}
}

// deflating returns a server that compresses, whose clients offer it.
func deflating(t *testing.T) *testServer {
	s := newServer(t, Options{Deflate: &Compression{Threshold: 200}, MaxPayload: 10_000})
	s.client.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
	return s
}

// compressedFrame is a masked frame whose payload is compressed.
func compressedFrame(payload []byte) []byte {
	var compressed bytes.Buffer
	deflateTo(&compressed, payload)
	frame := rawclient.Frame(ws.OpText, true, compressed.Bytes())
	frame[0] |= 0x40
	return frame
}

func TestDeflateBothWays(t *testing.T) {
	s := deflating(t)
	conn, r := s.connect(t)
	long := strings.Repeat("a word, and another; ", 40)
	must(t, conn.Write(compressedFrame([]byte("4"+long))))
	expect(t, "what the client sent", r.waitFor(t, 1)[0], long)

	r.session.Send(NewMessage([][]byte{[]byte(long)}, [][]byte{[]byte("short"), []byte(long)}))
	for i, want := range []struct {
		content    string
		compressed bool
	}{{"4" + long, true}, {"short", false}, {long, true}} {
		frame := need(conn.ReadFrame())(t)
		payload := frame.Payload
		expect(t, "compressed", frame.Header.Rsv == 0x4, want.compressed)
		if want.compressed {
			expect(t, "smaller", len(payload) < len(want.content)/4, true)
			payload = need(inflate(payload, 10_000))(t)
		}
		if string(payload) != want.content {
			t.Errorf("frame %d: got %q", i, payload)
		}
	}

	r.session.Send(text(long, NoCompress()))
	expect(t, "a message not worth compressing", need(conn.ReadFrame())(t).Header.Rsv, 0)
}

func TestDeflateAfterUpgrade(t *testing.T) {
	s := deflating(t)
	p, r := s.poller(t)
	conn := need(p.Upgrade(t.Context()))(t)
	defer conn.Close()
	eventually(t, "the upgrade", func() bool { return r.session.Transport() == WebSocket })
	long := strings.Repeat("upgraded ", 50)
	r.session.Send(text(long))
	frame := need(conn.ReadFrame())(t)
	expect(t, "compressed", frame.Header.Rsv, 0x4)
	expect(t, "content", string(need(inflate(frame.Payload, 10_000))(t)), "4"+long)
}

// TestDecompressionBomb sends little that would become more than the limit.
func TestDecompressionBomb(t *testing.T) {
	s := deflating(t)
	conn, r := s.connect(t)
	must(t, conn.Write(compressedFrame(bytes.Repeat([]byte("4"), 8<<20))))
	expect(t, "close code", need(conn.ReadClose())(t), ws.StatusMessageTooBig)
	r.waitClosed(t, ReasonTooLarge)
}

func TestBadCompressedDataEndsTheSession(t *testing.T) {
	s := deflating(t)
	conn, r := s.connect(t)
	frame := rawclient.Frame(ws.OpText, true, []byte("\xff\xff\xff\xff"))
	frame[0] |= 0x40
	must(t, conn.Write(frame))
	expect(t, "close code", need(conn.ReadClose())(t), ws.StatusInvalidFramePayloadData)
	r.waitClosed(t, ReasonParseError)
}

// TestCompressedBitWithoutAgreement holds that the bit is an error for a
// client that has not offered compression, and on control frames.
func TestCompressedBitWithoutAgreement(t *testing.T) {
	for name, frame := range map[string][]byte{
		"no agreement": compressedFrame([]byte("4hello")),
		"control":      rawclient.Frame(ws.OpPing, true, nil),
	} {
		t.Run(name, func(t *testing.T) {
			s := deflating(t)
			if name == "no agreement" {
				s.client.Header.Del("Sec-WebSocket-Extensions")
			}
			frame[0] |= 0x40
			conn, r := s.connect(t)
			must(t, conn.Write(frame))
			expect(t, "close code", need(conn.ReadClose())(t), ws.StatusProtocolError)
			r.waitClosed(t, ReasonTransportError)
		})
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
