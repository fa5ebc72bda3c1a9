package redis

import "sync"

// queueBytes is how much may wait to be published, in bytes.
const queueBytes = 16 << 20

// queue holds what is to be published. Nobody waits to add to it: what has no room is lost.
type queue struct {
	mu      sync.Mutex
	waiting []message
	bytes   int
	// held is true while nothing is taken, refusing while nothing is added.
	held, refusing, closed bool
	// more is told when there is something to take.
	more chan struct{}
	// drained is closed when the queue is closed and nothing is left of it.
	drained chan struct{}
}

func newQueue() *queue {
	return &queue{more: make(chan struct{}, 1), drained: make(chan struct{})}
}

// add queues a message. It reports false when there is no room, and closed when it must go elsewhere.
func (q *queue) add(m message) (ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, true
	}
	if q.refusing || q.bytes+m.size() > queueBytes {
		return false, false
	}
	q.waiting = append(q.waiting, m)
	q.bytes += m.size()
	q.tell()
	return true, false
}

func (q *queue) tell() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take returns what is first in the queue, at most so many bytes but one message at least; all of it
// where most is 0.
func (q *queue) take(most int) (batch []message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held && most > 0 {
		return nil
	}
	bytes, n := 0, 0
	for ; n < len(q.waiting) && (n == 0 || most == 0 || bytes+q.waiting[n].size() <= most); n++ {
		bytes += q.waiting[n].size()
	}
	if n == 0 {
		return nil
	}
	batch = q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
	q.bytes -= bytes
	return batch
}

// isDrained reports whether the queue is closed and all of it is done with, and tells who waits.
func (q *queue) isDrained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed || len(q.waiting) > 0 {
		return false
	}
	select {
	case <-q.drained:
	default:
		close(q.drained)
	}
	return true
}

// refuse has nothing added while Redis is away.
func (q *queue) refuse(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refusing = on
}

// hold has nothing taken but what keeps the link alive.
func (q *queue) hold(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = on
	q.tell()
}

// close has nothing added any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.held = true, false
	q.tell()
}
