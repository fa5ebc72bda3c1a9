package engineio

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// expectBalanced waits until no session counts as open, and each that has begun
// is counted as ended.
func (s *testServer) expectBalanced(t testing.TB) {
	t.Helper()
	eventually(t, "all sessions to be counted as ended", func() bool {
		m := s.Metrics()
		var open, began, ended int64
		for _, transport := range m.Transports {
			for _, counts := range transport.Revisions {
				open += max(counts.Open, -counts.Open)
				began += counts.Handshakes
			}
		}
		for _, reason := range m.Disconnects {
			ended += reason.Count
		}
		return open == 0 && began == ended
	})
}

// open is how many sessions are on the transport, of all revisions.
func (t TransportMetrics) open() (sum int64) {
	for _, counts := range t.Revisions {
		sum += counts.Open
	}
	return sum
}

// handshakes is how many have begun on it.
func (t TransportMetrics) handshakes() (sum int64) {
	for _, counts := range t.Revisions {
		sum += counts.Handshakes
	}
	return sum
}

// on returns what is counted for a transport.
func (m Metrics) on(t testing.TB, transport Transport) TransportMetrics {
	t.Helper()
	for _, counted := range m.Transports {
		if counted.Transport == transport {
			return counted
		}
	}
	t.Fatalf("nothing is counted for %s", transport)
	return TransportMetrics{}
}

// counted returns the reasons that have come up.
func counted(counts []ReasonCount) string {
	var came []string
	for _, c := range counts {
		if c.Count != 0 {
			came = append(came, c.Reason+" "+strconv.FormatInt(c.Count, 10))
		}
	}
	return strings.Join(came, ", ")
}

func TestMetricsOfMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, onWebSocket := s.connectPipe(t)
		onPolling := s.pollIn(t)
		synctest.Wait()
		before := s.Metrics()

		// Twelve bytes with the header of a client's frame, and four.
		must(t, conn.WriteText("4hello"))
		onWebSocket.waitFor(t, 1)
		expect(t, "answer", s.postIn(t, onPolling, "4abc"), "ok")
		// The first is being written, since a pipe has no room, and the others
		// are joined to one write.
		for range 4 {
			onWebSocket.session.Send(text("12345"))
			synctest.Wait()
		}
		for range 4 {
			need(conn.ReadText())(t)
		}
		onPolling.session.Send(text("x"))
		onPolling.session.Send(text("y"))
		expect(t, "answer", s.getIn(t, onPolling), "4x\x1e4y")
		synctest.Wait()
		after := s.Metrics()

		for _, test := range []struct {
			transport                                    Transport
			received, sent, deliveries, flushes, waiting int64
		}{
			{WebSocket, 12, 4 * 8, 4, 2, 4 * 8},
			// Frames of "4x" take four bytes each in the queue.
			{Polling, 4, 5, 2, 1, 8},
		} {
			was, is := before.on(t, test.transport), after.on(t, test.transport)
			name := string(test.transport) + ": "
			expect(t, name+"open", is.open(), 1)
			expect(t, name+"handshakes", is.handshakes(), 1)
			expect(t, name+"revisions", len(is.Revisions), 1)
			expect(t, name+"revision", is.Revisions[0].Revision, Revision4)
			expect(t, name+"received", is.ReceivedBytes-was.ReceivedBytes, test.received)
			expect(t, name+"sent", is.SentBytes-was.SentBytes, test.sent)
			expect(t, name+"deliveries", is.Deliveries-was.Deliveries, test.deliveries)
			expect(t, name+"flushes", is.FlushMessages.Count()-was.FlushMessages.Count(), test.flushes)
			expect(t, name+"messages flushed", is.FlushMessages.Sum-was.FlushMessages.Sum, test.deliveries)
			expect(t, name+"queues found", is.QueuedBytes.Count()-was.QueuedBytes.Count(), test.flushes)
			expect(t, name+"bytes found in queues", is.QueuedBytes.Sum-was.QueuedBytes.Sum, test.waiting)
		}
		expect(t, "deliveries before", before.on(t, WebSocket).Deliveries, 0)
	})
}

