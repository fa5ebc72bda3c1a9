package streaming

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// runners run what is in the inboxes of sockets. A few goroutines wait for the
// next inbox once theirs is empty, since a new one would first have to grow its
// stack; beyond those, one is started for an inbox and ends with it.
type runners struct {
	next    chan *Socket
	done    chan struct{}
	stop    sync.Once
	resting atomic.Int32
}

func newRunners() *runners {
	return &runners{next: make(chan *Socket), done: make(chan struct{})}
}

// start runs a socket's inbox. It does not wait.
func (r *runners) start(s *Socket) {
	select {
	case r.next <- s:
	default:
		go r.run(s)
	}
}

func (r *runners) run(s *Socket) {
	for {
		s.work().Run()
		if int(r.resting.Add(1)) > 4*runtime.GOMAXPROCS(0) {
			r.resting.Add(-1)
			return
		}
		select {
		case s = <-r.next:
			r.resting.Add(-1)
		case <-r.done:
			return
		}
	}
}

// close lets those who rest go.
func (r *runners) close() { r.stop.Do(func() { close(r.done) }) }
