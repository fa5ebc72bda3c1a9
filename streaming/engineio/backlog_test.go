package engineio

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// holdOff has the client wait after each message.
func holdOff(wait time.Duration) func(*recorder, []byte, bool) error {
	return func(r *recorder, _ []byte, _ bool) error {
		r.session.HoldOff(wait)
		return nil
	}
}

// numbers are messages that say which ones they are.
func numbers(from, to int) (packets []string) {
	for i := from; i < to; i++ {
		packets = append(packets, fmt.Sprintf("4%d", i))
	}
	return packets
}

// waitNumbers waits for the messages up to a number, and checks their order.
func (r *recorder) waitNumbers(t testing.TB, to int) {
	t.Helper()
	for i, text := range r.waitFor(t, to) {
		expect(t, "message", text, fmt.Sprint(i))
	}
}

// TestPostIsAnsweredBeforeItsMessagesAreDue holds that neither the client nor a proxy
// has to wait with a request for what the server slows down, and that everything is
// heard in the order in which it was sent.
func TestPostIsAnsweredBeforeItsMessagesAreDue(t *testing.T) {
	s := newServer(t, Options{})
	s.handle = holdOff(10 * time.Millisecond)
	p, r := s.poller(t)
	begun := time.Now()
	for _, packets := range [][]string{numbers(0, 10), numbers(10, 20), numbers(20, 21)} {
		expect(t, "status", need(p.Post(t.Context(), packets...))(t).Status, 200)
	}
	if heard := len(r.heard()); heard == 21 {
		t.Errorf("all %d messages were heard before the last POST was answered", heard)
	}
	r.waitNumbers(t, 21)
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("took %s", took)
	}
	// The rest of it is over as well.
	eventually(t, "the end of the backlog", func() bool {
		r.session.mu.Lock()
		defer r.session.mu.Unlock()
		return r.session.backlog == nil
	})
	expect(t, "status", need(p.Post(t.Context(), numbers(21, 22)...))(t).Status, 200)
	r.waitNumbers(t, 22)
}

// TestWebSocketComesAfterWhatWasPosted upgrades while messages of a POST wait.
func TestWebSocketComesAfterWhatWasPosted(t *testing.T) {
	s := newServer(t, Options{})
	s.handle = holdOff(10 * time.Millisecond)
	p, r := s.poller(t)
	need(p.Post(t.Context(), numbers(0, 20)...))(t)
	conn := need(p.Upgrade(t.Context()))(t)
	defer func() { _ = conn.Close() }()
	for _, packet := range numbers(20, 30) {
		must(t, conn.WriteText(packet))
	}
	r.waitNumbers(t, 30)
}

// TestPostWaitsForRoom holds that a client which is slowed down cannot make the server
// keep more than the largest payload, and that who waits does so no longer than the
// session lives.
func TestPostWaitsForRoom(t *testing.T) {
	for name, end := range map[string]func(*Session){
		"closed":  func(s *Session) { s.Close(ReasonForcedClose) },
		"aborted": func(s *Session) { s.abort(ReasonSlowClient) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{MaxPayload: 1000})
			s.handle = holdOff(time.Hour)
			p, r := s.poller(t)
			small, large := "4"+strings.Repeat("a", 300), "4"+strings.Repeat("a", 900)
			expect(t, "status", need(p.Post(t.Context(), "4first", small))(t).Status, 200)
			expect(t, "status", need(p.Post(t.Context(), small))(t).Status, 200)
			answers := make(chan answer, 1)
			go func() {
				response, err := p.Post(t.Context(), large)
				answers <- answer{response, err}
			}()
			eventually(t, "the POST to wait", func() bool {
				r.session.mu.Lock()
				defer r.session.mu.Unlock()
				return r.session.machine.post == postActive && r.session.spending.over != nil
			})
			expect(t, "messages", len(r.heard()), 1)
			r.session.mu.Lock()
			expect(t, "bytes", r.session.backlog.bytes, int64(2*len(small)))
			r.session.mu.Unlock()
			end(r.session)
			<-r.over
			receive(t, answers)
			expect(t, "messages", len(r.heard()), 1)
		})
	}
}

// TestPostOfAnySizeGetsRoom holds that a body whose length is not told, or which is as
// large as can be, has its turn as well.
func TestPostOfAnySizeGetsRoom(t *testing.T) {
	s := newServer(t, Options{MaxPayload: 1000})
	s.handle = holdOff(20 * time.Millisecond)
	p, r := s.poller(t)
	need(p.Post(t.Context(), "4"+strings.Repeat("a", 100), "4"+strings.Repeat("a", 500), "4b"))(t)
	need(p.Post(t.Context(), "4"+strings.Repeat("a", 999)))(t)
	need(p.Post(t.Context(), "4c", "4d"))(t)
	body := struct{ *strings.Reader }{strings.NewReader("4e")}
	expect(t, "status", need(p.Client.Do(t.Context(), http.MethodPost, p.Query(rawclient.Polling), body, nil))(t).Status, 200)
	r.waitFor(t, 7)
	expect(t, "status", need(p.Post(t.Context(), "4"+strings.Repeat("a", 1000)))(t).Status, http.StatusRequestEntityTooLarge)
}

// TestWhatIsWrongInTheBacklog holds that it ends the session like anything else that
// comes over a connection, once its time has come.
func TestWhatIsWrongInTheBacklog(t *testing.T) {
	for name, test := range map[string]struct {
		packets []string
		reason  Reason
	}{
		"malformed packet": {[]string{"41", "42", "b***", "43"}, ReasonParseError},
		"ping":             {[]string{"41", "42", "2", "43"}, ReasonTransportError},
		"close":            {[]string{"41", "42", "1", "43"}, ReasonTransportClose},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{})
			s.handle = holdOff(10 * time.Millisecond)
			p, r := s.poller(t)
			expect(t, "status", need(p.Post(t.Context(), test.packets...))(t).Status, 200)
			r.waitClosed(t, test.reason)
			expect(t, "messages", strings.Join(r.texts(), " "), "1 2")
		})
	}
}

// TestPanicInTheBacklog holds that it ends the session, and nobody waits for more.
func TestPanicInTheBacklog(t *testing.T) {
	s := newServer(t, Options{})
	s.handle = func(r *recorder, data []byte, _ bool) error {
		if string(data) == "2" {
			panic("deliberate")
		}
		r.session.HoldOff(10 * time.Millisecond)
		return nil
	}
	p, r := s.poller(t)
	need(p.Post(t.Context(), "41", "42", "43"))(t)
	r.waitClosed(t, ReasonTransportError)
}

// TestHeartbeatsGoOnWhileTheClientWaits holds that a client which is slowed down for
// long hears from the server, by which it knows that the connection lives, and is not
// taken for lost: its answers wait behind what it has sent before.
func TestHeartbeatsGoOnWhileTheClientWaits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		s.handle = holdOff(time.Second)
		conn, r := s.connectPipe(t)
		written := make(chan struct{})
		go func() {
			defer close(written)
			for _, packet := range numbers(0, 300) {
				if conn.WriteText(packet) != nil {
					return
				}
			}
		}()
		last := time.Now()
		for range 10 {
			expect(t, "packet", need(conn.ReadText())(t), "2")
			if silent := time.Since(last); silent > interval+timeout {
				t.Errorf("nothing came for %s", silent)
			}
			last = time.Now()
		}
		synctest.Wait()
		expect(t, "open", r.session.isOpen(), true)
		r.session.Close(ReasonForcedClose)
		_ = conn.Close()
		<-written
		r.waitClosed(t, ReasonForcedClose)
	})
}
