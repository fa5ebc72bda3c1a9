package engineio

import (
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
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
	// clock is the server's.
	clock func() int64

	mu         sync.Mutex
	work       sync.Cond
	head, tail *Session
	taken      uint64 // sessions taken from the list, ever
	workers    int
	// idle is how many workers wait for work and have not been woken. Whoever wakes
	// one takes it off this number at once, long before the worker runs.
	idle   int
	closed bool
	// turns has one entry for each worker; held is how many of the workers are held
	// up by a client.
	turns []*flushTurn
	held  int
	// past is what workers that have left had counted.
	past flushCounts

	// watching is true while the timer is set that calls watch.
	watching bool
	// seenTaken is what taken was when watch last looked.
	seenTaken uint64
}

// flushTurn is what one worker is doing.
type flushTurn struct {
	// writing is true while the worker writes to a client, seen is true once watch
	// has found it writing, and held is true once watch has found it writing to
	// that client again.
	writing, seen, held bool
	counts              flushCounts
}

// stuckAfter is how long sessions wait before workers are added.
const stuckAfter = 2 * time.Millisecond

// flushChunk is how many bytes a worker joins before it writes them; larger
// messages are written as they are.
const flushChunk = 64 << 10

var flushBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, flushChunk)
	return &b
}}

func newFlusher(clock func() int64, logger *slog.Logger) *flusher {
	f := &flusher{clock: clock, logger: logger}
	f.work.L = &f.mu
	return f
}

// push hands a chain of n sessions over to the workers. The sessions are linked by
// nextReady, and flushing is true for each of them.
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
func (f *flusher) missing() int { return runtime.GOMAXPROCS(0) - (f.workers - f.held) }

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
	buffer := flushBuffers.Get().(*[]byte)
	defer flushBuffers.Put(buffer)
	turn := new(flushTurn)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turns = append(f.turns, turn)
	for {
		for f.head == nil {
			if f.closed || f.missing() < 0 {
				f.workers--
				f.past.merge(&turn.counts)
				f.turns = slices.DeleteFunc(f.turns, func(t *flushTurn) bool { return t == turn })
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
		done, again := f.flush(s, *buffer)
		if again {
			f.push(s, s, 1)
		}
		f.mu.Lock()
		turn.counts.add(done)
		if turn.held {
			f.held--
		}
		turn.writing, turn.seen, turn.held = false, false, false
	}
}

// flush writes what is pending for one session, see [Session.flush].
func (f *flusher) flush(s *Session, buffer []byte) (done flushed, again bool) {
	defer func() {
		if r := recover(); r != nil {
			f.logger.Error("panic while writing to a client", "panic", r, "stack", string(debug.Stack()))
			s.broken(0)
			again = false
		}
	}()
	return s.flush(buffer, f.clock())
}

// close makes the workers leave once the list is empty.
func (f *flusher) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.idle = 0
	f.work.Broadcast()
}

// flush writes what is pending to the WebSocket. It reports whether more has
// come in the meantime; the session is then to be queued again.
func (s *Session) flush(buffer []byte, now int64) (done flushed, again bool) {
	s.mu.Lock()
	if _, ok := s.stepLocked(evWrite); !ok {
		s.mu.Unlock()
		return flushed{}, false
	}
	list, taken := s.pending.take()
	s.inFlight = taken
	conn := s.conn
	s.armWriteDeadlineLocked(now)
	s.mu.Unlock()

	done.messages, done.queued = len(list.messages), taken.bytes
	bytes, err := s.writeMessages(conn, list.messages, buffer)
	packets, deliveries := list.release(s.account)
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

// armWriteDeadlineLocked sets the write deadline when less than the write
// timeout is left of it: once for many writes.
func (s *Session) armWriteDeadlineLocked(now int64) {
	timeout := int64(s.options.WriteTimeout)
	if s.writeDeadline-now < timeout {
		s.writeDeadline = now + timeout + timeout/2
		_ = s.conn.SetWriteDeadline(s.server.started.Add(time.Duration(s.writeDeadline)))
	}
}

// writeMessages writes the frames of the messages, joining small ones, and
// returns how many bytes were written. Large packets are compressed for a client
// that has agreed to that, see [wire.Message.Frames].
func (s *Session) writeMessages(conn net.Conn, messages []*wire.Message, buffer []byte) (written int, err error) {
	if len(messages) == 1 {
		return conn.Write(s.account.frames(messages[0], s.deflate))
	}
	buffer = buffer[:0]
	for _, m := range messages {
		frames := s.account.frames(m, s.deflate)
		if len(buffer)+len(frames) > cap(buffer) {
			if len(buffer) > 0 {
				n, err := conn.Write(buffer)
				if written += n; err != nil {
					return written, err
				}
				buffer = buffer[:0]
			}
			if len(frames) > cap(buffer) {
				n, err := conn.Write(frames)
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
	n, err := conn.Write(buffer)
	return written + n, err
}
