package streaming

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// bubbleClient is a client on a WebSocket without a network, for tests with a clock of their own. It
// answers heartbeats.
type bubbleClient struct {
	conn *rawclient.Conn

	mu   sync.Mutex
	got  []string
	deaf bool
}

type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// bubbleDial connects a client, which shows a payload, to the main namespace.
func bubbleDial(t *testing.T, s *Server, payload string) *bubbleClient {
	t.Helper()
	server, client := net.Pipe()
	r := httptest.NewRequest(http.MethodGet, "/socket.io/?"+rawclient.Query(rawclient.WebSocket, ""), nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	if err := s.ServeHTTP(&hijackable{httptest.NewRecorder(), server}, r, engineio.Inbound{}); err != nil {
		t.Fatal(err)
	}
	c := &bubbleClient{conn: rawclient.NewConn(client, 24*time.Hour)}
	if err := c.conn.ReadOpen(); err != nil {
		t.Fatal(err)
	}
	go c.read()
	_ = c.conn.WriteText("40" + payload)
	synctest.Wait()
	t.Cleanup(func() { _ = client.Close() })
	return c
}

func (c *bubbleClient) read() {
	for {
		text, err := c.conn.ReadText()
		if err != nil {
			return
		}
		c.mu.Lock()
		deaf := c.deaf
		if !deaf && strings.HasPrefix(text, "4") {
			c.got = append(c.got, text[1:])
		}
		c.mu.Unlock()
		if !deaf && text == "2" {
			_ = c.conn.WriteText("3")
		}
	}
}

// take returns what has come.
func (c *bubbleClient) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// goDeaf makes the client one that has vanished without a word.
func (c *bubbleClient) goDeaf() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = true
}

// pidIn returns the pid in the answer to CONNECT.
func pidIn(t *testing.T, answer string) string {
	t.Helper()
	_, after, ok := strings.Cut(answer, `"pid":"`)
	if !ok {
		t.Fatalf("no pid in %s", answer)
	}
	return strings.TrimSuffix(after, `"}`)
}

// eventNames returns the names of events.
func eventNames(events []string) (names []string) {
	for _, e := range events {
		name, _, _ := strings.Cut(strings.TrimPrefix(e, `2["`), `"`)
		names = append(names, name)
	}
	return names
}

func inRecoveryBubble(t *testing.T, test func(t *testing.T, s *Server, gone chan Reason)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(recovering(), nil)
		gone := make(chan Reason, 10)
		_ = s.Of("/").Use(handlers(func(_ *Namespace, h *Handlers) {
			h.OnDisconnect(func(_ *Socket, reason Reason) { gone <- reason })
		}))
		test(t, s, gone)
		if err := s.Shutdown(t.Context(), engineio.Farewell{}); err != nil {
			t.Error(err)
		}
		// Until nothing is due any more.
		time.Sleep(time.Hour)
	})
}

// TestNobodyIsToldBeforeTheWindowEnds holds that a socket waits as long as it is to, and not longer.
func TestNobodyIsToldBeforeTheWindowEnds(t *testing.T) {
	inRecoveryBubble(t, func(t *testing.T, s *Server, gone chan Reason) {
		c := bubbleDial(t, s, "")
		pid := pidIn(t, c.take()[0])
		socket := s.Of("/").Everyone().Sockets()[0]
		_ = c.conn.Close()
		synctest.Wait()
		// Another window is for those that are cut from now on.
		o := recovering()
		o.Recovery.Window = time.Second
		s.SetOptions(o)
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if len(gone) != 0 || !socket.Connected() || socket.reachable() {
			t.Fatal("it does not wait")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if len(gone) != 1 || socket.Connected() || s.Metrics().Recovery.Waiting != 0 {
			t.Fatal("it waits on")
		}
		if reason := <-gone; reason != engineio.ReasonTransportClose && reason != engineio.ReasonTransportError {
			t.Error(reason)
		}
		if answer := bubbleDial(t, s, `{"pid":"`+pid+`"}`).take()[0]; pidIn(t, answer) == pid {
			t.Error(answer)
		}
	})
}

// TestQuietClientIsRecovered has a client that has got nothing for long, in a namespace in which much is
// sent to others.
func TestQuietClientIsRecovered(t *testing.T) {
	inRecoveryBubble(t, func(t *testing.T, s *Server, gone chan Reason) {
		c := bubbleDial(t, s, "")
		pid := pidIn(t, c.take()[0])
		n, socket := s.Of("/"), s.Of("/").Everyone().Sockets()[0]
		socket.Admit("room")
		other := bubbleDial(t, s, "")
		for range 200 {
			_ = n.Everyone().Except(socket.ID()).Emit("others")
			_ = socket.To("room").Emit("its own")
			time.Sleep(5 * time.Second)
		}
		if got := c.take(); len(got) != 0 {
			t.Fatalf("it has got %v", got)
		}
		if m := s.Metrics().Recovery; m.Packets == 0 || m.Packets > 100 {
			t.Errorf("%+v is kept", m)
		}
		_ = c.conn.Close()
		time.Sleep(30 * time.Second)
		_ = n.To("room").Emit("missed")
		got := bubbleDial(t, s, `{"pid":"`+pid+`"}`).take()
		if len(got) != 2 || pidIn(t, got[0]) != pid || eventNames(got[1:])[0] != "missed" || len(gone) != 0 {
			t.Errorf("got %v, %+v", got, s.Metrics().Recovery)
		}
		_ = other
	})
}

// TestWhatWasSentToAHalfOpenConnection has a client vanish without a word: what is sent until that is noticed
// is not lost, though nobody can know that it has not come.
func TestWhatWasSentToAHalfOpenConnection(t *testing.T) {
	inRecoveryBubble(t, func(t *testing.T, s *Server, gone chan Reason) {
		c := bubbleDial(t, s, "")
		pid := pidIn(t, c.take()[0])
		n := s.Of("/")
		c.goDeaf()
		var want []string
		for range 90 {
			_ = n.Emit("event")
			want = append(want, "event")
			time.Sleep(time.Second)
		}
		got := bubbleDial(t, s, `{"pid":"`+pid+`"}`).take()
		if len(got) != 91 || pidIn(t, got[0]) != pid || !slices.Equal(eventNames(got[1:]), want) || len(gone) != 0 {
			t.Errorf("got %d, %+v", len(got), s.Metrics().Recovery)
		}
	})
}

// TestWhoComesBackAgainAndAgain has a client come back without end to what it has heard long ago: what it is
// sent is bounded, and grows with the time.
func TestWhoComesBackAgainAndAgain(t *testing.T) {
	inRecoveryBubble(t, func(t *testing.T, s *Server, _ chan Reason) {
		const size = 500_000
		c := bubbleDial(t, s, "")
		pid := pidIn(t, c.take()[0])
		_ = s.Of("/").Emit("much", strings.Repeat("x", size))
		// again has the client come back until it is no longer sent what it missed, and returns how often that was.
		again := func() (times int) {
			for ; times < 100; times++ {
				c = bubbleDial(t, s, `{"pid":"`+pid+`"}`)
				got := c.take()
				if len(got) != 2 || len(got[1]) < size || pidIn(t, got[0]) != pid {
					break
				}
			}
			return times
		}
		if times, most := again(), 8_000_000/size+1; times < most-2 || times > most {
			t.Errorf("it was recovered %d times", times)
		}
		if m := s.Metrics().Recovery; !slices.Contains(m.Failed, recovery.Failure{Reason: recovery.TooMuch, Count: 1}) {
			t.Errorf("%+v", m)
		}
	})
}
