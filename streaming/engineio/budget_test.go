package engineio

import (
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// TestMessageCountsOnce holds that a message takes its size from the budget,
// for however many it waits, until the last has it.
func TestMessageCountsOnce(t *testing.T) {
	// Lists that other tests have left in the pool have room for more, which counts.
	runtime.GC()
	runtime.GC()
	s := newServer(t, Options{})
	var pollers []*rawclient.Poller
	var sessions []*Session
	for range 5 {
		p, r := s.poller(t)
		pollers, sessions = append(pollers, p), append(sessions, r.session)
	}
	m := text(strings.Repeat("x", 1000))
	var b burst
	for _, session := range sessions {
		b.send(session, m)
	}
	b.flush()
	for _, p := range pollers {
		// The answer before may not have been noted yet, and counts until then.
		eventually(t, "the message to count once", func() bool { return s.Metrics().BufferedBytes == int64(m.Cost()) })
		need(p.Get(t.Context()))(t)
	}
	// The last one has it before the server has noted that.
	eventually(t, "nothing to wait", func() bool { return s.Metrics().BufferedBytes == 0 })
}

// TestServerBufferRefusesBeforeItCuts holds that near the end of the budget
// newcomers are refused, and that beyond it only those lose their connection
// for whom much waits.
func TestServerBufferRefusesBeforeItCuts(t *testing.T) {
	const limit = 1_000_000
	s := newServer(t, Options{ServerBuffer: limit, SendBuffer: 10 * limit})
	_, r := s.poller(t)
	modest, quiet := s.poller(t)
	for s.Metrics().BufferedBytes < limit*refuseAt/100 {
		r.session.Send(text(strings.Repeat("x", 10_000)))
	}
	refusal := need(s.client.Do(t.Context(), http.MethodGet, rawclient.Query("polling", ""), nil, nil))(t)
	expect(t, "status", refusal.Status, http.StatusServiceUnavailable)
	expect(t, "Retry-After", refusal.Header.Get("Retry-After") != "", true)
	expect(t, "refused", s.Metrics().Refusals.Of("hub_buffer"), 1)
	expect(t, "open sessions", s.Sessions(), 2)

	quiet.session.Send(text("first"))
	for r.session.Send(text(strings.Repeat("x", 10_000))) {
		// What would go beyond the budget is refused, and ends the session.
		if most := s.Metrics().BufferedBytes; most > limit {
			t.Fatalf("%d bytes wait, of %d", most, limit)
		}
	}
	quiet.session.Send(text("second"))
	r.waitClosed(t, ReasonSlowClient)
	expect(t, "slow clients", s.Metrics().SlowClients, 1)
	s.ended(t, r.session).expectAttrs(t, map[string]any{"reason": ReasonSlowClient, "limit": "hub_buffer"})
	expect(t, "what the other gets", need(modest.Get(t.Context()))(t).Body, "4first\x1e4second")
	need(s.client.Handshake(t.Context()))(t)
}

// heap is how many bytes the heap has that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // less than there is memory
}

