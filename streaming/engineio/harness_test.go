package engineio

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// patience is how long a test waits for a condition.
const patience = 20 * time.Second

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// must stops the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// need returns the value, or stops the test at an error.
func need[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return value
	}
}

// expect fails the test when two values differ.
func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// heard is one message that a listener heard.
type heard struct {
	data   string
	binary bool
}

// recorder is a listener that remembers.
type recorder struct {
	session *Session
	handle  func(r *recorder, data []byte, binary bool) error
	// closing, when not nil, is called by the first Close.
	closing func()
	// over is closed by the first Close.
	over chan struct{}

	mu       sync.Mutex
	messages []heard
	reasons  []Reason
	talking  atomic.Int32
	overlaps atomic.Int32
}

func (r *recorder) Message(data []byte, binary bool) (Work, error) {
	if r.talking.Add(1) > 1 {
		r.overlaps.Add(1)
	}
	defer r.talking.Add(-1)
	r.mu.Lock()
	r.messages = append(r.messages, heard{string(data), binary})
	r.mu.Unlock()
	if r.handle != nil {
		return nil, r.handle(r, data, binary)
	}
	return nil, nil
}

func (r *recorder) Close(reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = append(r.reasons, reason)
	if len(r.reasons) == 1 {
		if r.closing != nil {
			r.closing()
		}
		close(r.over)
	}
}

// heard returns the messages so far.
func (r *recorder) heard() []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// texts returns the data of the messages so far.
func (r *recorder) texts() []string {
	var texts []string
	for _, m := range r.heard() {
		texts = append(texts, m.data)
	}
	return texts
}

// closed returns the reasons the session was closed with so far.
func (r *recorder) closed() []Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.reasons)
}

// waitFor waits until so many messages were heard.
func (r *recorder) waitFor(t testing.TB, n int) []string {
	t.Helper()
	eventually(t, "messages from the client", func() bool { return len(r.texts()) >= n })
	return r.texts()
}

// waitClosed waits until the session is over and checks that the listener
// hears so once.
func (r *recorder) waitClosed(t testing.TB, want Reason) {
	t.Helper()
	select {
	case <-r.over:
	case <-time.After(patience):
		t.Fatalf("the session is not closed")
	}
	if got := r.closed(); !slices.Equal(got, []Reason{want}) {
		t.Errorf("closed with %q, want %q once", got, want)
	}
}

// testServer is a server with sessions that are recorded.
type testServer struct {
	*Server
	http   *httptest.Server
	client *rawclient.Client
	// handle, when not nil, is called for each message.
	handle func(r *recorder, data []byte, binary bool) error
	// logs is what the server has logged: every session, unless a test wants
	// to see them sampled.
	logs logRecorder

	mu        sync.Mutex
	recorders []*recorder
	// serving counts the requests that are being handled.
	serving atomic.Int64
}

// newEngine returns a server without HTTP in front, whose sessions and
// goroutines must all have ended at the end of the test.
func newEngine(t testing.TB, options Options) *testServer {
	t.Helper()
	if _, ok := t.(*testing.T); ok {
		t.Cleanup(func() { goleak.VerifyNone(t) })
	}
	return newEngineInBubble(t, options)
}

// newEngineInBubble is newEngine within a synctest bubble, which has a check
// for goroutines of its own.
func newEngineInBubble(t testing.TB, options Options) *testServer {
	t.Helper()
	if options.LogConnections == LogSampled {
		options.LogConnections = LogAll
	}
	s := &testServer{}
	_, s.logs.silent = t.(*testing.B)
	s.Server = New(options, s.accept, slog.New(&s.logs))
	t.Cleanup(func() { s.finish(t) })
	return s
}

func (s *testServer) accept(session *Session) Listener {
	r := &recorder{session: session, handle: s.handle, over: make(chan struct{})}
	s.mu.Lock()
	s.recorders = append(s.recorders, r)
	s.mu.Unlock()
	return r
}

// finish ends all sessions and checks that nothing is left of them, and that
// each listener has heard of the end exactly once.
func (s *testServer) finish(t testing.TB) {
	s.Server.Close(ReasonShutdown)
	for session := range s.table.all() {
		session.abort(ReasonShutdown)
	}
	eventually(t, "all sessions to end", func() bool { return s.alive.Load() == 0 })
	expect(t, "open sessions", s.Sessions(), 0)
	s.expectBalanced(t)
	eventually(t, "the wheel to stop", func() bool {
		s.wheel.mu.Lock()
		defer s.wheel.mu.Unlock()
		return s.wheel.count == 0 && !s.wheel.running
	})
	eventually(t, "the flush workers to leave", func() bool {
		s.flusher.mu.Lock()
		defer s.flusher.mu.Unlock()
		return s.flusher.workers == 0 && !s.flusher.watching
	})
	for range s.table.all() {
		t.Error("a session is still in the table")
	}
	eventually(t, "the budget to be free", func() bool { return s.budget.bytes() == 0 })
	eventually(t, "nothing to be kept of what has come", func() bool { return s.received.bytes() == 0 })
	s.unfinished.mu.Lock()
	expect(t, "sessions with much that is unfinished", s.unfinished.oldest, nil)
	s.unfinished.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expectEndsLogged(t)
	for _, r := range s.recorders {
		if reasons := r.closed(); len(reasons) != 1 {
			t.Errorf("a listener heard of the end %d times: %q", len(reasons), reasons)
		}
		expect(t, "overlapping messages", r.overlaps.Load(), 0)
	}
}

