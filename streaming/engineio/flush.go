package engineio

import (
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// flusher is the set of workers that write to WebSocket clients. A session is
// in its list at most once, however much is pending for it, and a worker
// writes all of that at once.
//
// There are as many workers as processors. A worker that one client has held up
// for stuckAfter while sessions wait is not counted among them: another one is
// started in its place. When the first is back, and the list is empty, one of the
// two leaves. When no worker takes a session from the list for stuckAfter, the
// number of workers doubles.
type flusher struct {
	logger *slog.Logger

	mu         sync.Mutex
	work       sync.Cond
	head, tail *Session
	taken      uint64 // sessions taken from the list, ever
	workers    int
	// idle is how many workers wait for work and have not been woken. Whoever wakes
	// one takes it off this number at once, long before the worker runs.
	idle   int
	closed bool
	// turns has one entry for each worker, and for each other goroutine that is
	// writing to a WebSocket client; held is how many of the workers are held up by a
	// client.
	turns []*flushTurn
	held  int
	// guests are turns for goroutines that are no workers, to be used again.
	guests sync.Pool
	// processors is how many processors the process uses.
	processors int
	// past is what workers that have left had counted.
	past flushCounts

	// watching is true while the timer is set that calls watch.
	watching bool
	// seenTaken is what taken was when watch last looked.
	seenTaken uint64

	// looking are the turns that stuck looks at. Only the wheel touches it.
	looking []*flushTurn
}

// flushTurn is what one worker is doing, or another goroutine that writes to a client.
type flushTurn struct {
	progress progress
	// at is the index in flusher.turns.
	at int
	// counts is nil as long as the worker has counted nothing.
	counts *flushCounts
	// writing is true while the worker writes to a client, seen is true once watch
	// has found it writing, and held is true once watch has found it writing to
	// that client again.
	writing, seen, held bool
}

// stuckAfter is how long sessions wait before workers are added.
const stuckAfter = 2 * time.Millisecond

// yieldEvery is how many sessions are written to before a worker lets other goroutines
// have its processor while more sessions wait. A worker seldom waits for anything, and
// would otherwise keep it for 10 ms. Who sends meanwhile adds to what waits, and all of
// that goes out in one write.
const yieldEvery = 32

// flushChunk is how many bytes a worker joins before it writes them; larger
// messages are not joined.
const flushChunk = 64 << 10

// flushBuffers are for joining messages. A client that is stuck with one message takes
// none.
var flushBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, flushChunk)
	return &b
}}

func newFlusher(logger *slog.Logger) *flusher {
	f := &flusher{logger: logger, processors: runtime.GOMAXPROCS(0)}
	f.work.L = &f.mu
	return f
}

// push hands a chain of n sessions over to the workers. The sessions are linked by
// nextReady, and the writer of each is due.
func (f *flusher) push(head, tail *Session, n int) {
	tail.nextReady = nil
	f.mu.Lock()
	if f.head == nil {
		f.head = head
	} else {
		f.tail.nextReady = head
	}
	f.tail = tail

	wake := min(n, f.idle)
	for range wake {
		f.work.Signal()
	}
	f.idle -= wake
	for f.missing() > 0 && wake < n {
		f.workers++
		wake++
		go f.run()
	}
	if wake < n && !f.watching {
		f.watching, f.seenTaken = true, f.taken
		time.AfterFunc(stuckAfter, f.watch)
	}
	f.mu.Unlock()
}

// missing is how many workers are to be started. It is negative when there are too
// many.
func (f *flusher) missing() int { return f.processors - (f.workers - f.held) }

// watch adds workers in place of those that are held up. It is called every
// stuckAfter while sessions wait.
func (f *flusher) watch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head == nil {
		f.watching = false
		return
	}
	for _, turn := range f.turns {
		if turn.seen && !turn.held {
			turn.held = true
			f.held++
		}
		turn.seen = turn.writing
	}
	wanted := f.missing()
	if f.taken == f.seenTaken {
		wanted = max(wanted, f.workers, 1)
	}
	for range wanted {
		f.workers++
		go f.run()
	}
	f.seenTaken = f.taken
	time.AfterFunc(stuckAfter, f.watch)
}

// run is a worker: it writes for the sessions of the list until there are too many
// workers.
func (f *flusher) run() {
	turn := new(flushTurn)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enterLocked(turn)
	for {
		for f.head == nil {
			if f.closed || f.missing() < 0 {
				f.workers--
				if turn.counts != nil {
					f.past.merge(turn.counts)
				}
				f.leaveLocked(turn)
				return
			}
			f.idle++
			f.work.Wait()
		}
		s := f.head
		f.head = s.nextReady
		if f.head == nil {
			f.tail = nil
		}
		f.taken++
		turn.writing = true
		f.mu.Unlock()
		done, again := f.flush(s, &turn.progress, writerDue)
		if again {
			f.push(s, s, 1)
		}
		f.mu.Lock()
		if turn.counts == nil {
			turn.counts = new(flushCounts)
		}
		turn.counts.add(done)
		if turn.held {
			f.held--
		}
		turn.writing, turn.seen, turn.held = false, false, false
		if f.head != nil && f.taken%yieldEvery == 0 {
			f.mu.Unlock()
			runtime.Gosched()
			f.mu.Lock()
		}
	}
}

