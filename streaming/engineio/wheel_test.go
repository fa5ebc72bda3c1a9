package engineio

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// fired is one deadline that came.
type fired struct {
	session *Session
	at      time.Duration
}

// newWheel returns a wheel that reports what it fires. It runs in a bubble,
// whose check for goroutines fails when the wheel does not stop.
func newWheel() (*wheel, <-chan fired) {
	deadlines := make(chan fired, 10_000)
	began := time.Now()
	w := &wheel{clock: func() int64 { return int64(time.Since(began)) }}
	w.fire = func(s *Session, now int64) { deadlines <- fired{s, time.Duration(now)} }
	return w, deadlines
}

func expectFired(t *testing.T, got fired, session *Session, due time.Duration) {
	t.Helper()
	if got.session != session {
		t.Error("another session's deadline came")
	}
	if got.at < due || got.at > due+2*wheelTick {
		t.Errorf("deadline at %v came at %v", due, got.at)
	}
}

func (w *wheel) expectEmpty(t *testing.T) {
	t.Helper()
	// The wheel stops with the next tick.
	time.Sleep(2 * wheelTick)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	expect(t, "deadlines", w.count, 0)
	expect(t, "running", w.running, false)
	for _, session := range w.slots {
		if session != nil {
			t.Error("a slot is not empty")
		}
	}
}

// TestWheelFiresWhenDue schedules single deadlines, also in the past, at once,
// and beyond the wheel.
func TestWheelFiresWhenDue(t *testing.T) {
	const turn = wheelTick * wheelSlots
	for _, due := range []time.Duration{
		-time.Second, 0, 1, wheelTick - 1, wheelTick, wheelTick + 1, time.Second,
		turn - wheelTick, turn, turn + 1, turn + wheelTick, 3*turn + time.Second, 10 * time.Minute,
	} {
		t.Run(due.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, deadlines := newWheel()
				session := new(Session)
				w.schedule(session, int64(due))
				expectFired(t, <-deadlines, session, max(due, 0))
				w.expectEmpty(t)
			})
		})
	}
}

func TestWheelStopped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, deadlines := newWheel()
		first, second, third := new(Session), new(Session), new(Session)
		for _, session := range []*Session{first, second, third} {
			w.schedule(session, int64(time.Second))
		}
		w.stop(second)
		w.stop(second)
		// A session that is over gets no deadline any more.
		w.schedule(second, int64(time.Second))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, "deadlines that came", len(deadlines), 2)
		w.expectEmpty(t)
		for range 2 {
			if got := <-deadlines; got.session == second {
				t.Error("a deadline came that was taken back")
			}
		}
	})
}

func TestWheelRescheduled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, deadlines := newWheel()
		session := new(Session)
		w.schedule(session, int64(time.Second))
		w.schedule(session, int64(10*time.Second))
		time.Sleep(5 * time.Second)
		w.schedule(session, int64(6*time.Second))
		expectFired(t, <-deadlines, session, 6*time.Second)
		time.Sleep(20 * time.Second)
		expect(t, "deadlines that came", len(deadlines), 0)
		w.expectEmpty(t)

		// It starts again after it has stopped.
		w.schedule(session, int64(30*time.Second))
		expectFired(t, <-deadlines, session, 30*time.Second)
		w.expectEmpty(t)
	})
}

// TestWheelRescheduledWhileFiring does what a heartbeat does.
func TestWheelRescheduledWhileFiring(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, _ := newWheel()
		times := make(chan time.Duration, 10)
		w.fire = func(s *Session, now int64) {
			times <- time.Duration(now)
			if len(times) < cap(times) {
				w.schedule(s, now+int64(time.Second))
			}
		}
		w.schedule(new(Session), int64(time.Second))
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "beats", len(times), cap(times))
		w.expectEmpty(t)
	})
}

// TestWheelOfMany schedules, changes and takes back deadlines at random.
func TestWheelOfMany(t *testing.T) {
	const count = 5000
	inBubble(t, func(t *testing.T) {
		w, deadlines := newWheel()
		random := rand.New(rand.NewPCG(1, 2))
		due := make(map[*Session]time.Duration, count)
		sessions := make([]*Session, count)
		plan := func(session *Session) {
			due[session] = time.Duration(w.clock()) + time.Duration(random.Int64N(int64(time.Minute)))
			w.schedule(session, int64(due[session]))
		}
		for i := range sessions {
			sessions[i] = new(Session)
			plan(sessions[i])
		}
		collect := func() {
			synctest.Wait()
			for len(deadlines) > 0 {
				got := <-deadlines
				want, ok := due[got.session]
				if !ok {
					t.Fatal("a deadline came that was taken back, or twice")
				}
				expectFired(t, got, got.session, want)
				delete(due, got.session)
			}
		}
		for range 1000 {
			time.Sleep(time.Duration(random.Int64N(int64(50 * time.Millisecond))))
			collect()
			session := sessions[random.IntN(count)]
			if _, pending := due[session]; !pending {
				continue
			}
			if random.IntN(2) == 0 {
				plan(session)
			} else {
				delete(due, session)
				w.stop(session)
			}
		}
		time.Sleep(2 * time.Minute)
		collect()
		expect(t, "deadlines that never came", len(due), 0)
		w.expectEmpty(t)
	})
}
