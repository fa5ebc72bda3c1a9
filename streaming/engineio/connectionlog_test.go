package engineio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// logRecord is a line of the log.
type logRecord struct {
	level   slog.Level
	message string
	attrs   map[string]slog.Value
}

// logRecorder is a slog.Handler that remembers.
type logRecorder struct {
	// silent takes only warnings and errors.
	silent bool

	mu      sync.Mutex
	records []logRecord
}

func (l *logRecorder) Enabled(_ context.Context, level slog.Level) bool {
	return !l.silent || level >= slog.LevelWarn
}
func (l *logRecorder) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logRecorder) WithGroup(string) slog.Handler      { return l }

func (l *logRecorder) Handle(_ context.Context, r slog.Record) error {
	record := logRecord{level: r.Level, message: r.Message, attrs: make(map[string]slog.Value)}
	r.Attrs(func(a slog.Attr) bool {
		record.attrs[a.Key] = a.Value
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, record)
	return nil
}

// all returns the lines with this message.
func (l *logRecorder) all(message string) []logRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.records), func(r logRecord) bool { return r.message != message })
}

// text is all that was logged.
func (l *logRecorder) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.records)
}

const (
	lineStarted = "connection started"
	lineEnded   = "connection ended"
)

// ended waits for the line at the end of a session.
func (s *testServer) ended(t testing.TB, session *Session) logRecord {
	t.Helper()
	var found []logRecord
	eventually(t, "the end to be logged", func() bool {
		found = slices.DeleteFunc(s.logs.all(lineEnded), func(r logRecord) bool { return r.attrs["connection"].String() != session.LogID() })
		return len(found) > 0
	})
	return found[0]
}

// expectEndsLogged checks that the start and the end of each session were
// logged once, and that no line shows the ID of a session. It is called for
// every server at the end of its test.
func (s *testServer) expectEndsLogged(t testing.TB) {
	t.Helper()
	if s.options.Load().LogConnections != LogAll || s.logs.silent {
		return
	}
	eventually(t, "all ends to be logged", func() bool { return len(s.logs.all(lineEnded)) >= len(s.recorders) })
	for _, message := range []string{lineStarted, lineEnded} {
		seen := make(map[string]int)
		for _, r := range s.logs.all(message) {
			seen[r.attrs["connection"].String()]++
		}
		for _, r := range s.recorders {
			if n := seen[r.session.LogID()]; n != 1 {
				t.Errorf("%s was logged %d times for one session", message, n)
			}
		}
	}
	text := s.logs.text()
	for _, r := range s.recorders {
		if strings.Contains(text, r.session.ID()) {
			t.Error("the ID of a session was logged")
		}
	}
}

// expectAttrs checks attributes by their text.
func (r logRecord) expectAttrs(t testing.TB, want map[string]any) {
	t.Helper()
	for name, value := range want {
		expect(t, name, r.attrs[name].String(), fmt.Sprint(value))
	}
}

func TestEndIsLoggedWithWhatWentOver(t *testing.T) {
	s := newServer(t, Options{})
	s.client.Header.Set("User-Agent", "Agent/1.0\u202e"+strings.Repeat("x", 1000))
	conn, recorder := s.connect(t)
	must(t, conn.WriteText("4hello"))
	must(t, conn.WriteBinary([]byte{1, 2, 3, 4}))
	must(t, conn.Write(clientFrame(ws.OpPing, true, "")))
	recorder.waitFor(t, 2)
	// 2 frames of 6 and 4 bytes, and one of none, each with a header of 6.
	in := 6 + 4 + 3*6
	// What the ping brought is counted before it is answered.
	expect(t, "pong", need(conn.ReadFrame())(t).Header.OpCode, ws.OpPong)
	m := wire.New([][]byte{[]byte("picture")}, [][]byte{{1, 2, 3}}, 0)
	recorder.session.Send(m)
	expect(t, "text", need(conn.ReadText())(t), "4picture")
	expect(t, "binary", string(need(conn.ReadBinary())(t)), "\x01\x02\x03")
	eventually(t, "what was written to be counted", func() bool { return recorder.session.Counts().MessagesOut == 2 })
	counts := recorder.session.Counts()
	expect(t, "bytes in", counts.BytesIn, int64(in))
	expect(t, "messages in", counts.MessagesIn, 2)
	must(t, conn.WriteClose(ws.StatusNormalClosure))
	recorder.waitClosed(t, ReasonTransportClose)

	line := s.ended(t, recorder.session)
	expect(t, "level", line.level, slog.LevelInfo)
	// The close frames have a code, two bytes.
	line.expectAttrs(t, map[string]any{
		"reason": "transport close", "transport": "websocket", "upgraded": false, "client_ip": "127.0.0.1",
		"bytes_in": in + 6 + 2, "bytes_out": counts.BytesOut + 2 + 2, "messages_in": 2, "messages_out": 2,
	})
	if d := line.attrs["duration"].Duration(); d <= 0 || d > patience {
		t.Errorf("duration %v", d)
	}
	agent := line.attrs["user_agent"].String()
	if !strings.HasPrefix(agent, `Agent/1.0`) || len(agent) > 2*maxLoggedAgent || strings.Contains(agent, "\u202e") {
		t.Errorf("user agent %q", agent)
	}
	start := s.logs.all(lineStarted)[0]
	expect(t, "level of the start", start.level, slog.LevelInfo)
	start.expectAttrs(t, map[string]any{
		"connection": line.attrs["connection"], "transport": "websocket", "client_ip": "127.0.0.1", "tls": false, "user_agent": agent,
	})
}

