package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// AcceptDeflate looks for an offer of permessage-deflate that the server takes, in the
// values of a client's header Sec-WebSocket-Extensions, and returns the value of that
// header that accepts it, or "". See section 7.1 of RFC 7692.
//
// No context is taken over: each message stands alone, so that it is compressed once
// for all clients, and none of them costs memory for a window.
func AcceptDeflate(extensions []string) (answer string) {
	offers, ok := httphead.ParseOptions([]byte(strings.Join(extensions, ",")), nil)
	if !ok {
		return ""
	}
	for _, offer := range offers {
		var parameters wsflate.Parameters
		if !bytes.Equal(offer.Name, wsflate.ExtensionNameBytes) || parameters.Parse(offer) != nil {
			continue
		}
		const (
			accept     = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
			fullWindow = 15
		)
		switch {
		case !parameters.ServerMaxWindowBits.Defined():
			return accept
		case parameters.ServerMaxWindowBits == fullWindow:
			// Who accepts this parameter repeats it: section 7.1.2.1.
			return accept + "; server_max_window_bits=15"
		}
	}
	return ""
}

// deflateLevel compresses fast: a stream's server has better to do.
const deflateLevel = 1

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, deflateLevel)
	return w
}}

// deflated is the compressed form of a message.
type deflated struct {
	frames []byte
	// counted is what somebody has counted for it, in bytes: its cost, or zero.
	counted atomic.Int64
}

// cost is what the compressed form takes in the heap, in bytes.
func (d *deflated) cost() int64 { return int64(unsafe.Sizeof(*d)) + int64(cap(d.frames)) }

// Frames returns the WebSocket frames of the message, which must not be
// changed. The packets that have threshold bytes or more are compressed, for a
// client that has agreed to permessage-deflate; a threshold of zero compresses
// nothing. The compressed frames are built once, by the first call that wants
// them and with its threshold.
//
// The caller holds the message, see [Message.Hold], unless it is static, and has
// to count cost bytes more for it from now on: what the compressed frames take
// in the heap, if nobody has counted that yet.
func (m *Message) Frames(threshold int) (frames []byte, cost int) {
	if threshold == 0 || m.control || m.Has(NoCompress) || len(m.frames) < threshold {
		return m.frames, 0
	}
	m.deflating.Do(func() { m.deflated = &deflated{frames: m.deflate(threshold)} })
	d := m.deflated
	if !m.static && d.counted.Load() == 0 && d.counted.CompareAndSwap(0, d.cost()) {
		cost = int(d.cost())
	}
	return d.frames, cost
}

// deflate builds frames of which those from threshold bytes on are compressed.
func (m *Message) deflate(threshold int) []byte {
	var payload bytes.Buffer
	frames := make([]byte, 0, len(m.frames)/2)
	for data, isBinary := range m.payloads() {
		op := ws.OpText
		if isBinary {
			op = ws.OpBinary
		}
		if len(data) < threshold {
			frames = append(appendFrameHeader(frames, op, len(data)), data...)
			continue
		}
		payload.Reset()
		deflateTo(&payload, data)
		const rsv1 = 0x40
		at := len(frames)
		frames = appendFrameHeader(frames, op, payload.Len())
		frames[at] |= rsv1
		frames = append(frames, payload.Bytes()...)
	}
	return frames
}

// deflateTo writes data in the form of section 7.2.1 of RFC 7692.
func deflateTo(dst *bytes.Buffer, data []byte) {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(dst)
	_, _ = w.Write(data)
	_ = w.Flush()
	const emptyBlock = 4 // 00 00 ff ff, which is left out
	dst.Truncate(dst.Len() - emptyBlock)
}

// deflateTail completes a compressed message: the empty block that was left
// out, and one that says it is the last.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

var inflaters = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

const (
	// firstInflated is the memory for a compressed message before any of it is inflated,
	// in bytes. From then on it is twice what there is at most.
	firstInflated = 1 << 10
	// inflaterSize is about what it takes to inflate, in bytes, besides the message.
	inflaterSize = 44 << 10
)

// inflate decompresses a message. It reads no further than the limit, whatever the data
// promises, and the Meter knows before of all that it takes.
func (f *Reader) inflate(data []byte) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(data), strings.NewReader(deflateTail)), nil); err != nil {
		return nil, err
	}
	message := make([]byte, 0, firstInflated)
	for {
		if len(message) == cap(message) {
			f.building = cap(data) + inflaterSize + 2*cap(message)
			f.keeps()
			message = append(buffer(2*cap(message)), message...)
		}
		n, err := r.Read(message[len(message):min(int64(cap(message)), f.Limit+1)])
		message = message[:len(message)+n]
		switch {
		case int64(len(message)) > f.Limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return message, nil
		case err != nil:
			return nil, &FrameError{ws.StatusInvalidFramePayloadData, "compressed data that cannot be read"}
		}
	}
}
