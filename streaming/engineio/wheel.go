package engineio

import (
	"sync"
	"sync/atomic"
	"time"
)

// wheel is a timing wheel: one goroutine looks after the deadlines of all
// sessions, each of which is in at most one slot. The goroutine runs only
// while there are deadlines, or the wheel is needed otherwise.
type wheel struct {
	clock func() int64
	// fire is called for a session whose deadline has come, without the lock.
	fire func(s *Session, now int64)
	// tick, when not nil, is called at each tick, without the lock.
	tick func(now int64)
	// needed, when not nil, reports whether the wheel has to turn without any deadline,
	// for the sake of tick.
	needed func() bool
	// now is the time of the last tick by clock, which costs less than to ask clock.
	now atomic.Int64

	mu      sync.Mutex
	slots   [wheelSlots]*Session
	current int64 // the tick that was handled last
	count   int
	running bool
}

const (
	wheelTick  = 20 * time.Millisecond
	wheelSlots = 1024
)

// wheelTimer is a session's place in the wheel.
type wheelTimer struct {
	next, prev *Session
	slot       int
	due        int64
	scheduled  bool
	// stopped timers are not scheduled again.
	stopped bool
}

// schedule sets the session's deadline, in place of any earlier one. It does
// nothing once the session's timer was stopped.
func (w *wheel) schedule(s *Session, due int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.timer.stopped {
		return
	}
	if s.timer.scheduled {
		w.unlink(s)
	}
	if !w.running {
		now := w.clock()
		w.current = now / int64(wheelTick)
		w.now.Store(now)
	}
	w.link(s, due)
	if !w.running {
		w.running = true
		go w.run()
	}
}

// stop removes the session's deadline for good. A later call of schedule does
// nothing: its caller may not have seen yet that the session is over.
func (w *wheel) stop(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.timer.scheduled {
		w.unlink(s)
	}
	s.timer.stopped = true
}

func (w *wheel) link(s *Session, due int64) {
	// The deadline has passed at this tick. It is not sooner than the next tick, and
	// not beyond the wheel: a session that is not due then is linked again.
	tick := min(max(due/int64(wheelTick)+1, w.current+1), w.current+wheelSlots-1)
	slot := int(tick % wheelSlots)
	s.timer = wheelTimer{next: w.slots[slot], slot: slot, due: due, scheduled: true}
	if s.timer.next != nil {
		s.timer.next.timer.prev = s
	}
	w.slots[slot] = s
	w.count++
}

func (w *wheel) unlink(s *Session) {
	if s.timer.prev != nil {
		s.timer.prev.timer.next = s.timer.next
	} else {
		w.slots[s.timer.slot] = s.timer.next
	}
	if s.timer.next != nil {
		s.timer.next.timer.prev = s.timer.prev
	}
	s.timer = wheelTimer{}
	w.count--
}

// run turns the wheel until it is empty and not needed.
func (w *wheel) run() {
	ticker := time.NewTicker(wheelTick)
	defer ticker.Stop()
	var due []*Session
	for range ticker.C {
		now := w.clock()
		w.now.Store(now)
		if w.tick != nil {
			w.tick(now)
		}
		w.mu.Lock()
		for last := now / int64(wheelTick); w.current < last; {
			w.current++
			slot := int(w.current % wheelSlots)
			for s := w.slots[slot]; s != nil; {
				next := s.timer.next
				if s.timer.due <= now {
					w.unlink(s)
					due = append(due, s)
				} else if s.timer.due/int64(wheelTick)+1 > w.current {
					at := s.timer.due
					w.unlink(s)
					w.link(s, at)
				}
				s = next
			}
		}
		empty := w.count == 0 && len(due) == 0 && (w.needed == nil || !w.needed())
		w.running = !empty
		w.mu.Unlock()
		if empty {
			return
		}
		for _, s := range due {
			w.fire(s, now)
		}
		clear(due)
		due = due[:0]
	}
}