// TestWhatWaitsCountsAsItTakesMemory holds that the budget is what waiting messages
// take in the heap, small ones too, and that send_buffer is bounded by the same.
func TestWhatWaitsCountsAsItTakesMemory(t *testing.T) {
	const sendBuffer = 8_000_000
	acknowledgement := func(n int) *wire.Message { return text("3" + strconv.Itoa(n) + "[]") }
	shared := text("shared")
	for name, send := range map[string]func(s *testServer, r *recorder, n int) bool{
		"small messages": func(_ *testServer, r *recorder, n int) bool { return r.session.Send(acknowledgement(n)) },
		"one message again and again": func(_ *testServer, r *recorder, _ int) bool {
			return r.session.Send(shared)
		},
		"1,100 bytes": func(_ *testServer, r *recorder, n int) bool {
			return r.session.Send(text(strconv.Itoa(n) + strings.Repeat("x", 1100)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newEngine(t, Options{SendBuffer: sendBuffer})
			r := s.pollIn(t)
			empty := heap()
			for n := range 6_000 {
				if waiting, limit := r.session.Backlog(); waiting > limit {
					t.Fatalf("%d bytes wait, of %d", waiting, limit)
				}
				if !send(s, r, n) {
					t.Fatal("cut off")
				}
			}
			took, counted := heap()-empty, s.Metrics().BufferedBytes
			backlog, _ := r.session.Backlog()
			// What the test itself has taken before may have been collected meanwhile.
			const noise = 64 << 10
			if took > counted*105/100+noise/4 || counted > took*105/100+noise {
				t.Errorf("%d bytes are counted, and %d are taken", counted, took)
			}
			if int64(backlog) < counted*95/100 {
				t.Errorf("%d bytes are counted for the client, and %d are taken", backlog, took)
			}
		})
	}
}

// TestListsOfManyClientsCount holds that what a broadcast takes for each of those
// for whom it waits counts, and not only what it takes for all.
func TestListsOfManyClientsCount(t *testing.T) {
	s := newEngine(t, Options{})
	var sessions []*Session
	for range 100 {
		sessions = append(sessions, s.pollIn(t).session)
	}
	m := text("all")
	empty := heap()
	for range 1000 {
		sendTo(m, sessions, func(s *Session) *Session { return s })
	}
	took, counted := heap()-empty, s.Metrics().BufferedBytes
	if took > counted*110/100 {
		t.Errorf("%d bytes are counted, and %d are taken", counted, took)
	}
	runtime.KeepAlive(sessions)
}

// TestBudgetIsTheSumOfItsAccounts counts in many accounts at once.
func TestBudgetIsTheSumOfItsAccounts(t *testing.T) {
	b := newBudget()
	var group sync.WaitGroup
	for range 4 * len(b.accounts) {
		a := b.account()
		group.Go(func() {
			for n := range 10_000 {
				a.add(n)
				a.add(5 - n)
			}
		})
	}
	group.Wait()
	want := int64(4*len(b.accounts)) * 50_000
	expect(t, "bytes", b.bytes(), want)
	expect(t, "as many", b.atLeast(want), true)
	expect(t, "one more", b.atLeast(want+1), false)
	expect(t, "far more", b.atLeast(100*want), false)
	other := newBudget()
	other.account().add(100)
	expect(t, "as many in both", together(b, other, want+100), true)
	expect(t, "one more in both", together(b, other, want+101), false)
}

// TestCompressedCopiesCount holds that the compressed form of a message counts from
// when it is made until the message is nobody's any more, and again if the message
// is sent again.
func TestCompressedCopiesCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{Deflate: &Compression{Threshold: 100}})
		conn, r := s.connectPipe(t)
		synctest.Wait()
		r.session.mu.Lock()
		r.session.deflate = 100
		r.session.mu.Unlock()
		read := func() {
			// The pipe has no room: what is read is what was written.
			_ = need(conn.Net.Read(make([]byte, 1<<10)))(t)
		}
		m := text(strings.Repeat("compressible ", 1000))
		for range 2 {
			r.session.Send(m)
			synctest.Wait()
			_, uncounted := m.Frames(100)
			expect(t, "bytes nobody has counted", uncounted, 0)
			if counted := s.Metrics().BufferedBytes; counted <= int64(m.Cost()) {
				t.Errorf("%d bytes are counted, of which the message takes %d", counted, m.Cost())
			}
			read()
			synctest.Wait()
			expect(t, "bytes that wait", s.Metrics().BufferedBytes, 0)
		}
	})
}

