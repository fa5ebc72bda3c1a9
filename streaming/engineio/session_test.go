package engineio

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// TestQueueIsFlushedBeforeClose sends much and closes at once: all of it
// arrives, then the end.
func TestQueueIsFlushedBeforeClose(t *testing.T) {
	const rounds, count = 50, 40
	s := newServer(t, Options{})
	filling := " " + strings.Repeat("x", 5000)
	fill := func(session *Session) {
		for i := range count {
			session.Send(text(strconv.Itoa(i) + filling))
		}
		session.Close(ReasonForcedClose)
		if session.Send(text("too late")) {
			t.Error("a session that is over took a message")
		}
	}
	numbers := func(packets []string) []string {
		var numbers []string
		for _, packet := range packets {
			number, _, _ := strings.Cut(packet, " ")
			numbers = append(numbers, number)
		}
		return numbers
	}
	t.Run("websocket", func(t *testing.T) {
		for range rounds {
			conn, recorder := s.connect(t)
			fill(recorder.session)
			var got []string
			for range count {
				got = append(got, need(conn.ReadText())(t))
			}
			expectNumbered(t, "packets", numbers(got), "4", count)
			need(conn.ReadClose())(t)
			must(t, conn.Close())
			recorder.waitClosed(t, ReasonForcedClose)
		}
	})
	t.Run("poll pending", func(t *testing.T) {
		for range rounds {
			p, recorder := s.poller(t)
			pending := s.get(t, p)
			fill(recorder.session)
			got := receive(t, pending).Packets()
			for len(got) < count+1 {
				got = append(got, need(p.Poll(t.Context()))(t)...)
			}
			expectNumbered(t, "packets", numbers(got[:count]), "4", count)
			expect(t, "last packet", got[count], "1")
			recorder.waitClosed(t, ReasonForcedClose)
		}
	})
	t.Run("no poll pending", func(t *testing.T) {
		p, recorder := s.poller(t)
		fill(recorder.session)
		expectNumbered(t, "packets", numbers(need(p.Poll(t.Context()))(t)), "4", count)
		expect(t, "next poll", need(p.Get(t.Context()))(t).Body, "1")
	})
}

// TestVolatileIsDroppedFirst fills the queue of a client that does not read.
func TestVolatileIsDroppedFirst(t *testing.T) {
	const sendBuffer = 64 << 10
	block := strings.Repeat("x", 8000)
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{SendBuffer: sendBuffer})
		conn, recorder := s.connectPipe(t)
		session := recorder.session

		// One message is on its way; one more may wait beside the volatile.
		session.Send(text("first"))
		synctest.Wait()
		expect(t, "volatile to a client that keeps up", session.Send(text("volatile "+block, wire.Volatile)), true)
		expect(t, "volatile", session.Send(text("volatile "+block, wire.Volatile)), true)
		expect(t, "volatile", session.Send(text("volatile "+block, wire.Volatile)), true)
		expect(t, "volatile to a client that does not", session.Send(text("volatile "+block, wire.Volatile)), false)
		sent := 0
		next := costOf(text("00 " + block))
		for waiting, _ := session.Backlog(); waiting+next <= sendBuffer; waiting, _ = session.Backlog() {
			if !session.Send(text(strconv.Itoa(sent) + " " + block)) {
				t.Fatal("a message was refused before the queue was full")
			}
			sent++
		}
		// The queue is full of what counts, once the volatile has left it.
		for range 3 {
			if !session.Send(text(strconv.Itoa(sent) + " " + block)) {
				t.Fatal("a message was refused while there were volatile ones")
			}
			sent++
		}
		expect(t, "reasons to close", len(recorder.closed()), 0)
		if waiting, _ := session.Backlog(); waiting > sendBuffer {
			t.Errorf("%d bytes wait", waiting)
		}
		expect(t, "first", need(conn.ReadText())(t), "4first")
		for i := range sent {
			packet := need(conn.ReadText())(t)
			if !strings.HasPrefix(packet, "4"+strconv.Itoa(i)+" ") {
				t.Fatalf("packet %d is %.20q", i, packet)
			}
		}
	})
}

