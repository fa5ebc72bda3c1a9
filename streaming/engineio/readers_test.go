package engineio

import (
	"sync"
	"testing"
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

// TestWorkIsDoneByTheReader has the answer to a message written without any
// help of the flush workers, together with what else the work sends.
func TestWorkIsDoneByTheReader(t *testing.T) {
	taken := make(chan uint64, 2)
	s, workers := newWorkers(t, func(w *worker, data string) {
		w.session.Send(text(data))
		w.session.Send(text("and " + data))
		w.session.mu.Lock()
		pending := len(w.session.pending.list.messages)
		w.session.mu.Unlock()
		expect(t, "messages that wait for the end of the work", pending, 2)
		w.session.server.flusher.mu.Lock()
		taken <- w.session.server.flusher.taken
		w.session.server.flusher.mu.Unlock()
	})
	conn := need(s.client.Connect(t.Context()))(t)
	defer conn.Close()
	session := (<-workers).session
	for _, data := range []string{"one", "two"} {
		eventually(t, "the flush workers to be done with the session", func() bool {
			session.mu.Lock()
			defer session.mu.Unlock()
			return session.machine.writer == writerIdle
		})
		must(t, conn.WriteText("4"+data))
		expect(t, "answer", need(conn.ReadText())(t), "4"+data)
		expect(t, "answer", need(conn.ReadText())(t), "4and "+data)
	}
	expect(t, "sessions given to the flush workers", <-taken, <-taken)
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
