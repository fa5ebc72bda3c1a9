package engineio

import (
	"runtime"
	"sync"
)

// losses ends the sessions of clients that are lost, in a few goroutines of its own: the
// wheel finds many at once when a network fails, and to end one takes a system call, a
// line of the log, and what the listener does. Who holds locks that the listener may
// wait for leaves it to them as well.
type losses struct {
	mu      sync.Mutex
	lost    []loss
	workers int
}

type loss struct {
	session *Session
	reason  Reason
}

// add has a session ended, and does not wait for it.
func (l *losses) add(s *Session, reason Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = append(l.lost, loss{s, reason})
	if l.workers < min(len(l.lost), runtime.GOMAXPROCS(0)) {
		l.workers++
		go l.run()
	}
}

// run ends sessions until there are none left.
func (l *losses) run() {
	for {
		l.mu.Lock()
		last := len(l.lost) - 1
		if last < 0 {
			l.lost = nil
			l.workers--
			l.mu.Unlock()
			return
		}
		next := l.lost[last]
		l.lost[last] = loss{}
		l.lost = l.lost[:last]
		l.mu.Unlock()
		next.end()
	}
}

func (l loss) end() {
	defer l.session.server.recoverPanic("panic at the end of a session", l.session)
	l.session.abort(l.reason)
}
