package engineio

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// gatedWriter is a response that does not take its first bytes before it is let go.
type gatedWriter struct {
	*httptest.ResponseRecorder
	entered, leave chan struct{}
	once           sync.Once
}

func newGatedWriter() *gatedWriter {
	return &gatedWriter{ResponseRecorder: httptest.NewRecorder(), entered: make(chan struct{}), leave: make(chan struct{})}
}

func (w *gatedWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.entered); <-w.leave })
	return w.ResponseRecorder.Write(p)
}

// gatedPoll polls, and returns when the answer is being written.
func (s *testServer) gatedPoll(t testing.TB, r *recorder, send func()) (w *gatedWriter, over <-chan struct{}) {
	t.Helper()
	w = newGatedWriter()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeHTTP(w, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, r.session.id), nil))
	}()
	awaitPending(t, r.session)
	send()
	<-w.entered
	return w, done
}

// TestCloseDuringUpgradeIsToldOnTheWebSocket closes a session whose client has let its
// poll end and is about to confirm the upgrade: it has left long-polling behind.
func TestCloseDuringUpgradeIsToldOnTheWebSocket(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		recorder.session.Send(text("last"))
		recorder.session.Close(ReasonForcedClose)
		synctest.Wait()
		must(t, conn.WriteText("5"))
		expect(t, "packet", need(conn.ReadText())(t), "4last")
		expect(t, "close code", need(conn.ReadClose())(t), ws.StatusNoStatusRcvd)
		recorder.waitClosed(t, ReasonForcedClose)
		must(t, conn.WriteClose(ws.StatusNormalClosure))
		must(t, conn.ReadEnd())
	})
}

// TestCloseDuringUpgradeIsToldByAPoll closes a session whose client goes on polling:
// the attempt to upgrade ends with the session.
func TestCloseDuringUpgradeIsToldByAPoll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		recorder.session.Send(text("last"))
		recorder.session.Close(ReasonForcedClose)
		watch := startWatch()
		expect(t, "first poll", s.getIn(t, recorder), "4last")
		expect(t, "second poll", s.getIn(t, recorder), "1")
		must(t, conn.ReadEnd())
		expect(t, "time it took", time.Since(time.Time(watch)), 0)
		recorder.waitClosed(t, ReasonForcedClose)
	})
}

// TestCloseDuringUpgradeIsBounded closes a session whose client is never heard of again.
func TestCloseDuringUpgradeIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{PingTimeout: 3 * time.Second})
		recorder := s.pollIn(t)
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		recorder.session.Close(ReasonForcedClose)
		watch := startWatch()
		must(t, conn.ReadEnd())
		watch.expectPassed(t, "the attempt ended", 3*time.Second)
		expect(t, "open sessions", s.Sessions(), 0)
	})
}

// TestShutdownTellsAClientThatUpgrades shuts down a server without requests while a
// client is about to confirm its upgrade.
func TestShutdownTellsAClientThatUpgrades(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		recorder.session.Send(text("last"))
		shutdown := make(chan error, 1)
		go func() { shutdown <- s.Shutdown(t.Context(), Farewell{}) }()
		recorder.waitClosed(t, ReasonShutdown)
		time.Sleep(100 * time.Millisecond)
		must(t, conn.WriteText("5"))
		expect(t, "packet", need(conn.ReadText())(t), "4last")
		expect(t, "close code", need(conn.ReadClose())(t), ws.StatusNoStatusRcvd)
		must(t, conn.WriteClose(ws.StatusNormalClosure))
		must(t, <-shutdown)
	})
}

// TestCloseWhileANoopIsWritten closes a session while a poll that was released is being
// answered with nothing: the next polls bring what is queued, and the end.
func TestCloseWhileANoopIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		recorder := s.pollIn(t)
		w, over := s.gatedPoll(t, recorder, recorder.session.releasePoll)
		recorder.session.Send(text("last"))
		recorder.session.Close(ReasonForcedClose)
		close(w.leave)
		<-over
		expect(t, "poll under way", w.Body.String(), "6")
		expect(t, "next poll", s.getIn(t, recorder), "4last")
		expect(t, "last poll", s.getIn(t, recorder), "1")
	})
}

// TestCloseDuringAPostIsTold closes a session whose client is sending a POST: the
// client is told by its poll, and the POST ends then. To let the POST fail before
// would end the connection for the client, with an error of the network.
func TestCloseDuringAPostIsTold(t *testing.T) {
	for name, polls := range map[string]int{"told": 2, "never polls": 0} {
		t.Run(name, func(t *testing.T) {
			options := Options{}
			if polls == 0 {
				options.PingTimeout = 200 * time.Millisecond
			}
			s := newServer(t, options)
			p, recorder := s.poller(t)
			body, half := io.Pipe()
			post := s.postSlowly(t, p, body, half, "4begun")
			recorder.session.Send(text("last"))
			recorder.session.Close(ReasonForcedClose)
			var told []string
			for range polls {
				told = append(told, need(p.Get(t.Context()))(t).Body)
			}
			if polls > 0 {
				expect(t, "polls", strings.Join(told, " "), "4last 1")
			}
			expectRefused(t, receive(t, post), http.StatusBadRequest, CodeBadRequest)
			_ = half.Close()
			recorder.waitClosed(t, ReasonForcedClose)
			expect(t, "messages", len(recorder.texts()), 0)
		})
	}
}

// TestFaultsOfAClosingClientDoNotLoseItsEnd breaks the protocol on a session that is
// closing: what is queued is still delivered, and the end is told.
func TestFaultsOfAClosingClientDoNotLoseItsEnd(t *testing.T) {
	for name, fault := range map[string]func(*testServer, *recorder){
		"malformed payload": func(s *testServer, r *recorder) { s.postIn(t, r, "9") },
		"ping":              func(s *testServer, r *recorder) { s.postIn(t, r, "2") },
		"body over the limit": func(s *testServer, r *recorder) {
			s.postIn(t, r, "4"+strings.Repeat("x", 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{MaxPayload: 50})
				recorder := s.pollIn(t)
				recorder.session.Send(text("last"))
				recorder.session.Close(ReasonForcedClose)
				fault(s, recorder)
				expect(t, "next poll", s.getIn(t, recorder), "4last")
				expect(t, "last poll", s.getIn(t, recorder), "1")
				recorder.waitClosed(t, ReasonForcedClose)
			})
		})
	}
}

// TestNothingIsWrittenToAWebSocketBeforeThePollIsAnswered upgrades while a poll is
// being answered, and has work done that answers at once.
func TestNothingIsWrittenToAWebSocketBeforeThePollIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		s.handle = func(r *recorder, _ []byte, _ bool) error {
			answerHere(r.session, text("second"))
			return nil
		}
		recorder := s.pollIn(t)
		w, over := s.gatedPoll(t, recorder, func() { recorder.session.Send(text("first")) })
		conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, recorder.session.id))
		must(t, conn.WriteText("2probe"))
		expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
		must(t, conn.WriteText("5"))
		must(t, conn.WriteText("4go"))
		got := make(chan string, 1)
		go func() { packet, _ := conn.ReadText(); got <- packet }()
		synctest.Wait()
		select {
		case packet := <-got:
			t.Errorf("%q was written while a poll is being answered", packet)
		default:
		}
		close(w.leave)
		<-over
		expect(t, "poll", w.Body.String(), "4first")
		expect(t, "packet", <-got, "4second")
	})
}
