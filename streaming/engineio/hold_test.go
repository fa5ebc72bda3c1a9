package engineio

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// gate holds answers back while it is shut.
type gate struct {
	mu    sync.Mutex
	opens chan struct{}
}

func (g *gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opens == nil {
		g.opens = make(chan struct{})
	}
}

func (g *gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opens != nil {
		close(g.opens)
		g.opens = nil
	}
}

func (g *gate) pass(ctx context.Context) {
	g.mu.Lock()
	opens := g.opens
	g.mu.Unlock()
	if opens == nil {
		return
	}
	select {
	case <-opens:
	case <-ctx.Done():
	}
}

// gated returns a function that makes a request which passes the gate, in the
// background.
func (s *testServer) gated(t testing.TB, g *gate) func(ctx context.Context, method, sid, body string) <-chan *httptest.ResponseRecorder {
	return func(ctx context.Context, method, sid, body string) <-chan *httptest.ResponseRecorder {
		r := newRequest(t, method, rawclient.Query(rawclient.Polling, sid), strings.NewReader(body))
		r = r.WithContext(ctx)
		answer := make(chan *httptest.ResponseRecorder, 1)
		go func() {
			w := httptest.NewRecorder()
			var in Inbound
			if g != nil {
				in.Hold = g.pass
			}
			_ = s.Server.ServeHTTP(w, r, in)
			answer <- w
		}()
		return answer
	}
}

// TestGateHoldsAnswersBack holds that polls and POSTs are taken in while the
// gate is shut, and answered when it opens.
func TestGateHoldsAnswersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newEngineInBubble(t, Options{PingInterval: time.Hour}), new(gate)
		request := s.gated(t, g)
		expect(t, "status of a handshake", (<-request(t.Context(), http.MethodGet, "", "")).Code, http.StatusOK)
		recorder := s.recorders[0]
		sid := recorder.session.id
		pollers := func(waiting, away int) {
			t.Helper()
			synctest.Wait()
			w, a := s.Pollers()
			expect(t, "waiting", w, waiting)
			expect(t, "away", a, away)
		}
		pollers(0, 1)
		g.Shut()
		g.Shut()
		poll := request(t.Context(), http.MethodGet, sid, "")
		pollers(1, 0)
		post := request(t.Context(), http.MethodPost, sid, "4in")
		recorder.session.Send(text("first"))
		pollers(1, 0)
		expect(t, "message that came by the POST", recorder.texts()[0], "in")
		time.Sleep(time.Minute)
		recorder.session.Send(text("second"))
		select {
		case w := <-poll:
			t.Fatalf("the poll was answered %q through a shut gate", w.Body)
		case w := <-post:
			t.Fatalf("the POST was answered %q through a shut gate", w.Body)
		default:
		}
		g.Open()
		g.Open()
		expect(t, "poll", (<-poll).Body.String(), "4first\x1e4second")
		expect(t, "POST", (<-post).Body.String(), "ok")

		// A client that goes does not wait for the gate.
		g.Shut()
		ctx, cancel := context.WithCancel(t.Context())
		post = request(ctx, http.MethodPost, sid, "4in")
		poll = request(ctx, http.MethodGet, sid, "")
		recorder.session.Send(text("third"))
		synctest.Wait()
		cancel()
		<-post
		<-poll
		g.Open()

		// Nor is anything held back without a gate.
		expect(t, "poll without a gate", (<-s.gated(t, nil)(t.Context(), http.MethodGet, "", "")).Code, http.StatusOK)
	})
}

// TestGateHoldsTheEndBack answers a poll with the end of its session that came
// while the gate was shut.
func TestGateHoldsTheEndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := newEngineInBubble(t, Options{}), new(gate)
		request := s.gated(t, g)
		<-request(t.Context(), http.MethodGet, "", "")
		g.Shut()
		poll := request(t.Context(), http.MethodGet, s.recorders[0].session.id, "")
		synctest.Wait()
		s.recorders[0].session.Close(ReasonForcedClose)
		synctest.Wait()
		g.Open()
		expect(t, "poll", (<-poll).Body.String(), "1")
	})
}

// TestTheTimeForThePongBeginsWithThePing has the answer with a ping held back for longer than a
// client may take for its pong: its time begins when it gets the ping.
func TestTheTimeForThePongBeginsWithThePing(t *testing.T) {
	const timeout = 500 * time.Millisecond
	inBubble(t, func(t *testing.T) {
		s, g := newEngineInBubble(t, Options{PingInterval: time.Second, PingTimeout: timeout}), new(gate)
		request := s.gated(t, g)
		<-request(t.Context(), http.MethodGet, "", "")
		sid := s.recorders[0].session.id
		g.Shut()
		poll := request(t.Context(), http.MethodGet, sid, "")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		expect(t, "open sessions", s.Sessions(), 1)
		g.Open()
		expect(t, "poll", (<-poll).Body.String(), "2")
		watch := startWatch()
		expect(t, "next poll", (<-request(t.Context(), http.MethodGet, sid, "")).Body.String(), "1")
		watch.expectPassed(t, "the end", timeout)
	})
}