// TestMetricsCountWhatWasCompressed holds that bytes are counted as they were
// written.
func TestMetricsCountWhatWasCompressed(t *testing.T) {
	s := newEngine(t, Options{HTTPCompression: &Compression{Threshold: 1}})
	recorder := s.pollIn(t)
	before := s.Metrics().on(t, Polling).SentBytes
	recorder.session.Send(text(strings.Repeat("x", 10_000)))
	r := newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, recorder.session.id), nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := s.serveRecorded(t, r)
	expect(t, "sent bytes", s.Metrics().on(t, Polling).SentBytes-before, int64(w.Body.Len()))
	if w.Body.Len() > 1000 {
		t.Errorf("%d bytes are not compressed", w.Body.Len())
	}
}

func TestMetricsOfUpgrades(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{UpgradeTimeout: time.Second})
		probing := func(r *recorder) *rawclient.Conn {
			conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, r.session.id))
			must(t, conn.WriteText("2probe"))
			need(conn.ReadText())(t)
			return conn
		}
		upgraded := s.pollIn(t)
		s.upgradePipe(t, upgraded)
		expect(t, "on WebSocket", s.Metrics().on(t, WebSocket).open(), 1)
		expect(t, "on polling", s.Metrics().on(t, Polling).open(), 0)

		// Once more on what has been upgraded.
		again := make(chan error, 1)
		go func() { again <- s.pipe(t, rawclient.Query(rawclient.WebSocket, upgraded.session.id)).ReadEnd() }()
		<-again
		expect(t, "failures", counted(s.Metrics().UpgradeFailures), "refused 1")

		gone := probing(s.pollIn(t))
		must(t, gone.Close())
		synctest.Wait()
		expect(t, "failures", counted(s.Metrics().UpgradeFailures), "refused 1, aborted 1")

		silent := probing(s.pollIn(t))
		_, err := silent.ReadText()
		if err == nil {
			t.Error("the upgrade goes on")
		}
		synctest.Wait()
		expect(t, "failures", counted(s.Metrics().UpgradeFailures), "refused 1, timeout 1, aborted 1")

		closing := s.pollIn(t)
		probing(closing)
		closing.session.abort(ReasonForcedClose)
		synctest.Wait()
		expect(t, "failures", counted(s.Metrics().UpgradeFailures), "refused 1, timeout 1, session_over 1, aborted 1")
		expect(t, "upgrades", s.Metrics().Upgrades, 1)
		expect(t, "disconnects", counted(s.Metrics().Disconnects), "forced_close 1")
	})
}

func TestMetricsOfRefusals(t *testing.T) {
	s := newEngine(t, Options{MaxPayload: 10, MaxSessions: 1})
	session := s.pollIn(t)
	request := func(method, query, body string) func() {
		return func() { s.serveRecorded(t, newRequest(t, method, query, strings.NewReader(body))) }
	}
	handshake := rawclient.Query(rawclient.Polling, "")
	for _, test := range []struct {
		want   string
		refuse func()
	}{
		{"unknown_transport 1", request("GET", "EIO=4&transport=pigeon", "")},
		{"unknown_sid 1", request("GET", handshake+"&sid=nobody", "")},
		{"bad_handshake_method 1", request("POST", handshake, "")},
		{"bad_request 1", request("GET", "EIO=4&transport=websocket", "")},
		{"unsupported_version 1", request("GET", "EIO=3&transport=polling", "")},
		{"max_connections 1", request("GET", handshake, "")},
		{"too_large 1", request("POST", rawclient.Query(rawclient.Polling, session.session.id), strings.Repeat("x", 11))},
		{"forbidden 1", func() { s.CountRefusal(CodeForbidden) }},
		{"hub_buffer 1", func() {
			s.SetOptions(Options{ServerBuffer: 1000})
			s.budget.accounts[0].add(1000)
			request("GET", handshake, "")()
			s.budget.accounts[0].add(-1000)
		}},
		{"unavailable 1", func() { s.metrics.refused(refuseStatus(http.StatusServiceUnavailable, "")) }},
		{"internal_error 1", func() { s.metrics.refused(refuseStatus(http.StatusInternalServerError, "")) }},
		{"stopping 1", func() {
			s.Close(ReasonShutdown)
			request("GET", handshake, "")()
		}},
	} {
		before := s.Metrics().Refusals
		test.refuse()
		after := s.Metrics().Refusals
		for i := range after {
			after[i].Count -= before[i].Count
		}
		expect(t, "refusals", counted(after), test.want)
	}
	expect(t, "disconnects", counted(s.Metrics().Disconnects), "message_too_large 1")
}

