package engineio

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/internal/rawclient"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// worker is a listener whose messages leave work.
type worker struct {
	session *Session
	// work is called for each message.
	work func(data string)
	// mu is held while a message is heard, which must never overlap.
	mu      sync.Mutex
	closed  chan Reason
	started sync.WaitGroup
}

// errand is the work of one message.
type errand struct {
	worker *worker
	data   string
}

func (e errand) Run() { e.worker.work(e.data) }

func (e errand) Start() {
	e.worker.started.Add(1)
	go func() {
		defer e.worker.started.Done()
		e.Run()
	}()
}

func (w *worker) Message(data []byte, _ bool) (Work, error) {
	if !w.mu.TryLock() {
		panic("messages overlap")
	}
	defer w.mu.Unlock()
	return errand{w, string(data)}, nil
}

func (w *worker) Close(reason Reason) { w.closed <- reason }

// newWorkers returns a server whose sessions do work, and what tells of them.
func newWorkers(t *testing.T, work func(w *worker, data string)) (*testServer, <-chan *worker) {
	t.Helper()
	s := newServer(t, Options{})
	workers := make(chan *worker, 8)
	s.Server.accept = func(session *Session) Listener {
		w := &worker{session: session, closed: make(chan Reason, 1)}
		w.work = func(data string) { work(w, data) }
		workers <- w
		return w
	}
	return s, workers
}

// answerHere does as a reader does whose work answers.
func answerHere(session *Session, m *wire.Message) {
	session.beginWork()
	session.Answer(m)
	if session.endWork() {
		session.writeAnswer()
	}
}

// workingIn is newWorkers within a bubble, for one client.
func workingIn(t *testing.T, work func(w *worker, data string)) (*testServer, *rawclient.Conn, *worker) {
	t.Helper()
	s := newEngineInBubble(t, Options{})
	var only *worker
	s.Server.accept = func(session *Session) Listener {
		only = &worker{session: session, closed: make(chan Reason, 1)}
		only.work = func(data string) { work(only, data) }
		return only
	}
	conn := s.pipe(t, rawclient.Query(rawclient.WebSocket, ""))
	must(t, conn.ReadOpen())
	// The flush workers have nothing left to do.
	synctest.Wait()
	return s, conn, only
}

// TestAnswerIsWrittenByTheReader has the answer to a message written without any help
// of the flush workers, together with what is sent right after the work.
func TestAnswerIsWrittenByTheReader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, conn, _ := workingIn(t, func(w *worker, data string) {
			w.session.Answer(text(data))
			expect(t, "bytes that wait for the end of the work", w.session.QueuedBytes(), text(data).Size())
		})
		taken := func() uint64 {
			s.flusher.mu.Lock()
			defer s.flusher.mu.Unlock()
			return s.flusher.taken
		}
		before := taken()
		for _, data := range []string{"one", "two"} {
			must(t, conn.WriteText("4"+data))
			expect(t, "answer", need(conn.ReadText())(t), "4"+data)
		}
		expect(t, "sessions given to the flush workers", taken(), before)
	})
}

// TestNothingIsHeldForWork sends while work goes on, in all ways that there are: all
// of it goes out at once, and the answer that is held with it, in order.
func TestNothingIsHeldForWork(t *testing.T) {
	for name, send := range map[string]func(s *Session){
		"send":      func(s *Session) { s.Send(text("next")) },
		"volatile":  func(s *Session) { s.Send(text("next", wire.Volatile)) },
		"broadcast": func(s *Session) { sendTo(text("next"), []*Session{s}, func(s *Session) *Session { return s }) },
		"answer":    func(s *Session) { s.Answer(text("next")) },
	} {
		for _, answers := range []bool{true, false} {
			if name == "answer" && !answers {
				continue
			}
			t.Run(fmt.Sprintf("%s, answer before it %t", name, answers), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					finish := make(chan bool)
					_, conn, w := workingIn(t, func(w *worker, _ string) {
						if answers {
							w.session.Answer(text(strings.Repeat("x", volatileBacklog/2)))
						}
						<-finish
					})
					must(t, conn.WriteText("4work"))
					synctest.Wait()
					watch := startWatch()
					send(w.session)
					if answers {
						need(conn.ReadText())(t)
					}
					expect(t, "packet", need(conn.ReadText())(t), "4next")
					expect(t, "time it took", time.Since(time.Time(watch)), 0)
					close(finish)
				})
			})
		}
	}
}

