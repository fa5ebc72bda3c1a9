package engineio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

func TestListenerErrorClosesSession(t *testing.T) {
	s := newServer(t, Options{})
	s.handle = func(_ *recorder, data []byte, _ bool) error {
		if string(data) == "bad" {
			return errors.New("this makes no sense")
		}
		return nil
	}
	t.Run("polling", func(t *testing.T) {
		p, recorder := s.poller(t)
		pending := s.get(t, p)
		need(p.Post(t.Context(), "4good", "4bad", "4after the end"))(t)
		expect(t, "pending poll", receive(t, pending).Body, "1")
		recorder.waitClosed(t, ReasonParseError)
		expect(t, "messages", strings.Join(recorder.texts(), " "), "good bad")
	})
	t.Run("websocket", func(t *testing.T) {
		conn, recorder := s.connect(t)
		must(t, conn.Write(slices.Concat(rawclient.Text("4good"), rawclient.Text("4bad"), rawclient.Text("4after the end"))))
		need(conn.ReadClose())(t)
		recorder.waitClosed(t, ReasonParseError)
		expect(t, "messages", strings.Join(recorder.texts(), " "), "good bad")
	})
}

// TestPollingSecondPostEndsSession posts while a POST is on its way.
func TestPollingSecondPostEndsSession(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	body, half := io.Pipe()
	defer func() { _ = half.Close() }()
	first := s.postSlowly(t, p, body, half, "4half")
	expectRefused(t, need(p.Post(t.Context(), "4x"))(t), http.StatusBadRequest, CodeBadRequest)
	recorder.waitClosed(t, ReasonTransportError)
	// The first is not left waiting for a body that nobody wants.
	expectRefused(t, receive(t, first), http.StatusBadRequest, CodeBadRequest)
	expect(t, "messages", len(recorder.texts()), 0)
}

// postSlowly begins a POST, whose body does not end yet, in the background.
// The server is reading it when postSlowly returns.
func (s *testServer) postSlowly(t testing.TB, p *rawclient.Poller, body io.Reader, half io.Writer, begin string) <-chan answer {
	t.Helper()
	answers := make(chan answer, 1)
	go func() {
		response, err := p.Client.Do(t.Context(), http.MethodPost, p.Query(rawclient.Polling), body, nil)
		answers <- answer{response, err}
	}()
	_, err := io.WriteString(half, begin)
	must(t, err)
	session := s.recorder(t, p.Open.SID).session
	eventually(t, "the post to have begun", func() bool {
		session.mu.Lock()
		defer session.mu.Unlock()
		return session.machine.post == postActive
	})
	return answers
}

// TestPollingAbandonedPostEndsSession drops connections in the middle of a
// body, whose length is told, or is not.
func TestPollingAbandonedPostEndsSession(t *testing.T) {
	s := newServer(t, Options{})
	bodies := map[string]string{
		"length told":  "Content-Length: 100\r\n\r\n4begun",
		"chunked":      "Transfer-Encoding: chunked\r\n\r\n6\r\n4begun\r\n",
		"empty so far": "Content-Length: 100\r\n\r\n",
	}
	for name, rest := range bodies {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				p, recorder := s.poller(t)
				conn := need(net.Dial("tcp", s.http.Listener.Addr().String()))(t)
				_, err := fmt.Fprintf(conn, "POST /socket.io/?%s HTTP/1.1\r\nHost: example.com\r\n%s", p.Query(rawclient.Polling), rest)
				must(t, err)
				eventually(t, "the post to have begun", func() bool {
					recorder.session.mu.Lock()
					defer recorder.session.mu.Unlock()
					return recorder.session.machine.post == postActive
				})
				must(t, conn.Close())
				recorder.waitClosed(t, ReasonTransportError)
				eventually(t, "the request to end", func() bool { return s.serving.Load() == 0 })
				expect(t, "messages", len(recorder.texts()), 0)
			}
		})
	}
	expect(t, "open sessions", s.Sessions(), 0)
}

// TestPollingStalledPostEndsWithSession holds a connection open in the middle of a
// body: it is let go with the session.
func TestPollingStalledPostEndsWithSession(t *testing.T) {
	s := newServer(t, Options{})
	p, recorder := s.poller(t)
	body, half := io.Pipe()
	post := s.postSlowly(t, p, body, half, "4begun")
	recorder.session.abort(ReasonForcedClose)
	recorder.waitClosed(t, ReasonForcedClose)
	expectRefused(t, receive(t, post), http.StatusBadRequest, CodeBadRequest)
	eventually(t, "the request to end", func() bool { return s.serving.Load() == 0 })
	_ = half.Close()
}

