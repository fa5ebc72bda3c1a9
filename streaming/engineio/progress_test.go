package engineio

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
)

// slowRate is the slowest client that counts as a healthy one: 64 kbit/s.
const slowRate = 8000 // bytes a second

// slowConn is a connection that is read from at a rate.
type slowConn struct {
	net.Conn
	rate int
}

func (c slowConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), max(c.rate/10, 1))])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

// testTLS is the TLS of a server of package httptest, or nil. It cannot be made in a bubble.
func testTLS(secured bool) *tls.Config {
	if !secured {
		return nil
	}
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Clone()
}

// dialSlowly is connectPipe for a client that reads at a rate.
func (s *testServer) dialSlowly(t testing.TB, rate int, secured *tls.Config) (*rawclient.Conn, *recorder) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	client = slowConn{client, rate}
	if secured != nil {
		server = tls.Server(server, secured)
		client = tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test
		shaken := make(chan error)
		go func() { shaken <- client.(*tls.Conn).Handshake() }()
		must(t, server.(*tls.Conn).Handshake())
		must(t, <-shaken)
	}
	w := &hijackable{httptest.NewRecorder(), server}
	s.ServeHTTP(w, websocketRequest(t, rawclient.Query(rawclient.WebSocket, "")))
	conn := rawclient.NewConn(client, 24*time.Hour)
	must(t, conn.ReadOpen())
	return conn, s.recorder(t, conn.Open.SID)
}

// TestSlowClientGetsLongMessages sends what takes long on the client's line: it gets all of
// it, and answers the ping behind it.
func TestSlowClientGetsLongMessages(t *testing.T) {
	defaults, moving := Options{}, Options{PingTimeout: time.Minute, SendBuffer: 200_000_000}
	for _, test := range []struct {
		name       string
		rate, size int
		options    Options
		secured    bool
	}{
		{"1 MB at 64 kbit/s", slowRate, 1_000_000, defaults, false},
		{"1 MB at 64 kbit/s over TLS", slowRate, 1_000_000, defaults, true},
		{"100 MB at 1 Mbit/s", 125_000, 100_000_000, moving, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := testTLS(test.secured)
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, test.options)
				conn, recorder := s.dialSlowly(t, test.rate, config)
				message := text(strings.Repeat("x", test.size))
				recorder.session.Send(message)
				frames, _ := message.Frames(0)
				need(io.CopyN(io.Discard, conn.Net, int64(len(frames))))(t)
				recorder.session.Send(text("y"))
				expect(t, "packet", need(conn.ReadText())(t), "2")
				must(t, conn.WriteText("3"))
				expect(t, "packet", need(conn.ReadText())(t), "4y")
				expect(t, "packet", need(conn.ReadText())(t), "2")
				expect(t, "reasons to close", len(recorder.closed()), 0)
			})
		})
	}
}

// slowWriter is the answer to a request, which its client takes at a rate.
type slowWriter struct {
	*httptest.ResponseRecorder
	rate int
}

func (w slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * time.Second / time.Duration(w.rate))
	return w.ResponseRecorder.Write(p)
}

// TestSlowPollerGetsLongMessages is TestSlowClientGetsLongMessages on long-polling.
func TestSlowPollerGetsLongMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const size = 1_000_000
		s := newEngineInBubble(t, Options{})
		r := s.pollIn(t)
		poll := func() string {
			w := slowWriter{httptest.NewRecorder(), slowRate}
			s.ServeHTTP(w, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, r.session.id), nil))
			return w.Body.String()
		}
		r.session.Send(text(strings.Repeat("x", size)))
		expect(t, "bytes", len(poll()), 1+size)
		expect(t, "poll", poll(), "2")
		expect(t, "post", s.postIn(t, r, "3"), "ok")
		expect(t, "poll", poll(), "2")
		expect(t, "reasons to close", len(r.closed()), 0)
	})
}

// TestSlowPollerWithoutConnectionIsAlive has a client take the answer to a poll after it was
// written, from somewhere that the server cannot look into.
func TestSlowPollerWithoutConnectionIsAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const size = 1_000_000
		s := newEngineInBubble(t, Options{})
		r := s.pollIn(t)
		r.session.Send(text(strings.Repeat("x", size)))
		expect(t, "bytes", len(s.getIn(t, r)), 1+size)
		time.Sleep(size * time.Second / slowRate)
		expect(t, "poll", s.getIn(t, r), "2")
		expect(t, "post", s.postIn(t, r, "3"), "ok")
		expect(t, "poll", s.getIn(t, r), "2")
		expect(t, "reasons to close", len(r.closed()), 0)

		// It takes one more, and is gone.
		r.session.Send(text(strings.Repeat("x", size)))
		expect(t, "bytes", len(s.getIn(t, r)), 1+size)
		watch := startWatch()
		<-r.over
		if waited := time.Since(time.Time(watch)); waited > size*time.Second/slowestRate+timeout {
			t.Errorf("lost after %v", waited)
		}
		r.waitClosed(t, ReasonPingTimeout)
	})
}