// TestMessageForManyPollsIsInMemoryOnce holds that a long message for many clients on
// long-polling takes no memory for each of them while their polls are being answered, but
// for a piece of what must be encoded, and that all of it counts.
func TestMessageForManyPollsIsInMemoryOnce(t *testing.T) {
	const clients, size = 20, 300_000
	for _, test := range []struct {
		name    string
		message func() *wire.Message
		// each is what the answer takes for each client.
		each int64
	}{
		{"text", func() *wire.Message { return text(strings.Repeat("x", size)) }, 0},
		{"binary", func() *wire.Message { return wire.New(nil, [][]byte{make([]byte, size)}, 0) }, wire.PieceSize},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newEngine(t, Options{})
			var sessions []*Session
			var writers []*gatedWriter
			var polls sync.WaitGroup
			for range clients {
				r := s.pollIn(t)
				w := newGatedWriter()
				sessions, writers = append(sessions, r.session), append(writers, w)
				polls.Go(func() {
					s.ServeHTTP(w, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, r.session.id), nil))
				})
				awaitPending(t, r.session)
			}
			before := heap()
			m := test.message()
			sendTo(m, sessions, func(s *Session) *Session { return s })
			for _, w := range writers {
				<-w.entered
			}
			took, counted := heap()-before, s.Metrics().BufferedBytes
			// The lists of the messages, the headers of the answers, and what watches them.
			const others = 4 << 10
			if most := int64(m.Cost()) + clients*test.each; counted > most+clients*others || took > most+clients*others {
				t.Errorf("%d bytes are counted, %d are taken, want %d", counted, took, most)
			}
			if took > counted*105/100+clients*others {
				t.Errorf("%d bytes are counted, and %d are taken", counted, took)
			}
			for _, w := range writers {
				close(w.leave)
			}
			polls.Wait()
			expect(t, "bytes that wait", s.Metrics().BufferedBytes, 0)
			for _, w := range writers {
				expect(t, "bytes of an answer", w.Body.Len(), payloadSize(m))
			}
		})
	}
}

// TestTextFormOfAMessageIsInMemoryOnce holds that clients which take no bytes share the form
// that they get a message in, and that it counts.
func TestTextFormOfAMessageIsInMemoryOnce(t *testing.T) {
	const clients, size = 30, 300_000
	s := newEngine(t, Options{})
	var sessions []*Session
	for range clients {
		s.serveRecorded(t, newRequest(t, http.MethodGet, rawclient.Query(rawclient.Polling, "")+"&b64=1", nil))
		sessions = append(sessions, s.recorders[len(s.recorders)-1].session)
	}
	before := heap()
	m := wire.New(nil, [][]byte{make([]byte, size)}, 0)
	sendTo(m, sessions, func(s *Session) *Session { return s })
	took, counted := heap()-before, s.Metrics().BufferedBytes
	if counted < size*4/3 || took > 3*size || took > counted+size*105/100 {
		t.Errorf("%d bytes are counted, and %d are taken", counted, took)
	}
	runtime.KeepAlive(m)
}

// TestBuffersOfStuckWritersCount holds that what a write has borrowed to join messages counts
// once the client is found not to take it, until the client is gone.
func TestBuffersOfStuckWritersCount(t *testing.T) {
	const clients = 10
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{WriteTimeout: 10 * time.Second, PingInterval: time.Hour})
		var sessions []*Session
		for range clients {
			_, r := s.connectPipe(t)
			sessions = append(sessions, r.session)
		}
		synctest.Wait()
		small := text("small")
		for _, session := range sessions {
			session.mu.Lock()
			session.queueLocked(small)
			session.queueLocked(small)
			session.mu.Unlock()
			session.step(evQueued)
		}
		time.Sleep(time.Second)
		if counted := s.Metrics().BufferedBytes; counted < clients*flushChunk {
			t.Errorf("%d bytes are counted for %d clients that are stuck", counted, clients)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		expect(t, "sessions", s.Sessions(), 0)
		expect(t, "bytes that count in the end", s.Metrics().BufferedBytes, 0)
	})
}

func payloadSize(m *wire.Message) int {
	p := wire.NewPayload([]*wire.Message{m}, wire.Bytes)
	return p.Size()
}
