package sessions

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/events/internal/eventstest"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// reluctant is a client that reads only when it is told to, over a connection
// of which the system keeps no more than a few of its packets.
type reluctant struct {
	raw  *rawclient.Client
	conn *rawclient.Conn
}

func (s *server) reluctant(session string) *reluctant {
	s.T.Helper()
	r := &reluctant{raw: rawclient.New(s.URL)}
	r.raw.Timeout = 2 * eventstest.Patience
	var err error
	if r.conn, err = r.raw.Connect(context.Background()); err != nil {
		s.T.Fatal(err)
	}
	_ = r.conn.Net.(*net.TCPConn).SetReadBuffer(256 << 10)
	s.T.Cleanup(func() {
		_ = r.conn.Close()
		r.raw.Close()
	})
	for _, packet := range []string{"40", "4" + joinText(session, "reluctant")} {
		if err := r.conn.WriteText(packet); err != nil {
			s.T.Fatal(err)
		}
	}
	for {
		frame, err := r.conn.ReadFrame()
		if err != nil {
			s.T.Fatal(err)
		}
		if strings.HasPrefix(string(frame.Payload), "4399[") {
			return r
		}
	}
}

// readChunks reads until all chunks have come, in order, and tells of each.
func (r *reluctant) readChunks(count int, each func()) error {
	for want := 0; want < count; {
		frame, err := r.conn.ReadFrame()
		if err != nil {
			return fmt.Errorf("before chunk %d: %w", want, err)
		}
		switch text := string(frame.Payload); {
		case frame.Header.OpCode != ws.OpText:
		case text == "2":
			_ = r.conn.WriteText("3")
		case strings.HasPrefix(text, `452-["chunk",`):
			if !strings.Contains(text, fmt.Sprintf(`"chunkIndex":%d,`, want)) {
				return fmt.Errorf("want chunk %d, got %s", want, text)
			}
			want++
			each()
		}
	}
	return nil
}

func chunkText(head, session string, index, total int) string {
	return head + fmt.Sprintf(`["chunk",{"sessionId":%q,"chunk":{"contentId":"file","chunkIndex":%d,"totalChunks":%d,"encryptedData":%s,"iv":{"_placeholder":true,"num":1}}}]`,
		session, index, total, placeholder0)
}

// A file goes to a receiver that takes its time, and to others that do not,
// from a sender that waits for the answer to each chunk and from one that
// sends all at once: nobody is cut off, nothing is lost, and hardly anything
// waits in the server.
func TestSenderGoesAsFastAsItsSlowestReceiver(t *testing.T) {
	const chunks, size, fast = 300, 64 << 10, 4
	for _, waits := range []bool{true, false} {
		t.Run(fmt.Sprintf("waits=%t", waits), func(t *testing.T) {
			s := newServer(t, &Set{})
			slow := s.reluctant("room")
			sender := s.Connect()
			sender.enters("room", "sender")
			results := make(chan error, fast+2)
			for range fast {
				c := s.reluctant("room")
				go func() { results <- c.readChunks(chunks, func() {}) }()
			}
			var most atomic.Int64
			observe := func() {
				if waiting := s.Metrics().Engine.BufferedBytes; waiting > most.Load() {
					most.Store(waiting)
				}
			}
			go func() {
				results <- slow.readChunks(chunks, func() {
					observe()
					time.Sleep(4 * time.Millisecond) // what makes it slow
				})
			}()
			data := strings.Repeat("x", size)
			go func() {
				for i := range chunks {
					head := "52-"
					if waits {
						head = "52-7"
					}
					if err := sender.TrySend(chunkText(head, "room", i, chunks), data, "iv"); err != nil {
						results <- err
						return
					}
					for waits {
						r, err := sender.Read()
						if err != nil {
							results <- err
							return
						}
						if r.Text == `37[{"success":true}]` {
							break
						}
					}
					observe()
				}
				results <- nil
			}()
			for range fast + 2 {
				if err := <-results; err != nil {
					t.Fatal(err)
				}
			}
			if n := s.Metrics().Engine.SlowClients; n != 0 {
				t.Errorf("%d clients were cut off", n)
			}
			if limit := int64(pacedBacklog + 2*size); most.Load() > limit {
				t.Errorf("%d bytes were waiting, of at most %d", most.Load(), limit)
			}
			t.Logf("at most %d bytes were waiting", most.Load())
		})
	}
}

// A receiver that takes nothing at all is waited for once; then it is on its
// own, and is cut off when its send buffer is full.
func TestReceiverThatTakesNothingIsWaitedForOnce(t *testing.T) {
	shorten(t, 100*time.Millisecond)
	const chunks = 300
	s := newServer(t, &Set{})
	s.reluctant("room") // never reads again
	receiver, sender := s.reluctant("room"), s.Connect()
	sender.enters("room", "sender")
	received := make(chan error, 1)
	go func() { received <- receiver.readChunks(chunks, func() {}) }()
	data := strings.Repeat("x", 64<<10)
	for i := range chunks {
		sender.Send(chunkText("52-7", "room", i, chunks), data, "iv")
		for sender.Next().Text != `37[{"success":true}]` {
		}
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
	eventstest.Eventually(t, "it is cut off", func() bool { return s.Metrics().Engine.SlowClients == 1 })
	eventstest.Eventually(t, "it has left", func() bool { return s.stats().Clients == 2 })
}

// Small events, and other sessions, do not wait for a receiver without room;
// what a sender leaves behind when it goes does so for a bounded time.
func TestNobodyElseWaitsForAReceiverWithoutRoom(t *testing.T) {
	shorten(t, 300*time.Millisecond)
	s := newServer(t, &Set{})
	s.reluctant("room") // never reads again
	sender, witness, other := s.Connect(), s.Connect(), s.Connect()
	witness.enters("room", "witness")
	sender.enters("room", "sender")
	witness.Expect(joinedText("room", sender.ID, "sender"))
	other.enters("room", "other")
	witness.Expect(joinedText("room", other.ID, "other"))
	other.enters("elsewhere", "other")
	witness.enters("elsewhere", "witness")

	data := strings.Repeat("x", 64<<10)
	for i := range 200 {
		sender.Send(chunkText("52-", "room", i, 1000), data, "iv")
	}
	other.Send(`2["content",{"sessionId":"room","content":"small"}]`)
	other.Send(`51-["content",{"sessionId":"elsewhere","content":`+placeholder0+`}]`, data)
	sender.Close()

	seen := make(map[string]bool)
	for !seen["small"] || !seen["elsewhere"] || !seen["left"] {
		switch r := witness.Next(); {
		case strings.Contains(r.Text, `"small"`):
			seen["small"] = true
		case strings.Contains(r.Text, `"elsewhere","content"`):
			seen["elsewhere"] = true
		case r.Text == leftText("room", sender.ID):
			seen["left"] = true
		}
	}
}

// shorten makes an event wait for less long, for the time of a test.
func shorten(t *testing.T, limit time.Duration) {
	before := paceLimit
	paceLimit = limit
	t.Cleanup(func() { paceLimit = before })
}
