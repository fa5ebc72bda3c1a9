package engineio

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// TestFarewellTime holds how the time to close sessions follows from their number.
func TestFarewellTime(t *testing.T) {
	for _, test := range []struct {
		sessions   int
		over, want time.Duration
	}{
		{0, 5 * time.Second, 0},
		{3, 5 * time.Second, 15 * time.Millisecond},
		{200, 5 * time.Second, time.Second},
		{2000, 5 * time.Second, 5 * time.Second},
		{100_000, 5 * time.Second, 5 * time.Second},
		{2000, 0, 0},
	} {
		expect(t, "time", Farewell{Over: test.over}.Time(test.sessions), test.want)
	}
}

// drainSocket reads from a WebSocket until its close frame, which it answers,
// and returns what came before and when the close came.
func drainSocket(conn *rawclient.Conn) (texts []string, at time.Time) {
	for {
		frame, err := conn.ReadFrame()
		if err != nil {
			return texts, time.Time{}
		}
		if frame.Header.OpCode == ws.OpClose {
			at = time.Now()
			_ = conn.WriteClose(ws.StatusNormalClosure)
			return texts, at
		}
		texts = append(texts, string(frame.Payload))
	}
}

// TestShutdownSpreadsTheEndOfSessions closes many sessions over the time given,
// each after what is queued for it, and refuses newcomers from the beginning.
func TestShutdownSpreadsTheEndOfSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const sessions, over = 1000, 2 * time.Second
		s := newEngineInBubble(t, Options{})
		type end struct {
			texts []string
			at    time.Time
		}
		ends := make(chan end, sessions)
		for range sessions {
			conn, recorder := s.connectPipe(t)
			recorder.session.Send(text("last words"))
			go func() {
				texts, at := drainSocket(conn)
				ends <- end{texts, at}
			}()
		}
		begun := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- s.Shutdown(t.Context(), Farewell{Over: over, Served: true}) }()
		synctest.Wait()
		w := s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil))
		expect(t, "status of a handshake", w.Code, http.StatusServiceUnavailable)
		expectRetryAfter(t, w.Header())

		must(t, <-drained)
		if took := time.Since(begun); took < over-2*farewellTick || took > over+2*farewellTick {
			t.Errorf("the drain took %v, want %v", took, over)
		}
		var perQuarter [4]int
		for range sessions {
			e := <-ends
			if !slices.Equal(e.texts, []string{"4last words"}) {
				t.Fatalf("got %q before the end", e.texts)
			}
			perQuarter[min(int(e.at.Sub(begun)*4/over), 3)]++
		}
		for i, n := range perQuarter {
			if n < sessions/4-sessions/20 || n > sessions/4+sessions/20 {
				t.Errorf("%d sessions ended in quarter %d of the time: %v", n, i, perQuarter)
			}
		}
		for _, r := range s.recorders {
			r.waitClosed(t, ReasonShutdown)
		}
	})
}

// TestShutdownOfFewTakesLittle does not spend the time it may take.
func TestShutdownOfFewTakesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		for range 3 {
			conn, _ := s.connectPipe(t)
			go drainSocket(conn)
		}
		begun := time.Now()
		must(t, s.Shutdown(t.Context(), Farewell{Over: time.Minute, Served: true}))
		if took := time.Since(begun); took > farewellTick+10*time.Millisecond {
			t.Errorf("three clients took %v", took)
		}
	})
}

// TestShutdownIsBoundedByItsContext does not wait for clients that read nothing.
func TestShutdownIsBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		for range 600 {
			s.connectPipe(t)
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx, Farewell{Over: time.Hour, Served: true}); err == nil {
			t.Error("the drain ended well, though no client reads")
		}
		expect(t, "time", time.Since(begun), time.Second)
		expect(t, "open sessions", s.Sessions(), 0)
	})
}

// TestShutdownAnswersPollsAtOnce ends polls that wait with a noop, so that they do
// not hold up whoever waits for requests, and the session with the next one.
func TestShutdownAnswersPollsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		const pollers = 400 // two seconds' worth of farewellFloor
		var noops atomic.Int64
		var clients sync.WaitGroup
		for range pollers {
			recorder := s.pollIn(t)
			clients.Go(func() {
				body := s.getIn(t, recorder)
				if body == "6" {
					noops.Add(1)
					body = s.getIn(t, recorder)
				}
				expect(t, "the poll of a session whose turn has come", body, "1")
			})
		}
		// All polls wait.
		synctest.Wait()
		must(t, s.Shutdown(t.Context(), Farewell{Over: 2 * time.Second, Served: true}))
		clients.Wait()
		if noops.Load() == 0 {
			t.Error("no poll was ended before its session")
		}
	})
}

// beforeWrite calls a function before each write.
type beforeWrite struct {
	*httptest.ResponseRecorder
	call func()
}

func (w beforeWrite) Write(p []byte) (int, error) {
	w.call()
	return w.ResponseRecorder.Write(p)
}

// TestEndThatComesBesideANoop tells a client of the end by its next poll when the session
// is closed while a noop is being written, as a shutdown does that has released the poll.
func TestEndThatComesBesideANoop(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		r := s.pollIn(t)
		w := beforeWrite{httptest.NewRecorder(), func() { r.session.Close(ReasonShutdown) }}
		query := rawclient.Query(rawclient.Polling, r.session.id)
		must(t, s.Server.ServeHTTP(w, newRequest(t, http.MethodGet, query, nil), Inbound{MaxHold: time.Millisecond}))
		expect(t, "poll", w.Body.String(), "6")
		expect(t, "next poll", s.getIn(t, r), "1")
		r.waitClosed(t, ReasonShutdown)
	})
}

// TestShutdownOfAnUnservedServerEndsPolls tells the clients that wait of the end:
// their next poll would not be passed on.
func TestShutdownOfAnUnservedServerEndsPolls(t *testing.T) {
	s := newServer(t, Options{})
	waiting, waitingRecorder := s.poller(t)
	_, awayRecorder := s.poller(t)
	poll := s.get(t, waiting)
	must(t, s.Shutdown(t.Context(), Farewell{Over: time.Hour, Reason: ReasonHubRemoved}))
	expect(t, "poll", receive(t, poll).Body, "1")
	waitingRecorder.waitClosed(t, ReasonHubRemoved)
	awayRecorder.waitClosed(t, ReasonHubRemoved)
}

// TestCloseIf closes whom it is told to and nobody else.
func TestCloseIf(t *testing.T) {
	s := newServer(t, Options{})
	p, goes := s.poller(t)
	poll := s.get(t, p)
	conn, stays := s.connect(t)
	expect(t, "closed", s.CloseIf(ReasonOriginRevoked, func(h *Handshake) bool { return h == goes.session.Handshake() }), 1)
	expect(t, "poll", receive(t, poll).Body, "1")
	goes.waitClosed(t, ReasonOriginRevoked)
	expect(t, "closed again", s.CloseIf(ReasonOriginRevoked, func(h *Handshake) bool { return h == goes.session.Handshake() }), 0)
	stays.session.Send(text("here"))
	expect(t, "message", need(conn.ReadText())(t), "4here")
}
