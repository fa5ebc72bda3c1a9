package engineio

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Work is what a message leaves to be done: something that may wait. Exactly
// one of its methods is called.
type Work interface {
	// Run does the work.
	Run()
	// Start makes another goroutine do it, and does not wait.
	Start()
}

// readers lets a goroutine that reads from a client do the work that a message
// leaves, and write the answer as well: to hand both to others would cost more
// than most handlers do. While it is at that, its client is not read from. When
// that takes long, or the work is about to wait for the client, another
// goroutine goes on reading, and the first one leaves once it has finished.
//
// Who takes long is found out by the wheel, which turns anyway, at its next tick
// but one at the latest. As long as somebody has taken long lately there is a
// timer as well, which finds out after handOverAfter: to set one for each
// message would wake up another thread for it, and cost as much as the message.
type readers struct {
	shards   []readersShard
	watching atomic.Bool
	// alert is for how many more ticks of the wheel the timer is used.
	alert atomic.Int32
}

type readersShard struct {
	mu sync.Mutex
	// working is the list of the goroutines that are at work.
	working *reader
	// counts is what those who are at work have written.
	counts flushCounts
	_      [48]byte // a cache line each
}

const (
	// handOverAfter is how long a reader may be at work before another goroutine
	// takes the reading over, at least, and half of the longest time, while the
	// timer is used.
	handOverAfter = 2 * time.Millisecond
	// alertTicks is how long the timer is used after somebody has taken long, in
	// ticks of the wheel.
	alertTicks = int32(10 * time.Second / wheelTick)
)

func newReaders() *readers {
	shards := 1
	for shards < 2*runtime.GOMAXPROCS(0) {
		shards *= 2
	}
	return &readers{shards: make([]readersShard, shards)}
}

// reader is a goroutine that reads from a WebSocket client.
type reader struct {
	session *Session
	frames  *wire.Reader
	shard   *readersShard

	// What follows is guarded by the shard.
	next, previous *reader
	// corked is true while what is sent to the session waits for the end of
	// the work: answers go out together, and are written by the reader.
	corked bool
	// seen is true once the watch has seen it at work.
	seen bool
	// lost is true once another goroutine reads.
	lost bool

	// tired is true when the stack has been used for more than waiting, and
	// the client may be about to wait, too.
	tired bool
}

// renew makes a new goroutine read, and the caller leave. A goroutine keeps
// the stack that it has once needed; one that only waits for a silent client
// needs half of that.
func (r *reader) renew() {
	r.shard.mu.Lock()
	r.lost = true
	r.shard.mu.Unlock()
	go r.session.readWebSocket(r.frames)
}

// begin is called before the work.
func (r *reader) begin(corked bool) {
	r.shard.mu.Lock()
	r.corked, r.seen = corked, false
	r.next = r.shard.working
	if r.next != nil {
		r.next.previous = r
	}
	r.shard.working = r
	r.session.reader = r
	r.shard.mu.Unlock()
	r.session.server.readers.watch()
}

// uncork is called when the work is done. It reports whether the answers are
// the reader's to write.
func (r *reader) uncork() bool {
	r.shard.mu.Lock()
	defer r.shard.mu.Unlock()
	corked := r.corked
	r.corked = false
	return corked && !r.lost
}

// end is called when the answers are written, which are to be counted. It
// reports whether reading is still this goroutine's.
func (r *reader) end(done flushed) bool {
	r.shard.mu.Lock()
	defer r.shard.mu.Unlock()
	r.shard.counts.add(done)
	if r.lost {
		return false
	}
	if r.session.reader == r {
		r.unlinkLocked()
	}
	return true
}

func (r *reader) unlinkLocked() {
	if r.previous != nil {
		r.previous.next = r.next
	} else {
		r.shard.working = r.next
	}
	if r.next != nil {
		r.next.previous = r.previous
	}
	r.next, r.previous = nil, nil
	r.session.reader = nil
}

// loseLocked takes the reading from the goroutine. handOver is to be called
// without the lock.
func (r *reader) loseLocked() (corked bool) {
	r.lost = true
	r.unlinkLocked()
	return r.corked
}

// handOver makes another goroutine read, and the flush workers write.
func (r *reader) handOver(corked bool) {
	if corked {
		r.session.release()
	}
	go r.session.readWebSocket(r.frames)
}

// HandOver is to be called by work that is about to wait for the session's
// client: it makes sure that the client is listened to and that what was sent
// to it goes out, also when the caller is the goroutine that does both.
func (s *Session) HandOver() {
	shard := s.server.readers.of(s)
	shard.mu.Lock()
	r := s.reader
	corked := r != nil && r.loseLocked()
	shard.mu.Unlock()
	if r != nil {
		r.handOver(corked)
	}
}

// of returns the shard of a session.
func (r *readers) of(s *Session) *readersShard {
	return &r.shards[int(s.id[0])%len(r.shards)]
}

// tick is called at each tick of the wheel, by one goroutine.
func (r *readers) tick() {
	if r.alert.Load() > 0 {
		r.alert.Add(-1)
	}
	r.lookOnce()
}

// watch makes sure that somebody looks after those at work.
func (r *readers) watch() {
	if r.alert.Load() > 0 && !r.watching.Load() && r.watching.CompareAndSwap(false, true) {
		time.AfterFunc(handOverAfter, r.look)
	}
}

// look takes the reading from those that were at the same work the last time.
func (r *readers) look() {
	if !r.lookOnce() {
		r.watching.Store(false)
		// Who began before that did not arm the watch.
		if !r.anyWorking() || !r.watching.CompareAndSwap(false, true) {
			return
		}
	}
	time.AfterFunc(handOverAfter, r.look)
}

func (r *readers) lookOnce() (working bool) {
	type lost struct {
		reader *reader
		corked bool
	}
	for i := range r.shards {
		shard := &r.shards[i]
		var list []lost
		shard.mu.Lock()
		for at := shard.working; at != nil; {
			next := at.next
			working = true
			if at.seen {
				list = append(list, lost{at, at.loseLocked()})
			}
			at.seen = true
			at = next
		}
		shard.mu.Unlock()
		if len(list) > 0 {
			r.alert.Store(alertTicks)
		}
		for _, l := range list {
			l.reader.handOver(l.corked)
		}
	}
	return working
}

func (r *readers) anyWorking() bool {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		working := shard.working != nil
		shard.mu.Unlock()
		if working {
			return true
		}
	}
	return false
}

// work does what a message has left, and reports whether to read on.
func (r *reader) work(work Work) bool {
	s := r.session
	// Once the work has begun, the frames may be another's to read.
	more := r.frames.Buffered() > 0
	r.begin(s.cork())
	work.Run()
	var done flushed
	if r.uncork() {
		if more {
			// There is more to do: somebody else may write the answers.
			s.release()
		} else {
			done = s.flushHere()
		}
	}
	if !r.end(done) {
		return false
	}
	if !s.begun {
		// That was the connection to a namespace, and may have been all.
		s.begun, r.tired = true, true
	}
	return true
}