func (f *flusher) enterLocked(turn *flushTurn) {
	turn.at = len(f.turns)
	f.turns = append(f.turns, turn)
}

func (f *flusher) leaveLocked(turn *flushTurn) {
	last := len(f.turns) - 1
	f.turns[turn.at] = f.turns[last]
	f.turns[turn.at].at = turn.at
	f.turns[last] = nil
	f.turns = f.turns[:last]
}

// enter returns a turn for a goroutine that is no worker. It calls leave at the end.
func (f *flusher) enter() *flushTurn {
	turn, ok := f.guests.Get().(*flushTurn)
	if !ok {
		turn = new(flushTurn)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enterLocked(turn)
	return turn
}

func (f *flusher) leave(turn *flushTurn) {
	f.mu.Lock()
	f.leaveLocked(turn)
	f.mu.Unlock()
	f.guests.Put(turn)
}

// stuck calls found with the sessions of clients that are stuck: those that have taken
// nothing for the write timeout. The wheel calls it at each tick.
func (f *flusher) stuck(now int64, found func(*Session)) {
	// That takes a lock of the scheduler.
	processors := runtime.GOMAXPROCS(0)
	f.mu.Lock()
	f.processors = processors
	f.looking = append(f.looking[:0], f.turns...)
	f.mu.Unlock()
	for _, turn := range f.looking {
		if s := turn.progress.look(now); s != nil {
			found(s)
		}
	}
	clear(f.looking)
}

// flush writes what is pending for one session, see [Session.flush].
func (f *flusher) flush(s *Session, p *progress, from writer) (done flushed, again bool) {
	p.begin(s)
	defer p.end()
	defer func() {
		if r := recover(); r != nil {
			f.logger.Error("panic while writing to a client", "panic", r, "stack", string(debug.Stack()))
			s.broken(0)
			again = false
		}
	}()
	return s.flush(p, from)
}

// close makes the workers leave once the list is empty.
func (f *flusher) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.idle = 0
	f.work.Broadcast()
}

// flush writes what is pending to the WebSocket, if the writer is where the caller has
// found it. It reports whether more has
// come in the meantime; the session is then to be queued again.
func (s *Session) flush(p *progress, from writer) (done flushed, again bool) {
	s.mu.Lock()
	if s.machine.writer != from {
		s.mu.Unlock()
		return flushed{}, false
	}
	if _, ok := s.stepLocked(evWrite); !ok {
		s.mu.Unlock()
		return flushed{}, false
	}
	list, taken := s.takeLocked()
	conn := s.conn
	s.mu.Unlock()

	done.messages, done.queued = len(list.messages), taken.bytes
	bytes, packets, deliveries, err := s.writeList(conn, list, p)
	done.written(bytes, deliveries, err)
	if err != nil {
		s.broken(bytes)
		return done, false
	}

	s.mu.Lock()
	s.writtenLocked(bytes, packets)
	do, _ := s.stepLocked(evWritten)
	s.mu.Unlock()
	s.carryOut(do &^ flushSoon)
	return done, do&flushSoon != 0
}

// writeList writes the messages of a list and gives it back, also when there is a panic.
func (s *Session) writeList(conn net.Conn, list *messageList, p *progress) (bytes, packets, deliveries int, err error) {
	defer func() { packets, deliveries = list.release(s.account) }()
	bytes, err = s.writeMessages(conn, list.messages, p)
	return bytes, 0, 0, err
}

// broken ends a session whose connection has failed after so many bytes of what was
// to be written. It is not known how many whole messages these are.
func (s *Session) broken(bytes int) {
	s.mu.Lock()
	s.writtenLocked(bytes, 0)
	do, _ := s.stepLocked(evWriteFailed)
	s.mu.Unlock()
	s.carryOut(do)
	s.abort(ReasonTransportError)
}

// writeMessages writes the frames of the messages, joining small ones, and
// returns how many bytes were written. Large packets are compressed for a client
// that has agreed to that, see [wire.Message.Frames].
func (s *Session) writeMessages(conn net.Conn, messages []*wire.Message, p *progress) (written int, err error) {
	if len(messages) == 1 {
		return p.write(conn, s.account.frames(messages[0], s.deflate))
	}
	pooled := flushBuffers.Get().(*[]byte)
	defer flushBuffers.Put(pooled)
	p.buffer.Store(int64(cap(*pooled)))
	defer p.buffer.Store(0)
	buffer := (*pooled)[:0]
	for _, m := range messages {
		frames := s.account.frames(m, s.deflate)
		if len(buffer)+len(frames) > cap(buffer) {
			if len(buffer) > 0 {
				n, err := p.write(conn, buffer)
				if written += n; err != nil {
					return written, err
				}
				buffer = buffer[:0]
			}
			if len(frames) > cap(buffer) {
				n, err := p.write(conn, frames)
				if written += n; err != nil {
					return written, err
				}
				continue
			}
		}
		buffer = append(buffer, frames...)
	}
	if len(buffer) == 0 {
		return written, nil
	}
	n, err := p.write(conn, buffer)
	return written + n, err
}
