package engineio

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// slow are limits that a few kilobytes are over for very long.
func slow() Limits { return Limits{Bytes: &Rate{Amount: 1, Per: time.Hour, Burst: 1000}} }

// waitSlowed waits until sessions were slowed down so often.
func (s *testServer) waitSlowed(t testing.TB, times int64) {
	t.Helper()
	eventually(t, "the session to be slowed down", func() bool { return s.Metrics().Limited.Of(string(LimitBytes)) >= times })
}

func TestWebSocketOverItsBytesIsSlowedDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{Limits: slow()})
		conn, r := s.connectPipe(t)
		must(t, conn.WriteText("4"+strings.Repeat("a", 2000)))
		after := make(chan error, 1)
		go func() { after <- conn.WriteText("4after") }()
		s.waitSlowed(t, 1)
		// What it has sent counts; what comes then is not read, and nothing is
		// lost.
		expect(t, "messages", len(r.waitFor(t, 1)), 1)
		// It cannot answer heartbeats and is not taken for lost.
		for range 10 {
			expect(t, "packet", need(conn.ReadText())(t), "2")
		}
		synctest.Wait()
		expect(t, "open", r.session.isOpen(), true)
		expect(t, "written after it", len(after), 0)
		_ = conn.Close()
		<-after
		r.session.Close(ReasonForcedClose)
		r.waitClosed(t, ReasonForcedClose)
	})
}

func TestNothingIsLostOfWhatIsSlowedDown(t *testing.T) {
	s := newServer(t, Options{Limits: Limits{Bytes: &Rate{Amount: 1_000_000, Per: time.Second, Burst: 1000}}})
	conn, r := s.connect(t)
	for range 20 {
		must(t, conn.WriteText("4"+strings.Repeat("a", 2000)))
	}
	for _, text := range r.waitFor(t, 20) {
		expect(t, "length", len(text), 2000)
	}
	if slowed := s.Metrics().Limited.Of(string(LimitBytes)); slowed < 1 {
		t.Errorf("slowed down %d times", slowed)
	}
}

// TestEndlessMessageIsSlowedDown sends fragments that are no message yet, and
// frames of nothing that never will be one.
func TestEndlessMessageIsSlowedDown(t *testing.T) {
	fragment := func(op ws.OpCode, size int) []byte { return clientFrame(op, false, strings.Repeat("a", size)) }
	for name, frames := range map[string][]byte{
		"large fragments": append(fragment(ws.OpText, wire.MeterEvery), bytes.Repeat(fragment(ws.OpContinuation, wire.MeterEvery), 4)...),
		"empty fragments": append(fragment(ws.OpText, 0), bytes.Repeat(fragment(ws.OpContinuation, 0), wire.MeterEvery/2)...),
		"one large frame": clientFrame(ws.OpText, true, "4"+strings.Repeat("a", 4*wire.MeterEvery)),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{Limits: slow()})
			conn, r := s.connect(t)
			must(t, conn.Write(frames))
			s.waitSlowed(t, 1)
			expect(t, "messages", len(r.heard()), 0)
		})
	}
}

// TestInflatedBytesCount sends little that stands for much.
func TestInflatedBytesCount(t *testing.T) {
	s := newServer(t, Options{Limits: Limits{Bytes: &Rate{Amount: 1, Per: time.Hour, Burst: 10_000}}, Deflate: &Compression{}})
	s.client.Header = http.Header{"Sec-WebSocket-Extensions": {"permessage-deflate"}}
	conn, r := s.connect(t)
	frame := compressedFrame([]byte("4" + strings.Repeat("a", 100_000)))
	if len(frame) > 5000 {
		t.Fatal(len(frame))
	}
	must(t, conn.Write(frame))
	s.waitSlowed(t, 1)
	r.waitFor(t, 1)
}

func TestPostOverItsBytesIsSlowedDown(t *testing.T) {
	s := newServer(t, Options{Limits: slow()})
	p, r := s.poller(t)
	expect(t, "status", need(p.Post(t.Context(), "4"+strings.Repeat("a", 2000)))(t).Status, 200)
	answers := make(chan answer, 1)
	go func() {
		response, err := p.Post(t.Context(), "4after")
		answers <- answer{response, err}
	}()
	s.waitSlowed(t, 1)
	expect(t, "messages", len(r.heard()), 1)
	r.session.Close(ReasonForcedClose)
	expect(t, "messages after the end", len(r.heard()), 1)
	receive(t, answers)
}

func TestExemptSessionsAreNotSlowedDown(t *testing.T) {
	l := slow()
	l.Exempt = loopback
	s := newServer(t, Options{Limits: l})
	conn, r := s.connect(t)
	for range 10 {
		must(t, conn.WriteText("4"+strings.Repeat("a", 2000)))
	}
	r.waitFor(t, 10)
	expect(t, "slowed down", s.Metrics().Limited.Of(string(LimitBytes)), 0)
}

// TestEndOfASessionThatIsSlowedDown holds that who waits does so no longer than
// the session lives: the checks at the end of a test look for goroutines.
func TestEndOfASessionThatIsSlowedDown(t *testing.T) {
	for name, end := range map[string]func(*testServer, *rawclient.Conn, *Session){
		"close":    func(_ *testServer, _ *rawclient.Conn, s *Session) { s.Close(ReasonForcedClose) },
		"abort":    func(_ *testServer, _ *rawclient.Conn, s *Session) { s.abort(ReasonSlowClient) },
		"shutdown": func(s *testServer, _ *rawclient.Conn, _ *Session) { s.Server.Close(ReasonShutdown) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{Limits: slow()})
			conn, r := s.connect(t)
			must(t, conn.WriteText("4"+strings.Repeat("a", 2000)))
			s.waitSlowed(t, 1)
			end(s, conn, r.session)
			<-r.over
		})
	}
}