func TestEndIsLoggedForEachTransport(t *testing.T) {
	t.Run("polling", func(t *testing.T) {
		s := newServer(t, Options{})
		p, recorder := s.poller(t)
		recorder.session.Send(text("x"))
		need(p.Poll(t.Context()))(t)
		need(p.Post(t.Context(), "4a", "4bc", "3"))(t)
		before := recorder.session.Counts()
		expect(t, "bytes in", before.BytesIn, int64(len("4a\x1e4bc\x1e3")))
		expect(t, "bytes out", before.BytesOut, int64(len(p.Answer.Body)+len("4x")))
		need(p.Post(t.Context(), "1"))(t)
		recorder.waitClosed(t, ReasonTransportClose)
		s.ended(t, recorder.session).expectAttrs(t, map[string]any{
			"reason": "transport close", "transport": "polling", "upgraded": false,
			"bytes_in": before.BytesIn + 1, "bytes_out": before.BytesOut, "messages_in": 2, "messages_out": 1,
		})
	})
	t.Run("upgraded", func(t *testing.T) {
		s := newServer(t, Options{})
		p, recorder := s.poller(t)
		need(p.Post(t.Context(), "4a"))(t)
		conn := need(p.Upgrade(t.Context()))(t)
		defer func() { _ = conn.Close() }()
		must(t, conn.WriteText("4b"))
		recorder.waitFor(t, 2)
		recorder.session.Close(ReasonForcedClose)
		need(conn.ReadClose())(t)
		_ = conn.Close()
		s.ended(t, recorder.session).expectAttrs(t, map[string]any{
			"reason": "forced close", "transport": "websocket", "upgraded": true, "messages_in": 2, "messages_out": 0,
			// The POST, and the frames "2probe", "5" and "4b".
			"bytes_in": 2 + 3*6 + 6 + 1 + 2,
		})
	})
	t.Run("nothing but a handshake", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newEngineInBubble(t, Options{PingInterval: time.Second, PingTimeout: time.Second})
			r := s.pollIn(t)
			<-r.over
			line := s.ended(t, r.session)
			line.expectAttrs(t, map[string]any{"reason": "ping timeout", "transport": "polling", "messages_in": 0, "messages_out": 0, "bytes_in": 0})
			if d := line.attrs["duration"].Duration(); d < 2*time.Second || d > 3*time.Second {
				t.Errorf("duration %v", d)
			}
		})
	})
}

func TestFaultsAreLoggedAsWarnings(t *testing.T) {
	for _, test := range []struct {
		reason Reason
		commit func(t *testing.T, s *testServer, conn *rawclient.Conn, r *recorder)
	}{
		{ReasonParseError, func(t *testing.T, _ *testServer, conn *rawclient.Conn, _ *recorder) {
			must(t, conn.WriteText("x"))
		}},
		{ReasonTooLarge, func(t *testing.T, _ *testServer, conn *rawclient.Conn, _ *recorder) {
			must(t, conn.WriteText("4"+strings.Repeat("x", 1000)))
		}},
		{ReasonSlowClient, func(_ *testing.T, _ *testServer, _ *rawclient.Conn, r *recorder) {
			for r.session.Send(text(strings.Repeat("x", 100_000))) {
				continue
			}
		}},
	} {
		t.Run(string(test.reason), func(t *testing.T) {
			s := newServer(t, Options{MaxPayload: 100, SendBuffer: 200_000})
			conn, recorder := s.connect(t)
			test.commit(t, s, conn, recorder)
			recorder.waitClosed(t, test.reason)
			line := s.ended(t, recorder.session)
			expect(t, "level", line.level, slog.LevelWarn)
			line.expectAttrs(t, map[string]any{"reason": test.reason})
			if limit := line.attrs["limit"].String(); (test.reason == ReasonSlowClient) != (limit == "send_buffer") {
				t.Errorf("the limit is %s", limit)
			}
			s.logs.mu.Lock()
			defer s.logs.mu.Unlock()
			warnings := 0
			for _, r := range s.logs.records {
				if r.level >= slog.LevelWarn {
					warnings++
				}
			}
			expect(t, "warnings", warnings, 1)
		})
	}
}

