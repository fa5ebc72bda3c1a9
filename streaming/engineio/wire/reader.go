package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Meter is told what a [Reader] reads from a client.
type Meter interface {
	// Heard is called whenever something was read.
	Heard()
	// Arrived is called when bytes more were read, at least MeterEvery, before
	// the reader reads on: it may wait, to slow the client down within a message.
	Arrived(bytes int)
	// Inflated is called when a message was inflated to so many bytes more than
	// were read for it, which may be none.
	Inflated(bytes int)
	// Keeps is called, before the reader waits for more, when the memory that it
	// takes has changed by so many bytes since the last call: that of a message of
	// which a part has come, and the large buffer. It is called before the memory for
	// more of a message is taken, and may wait then. Once the reader is done it takes
	// none.
	Keeps(bytes int)
}

// MeterEvery is how many bytes a [Reader] reads before it calls its Meter. A
// message that never ends is counted, too.
const MeterEvery = 64 << 10

// Reader reads WebSocket messages from a client. See sections 5 and 7 of
// RFC 6455. It holds a small buffer while the client is silent and borrows a
// large one while there is more to read than fits. Only one goroutine at a time
// may use it.
type Reader struct {
	// Meter, when not nil, is told what is read.
	Meter Meter
	// Limit is the largest message that is read, in bytes, inflated.
	Limit int64
	conn  io.Reader

	buffer     []byte
	begin, end int
	small      [smallReadBuffer]byte
	borrowed   *[]byte
	// count is how many bytes were read since it was last taken.
	count int
	// building is what the message takes that is being read, in bytes. kept is what
	// the Meter knows that the reader takes.
	building, kept int

	// message is what has come of a fragmented message.
	message    []byte
	messageOp  ws.OpCode
	compressed bool
	// Deflate is true when the client may send compressed messages.
	Deflate bool
	// full is true when the last read filled the buffer.
	full bool
}

const (
	smallReadBuffer = 256
	largeReadBuffer = 16 << 10
	// eagerAllocation is what is allocated at once on a client's word for the
	// length of a frame. From then on it is eagerGrowth times what has come: a
	// client must send what it wants to be held for it.
	eagerAllocation = 4 << 10
	eagerGrowth     = 4
)

var readBuffers = sync.Pool{New: func() any {
	b := make([]byte, largeReadBuffer)
	return &b
}}

// FrameError is a violation of the WebSocket protocol or of the size limit.
type FrameError struct {
	// Code is what the close frame that answers it should have.
	Code ws.StatusCode
	// Text says what was wrong, for the log.
	Text string
}

func (e *FrameError) Error() string { return e.Text }

var (
	errTooLarge    = &FrameError{ws.StatusMessageTooBig, "message over the limit"}
	errInvalidUTF8 = &FrameError{ws.StatusInvalidFramePayloadData, "text that is not UTF-8"}
)

// errNegativeLength is a 64-bit length with its most significant bit set.
var errNegativeLength = ws.ProtocolError("frame length out of range")

// NewReader returns a reader of messages of at most limit bytes. It begins with
// the bytes that were read from the connection before, which it keeps.
func NewReader(conn io.Reader, limit int64, before []byte) *Reader {
	f := &Reader{conn: conn, Limit: limit, count: len(before)}
	f.buffer = f.small[:]
	if len(before) > len(f.buffer) {
		f.buffer = before
		f.end = len(before)
	} else {
		f.end = copy(f.buffer, before)
	}
	return f
}

// Next returns the next message or control frame. The caller owns data.
// Fragments are put together; a control frame between them comes first. The
// error is a *[FrameError] when the client has broken the protocol, or else
// that of the connection.
func (f *Reader) Next() (op ws.OpCode, data []byte, err error) {
	for {
		header, err := f.header()
		if err != nil {
			return 0, nil, err
		}
		if header.OpCode.IsControl() {
			data, err := f.payload(nil, header)
			f.building = cap(f.message)
			return header.OpCode, data, err
		}
		if header.Length > f.Limit-int64(len(f.message)) {
			return 0, nil, errTooLarge
		}
		if header.OpCode != ws.OpContinuation {
			f.messageOp = header.OpCode
			f.compressed = header.Rsv != 0
		}
		f.message, err = f.payload(f.message, header)
		if err != nil {
			return 0, nil, err
		}
		if !header.Fin {
			f.building = cap(f.message)
			continue
		}
		data, f.message = f.message, nil
		if f.compressed {
			came := len(data)
			data, err = f.inflate(data)
			if err == nil && f.Meter != nil {
				f.Meter.Inflated(max(len(data)-came, 0))
			}
		}
		f.building = 0
		f.keeps()
		if err != nil {
			return 0, nil, err
		}
		if f.messageOp == ws.OpText && !utf8.Valid(data) {
			return 0, nil, errInvalidUTF8
		}
		return f.messageOp, data, nil
	}
}

