package engineio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

func TestPollingHandshake(t *testing.T) {
	s := newServer(t, Options{PingInterval: 300 * time.Millisecond, PingTimeout: 200 * time.Second, MaxPayload: 1234})
	p, _ := s.poller(t)
	expect(t, "upgrades", strings.Join(p.Open.Upgrades, " "), "websocket")
	expect(t, "ping interval", p.Open.PingInterval, 300)
	expect(t, "ping timeout", p.Open.PingTimeout, 200_000)
	expect(t, "max payload", p.Open.MaxPayload, 1234)
	expect(t, "content type", p.Answer.Header.Get("Content-Type"), "text/plain; charset=UTF-8")
	expect(t, "cache control", p.Answer.Header.Get("Cache-Control"), "no-store")
	expect(t, "cookies", len(p.Answer.Header["Set-Cookie"]), 0)
}

func TestPollingSendAndReceive(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)

	r := need(p.Post(t.Context(), "4hello", "bAQIDBA==", "4€", "4"))(t)
	expect(t, "status", r.Status, http.StatusOK)
	expect(t, "body", r.Body, "ok")
	expect(t, "content type", r.Header.Get("Content-Type"), "text/html")
	want := []heard{{"hello", false}, {"\x01\x02\x03\x04", true}, {"€", false}, {"", false}}
	if got := recorder.heard(); !slices.Equal(got, want) {
		t.Errorf("heard %+v, want %+v", got, want)
	}

	recorder.session.Send(wire.New([][]byte{[]byte("pic"), []byte("ture")}, [][]byte{{1, 2, 3, 4}, {}}, 0))
	recorder.session.Send(text(""))
	got := need(p.Poll(t.Context()))(t)
	if want := []string{"4picture", "bAQIDBA==", "b", "4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	eventually(t, "the queue to be empty", func() bool { return recorder.session.QueuedBytes() == 0 })
}

// TestPollingMalformedPayloadClosesSession posts what makes no sense.
func TestPollingMalformedPayloadClosesSession(t *testing.T) {
	tests := []struct{ name, body string }{
		{"nothing", ""},
		{"unknown type", "abc"},
		{"type after the last", "7"},
		{"base64 with a bad character", "bAQ!D"},
		{"base64 of an impossible length", "bA"},
		{"separator at the end", "4x\x1e"},
		{"separator at the beginning", "\x1e4x"},
		{"two separators", "4x\x1e\x1e4y"},
		{"not UTF-8", "4\xff"},
		{"good, then bad", "4x\x1ez"},
		{"ping from the client", "2"},
	}
	s := newServer(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, recorder := s.poller(t)
			pending := s.get(t, p)
			expectRefused(t, need(p.Post(t.Context(), test.body))(t), http.StatusBadRequest, CodeBadRequest)
			expect(t, "pending poll", receive(t, pending).Body, "1")
			reason := ReasonParseError
			if test.body == "2" {
				reason = ReasonTransportError
			}
			recorder.waitClosed(t, reason)
			expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeUnknownSID)
			expectRefused(t, need(p.Post(t.Context(), "4x"))(t), http.StatusBadRequest, CodeUnknownSID)
		})
	}
}

// TestPollingSecondGetEndsBoth polls while a poll is pending.
func TestPollingSecondGetEndsBoth(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	pending := s.get(t, p)
	expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeBadRequest)
	expect(t, "first poll", receive(t, pending).Body, "1")
	recorder.waitClosed(t, ReasonTransportError)
	expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeUnknownSID)
}

// flushHook is a response that calls back once it has been flushed: the client
// has it then, and its handler is not through.
type flushHook struct {
	*httptest.ResponseRecorder
	flushed func()
}

func (f *flushHook) Flush() {
	f.ResponseRecorder.Flush()
	f.flushed()
}