// TestQueueOverflowEndsSession fills the queue on polling.
func TestQueueOverflowEndsSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		message := text(strings.Repeat("x", 100))
		s := newEngineInBubble(t, Options{SendBuffer: 9 * costOf(message)})
		recorder := s.pollIn(t)
		// A single message may be larger than the queue.
		expect(t, "large message", recorder.session.Send(text(strings.Repeat("x", 5000))), true)
		expect(t, "poll", len(s.getIn(t, recorder)), 5001)
		for range 9 {
			expect(t, "message", recorder.session.Send(text(strings.Repeat("x", 100))), true)
		}
		expect(t, "volatile message", recorder.session.Send(text(strings.Repeat("x", 100), wire.Volatile)), false)
		expect(t, "reasons to close", len(recorder.closed()), 1)
		recorder.waitClosed(t, ReasonSlowClient)
		expect(t, "queued bytes", recorder.session.QueuedBytes(), 0)
		expect(t, "message after the end", recorder.session.Send(text("x")), false)
		if body := s.getIn(t, recorder); !strings.Contains(body, `"code":1`) {
			t.Errorf("poll answered %q", body)
		}
	})
}

// TestPingsDoNotKeepSlowClientAlive talks all the time and reads nothing: the
// answers do not heap up, and the client is cut off when the first of them has
// waited for too long.
func TestPingsDoNotKeepSlowClientAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, recorder := s.connectPipe(t)
		ping := clientFrame(ws.OpPing, true, strings.Repeat("x", 100))
		began := time.Now()
		for range 10_000 {
			must(t, conn.Write(ping))
		}
		synctest.Wait()
		// One is being written, and one waits.
		pong := wire.NewControl(ws.OpPong, make([]byte, 100))
		expect(t, "bytes queued", recorder.session.QueuedBytes(), 2*pong.Size())
		if most := int64(2*pong.Cost() + maxPooledList*slotCost); s.Metrics().BufferedBytes > most {
			t.Errorf("%d bytes of memory are taken, want %d at most", s.Metrics().BufferedBytes, most)
		}
		recorder.waitClosed(t, ReasonStuckClient)
		if waited := time.Since(began); waited > 2*DefaultWriteTimeout {
			t.Errorf("cut off after %v", waited)
		}
	})
}

// TestLatestPingIsAnswered holds that of several answers to pings that could wait
// for a client, the last one does, in the place of the first.
func TestLatestPingIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{SendBuffer: 20_000})
		conn, recorder := s.connectPipe(t)
		session := recorder.session
		ping := func(data string) {
			must(t, conn.Write(clientFrame(ws.OpPing, true, data)))
			synctest.Wait()
		}
		block := strings.Repeat("x", 8000)
		session.Send(text("being written"))
		synctest.Wait()
		session.Send(text("volatile "+block, wire.Volatile))
		ping("one")
		session.Send(text("between"))
		ping("two")
		// What is volatile leaves the queue, and the pong keeps its place in it.
		session.Send(text("1 " + block))
		session.Send(text("2 " + block))
		ping("three")
		expect(t, "reasons to close", len(recorder.closed()), 0)
		expect(t, "first", need(conn.ReadText())(t), "4being written")
		frame := need(conn.ReadFrame())(t)
		expect(t, "frame", frame.Header.OpCode, ws.OpPong)
		expect(t, "answer", string(frame.Payload), "three")
		expect(t, "next", need(conn.ReadText())(t), "4between")
		expect(t, "next", need(conn.ReadText())(t), "41 "+block)
		expect(t, "next", need(conn.ReadText())(t), "42 "+block)
		ping("four")
		expect(t, "answer", string(need(conn.ReadFrame())(t).Payload), "four")
	})
}

// TestPollAfterClientClosed sends the close packet and a poll at the same time,
// and the poll comes second.
func TestPollAfterClientClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		posted := make(chan string, 1)
		go func() { posted <- s.postIn(t, recorder, "1") }()
		synctest.Wait()
		expect(t, "poll", s.getIn(t, recorder), "6")
		expect(t, "post", <-posted, "ok")
		recorder.waitClosed(t, ReasonTransportClose)
	})
}