// TestChunkedBodyOverLimitIsRefusedNotTruncated posts bodies around the limit.
func TestChunkedBodyOverLimitIsRefusedNotTruncated(t *testing.T) {
	const limit = 100_000
	s := newServer(t, Options{MaxPayload: limit})
	for _, size := range []int{limit - 1, limit, limit + 1, 5 * limit} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, chunked %v", size, chunked), func(t *testing.T) {
				p, recorder := s.poller(t)
				// Two messages, so that a truncated body would show.
				payload := "4first\x1e4" + strings.Repeat("x", size-len("4first\x1e4"))
				var body io.Reader = strings.NewReader(payload)
				if chunked {
					body = io.MultiReader(body)
				}
				r := need(s.client.Do(t.Context(), http.MethodPost, p.Query(rawclient.Polling), body, nil))(t)
				if size <= limit {
					expect(t, "status", r.Status, http.StatusOK)
					expect(t, "messages", len(recorder.texts()), 2)
					expect(t, "size of the second", len(recorder.texts()[1]), size-len("4first\x1e4"))
					return
				}
				expect(t, "status", r.Status, http.StatusRequestEntityTooLarge)
				expect(t, "messages", len(recorder.texts()), 0)
				recorder.waitClosed(t, ReasonTooLarge)
			})
		}
	}
}

// TestOctetStreamPostIsRefused posts binary bodies, which revision 4 of the
// protocol has not: each is answered, and none pins anything.
func TestOctetStreamPostIsRefused(t *testing.T) {
	s := newServer(t, Options{})
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	for range 200 {
		p, recorder := s.poller(t)
		r := need(s.client.Do(t.Context(), http.MethodPost, p.Query(rawclient.Polling), strings.NewReader(strings.Repeat("x", 100_000)), header))(t)
		expectRefused(t, r, http.StatusBadRequest, CodeBadRequest)
		recorder.waitClosed(t, ReasonTransportError)
	}
	eventually(t, "the requests to end", func() bool { return s.serving.Load() == 0 })
	expect(t, "open sessions", s.Sessions(), 0)
}

// TestPanicOfListenerEndsItsSessionAlone lets a listener panic.
func TestPanicOfListenerEndsItsSessionAlone(t *testing.T) {
	s := newServer(t, Options{})
	s.handle = func(_ *recorder, data []byte, _ bool) error {
		if string(data) == "panic" {
			panic("of a listener")
		}
		return nil
	}
	neighbour, neighbours := s.connect(t)
	t.Run("polling", func(t *testing.T) {
		p, recorder := s.poller(t)
		pending := s.get(t, p)
		r := need(p.Post(t.Context(), "4panic"))(t)
		expect(t, "status", r.Status, http.StatusInternalServerError)
		expect(t, "pending poll", receive(t, pending).Body, "1")
		recorder.waitClosed(t, ReasonTransportError)
	})
	t.Run("websocket", func(t *testing.T) {
		conn, recorder := s.connect(t)
		must(t, conn.WriteText("4panic"))
		must(t, conn.ReadEnd())
		recorder.waitClosed(t, ReasonTransportError)
	})
	must(t, neighbour.WriteText("4alive"))
	neighbours.waitFor(t, 1)
}

// keeper is a listener that keeps what is short, as an event waits for its handler.
type keeper struct {
	session *Session
	// holds makes it hear nothing more for long.
	holds bool
	kept  [][]byte
}

func (k *keeper) Message(data []byte, _ bool) (Work, error) {
	if len(data) < 100 {
		k.kept = append(k.kept, data)
	}
	if k.holds {
		k.session.HoldOff(time.Hour)
	}
	return nil, nil
}

func (k *keeper) Close(Reason) {}

// TestShortPacketsKeepNoLongBody holds that what is kept of a body takes no more memory
// than it counts for, though most of the body is through: short packets behind a long
// one, and what waits because the client is slowed down.
func TestShortPacketsKeepNoLongBody(t *testing.T) {
	const posts, size = 60, 200_000
	for name, holds := range map[string]bool{"kept by the listener": false, "kept for later": true} {
		t.Run(name, func(t *testing.T) {
			s := newEngine(t, Options{})
			var keepers []*keeper
			s.Server.accept = func(session *Session) Listener {
				keepers = append(keepers, &keeper{session: session, holds: holds})
				return keepers[len(keepers)-1]
			}
			for range posts {
				s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil))
			}
			before := heap()
			for _, k := range keepers {
				body := strings.NewReader("4" + strings.Repeat("x", size) + "\x1e4short\x1e4last")
				answer := s.serveRecorded(t, newRequest(t, http.MethodPost, rawclient.Query(rawclient.Polling, k.session.id), body))
				expect(t, "answer", answer.Body.String(), "ok")
			}
			if took := heap() - before; took > posts*size/10 {
				t.Errorf("%d bytes are taken for %d short packets", took, posts)
			}
			runtime.KeepAlive(keepers)
		})
	}
}
