package engineio

import (
	"bufio"
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

// The helpers of this file serve clients without sockets, so that they work
// within a synctest bubble, where time is what a test makes of it.

// hijackable is a response whose connection can be taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// websocketRequest is a request that asks for a WebSocket.
func websocketRequest(t testing.TB, query string) *http.Request {
	t.Helper()
	r := newRequest(t, http.MethodGet, query, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

// pipe opens a WebSocket over a pipe: what the server writes is stuck until
// the client reads it.
func (s *testServer) pipe(t testing.TB, query string) *rawclient.Conn {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	w := &hijackable{httptest.NewRecorder(), server}
	s.ServeHTTP(w, websocketRequest(t, query))
	expect(t, "status", w.Code, http.StatusSwitchingProtocols)
	return rawclient.NewConn(client, time.Hour)
}

// connectPipe begins a session on a WebSocket over a pipe.
func (s *testServer) connectPipe(t testing.TB) (*rawclient.Conn, *recorder) {
	t.Helper()
	conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, ""))
	must(t, conn.ReadOpen())
	return conn, s.recorder(t, conn.Open.SID)
}

// pollIn begins a session on long-polling.
func (s *testServer) pollIn(t testing.TB) *recorder {
	t.Helper()
	s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, ""), nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recorders[len(s.recorders)-1]
}

// getIn polls.
func (s *testServer) getIn(t testing.TB, r *recorder) string {
	t.Helper()
	return s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, r.session.id), nil)).Body.String()
}

// postIn posts a payload.
func (s *testServer) postIn(t testing.TB, r *recorder, payload string) string {
	t.Helper()
	return s.serveRecorded(t, newRequest(t, http.MethodPost, rawclient.Query(rawclient.Polling, r.session.id), strings.NewReader(payload))).Body.String()
}

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// stopwatch measures the time of a bubble.
type stopwatch time.Time

func startWatch() stopwatch { return stopwatch(time.Now()) }

// expectPassed checks that so much time has passed since the start, or a
// little more: what the wheel takes to come round.
func (w stopwatch) expectPassed(t testing.TB, what string, want time.Duration) {
	t.Helper()
	const late = 2 * wheelTick
	if got := time.Since(time.Time(w)); got < want || got > want+late {
		t.Errorf("%s after %v, want %v", what, got, want)
	}
}

// clientFrame is a frame of a client.
func clientFrame(op ws.OpCode, fin bool, payload string) []byte {
	return rawclient.Frame(op, fin, []byte(payload))
}

// upgradePipe moves a session that has no poll pending to a WebSocket over a
// pipe.
func (s *testServer) upgradePipe(t testing.TB, r *recorder) *rawclient.Conn {
	t.Helper()
	conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, r.session.id))
	must(t, conn.WriteText("2probe"))
	expect(t, "answer to the probe", need(conn.ReadText())(t), "3probe")
	must(t, conn.WriteText("5"))
	eventually(t, "the session to change over", func() bool { return r.session.Transport() == WebSocket })
	return conn
}
