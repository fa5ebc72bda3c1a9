package engineio

import (
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Work is what a message leaves to be done: something that may wait. Exactly
// one of its methods is called. Work that waits for the session's own client calls
// [Session.HandOver] first.
type Work interface {
	// Run does the work.
	Run()
	// Start makes another goroutine do the work, and does not wait for it.
	Start()
}

// readers are the goroutines that read from WebSocket clients and are at work: a
// reader does the work that a message leaves, and writes the answer as well, see
// [Session.Answer], because to hand both to other goroutines would cost more than most
// handlers do. Meanwhile its client is not read from. When the work takes long, or is about to
// wait for the client, another goroutine goes on reading, and the first one leaves
// once it has finished.
//
// The wheel finds out which work takes long, at the second tick after it has begun
// at the latest. The wheel turns in any case. A timer for each message would wake
// up another thread, and cost as much as the message. Only as long as some work
// has taken long lately there is a timer as well, which finds out after
// handOverAfter.
type readers struct {
	shards []readersShard
	seed   maphash.Seed
	// watching is true while the timer is set that calls look.
	watching atomic.Bool
	// alert is for how many more ticks of the wheel the timer is used.
	alert atomic.Int32
}

type readersShard struct {
	mu sync.Mutex
	// working is the list of the readers that are at work.
	working *reader
	// counts is what readers have written after their work.
	counts flushCounts
	_      [48]byte // a cache line each
}

const (
	// handOverAfter is the interval of the timer. Work that has gone on for one to
	// two intervals loses the reading to another goroutine.
	handOverAfter = 2 * time.Millisecond
	// alertTicks is how long the timer is used after some work has taken long, in
	// ticks of the wheel.
	alertTicks = int32(10 * time.Second / wheelTick)
)

func newReaders() *readers {
	shards := 1
	for shards < 2*runtime.GOMAXPROCS(0) {
		shards *= 2
	}
	return &readers{shards: make([]readersShard, shards), seed: maphash.MakeSeed()}
}

// reader is a goroutine that reads from a WebSocket client.
type reader struct {
	session *Session
	frames  *wire.Reader
	shard   *readersShard

	// The shard's mutex guards what follows, up to lost.
	next, previous *reader
	// seen is true once lookOnce has found the reader at this work.
	seen bool
	// lost is true once another goroutine reads in place of this one.
	lost bool

	// tired is true when the goroutine's stack has grown for some work and the
	// client is likely to be silent now. Only the reader touches it.
	tired bool
}

// renew starts a new goroutine that reads. The caller then leaves. A goroutine keeps
// the stack that it has once needed, and one that only waits for a silent client
// needs half of that.
func (r *reader) renew() {
	r.shard.mu.Lock()
	r.lost = true
	r.shard.mu.Unlock()
	go r.session.readWebSocket(r.frames)
}

// begin puts the reader on the list of those at work.
func (r *reader) begin() {
	r.session.beginWork()
	r.shard.mu.Lock()
	r.seen = false
	r.next = r.shard.working
	if r.next != nil {
		r.next.previous = r
	}
	r.shard.working = r
	r.session.reader = r
	r.shard.mu.Unlock()
	r.session.server.readers.watch()
}

// holdsAnswer is called when the work is done. It reports whether the reader has to write
// an answer.
func (r *reader) holdsAnswer() bool {
	r.shard.mu.Lock()
	lost := r.lost
	r.shard.mu.Unlock()
	return !lost && r.session.endWork()
}

// end is called when the answer is written, and counts it. It reports whether
// the goroutine has to go on reading.
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

// loseLocked takes the reading from the goroutine. The caller then calls handOver,
// without the lock.
func (r *reader) loseLocked() {
	r.lost = true
	r.unlinkLocked()
}

// handOver starts another goroutine that reads, and has the flush workers write an
// answer that is held.
func (r *reader) handOver() {
	if r.session.endWork() {
		r.session.release()
	}
	go r.session.readWebSocket(r.frames)
}

// HandOver makes sure that messages of the session's client are read and that what
// was sent to it goes out, while the caller waits for the client. [Work] that waits
// for its own client, as package streaming does for an ack, must call it first: it
// may be running in the very goroutine that does both.
func (s *Session) HandOver() {
	shard := s.server.readers.of(s)
	shard.mu.Lock()
	r := s.reader
	if r != nil {
		r.loseLocked()
	}
	shard.mu.Unlock()
	if r != nil {
		r.handOver()
	}
}

// of returns the shard of a session.
func (r *readers) of(s *Session) *readersShard {
	return &r.shards[maphash.String(r.seed, s.id)%uint64(len(r.shards))]
}

// tick finds out which work takes long. The wheel calls it at each tick.
func (r *readers) tick() {
	if r.alert.Load() > 0 {
		r.alert.Add(-1)
	}
	r.lookOnce()
}

// watch sets the timer, if it is to be used and is not set.
func (r *readers) watch() {
	if r.alert.Load() > 0 && !r.watching.Load() && r.watching.CompareAndSwap(false, true) {
		time.AfterFunc(handOverAfter, r.look)
	}
}

// look is called by the timer, and sets it again as long as there is work.
func (r *readers) look() {
	if !r.lookOnce() {
		r.watching.Store(false)
		// A reader that began its work just before has not set the timer.
		if !r.anyWorking() || !r.watching.CompareAndSwap(false, true) {
			return
		}
	}
	time.AfterFunc(handOverAfter, r.look)
}

// lookOnce takes the reading from those readers which are still at the work that it
// found them at before, and has the answers of all others written that are held. It
// reports whether there is any work.
func (r *readers) lookOnce() (working bool) {
	var slow, others []*reader
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		for at := shard.working; at != nil; {
			next := at.next
			if at.seen {
				at.loseLocked()
				slow = append(slow, at)
			} else {
				others = append(others, at)
			}
			at.seen = true
			at = next
		}
		shard.mu.Unlock()
	}
	for _, reader := range others {
		reader.session.release()
	}
	for _, reader := range slow {
		reader.handOver()
	}
	if len(slow) > 0 {
		r.alert.Store(alertTicks)
	}
	return len(slow)+len(others) > 0
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

// work does the work that a message has left, and writes the answer. It reports
// whether the goroutine has to go on reading.
func (r *reader) work(work Work) bool {
	s := r.session
	// Once the work has begun, another goroutine may be using the frames.
	more := r.frames.Buffered() > 0
	r.begin()
	work.Run()
	var done flushed
	if r.holdsAnswer() {
		if more {
			// The next message is there already: a flush worker may write the answer.
			s.release()
		} else {
			done = s.writeAnswer()
		}
	}
	if !r.end(done) {
		return false
	}
	if !s.begun {
		// The first message of most clients connects them to a namespace. After that
		// many are silent for long.
		s.begun, r.tired = true, true
	}
	return true
}