// TestStuckClientIsLost has clients stop to take anything in the middle of a message.
func TestStuckClientIsLost(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secured), func(t *testing.T) {
			config := testTLS(secured)
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{})
				conn, recorder := s.dialSlowly(t, slowRate, config)
				recorder.session.Send(text(strings.Repeat("x", 1_000_000)))
				need(io.ReadFull(conn.Net, make([]byte, 300_000)))(t)
				watch := startWatch()
				<-recorder.over
				if waited := time.Since(time.Time(watch)); waited > 3*DefaultWriteTimeout/2 {
					t.Errorf("ended after %v", waited)
				}
				recorder.waitClosed(t, ReasonStuckClient)
				s.ended(t, recorder.session).expectAttrs(t, map[string]any{"reason": ReasonStuckClient, "limit": "write_timeout"})
				expect(t, "clients that did not keep up", s.Metrics().SlowClients, 1)
				expect(t, "counted ends", s.Metrics().Disconnects.Of("stuck_client"), 1)
			})
		})
	}
}

// TestSlowUplinkIsAlive sends a long message, which takes longer than a client may take to answer
// a ping, at 15 kB/s.
func TestSlowUplinkIsAlive(t *testing.T) {
	const (
		size = 900_000
		rate = 15_000
	)
	body := strings.Repeat("x", size)
	t.Run("websocket", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{})
			conn, r := s.connectPipe(t)
			go func() {
				for {
					if _, err := conn.ReadText(); err != nil {
						return
					}
				}
			}()
			frame := rawclient.Text("4" + body)
			for len(frame) > 0 {
				n := min(len(frame), rate/10)
				must(t, conn.Write(frame[:n]))
				frame = frame[n:]
				time.Sleep(time.Second / 10)
			}
			must(t, conn.WriteText("3"))
			r.waitFor(t, 1)
			expect(t, "bytes", len(r.texts()[0]), size)
			time.Sleep(timeout)
			expect(t, "reasons to close", len(r.closed()), 0)
		})
	})
	t.Run("polling", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{})
			r := s.pollIn(t)
			pipe, into := io.Pipe()
			posted := make(chan string)
			go func() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, newRequest(t, http.MethodPost, rawclient.Query(rawclient.Polling, r.session.id), pipe))
				posted <- w.Body.String()
			}()
			payload := "4" + body + rawclient.Separator + "3"
			for len(payload) > 0 {
				n := min(len(payload), rate/10)
				_, err := io.WriteString(into, payload[:n])
				must(t, err)
				payload = payload[n:]
				time.Sleep(time.Second / 10)
			}
			_ = into.Close()
			expect(t, "post", <-posted, "ok")
			r.waitFor(t, 1)
			expect(t, "reasons to close", len(r.closed()), 0)
		})
	})
}

// TestHalfAFrameThatStopsIsLost begins a message and does not go on.
func TestHalfAFrameThatStopsIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, r := s.connectPipe(t)
		go func() { _, _ = conn.ReadText() }()
		time.Sleep(interval + timeout/2)
		must(t, conn.Write(clientFrame(ws.OpText, true, strings.Repeat("x", 100_000))[:50_000]))
		watch := startWatch()
		<-r.over
		watch.expectPassed(t, "ping timeout", timeout)
		r.waitClosed(t, ReasonPingTimeout)
	})
}

// rekeying is a connection that writes when it is read from, as TLS does when its peer has asked
// for new keys.
type rekeying struct{ net.Conn }

func (c rekeying) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil {
		_, err = c.Write(ws.MustCompileFrame(ws.NewBinaryFrame([]byte("new keys"))))
	}
	return n, err
}

// TestNoWriteDeadlineIsLeft reads long after a write, in a way that makes TLS write.
func TestNoWriteDeadlineIsLeft(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, s *testServer, server, client net.Conn) *rawclient.Conn{
		"websocket": func(t *testing.T, s *testServer, server, client net.Conn) *rawclient.Conn {
			s.ServeHTTP(&hijackable{httptest.NewRecorder(), server}, websocketRequest(t, rawclient.Query(rawclient.WebSocket, "")))
			conn := rawclient.NewConn(client, 24*time.Hour)
			must(t, conn.ReadOpen())
			return conn
		},
		"upgrade": func(t *testing.T, s *testServer, server, client net.Conn) *rawclient.Conn {
			r := s.pollIn(t)
			s.ServeHTTP(&hijackable{httptest.NewRecorder(), server}, websocketRequest(t, rawclient.Query(rawclient.WebSocket, r.session.id)))
			conn := rawclient.NewConn(client, 24*time.Hour)
			must(t, conn.WriteText("2probe"))
			expect(t, "frame", string(need(conn.ReadFrame())(t).Payload), "new keys")
			expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
			must(t, conn.WriteText("5"))
			expect(t, "frame", string(need(conn.ReadFrame())(t).Payload), "new keys")
			return conn
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{PingInterval: time.Hour})
				server, client := net.Pipe()
				t.Cleanup(func() { _ = client.Close() })
				conn := begin(t, s, rekeying{server}, client)
				r := s.recorders[0]
				r.session.Send(text("something"))
				expect(t, "packet", need(conn.ReadText())(t), "4something")
				time.Sleep(10 * DefaultWriteTimeout)
				must(t, conn.WriteText("4and now"))
				expect(t, "frame", string(need(conn.ReadFrame())(t).Payload), "new keys")
				r.waitFor(t, 1)
				r.session.Send(text("works"))
				expect(t, "packet", need(conn.ReadText())(t), "4works")
				synctest.Wait()
				expect(t, "reasons to close", len(r.closed()), 0)
			})
		})
	}
}