func TestMetricsOfHeartbeats(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, _ := s.connectPipe(t)
		must(t, conn.WriteText("3"))
		synctest.Wait()
		latency := s.Metrics().HeartbeatLatency
		expect(t, "pongs that nobody asked for", latency.Count(), 0)

		for beat := range int64(3) {
			expect(t, "ping", need(conn.ReadText())(t), "2")
			time.Sleep(7 * time.Millisecond)
			for range 2 { // the second one answers nothing
				must(t, conn.WriteText("3"))
				synctest.Wait()
			}
			latency = s.Metrics().HeartbeatLatency
			expect(t, "answers", latency.Count(), beat+1)
			expect(t, "time they took", time.Duration(latency.Sum), time.Duration(beat+1)*7*time.Millisecond)
			expect(t, "answers within 10 ms", latency.Counts[measure.Latencies.Range(int64(10*time.Millisecond))], beat+1)
		}
		must(t, conn.WriteClose(ws.StatusNormalClosure))
		need(conn.ReadClose())(t)
		synctest.Wait()
		expect(t, "disconnects", counted(s.Metrics().Disconnects), "transport_close 1")
	})
}

// TestMetricsOfUnknownReasons holds that a reason of somebody else's is no
// label of its own.
func TestMetricsOfUnknownReasons(t *testing.T) {
	s := newEngine(t, Options{})
	s.pollIn(t).session.Close("because I say so")
	expect(t, "disconnects", counted(s.Metrics().Disconnects), "other 1")
}

// TestMetricsNeverFall reads the metrics while workers come, write and leave.
func TestMetricsNeverFall(t *testing.T) {
	s := newServer(t, Options{})
	const receivers, messages = 20, 200
	var clients sync.WaitGroup
	sessions := make([]*Session, 0, receivers)
	for range receivers {
		conn, recorder := s.connect(t)
		sessions = append(sessions, recorder.session)
		clients.Go(func() {
			for range messages {
				if _, err := conn.ReadText(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		var last TransportMetrics
		for over := false; !over; {
			select {
			case <-done:
				over = true
			default:
			}
			now := s.Metrics().on(t, WebSocket)
			if now.Deliveries < last.Deliveries || now.SentBytes < last.SentBytes || now.QueuedBytes.Count() < last.QueuedBytes.Count() {
				t.Errorf("from %+v to %+v", last, now)
			}
			last = now
		}
	})
	for range messages {
		var b burst
		m := text("to all")
		for _, session := range sessions {
			b.send(session, m)
		}
		b.flush()
	}
	clients.Wait()
	close(done)
	reader.Wait()
	// A client may have read what its worker has not counted yet.
	eventually(t, "all deliveries to be counted", func() bool {
		return s.Metrics().on(t, WebSocket).Deliveries == receivers*messages
	})
	s.flusher.close()
	eventually(t, "the workers to leave", func() bool {
		s.flusher.mu.Lock()
		defer s.flusher.mu.Unlock()
		return s.flusher.workers == 0
	})
	expect(t, "deliveries once the workers are gone", s.Metrics().on(t, WebSocket).Deliveries, receivers*messages)
}