// TestLargeAnswerIsNotHeld answers with more than what counts as a backlog.
func TestLargeAnswerIsNotHeld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		finish := make(chan bool)
		_, conn, w := workingIn(t, func(w *worker, _ string) {
			w.session.Answer(text(strings.Repeat("x", volatileBacklog+1)))
			<-finish
		})
		must(t, conn.WriteText("4work"))
		synctest.Wait()
		watch := startWatch()
		need(conn.ReadText())(t)
		expect(t, "time it took", time.Since(time.Time(watch)), 0)
		// The client has it before the writer has noted that.
		synctest.Wait()
		expect(t, "bytes that wait", w.session.QueuedBytes(), 0)
		close(finish)
	})
}

// TestAnswerIsHeldForATickAtMost goes on with the work after the answer.
func TestAnswerIsHeldForATickAtMost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		finish := make(chan bool)
		_, conn, _ := workingIn(t, func(w *worker, _ string) {
			w.session.Answer(text("answer"))
			<-finish
		})
		must(t, conn.WriteText("4work"))
		watch := startWatch()
		expect(t, "answer", need(conn.ReadText())(t), "4answer")
		if waited := time.Since(time.Time(watch)); waited > wheelTick {
			t.Errorf("held for %v", waited)
		}
		close(finish)
	})
}

// TestWorkThatSendsMuch sends one message after the other, each when the one before has
// been taken by the client.
func TestWorkThatSendsMuch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const count = 1000
		_, conn, _ := workingIn(t, func(w *worker, _ string) {
			for range count {
				w.session.Send(text(strings.Repeat("x", 10_000)))
				eventually(t, "the client to take it", func() bool { return w.session.QueuedBytes() == 0 })
			}
		})
		must(t, conn.WriteText("4work"))
		for range count {
			need(conn.ReadText())(t)
		}
	})
}

// TestEndIsToldWhileWorkGoesOn ends the session of the only client while its work goes
// on for long: the client is told at once, and the server is done with it within two ticks.
func TestEndIsToldWhileWorkGoesOn(t *testing.T) {
	for name, end := range map[string]func(s *testServer, session *Session){
		"close":    func(_ *testServer, session *Session) { session.Close(ReasonForcedClose) },
		"shutdown": func(s *testServer, _ *Session) { go func() { _ = s.Shutdown(context.Background(), Farewell{}) }() },
	} {
		for _, within := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, by the work %t", name, within), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					var s *testServer
					finish := make(chan bool)
					work := func(w *worker, _ string) {
						w.session.Answer(text("answer"))
						if within {
							end(s, w.session)
						}
						<-finish
					}
					var conn *rawclient.Conn
					var w *worker
					s, conn, w = workingIn(t, work)
					must(t, conn.WriteText("4work"))
					watch := startWatch()
					if !within {
						synctest.Wait()
						end(s, w.session)
					}
					expect(t, "answer", need(conn.ReadText())(t), "4answer")
					need(conn.ReadClose())(t)
					expect(t, "time until the client is told", time.Since(time.Time(watch)), 0)
					must(t, conn.WriteClose(ws.StatusNoStatusRcvd))
					must(t, conn.ReadEnd())
					eventually(t, "the session to be gone", func() bool { return s.alive.Load() == 0 })
					if waited := time.Since(time.Time(watch)); waited > 2*wheelTick {
						t.Errorf("gone after %v", waited)
					}
					close(finish)
				})
			})
		}
	}
}

