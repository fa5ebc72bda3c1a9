package recovery

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/share"
)

// Wait is a socket that waits for its client.
type Wait struct {
	store   *Store
	holding *share.Holding[*Wait]
	timer   *time.Timer
	// until is when it is over.
	until time.Time
}

// Until is when the wait is over.
func (w *Wait) Until() time.Time { return w.until }

// Wait has a socket wait, which takes so many bytes of memory besides what each takes. end is called,
// on a goroutine of its own, when its time is over, or when it gives way to others; not after Stop. It
// returns nil where recovery is off, or where there is no room.
func (s *Store) Wait(of *Session, bytes int, end func()) *Wait {
	return s.WaitUntil(time.Time{}, of, bytes, end)
}

// WaitUntil is Wait for a socket that waits until some time, or for a whole window if that is less, or
// if the time is zero.
func (s *Store) WaitUntil(until time.Time, of *Session, bytes int, end func()) *Wait {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Window <= 0 {
		return nil
	}
	w := &Wait{store: s, until: time.Now().Add(s.options.Window)}
	if !until.IsZero() && until.Before(w.until) {
		w.until = until
	}
	for {
		holding, over := s.waits.Take(of.who, int64(waitBytes+bytes), w)
		if over == share.Within {
			w.holding = holding
			break
		}
		first := s.waits.GivesWay(of.who, over)
		if first == nil {
			return nil
		}
		first.Value.endLocked()
	}
	w.holding.Spare(true)
	s.changes.Add(1)
	w.timer = time.AfterFunc(time.Until(w.until), func() {
		s.mu.Lock()
		w.forgetLocked()
		s.mu.Unlock()
		end()
	})
	if s.waiting == nil {
		s.waiting = make(map[*Wait]struct{})
	}
	s.waiting[w] = struct{}{}
	s.makeRoomLocked()
	return w
}

// endLocked ends the wait now.
func (w *Wait) endLocked() {
	w.forgetLocked()
	w.timer.Reset(0)
}

func (w *Wait) forgetLocked() {
	w.holding.Release()
	delete(w.store.waiting, w)
}

// Stop ends the wait without end being called, unless that has begun.
func (w *Wait) Stop() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.timer.Stop()
	w.forgetLocked()
}

// endWaitsLocked ends all that waits.
func (s *Store) endWaitsLocked() (ended int) {
	for w := range s.waiting {
		w.endLocked()
		ended++
	}
	return ended
}