// TestPollRightAfterTheAnswer polls while the server is still busy with the
// poll whose answer the client has got.
func TestPollRightAfterTheAnswer(t *testing.T) {
	s := newEngine(t, Options{})
	s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil))
	session := s.recorders[0].session
	query := rawclient.Query(rawclient.Polling, session.id)
	get := func() <-chan string {
		bodies := make(chan string, 1)
		go func() { bodies <- s.serveRecorded(t, newRequest(t, http.MethodGet, query, nil)).Body.String() }()
		return bodies
	}
	var next <-chan string
	session.Send(text("first"))
	s.ServeHTTP(&flushHook{httptest.NewRecorder(), func() {
		next = get()
		eventually(t, "the next poll to be there", func() bool {
			session.mu.Lock()
			defer session.mu.Unlock()
			return session.machine.poll == pollNext
		})
		session.Send(text("second"))
	}}, newRequest(t, http.MethodGet, query, nil))
	expect(t, "next poll", <-next, "4second")

	t.Run("one too many", func(t *testing.T) {
		var polls []<-chan string
		session.Send(text("third"))
		s.ServeHTTP(&flushHook{httptest.NewRecorder(), func() {
			polls = append(polls, get(), get())
			eventually(t, "the session to end", func() bool { return !session.isOpen() })
		}}, newRequest(t, http.MethodGet, query, nil))
		for _, poll := range polls {
			if body := <-poll; !strings.Contains(body, `"code":`) {
				t.Errorf("got %q, want a refusal", body)
			}
		}
	})
}

// TestPollingAbandonedGetEndsSession drops connections with a pending poll.
func TestPollingAbandonedGetEndsSession(t *testing.T) {
	s := newServer(t, Options{})
	for range 20 {
		p, recorder := s.poller(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := p.Get(ctx)
			ended <- err
		}()
		awaitPending(t, recorder.session)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("the poll ended with %v", err)
		}
		recorder.waitClosed(t, ReasonTransportError)
		eventually(t, "the request to end", func() bool { return s.serving.Load() == 0 })
	}
	expect(t, "open sessions", s.Sessions(), 0)
}

// TestPollingServerCloseDeliversClosePacket closes sessions with and without
// a pending poll.
func TestPollingServerCloseDeliversClosePacket(t *testing.T) {
	s := newServer(t, Options{})
	t.Run("poll pending", func(t *testing.T) {
		p, recorder := s.poller(t)
		pending := s.get(t, p)
		recorder.session.Close(ReasonForcedClose)
		r := receive(t, pending)
		expect(t, "status", r.Status, http.StatusOK)
		expect(t, "poll", r.Body, "1")
		recorder.waitClosed(t, ReasonForcedClose)
		expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeUnknownSID)
	})
	t.Run("no poll pending", func(t *testing.T) {
		p, recorder := s.poller(t)
		recorder.session.Close(ReasonForcedClose)
		recorder.waitClosed(t, ReasonForcedClose)
		expect(t, "next poll", need(p.Get(t.Context()))(t).Body, "1")
		expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeUnknownSID)
	})
	t.Run("post after the end", func(t *testing.T) {
		p, recorder := s.poller(t)
		recorder.session.Close(ReasonForcedClose)
		need(p.Post(t.Context(), "4too late"))(t)
		expect(t, "messages", len(recorder.texts()), 0)
		expect(t, "next poll", need(p.Get(t.Context()))(t).Body, "1")
	})
}

// TestPollingClientCloses posts a close packet.
func TestPollingClientCloses(t *testing.T) {
	s := newServer(t, Options{})
	t.Run("poll pending", func(t *testing.T) {
		p, recorder := s.poller(t)
		pending := s.get(t, p)
		expect(t, "post", need(p.Post(t.Context(), "4last", "1", "4after the end"))(t).Body, "ok")
		expect(t, "pending poll", receive(t, pending).Body, "6")
		recorder.waitClosed(t, ReasonTransportClose)
		expect(t, "messages", strings.Join(recorder.texts(), " "), "last")
	})
	t.Run("no poll pending", func(t *testing.T) {
		p, recorder := s.poller(t)
		expect(t, "post", need(p.Post(t.Context(), "1"))(t).Body, "ok")
		recorder.waitClosed(t, ReasonTransportClose)
		expectRefused(t, need(p.Get(t.Context()))(t), http.StatusBadRequest, CodeUnknownSID)
	})
}