// TestWorkThatWaitsDoesNotStopReading lets work wait for what the client says
// next: in one case it says that it will, in the other it is found out.
func TestWorkThatWaitsDoesNotStopReading(t *testing.T) {
	for name, handsOver := range map[string]bool{"handed over": true, "found out": false} {
		t.Run(name, func(t *testing.T) {
			second := make(chan string)
			s, _ := newWorkers(t, func(w *worker, data string) {
				switch data {
				case "ask":
					w.session.Send(text("your turn"))
					if handsOver {
						w.session.HandOver()
					}
					w.session.Send(text("heard " + <-second))
				default:
					second <- data
				}
			})
			conn := need(s.client.Connect(t.Context()))(t)
			defer conn.Close()
			for range 3 {
				must(t, conn.WriteText("4ask"))
				expect(t, "while the work waits", need(conn.ReadText())(t), "4your turn")
				must(t, conn.WriteText("4this"))
				expect(t, "when it has waited", need(conn.ReadText())(t), "4heard this")
			}
		})
	}
}

// TestEndIsHeardWhileWorkWaits closes connections whose reader is at work.
func TestEndIsHeardWhileWorkWaits(t *testing.T) {
	for name, end := range map[string]func(conn interface{ Close() error }, w *worker){
		"client": func(conn interface{ Close() error }, _ *worker) { _ = conn.Close() },
		"server": func(_ interface{ Close() error }, w *worker) { w.session.Close(ReasonForcedClose) },
		"abort":  func(_ interface{ Close() error }, w *worker) { w.session.abort(ReasonPingTimeout) },
	} {
		t.Run(name, func(t *testing.T) {
			working, finish := make(chan bool), make(chan bool)
			s, workers := newWorkers(t, func(*worker, string) {
				working <- true
				<-finish
			})
			conn := need(s.client.Connect(t.Context()))(t)
			w := <-workers
			must(t, conn.WriteText("4work"))
			<-working
			end(conn, w)
			<-w.closed
			_ = conn.Close()
			close(finish)
		})
	}
}

// TestPanicOfWorkEndsItsSession lets work panic: nothing of the reader stays
// behind.
func TestPanicOfWorkEndsItsSession(t *testing.T) {
	s, workers := newWorkers(t, func(*worker, string) { panic("of work") })
	conn := need(s.client.Connect(t.Context()))(t)
	defer conn.Close()
	must(t, conn.WriteText("4work"))
	expect(t, "reason", <-(<-workers).closed, ReasonTransportError)
	eventually(t, "the reader to be gone", func() bool { return !s.readers.anyWorking() })
	eventually(t, "the watch to end", func() bool { return !s.readers.watching.Load() })
}

// TestManyReadersAtWork has many clients ask at once while some of the work
// waits: every question is answered in order.
func TestManyReadersAtWork(t *testing.T) {
	gate := make(chan bool)
	s, _ := newWorkers(t, func(w *worker, data string) {
		if data == "slow" {
			<-gate
		}
		w.session.Send(text(data))
	})
	var clients sync.WaitGroup
	for range 8 {
		conn := need(s.client.Connect(t.Context()))(t)
		clients.Go(func() {
			defer conn.Close()
			for range 100 {
				for _, data := range []string{"a", "b", "slow"} {
					if conn.WriteText("4"+data) != nil {
						t.Error("cannot send")
						return
					}
					if data == "slow" {
						gate <- true
					}
					answer, err := conn.ReadText()
					if err != nil || answer != "4"+data {
						t.Errorf("answer to %q: %q, %v", data, answer, err)
						return
					}
				}
			}
		})
	}
	clients.Wait()
}

// TestSessionsSpreadOverAllShards finds sessions of random IDs in each of many shards.
func TestSessionsSpreadOverAllShards(t *testing.T) {
	r := &readers{shards: make([]readersShard, 256), seed: maphash.MakeSeed()}
	found := make(map[*readersShard]int)
	for range 100 * len(r.shards) {
		found[r.of(&Session{id: newSessionID()})]++
	}
	expect(t, "shards with sessions", len(found), len(r.shards))
	for _, sessions := range found {
		if sessions > 300 {
			t.Errorf("%d sessions of %d in one shard", sessions, 100*len(r.shards))
		}
	}
}