// header reads and checks the header of a frame.
func (f *Reader) header() (ws.Header, error) {
	if err := f.require(2); err != nil {
		return ws.Header{}, err
	}
	first, second := f.buffer[f.begin], f.buffer[f.begin+1]
	h := ws.Header{
		Fin:    first&0x80 != 0,
		Rsv:    first >> 4 & 0x07,
		OpCode: ws.OpCode(first & 0x0f),
		Masked: second&0x80 != 0,
		Length: int64(second & 0x7f),
	}
	extended := 0
	switch h.Length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	size := 2 + extended
	if h.Masked {
		size += len(h.Mask)
	}
	if err := f.require(size); err != nil {
		return ws.Header{}, err
	}
	raw := f.buffer[f.begin+2 : f.begin+size]
	switch extended {
	case 2:
		h.Length = int64(binary.BigEndian.Uint16(raw))
	case 8:
		h.Length = int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // a negative length is refused by check
	}
	if h.Masked {
		copy(h.Mask[:], raw[extended:])
	}
	f.begin += size
	return h, f.check(h)
}

func (f *Reader) check(h ws.Header) error {
	state := ws.StateServerSide
	if f.message != nil {
		state |= ws.StateFragmented
	}
	const rsv1 = 0x4
	if f.Deflate && h.Rsv == rsv1 && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		// The first frame of a compressed message: section 6 of RFC 7692.
		state |= ws.StateExtended
	}
	err := ws.CheckHeader(h, state)
	if err == nil && h.Length < 0 {
		err = errNegativeLength
	}
	if err != nil {
		return &FrameError{ws.StatusProtocolError, err.Error()}
	}
	return nil
}

// payload appends the unmasked payload of a frame to dst.
func (f *Reader) payload(dst []byte, h ws.Header) ([]byte, error) {
	start, length, beside := len(dst), int(h.Length), 0
	if h.OpCode.IsControl() {
		beside = cap(f.message)
	}
	if dst == nil {
		dst = make([]byte, 0, min(length, eagerAllocation))
	}
	for missing := length; missing > 0; {
		if f.begin < f.end {
			n := min(missing, f.end-f.begin)
			dst = append(dst, f.buffer[f.begin:f.begin+n]...)
			f.begin += n
			missing -= n
			continue
		}
		if missing <= largeReadBuffer/2 {
			f.building = beside + cap(dst)
			if err := f.fill(); err != nil {
				return nil, unexpected(err)
			}
			continue
		}
		more := min(missing, max(eagerGrowth*len(dst), eagerAllocation))
		f.building = beside + max(cap(dst), len(dst)+more)
		f.keeps()
		dst = slices.Grow(dst, more)
		n, err := f.conn.Read(dst[len(dst):min(cap(dst), len(dst)+missing)])
		dst = dst[:len(dst)+n]
		missing -= n
		f.counted(n)
		if err != nil && missing > 0 {
			return nil, unexpected(err)
		}
	}
	if h.Masked {
		ws.Cipher(dst[start:], h.Mask, 0)
	}
	return dst, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// require makes at least n bytes available in the buffer.
func (f *Reader) require(n int) error {
	for f.end-f.begin < n {
		if err := f.fill(); err != nil {
			if f.end > f.begin {
				return unexpected(err)
			}
			return err
		}
	}
	return nil
}

// fill reads once. The buffer is the small one unless the last read filled
// it, so that a silent connection costs little.
func (f *Reader) fill() error {
	if f.full && f.borrowed == nil {
		f.borrow()
	} else if f.begin == f.end && !f.full {
		f.giveBack()
	}
	if f.begin > 0 {
		f.end = copy(f.buffer, f.buffer[f.begin:f.end])
		f.begin = 0
	}
	f.keeps()
	n, err := f.conn.Read(f.buffer[f.end:])
	f.end += n
	f.counted(n)
	f.full = f.end == len(f.buffer)
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// counted counts what was read, and tells the Meter of it now and then.
func (f *Reader) counted(n int) {
	f.count += n
	if f.Meter == nil {
		return
	}
	if n > 0 {
		f.Meter.Heard()
	}
	if f.count >= MeterEvery {
		f.Meter.Arrived(f.TakeCount())
	}
}

// TakeCount returns how many bytes were read that neither it nor the Meter was
// told of before.
func (f *Reader) TakeCount() int {
	count := f.count
	f.count = 0
	return count
}

func (f *Reader) borrow() {
	f.borrowed = readBuffers.Get().(*[]byte)
	f.end = copy(*f.borrowed, f.buffer[f.begin:f.end])
	f.begin = 0
	f.buffer = *f.borrowed
}

// Buffered is how many bytes were read that no message has been made of yet.
func (f *Reader) Buffered() int { return f.end - f.begin }

// keeps tells the Meter what the reader takes, if that has changed.
func (f *Reader) keeps() {
	now := f.building
	if f.borrowed != nil {
		now += largeReadBuffer
	}
	if now != f.kept && f.Meter != nil {
		f.Meter.Keeps(now - f.kept)
		f.kept = now
	}
}

// Release ends the reader: what is buffered, and what has come of a message, is
// dropped.
func (f *Reader) Release() {
	f.giveBack()
	f.message, f.building = nil, 0
	f.keeps()
}

// giveBack gives the large buffer back, if the reader has borrowed it. What is
// buffered is dropped.
func (f *Reader) giveBack() {
	if f.borrowed != nil {
		readBuffers.Put(f.borrowed)
		f.borrowed = nil
	}
	f.buffer = f.small[:]
	f.begin, f.end = 0, 0
}