// TestGetAndPostSideBySideKeepOrder sends both ways at once, then closes in
// the middle.
func TestGetAndPostSideBySideKeepOrder(t *testing.T) {
	const count = 500
	s := newServer(t, Options{})
	for _, closeAfter := range []int{count, count / 2} {
		t.Run(fmt.Sprintf("closed after %d", closeAfter), func(t *testing.T) {
			p, recorder := s.poller(t)
			allPosted := make(chan struct{})
			var both sync.WaitGroup
			both.Go(func() {
				for i := range closeAfter {
					recorder.session.Send(text(strconv.Itoa(i)))
				}
				if closeAfter == count {
					<-allPosted
				}
				recorder.session.Close(ReasonForcedClose)
			})
			both.Go(func() {
				defer close(allPosted)
				for i := 0; i < count; i += 2 {
					r, err := p.Post(t.Context(), "4"+strconv.Itoa(i), "4"+strconv.Itoa(i+1))
					if err != nil {
						t.Errorf("post: %v", err)
						return
					}
					if r.Status != http.StatusOK {
						return
					}
				}
			})
			var got []string
			for {
				packets := need(p.Poll(t.Context()))(t)
				if slices.Equal(packets, []string{"1"}) {
					break
				}
				got = append(got, packets...)
			}
			both.Wait()
			expectNumbered(t, "polled", got, "4", closeAfter)
			expectNumbered(t, "posted", recorder.texts(), "", len(recorder.texts()))
			recorder.waitClosed(t, ReasonForcedClose)
		})
	}
}

// expectNumbered checks that messages are numbered from 0 on, without a gap.
func expectNumbered(t testing.TB, what string, got []string, prefix string, count int) {
	t.Helper()
	if len(got) != count {
		t.Errorf("%s: %d messages, want %d", what, len(got), count)
	}
	for i, message := range got {
		if message != prefix+strconv.Itoa(i) {
			t.Fatalf("%s: message %d is %q", what, i, message)
		}
	}
}

// TestServerCloseAnswersEveryPendingPollAndRefusesHandshakes shuts down.
func TestServerCloseAnswersEveryPendingPollAndRefusesHandshakes(t *testing.T) {
	s := newServer(t, Options{})
	var polls []<-chan answer
	var recorders []*recorder
	for range 20 {
		p, recorder := s.poller(t)
		polls, recorders = append(polls, s.get(t, p)), append(recorders, recorder)
	}
	conn, recorder := s.connect(t)
	s.Close(ReasonShutdown)
	for i, poll := range polls {
		expect(t, "poll", receive(t, poll).Body, "1")
		recorders[i].waitClosed(t, ReasonShutdown)
	}
	need(conn.ReadClose())(t)
	recorder.waitClosed(t, ReasonShutdown)
	must(t, conn.Close())

	refusal := need(s.client.Do(t.Context(), http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil, nil))(t)
	expect(t, "status of a handshake", refusal.Status, http.StatusServiceUnavailable)
	expectRetryAfter(t, refusal.Header)
	conn, err := s.client.Dial(t.Context(), rawclient.Query(rawclient.WebSocket, ""))
	expect(t, "status of a websocket handshake", refused(t, conn, err).Status, http.StatusServiceUnavailable)
	must(t, s.Shutdown(t.Context(), Farewell{}))
}

// TestPollIsHeldForMaxHold polls through a server that allows a poll little
// time.
func TestPollIsHeldForMaxHold(t *testing.T) {
	s := newEngine(t, Options{})
	get := func(sid string) (answer string) {
		w := httptest.NewRecorder()
		r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, sid), nil)
		_ = s.Server.ServeHTTP(w, r, Inbound{RemoteAddr: "192.0.2.7", MaxHold: time.Millisecond})
		return w.Body.String()
	}
	get("")
	recorder := s.recorders[0]
	expect(t, "address", recorder.session.Handshake().RemoteAddr, "192.0.2.7")
	expect(t, "poll", get(recorder.session.id), "6")
	recorder.session.Send(text("x"))
	expect(t, "poll", get(recorder.session.id), "4x")
}

// TestCompressFlagAsksForNoTransform polls for messages that are not worth
// compressing.
func TestCompressFlagAsksForNoTransform(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	tests := []struct {
		name     string
		messages []*wire.Message
		want     string
	}{
		{"worth it", []*wire.Message{text("a")}, "no-store"},
		{"not worth it", []*wire.Message{text("a", wire.NoCompress), text("b", wire.NoCompress)}, "no-store, no-transform"},
		{"some", []*wire.Message{text("a", wire.NoCompress), text("b")}, "no-store"},
	}
	for _, test := range tests {
		for _, m := range test.messages {
			recorder.session.Send(m)
		}
		expect(t, test.name, need(p.Get(t.Context()))(t).Header.Get("Cache-Control"), test.want)
	}
}
