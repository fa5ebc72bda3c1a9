package engineio

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// deflateAnswer accepts an offer of permessage-deflate. Without context
// takeover each message stands alone: it is compressed once for all clients,
// and none of them costs memory for a window.
const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// offersDeflate reports whether the client offers permessage-deflate in a way
// that can be accepted. See section 7.1 of RFC 7692.
func offersDeflate(header http.Header) bool {
	offers, ok := httphead.ParseOptions([]byte(strings.Join(header["Sec-Websocket-Extensions"], ",")), nil)
	if !ok {
		return false
	}
	for _, offer := range offers {
		var parameters wsflate.Parameters
		if !bytes.Equal(offer.Name, wsflate.ExtensionNameBytes) || parameters.Parse(offer) != nil {
			continue
		}
		const fullWindow = 15
		if !parameters.ServerMaxWindowBits.Defined() || parameters.ServerMaxWindowBits == fullWindow {
			return true
		}
	}
	return false
}

// deflateLevel compresses fast: a stream's server has better to do.
const deflateLevel = 1

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, deflateLevel)
	return w
}}

// wireFor returns the frames for a client that has agreed to deflate, or to
// nothing if it is nil. The compressed ones are made by the first who asks.
func (m *Message) wireFor(deflate *Compression) []byte {
	if deflate == nil || m.incompressible || m.control || len(m.wire) < deflate.Threshold {
		return m.wire
	}
	m.deflating.Do(func() { m.deflated = m.deflate(deflate.Threshold) })
	return m.deflated
}

// deflate builds frames of which those from threshold bytes on are compressed.
func (m *Message) deflate(threshold int) []byte {
	var payload bytes.Buffer
	wire := make([]byte, 0, len(m.wire)/2)
	for p := range m.packets() {
		op := ws.OpText
		if p.binary {
			op = ws.OpBinary
		}
		if len(p.data) < threshold {
			wire = append(appendFrameHeader(wire, op, len(p.data)), p.data...)
			continue
		}
		payload.Reset()
		deflateTo(&payload, p.data)
		const rsv1 = 0x40
		at := len(wire)
		wire = appendFrameHeader(wire, op, payload.Len())
		wire[at] |= rsv1
		wire = append(wire, payload.Bytes()...)
	}
	return wire
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

// inflate decompresses a message that may have limit bytes at most. It reads
// no further than that, whatever the data promises.
func inflate(data []byte, limit int64) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(data), strings.NewReader(deflateTail)), nil); err != nil {
		return nil, err
	}
	var message bytes.Buffer
	n, err := io.Copy(&message, io.LimitReader(r, limit+1))
	switch {
	case n > limit:
		return nil, errTooLarge
	case err != nil:
		return nil, &frameError{ws.StatusInvalidFramePayloadData, ReasonParseError, "compressed data that cannot be read"}
	}
	return message.Bytes(), nil
}
