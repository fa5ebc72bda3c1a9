package engineio

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// begunFrame is a message of so many bytes, of which the last one is missing, and that.
func begunFrame(size int) (begin, rest []byte) {
	frame := clientFrame(ws.OpText, true, "4"+strings.Repeat("x", size))
	return frame[:len(frame)-1], frame[len(frame)-1:]
}

// TestHalfReceivedMessagesCount holds that what has come of a message counts with the
// memory it takes, in one frame or in many, until it is complete or its client is gone.
func TestHalfReceivedMessagesCount(t *testing.T) {
	const size = 300_000
	piece := strings.Repeat("x", size/10)
	fragments := clientFrame(ws.OpText, false, "4")
	for range 10 {
		fragments = append(fragments, clientFrame(ws.OpContinuation, false, piece)...)
	}
	begin, rest := begunFrame(size)
	for name, test := range map[string]struct{ begin, rest []byte }{
		"one frame": {begin, rest},
		"fragments": {fragments, clientFrame(ws.OpContinuation, true, "")},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{})
				conn, r := s.connectPipe(t)
				gone, _ := s.connectPipe(t)
				synctest.Wait()
				expect(t, "kept for clients that say nothing", s.Metrics().KeptBytes, 0)
				before := heap()
				must(t, conn.Write(test.begin))
				synctest.Wait()
				if kept, took := s.Metrics().KeptBytes, heap()-before; kept < size || kept < took*98/100 {
					t.Errorf("%d bytes are counted, and %d are taken", kept, took)
				}
				if name == "fragments" {
					must(t, conn.Write(clientFrame(ws.OpPing, true, "between")))
					need(conn.ReadFrame())(t)
				}
				must(t, conn.Write(test.rest))
				r.waitFor(t, 1)
				synctest.Wait()
				if kept := s.Metrics().KeptBytes; kept > 16<<10 {
					t.Errorf("%d bytes are kept of what is complete, besides the buffer", kept)
				}
				must(t, conn.WriteText("4short"))
				must(t, conn.WriteText("4short"))
				synctest.Wait()
				expect(t, "kept afterwards", s.Metrics().KeptBytes, 0)

				must(t, gone.Write(test.begin))
				synctest.Wait()
				must(t, gone.Close())
				synctest.Wait()
				expect(t, "kept of a client that is gone", s.Metrics().KeptBytes, 0)
			})
		})
	}
}

// post begins a POST whose body is what the test writes. The answer's status comes when
// the POST is over.
func (s *testServer) post(t testing.TB, r *recorder) (body *io.PipeWriter, status <-chan int) {
	t.Helper()
	read, body := io.Pipe()
	over := make(chan int, 1)
	go func() {
		w := s.serveRecorded(t, newRequest(t, http.MethodPost, rawclient.Query(rawclient.Polling, r.session.id), read))
		_ = read.Close()
		over <- w.Code
	}()
	return body, over
}

// TestHalfReceivedBodiesCount is the same for the body of a POST.
func TestHalfReceivedBodiesCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const size = 300_000
		s := newEngineInBubble(t, Options{})
		var handled int64
		s.handle = func(*recorder, []byte, bool) error {
			handled = s.Metrics().KeptBytes
			return nil
		}
		r := s.pollIn(t)
		body, status := s.post(t, r)
		need(body.Write([]byte("4" + strings.Repeat("x", size))))(t)
		synctest.Wait()
		if kept := s.Metrics().KeptBytes; kept < size || kept > 3*size {
			t.Errorf("%d bytes are counted", kept)
		}
		must(t, body.Close())
		expect(t, "status", <-status, http.StatusOK)
		if handled < size {
			t.Errorf("%d bytes were counted while the body was handled", handled)
		}
		expect(t, "kept afterwards", s.Metrics().KeptBytes, 0)

		body, status = s.post(t, r)
		need(body.Write([]byte("4" + strings.Repeat("x", size))))(t)
		synctest.Wait()
		_ = body.CloseWithError(io.ErrUnexpectedEOF)
		expect(t, "status", <-status, http.StatusBadRequest)
		expect(t, "kept of what was abandoned", s.Metrics().KeptBytes, 0)
	})
}

// TestUnfinishedIsBoundedInSum holds that clients with much that is unfinished take no
// more together than their part of the hub's buffer, that the one that has had it for
// longest is ended when others need the memory, and that those with little lose
// nothing.
func TestUnfinishedIsBoundedInSum(t *testing.T) {
	const (
		clients   = 40
		size      = 900_000
		limit     = 8 * receivedPart * 1_000_000
		tolerance = clients * (modestUnfinished + 32<<10)
	)
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{ServerBuffer: limit, PingInterval: time.Hour})
		most := int64(0)
		look := func() {
			synctest.Wait()
			most = max(most, s.Metrics().KeptBytes)
		}
		connect := func() (*rawclient.Conn, *recorder) {
			conn, r := s.connectPipe(t)
			go func() { _, _ = io.Copy(io.Discard, conn.Net) }()
			return conn, r
		}
		var attackers []*recorder
		for range clients {
			conn, r := connect()
			attackers = append(attackers, r)
			frame, _ := begunFrame(size)
			go func() {
				// In pieces, as from a network: a pipe has no room.
				for piece := range slices.Chunk(frame, 16<<10) {
					if conn.Write(piece) != nil {
						return
					}
				}
			}()
			look()
		}
		ended := func() (n int) {
			for _, r := range attackers {
				n += len(r.closed())
			}
			return n
		}
		expect(t, "ended at once", ended(), 0)

		// A message of less than modestUnfinished passes at any time.
		honest, heard := connect()
		message := clientFrame(ws.OpText, true, "4"+strings.Repeat("h", modestUnfinished/2))
		must(t, honest.Write(message[:30_000]))
		look()
		must(t, honest.Write(message[30_000:]))
		heard.waitFor(t, 1)

		// A large one has to wait, and passes as well.
		go func() { _ = honest.Write(clientFrame(ws.OpText, true, "4"+strings.Repeat("H", size))) }()
		for range 60 {
			time.Sleep(time.Second)
			look()
		}
		expect(t, "messages of the honest client", len(heard.heard()), 2)
		expect(t, "honest client ended", len(heard.closed()), 0)
		if ended() == 0 {
			t.Error("nobody was ended, though others have waited")
		}
		for _, r := range attackers {
			if len(r.closed()) > 0 {
				r.waitClosed(t, ReasonIncomplete)
				s.ended(t, r.session).expectAttrs(t, map[string]any{"reason": ReasonIncomplete, "limit": "hub_buffer"})
			}
		}
		if most > limit/receivedPart+tolerance {
			t.Errorf("%d bytes were taken, the bound is %d", most, limit/receivedPart)
		}
	})
}

// TestManyLargeMessagesAtOnceAllPass holds that clients which send more at once than
// there is room for, and go on sending, are read from one after the other, and that
// nobody is ended.
func TestManyLargeMessagesAtOnceAllPass(t *testing.T) {
	const clients, size = 30, 900_000
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{ServerBuffer: receivedPart * 2_000_000})
		var all []*recorder
		frame := clientFrame(ws.OpText, true, "4"+strings.Repeat("x", size))
		for range clients {
			conn, r := s.connectPipe(t)
			all = append(all, r)
			go func() {
				for piece := range slices.Chunk(frame, 16<<10) {
					if conn.Write(piece) != nil {
						return
					}
					time.Sleep(2 * time.Millisecond)
				}
			}()
		}
		for _, r := range all {
			r.waitFor(t, 1)
			expect(t, "ended", len(r.closed()), 0)
		}
	})
}