// ServeHTTP implements http.Handler.
func (s *testServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serving.Add(1)
	defer s.serving.Add(-1)
	_ = s.Server.ServeHTTP(w, r, Inbound{})
}

// newServer returns a server behind HTTP/1.1, and a client for it.
func newServer(t testing.TB, options Options) *testServer {
	t.Helper()
	return newServerOn(t, options, nil)
}

// newServerOn is newServer on a listener.
func newServerOn(t testing.TB, options Options, on func(net.Listener) net.Listener) *testServer {
	t.Helper()
	s := newEngine(t, options)
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, ConnKey{}, conn)
	}
	if on != nil {
		s.http.Listener = on(s.http.Listener)
	}
	s.http.Start()
	t.Cleanup(s.http.Close)
	t.Cleanup(s.http.CloseClientConnections)
	s.client = rawclient.New(s.http.URL + "/socket.io/")
	t.Cleanup(s.client.Close)
	return s
}

// recorder returns the recorder of a session that has begun.
func (s *testServer) recorder(t testing.TB, sid string) *recorder {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.recorders {
		if r.session.id == sid {
			return r
		}
	}
	t.Fatalf("no session %q", sid)
	return nil
}

// poller begins a session on long-polling.
func (s *testServer) poller(t testing.TB) (*rawclient.Poller, *recorder) {
	t.Helper()
	p := need(s.client.Handshake(t.Context()))(t)
	return p, s.recorder(t, p.Open.SID)
}

// connect begins a session on WebSocket.
func (s *testServer) connect(t testing.TB) (*rawclient.Conn, *recorder) {
	t.Helper()
	conn := need(s.client.Connect(t.Context()))(t)
	t.Cleanup(func() { _ = conn.Close() })
	return conn, s.recorder(t, conn.Open.SID)
}

// answer is how a request ended.
type answer struct {
	rawclient.Response
	err error
}

// get polls in the background. The poll is pending when get returns.
func (s *testServer) get(t testing.TB, p *rawclient.Poller) <-chan answer {
	t.Helper()
	answers := make(chan answer, 1)
	go func() {
		response, err := p.Get(t.Context())
		answers <- answer{response, err}
	}()
	awaitPending(t, s.recorder(t, p.Open.SID).session)
	return answers
}

// awaitPending waits until a poll is held.
func awaitPending(t testing.TB, session *Session) {
	t.Helper()
	eventually(t, "the poll to be pending", func() bool {
		session.mu.Lock()
		defer session.mu.Unlock()
		return session.machine.poll == pollWaiting
	})
}

// receive waits for the end of a request that was sent in the background.
func receive(t testing.TB, answers <-chan answer) rawclient.Response {
	t.Helper()
	select {
	case a := <-answers:
		must(t, a.err)
		return a.Response
	case <-time.After(patience):
		t.Fatal("the request is never answered")
		return rawclient.Response{}
	}
}

// text builds a message of one text packet.
func text(content string, flags ...wire.Flags) *wire.Message {
	return wire.New([][]byte{[]byte(content)}, nil, append(flags, 0)[0])
}

// expectRefused checks that a request was refused as the protocol has it.
func expectRefused(t testing.TB, r rawclient.Response, status int, code ErrorCode) {
	t.Helper()
	got, message, ok := r.ProtocolError()
	if r.Status != status || !ok || ErrorCode(got) != code || message != code.Message() {
		t.Errorf("got status %d and body %q, want status %d and code %d", r.Status, r.Body, status, code)
	}
	expect(t, "content type", r.Header.Get("Content-Type"), "application/json")
}

// refused returns the answer to a WebSocket request that must be refused.
func refused(t testing.TB, conn *rawclient.Conn, err error) rawclient.Response {
	t.Helper()
	if conn != nil {
		_ = conn.Close()
	}
	refusal := (*rawclient.Refused)(nil)
	if !errors.As(err, &refusal) {
		t.Fatalf("want a refused websocket, got error %v", err)
	}
	return refusal.Response
}

// expectClosedUnused checks that a WebSocket for the session is closed right
// after it was accepted, as the Node.js implementation refuses an upgrade.
func (s *testServer) expectClosedUnused(t testing.TB, p *rawclient.Poller) {
	t.Helper()
	conn := need(s.client.Dial(t.Context(), p.Query(rawclient.WebSocket)))(t)
	defer func() { _ = conn.Close() }()
	code := need(conn.ReadClose())(t)
	expect(t, "close code", code, ws.StatusNoStatusRcvd)
	must(t, conn.ReadEnd())
}

// newRequest returns a request as the HTTP server would hand it over.
func newRequest(t testing.TB, method, query string, body io.Reader) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, "/socket.io/?"+query, body)
	return r.WithContext(t.Context())
}

// serveRecorded serves a request without a connection.
func (s *testServer) serveRecorded(t testing.TB, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}