// TestConcurrentSendCloseAbort ends sessions from many goroutines while others
// send: exactly one reason is told, once.
func TestConcurrentSendCloseAbort(t *testing.T) {
	s := newServer(t, Options{SendBuffer: 100_000})
	for i := range 60 {
		var conn *rawclient.Conn
		var recorder *recorder
		if i%2 == 0 {
			conn, recorder = s.connect(t)
		} else {
			_, recorder = s.poller(t)
		}
		session := recorder.session
		start := make(chan struct{})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				<-start
				send := func() {
					var b burst
					defer b.flush()
					for range 20 {
						session.Send(text("x", wire.Volatile))
						session.Send(text("y"))
						b.send(session, text("z"))
					}
				}
				if i%3 == 0 {
					answerHere(session, text("a"))
				}
				send()
			})
		}
		for _, end := range []func(){
			func() { session.Close(ReasonForcedClose) },
			func() { session.Close(ReasonShutdown) },
			func() { session.abort(ReasonSlowClient) },
			func() {
				if conn != nil {
					_ = conn.Close()
				}
			},
		} {
			all.Go(func() {
				<-start
				for range rand.IntN(50) {
					session.QueuedBytes()
				}
				end()
			})
		}
		close(start)
		all.Wait()
		<-recorder.over
		expect(t, "reasons to close", len(recorder.closed()), 1)
	}
	// The rest is checked when the server is closed.
}

// TestShutdownWaitsUntilClientsWereTold shuts down with clients that have to
// be told yet, and one that could only be told if it came back.
func TestShutdownWaitsUntilClientsWereTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, onWebSocket := s.connectPipe(t)
		withPoll, withoutPoll := s.pollIn(t), s.pollIn(t)
		pending := make(chan string, 1)
		go func() { pending <- s.getIn(t, withPoll) }()
		synctest.Wait()
		onWebSocket.session.Send(text("last words"))
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(t.Context(), Farewell{}) }()
		synctest.Wait()
		for _, r := range []*recorder{onWebSocket, withPoll, withoutPoll} {
			r.waitClosed(t, ReasonShutdown)
		}
		expect(t, "open sessions", s.Sessions(), 0)
		expect(t, "pending poll", <-pending, "1")

		time.Sleep(time.Second)
		expect(t, "shutdowns that have ended", len(ended), 0)
		expect(t, "packet", need(conn.ReadText())(t), "4last words")
		need(conn.ReadClose())(t)
		time.Sleep(time.Second)
		expect(t, "shutdowns that have ended", len(ended), 0)
		must(t, conn.Write(clientFrame(ws.OpClose, true, "")))
		must(t, conn.ReadEnd())
		must(t, <-ended)
	})
}

// TestShutdownWithQueuedMessages shuts down while a poll brings other news: its
// client would hear of the end with the next, which does not come.
func TestShutdownWithQueuedMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		pending := make(chan string, 1)
		go func() { pending <- s.getIn(t, recorder) }()
		synctest.Wait()
		watch := startWatch()
		recorder.session.Send(text("last words"))
		must(t, s.Shutdown(t.Context(), Farewell{}))
		expect(t, "pending poll", <-pending, "4last words")
		watch.expectPassed(t, "end", 0)
	})
}

// TestShutdownIsBounded shuts down with a client that does not read.
func TestShutdownIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		s.connectPipe(t)
		watch := startWatch()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx, Farewell{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		watch.expectPassed(t, "end", 3*time.Second)
	})
}

// TestCloseWithoutPollIsBounded closes sessions whose clients never come back.
func TestCloseWithoutPollIsBounded(t *testing.T) {
	for pingTimeout, want := range map[time.Duration]time.Duration{
		10 * time.Second: 10 * time.Second,
		time.Hour:        maxPollGrace,
	} {
		t.Run(pingTimeout.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{PingTimeout: pingTimeout})
				recorder := s.pollIn(t)
				recorder.session.Close(ReasonForcedClose)
				recorder.waitClosed(t, ReasonForcedClose)
				time.Sleep(want - wheelTick)
				synctest.Wait()
				expect(t, "sessions to be told", s.alive.Load(), 1)
				time.Sleep(3 * wheelTick)
				synctest.Wait()
				expect(t, "sessions to be told", s.alive.Load(), 0)
			})
		})
	}
}

// TestHandshakesDuringClose begins sessions while the server is closed: each
// is either refused or ended.
func TestHandshakesDuringClose(t *testing.T) {
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			s := newServer(t, Options{})
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range 5 {
						_, _ = s.client.Handshake(t.Context())
					}
				})
				all.Go(func() {
					for range 5 {
						if conn, err := s.client.Connect(t.Context()); err == nil {
							_, _ = conn.ReadClose()
							_ = conn.Close()
						}
					}
				})
			}
			s.Close(ReasonShutdown)
			all.Wait()
			eventually(t, "no session to be open", func() bool { return s.Sessions() == 0 })
		})
	}
}
