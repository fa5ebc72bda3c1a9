package engineio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// holdPoll holds the answer to a poll back. The client is not to blame for what it has not
// got meanwhile: its time for a pong begins when that is over.
func (s *Session) holdPoll(ctx context.Context, in *Inbound) {
	if in.Hold == nil {
		return
	}
	s.setHeld(true)
	in.Hold(ctx)
	s.aliveAt.Store(s.server.clock())
	s.setHeld(false)
}

func (s *Session) setHeld(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polling.held = held
}

// pollAnswer is what a poll is answered with: messages, or else a single packet.
type pollAnswer struct {
	payload wire.Payload
	// packet, unless it is zero, is the type of the single packet.
	packet wire.PacketType
	// whole, unless it is nil, is all of the answer: compressed, or a script.
	whole []byte
	// contentType is the type of the answer's media.
	contentType string
	revision    Revision
}

// size is how many bytes the answer has.
func (a *pollAnswer) size() int {
	switch {
	case a.whole != nil:
		return len(a.whole)
	case a.packet != 0:
		return len(a.single())
	}
	return a.payload.Size()
}

// single is the answer of a single packet.
func (a *pollAnswer) single() string {
	if a.revision == Revision3 {
		return "1:" + string(rune(a.packet))
	}
	return string(rune(a.packet))
}

// write writes the answer in pieces. What it takes of memory for that counts.
func (a *pollAnswer) write(w io.Writer, count *account) error {
	switch {
	case a.whole != nil:
		for piece := range slices.Chunk(a.whole, writeChunk) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	case a.packet != 0:
		_, err := io.WriteString(w, a.single())
		return err
	}
	return a.payload.Write(w, count.add)
}

// answerPoll answers a poll with the messages of a list, which it gives back, or else
// with a packet. Of sent bytes all have been written, unless there is an error.
func (s *Session) answerPoll(w http.ResponseWriter, r *http.Request, list *messageList, packet wire.PacketType) (sent, packets, deliveries int, err error) {
	a := pollAnswer{packet: packet, revision: s.Revision(), contentType: "text/plain; charset=UTF-8"}
	call := s.callOf(r)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	compressible := true
	if list != nil {
		defer func() { packets, deliveries = list.release(s.account) }()
		a.payload = wire.NewPayload(list.messages, s.form)
		a.contentType = a.payload.ContentType()
		compressible = slices.ContainsFunc(list.messages, func(m *wire.Message) bool { return !m.Has(wire.NoCompress) })
	}
	if call != "" {
		a.script(call, s.account)
		header.Set("X-Content-Type-Options", "nosniff")
	} else if compressible {
		s.compressPoll(header, r, &a)
	}
	defer s.account.add(-cap(a.whole))
	if !compressible {
		header.Set("Cache-Control", "no-store, no-transform")
	}
	return a.size(), 0, 0, s.writePoll(w, &a)
}

// writePoll writes the response of a poll. It fails when the client takes nothing for
// the write timeout, and the session is then over.
func (s *Session) writePoll(w http.ResponseWriter, a *pollAnswer) error {
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(a.size()))
	rc := http.NewResponseController(w)
	watch := s.watchAnswer(func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) })
	defer watch.end()
	if err := a.write(steps{w, &watch.progress}, s.account); err != nil {
		return err
	}
	if err := rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// steps is a writer to a client, which shows by each piece that it takes that it is not
// stuck.
type steps struct {
	io.Writer
	progress *progress
}

func (s steps) Write(piece []byte) (n int, err error) {
	if n, err = s.Writer.Write(piece); err == nil {
		s.progress.step()
	}
	return n, err
}
