package engineio

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// testAudience is an audience of receivers with these sessions.
type testAudience[R any] struct {
	sync.Mutex
	lists   [][]R
	session func(R) *Session
	missed  []R
}

// sendTo broadcasts to the receivers of a list, and returns who has missed it.
func sendTo[R any](m *wire.Message, list []R, session func(R) *Session) (missed []R) {
	to := &testAudience[R]{lists: [][]R{list}, session: session}
	Broadcast(m, to)
	return to.missed
}

func (a *testAudience[R]) Lock() [][]R {
	a.Mutex.Lock()
	return a.lists
}

func (a *testAudience[R]) Unlock() { a.Mutex.Unlock() }

func (a *testAudience[R]) Session(r R) *Session { return a.session(r) }

func (a *testAudience[R]) Missed(r R) {
	a.Mutex.Lock()
	defer a.Mutex.Unlock()
	a.missed = append(a.missed, r)
}

// TestBroadcastTellsWhoMissedIt leaves receivers out, and has one whose session
// is over.
func TestBroadcastTellsWhoMissedIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newEngineInBubble(t, Options{})
		conn, first := s.connectPipe(t)
		_, over := s.connectPipe(t)
		over.session.Close(ReasonForcedClose)
		sessions := map[string]*Session{"first": first.session, "over": over.session}
		missed := sendTo(text("x"), []string{"first", "nobody", "over"}, func(name string) *Session { return sessions[name] })
		expect(t, "packet", need(conn.ReadText())(t), "4x")
		if !slices.Equal(missed, []string{"over"}) {
			t.Errorf("missed by %q", missed)
		}
	})
}

// TestFullSessionEndsAfterTheLocks has a listener that takes the lock of the
// broadcast which has ended its session, as one does that broadcasts.
func TestFullSessionEndsAfterTheLocks(t *testing.T) {
	s := newServer(t, Options{SendBuffer: 1000})
	_, full := s.poller(t)
	waiting, other := s.poller(t)
	to := &testAudience[*Session]{
		lists:   [][]*Session{{full.session, other.session}},
		session: func(s *Session) *Session { return s },
	}
	full.session.Send(text(strings.Repeat("x", 900)))
	full.closing = func() { to.Missed(nil) }
	Broadcast(text(strings.Repeat("y", 200)), to)
	full.waitClosed(t, ReasonSlowClient)
	// Which of the two comes first is open.
	if len(to.missed) != 2 || !slices.Contains(to.missed, nil) || !slices.Contains(to.missed, full.session) {
		t.Errorf("missed by %v", to.missed)
	}
	expect(t, "what the other gets", need(waiting.Get(t.Context()))(t).Body, "4"+strings.Repeat("y", 200))
}

// TestLargeBroadcastReachesEachOnce has several goroutines send. Some of the receivers
// are left out, some are over, and a panic concerns one alone.
func TestLargeBroadcastReachesEachOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	s := newServer(t, Options{})
	var taken atomic.Int64
	sessions := sinkSessions(t, s, 50, &taken)
	eventually(t, "the open packets to be written", func() bool { return quiet(sessions) && taken.Load() > 0 })
	_, gone := s.poller(t)
	gone.session.Close(ReasonForcedClose)
	const receivers = 3*sharedFrom + 5
	lists := [][]int{{}, make([]int, 10), make([]int, sharedFrom), {}, make([]int, receivers-sharedFrom-10)}
	n := 0
	for _, list := range lists {
		for i := range list {
			list[i] = n
			n++
		}
	}
	m := text("x")
	calls := make([]atomic.Int32, receivers)
	var panics atomic.Bool
	to := &testAudience[int]{lists: lists, session: func(i int) *Session {
		calls[i].Add(1)
		switch {
		case i%1000 == 7:
			return gone.session
		case i%1000 == 8:
			return nil
		case i == 2*sharedFrom && panics.Load():
			panic("a fault of the caller")
		}
		return sessions[i%len(sessions)]
	}}
	for _, fails := range []bool{false, true} {
		panics.Store(fails)
		to.missed = nil
		opening := taken.Load()
		recovered := func() (r any) {
			defer func() { r = recover() }()
			Broadcast(m, to)
			return nil
		}()
		slices.Sort(to.missed)
		want := []int{7, 1007, 2007, 3007, 4007, 5007, 6007, 7007, 8007, 9007, 10007, 11007, 12007}
		if !slices.Equal(to.missed, want) {
			t.Errorf("missed by %v", to.missed)
		}
		reached := int64(receivers - 2*len(want))
		if fails {
			if !strings.Contains(fmt.Sprint(recovered), "a fault of the caller") {
				t.Errorf("panic %v", recovered)
			}
			// The rest of that part gets nothing.
			reached -= 1000
		} else {
			for i := range calls {
				if n := calls[i].Load(); n != 1 {
					t.Fatalf("receiver %d was asked for %d times", i, n)
				}
			}
		}
		eventually(t, "all to be written", func() bool {
			written := (taken.Load() - opening) / int64(m.Size())
			return quiet(sessions) && (written == reached || fails && written >= reached-partSize)
		})
		if !to.TryLock() {
			t.Fatal("the lock has not been given back")
		}
		to.Unlock()
	}
}

// TestPanicInABroadcastLeavesNobodyCorked holds that who was sent to before a
// panic is written to all the same, and goes on being written to.
func TestPanicInABroadcastLeavesNobodyCorked(t *testing.T) {
	for name, send := range map[string]func(session *Session, fail func()){
		"broadcast": func(session *Session, fail func()) {
			sendTo(text("x"), []bool{false, true}, func(last bool) *Session {
				if last {
					fail()
				}
				return session
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newEngineInBubble(t, Options{})
				conn, r := s.connectPipe(t)
				panicked := make(chan any)
				go func() {
					defer func() { panicked <- recover() }()
					send(r.session, func() { panic("a fault of the caller") })
				}()
				expect(t, "packet", need(conn.ReadText())(t), "4x")
				expect(t, "panic", <-panicked, any("a fault of the caller"))
				r.session.Send(text("y"))
				expect(t, "packet after it", need(conn.ReadText())(t), "4y")
			})
		})
	}
}
