package engineio

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// deflating returns a server that compresses, whose clients offer it.
func deflating(t *testing.T) *testServer {
	s := newServer(t, Options{Deflate: &Compression{Threshold: 200}, MaxPayload: 10_000})
	s.client.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
	return s
}

// compressedFrame is a masked frame whose payload is compressed.
func compressedFrame(payload []byte) []byte {
	compressed, _ := wsflate.DefaultHelper.Compress(payload)
	frame := rawclient.Frame(ws.OpText, true, compressed)
	frame[0] |= 0x40
	return frame
}

func TestDeflateBothWays(t *testing.T) {
	s := deflating(t)
	conn, r := s.connect(t)
	long := strings.Repeat("a word, and another; ", 40)
	must(t, conn.Write(compressedFrame([]byte("4"+long))))
	expect(t, "what the client sent", r.waitFor(t, 1)[0], long)

	r.session.Send(wire.New([][]byte{[]byte(long)}, [][]byte{[]byte("short"), []byte(long)}, 0))
	for i, want := range []struct {
		content    string
		compressed bool
	}{{"4" + long, true}, {"short", false}, {long, true}} {
		frame := need(conn.ReadFrame())(t)
		payload := frame.Payload
		expect(t, "compressed", frame.Header.Rsv == 0x4, want.compressed)
		if want.compressed {
			expect(t, "smaller", len(payload) < len(want.content)/4, true)
			payload = need(wsflate.DefaultHelper.Decompress(payload))(t)
		}
		if string(payload) != want.content {
			t.Errorf("frame %d: got %q", i, payload)
		}
	}

	r.session.Send(text(long, wire.NoCompress))
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
	expect(t, "content", string(need(wsflate.DefaultHelper.Decompress(frame.Payload))(t)), "4"+long)
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