// TestEndCountsWhatAWriterWasAt ends sessions while something is written: the
// end is logged when it is known what went out.
func TestEndCountsWhatAWriterWasAt(t *testing.T) {
	s := newEngine(t, Options{})
	server, client := net.Pipe()
	defer func() { _ = client.Close() }()
	stuck := &stuckConn{Conn: server, entered: make(chan struct{}), leave: make(chan struct{})}
	w := &hijackable{httptest.NewRecorder(), stuck}
	s.ServeHTTP(w, websocketRequest(t, rawclient.Query(rawclient.WebSocket, "")))
	r := s.recorders[0]
	<-stuck.entered
	r.session.abort(ReasonTransportError)
	expect(t, "lines before it is known what went out", len(s.logs.all(lineEnded)), 0)
	close(stuck.leave)
	s.ended(t, r.session).expectAttrs(t, map[string]any{"reason": "transport error", "bytes_out": 7})
}

// stuckConn is a connection whose Write waits, and then has written 7 bytes.
type stuckConn struct {
	net.Conn
	entered, leave chan struct{}
}

func (c *stuckConn) Write([]byte) (int, error) {
	close(c.entered)
	<-c.leave
	return 7, errors.New("cut off")
}

// TestReconnectStormIsSampled lets many clients come and go at once: the lines
// come in pairs, and those left out are counted.
func TestReconnectStormIsSampled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const clients = 1000
		logs := new(logRecorder)
		s := &testServer{}
		s.Server = New(Options{}, s.accept, slog.New(logs))
		defer s.finish(t)
		var recorders []*recorder
		for range clients {
			recorders = append(recorders, s.pollIn(t))
		}
		time.Sleep(time.Second)
		// One more, which comes later, is logged.
		recorders = append(recorders, s.pollIn(t))
		for _, r := range recorders {
			r.session.abort(ReasonTransportClose)
		}
		started, ended := logs.all(lineStarted), logs.all(lineEnded)
		expect(t, "starts", len(started), startsPerSecond+1)
		expect(t, "ends", len(ended), startsPerSecond+1)
		pairs := make(map[string]int)
		for _, r := range slices.Concat(started, ended) {
			pairs[r.attrs["connection"].String()]++
		}
		for _, n := range pairs {
			expect(t, "lines of one connection", n, 2)
		}
		time.Sleep(2 * logline.Interval)
		more := logs.all("more connections")
		expect(t, "lines about the others", len(more), 1)
		more[0].expectAttrs(t, map[string]any{"started": clients - startsPerSecond, "ended": clients - startsPerSecond})
	})
}

// TestFaultsOfUnloggedSessions holds that a fault is logged though the session
// is not, and that a flood of them is counted.
func TestFaultsOfUnloggedSessions(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const clients = 500
		s := newEngineInBubble(t, Options{LogConnections: LogFaults})
		for range clients {
			s.postIn(t, s.pollIn(t), "malformed")
		}
		s.pollIn(t).session.abort(ReasonTransportClose)
		expect(t, "starts", len(s.logs.all(lineStarted)), 0)
		expect(t, "ends", len(s.logs.all(lineEnded)), logline.First)
		time.Sleep(logline.Interval + time.Second)
		more := s.logs.all("more connections ended")
		expect(t, "lines about the others", len(more), 1)
		more[0].expectAttrs(t, map[string]any{"reason": ReasonParseError, "count": clients - logline.First})
		expect(t, "lines about unlogged sessions", len(s.logs.all("more connections")), 0)
	})
}

func TestShutdownLogsWhatIsCounted(t *testing.T) {
	s := &testServer{}
	s.Server = New(Options{}, s.accept, slog.New(&s.logs))
	for range 2 * startsPerSecond {
		s.pollIn(t)
	}
	must(t, s.Shutdown(t.Context(), Farewell{}))
	ended := len(s.logs.all(lineEnded))
	for _, r := range s.logs.all("more connections") {
		ended += int(r.attrs["ended"].Int64())
	}
	expect(t, "sessions whose end is in the log", ended, 2*startsPerSecond)
	s.finish(t)
}

func TestNothingIsLoggedBelowTheLevel(t *testing.T) {
	s := newEngine(t, Options{})
	s.logs.silent = true
	s.pollIn(t).session.abort(ReasonTransportClose)
	expect(t, "lines", len(s.logs.records), 0)
}

func TestLogIDTellsNothingOfTheID(t *testing.T) {
	s, other := newEngine(t, Options{}), New(Options{}, nil, nil)
	session := s.pollIn(t).session
	id := session.LogID()
	expect(t, "length", len(id), 12)
	expect(t, "same each time", session.LogID(), id)
	if strings.Contains(session.ID(), id) {
		t.Errorf("%s is part of the ID", id)
	}
	if same := (&Session{id: session.id, server: other}).LogID(); same == id {
		t.Error("another server has the same key")
	}
}
