package engineio

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// writeChunk is how many bytes are written in one call. A client shows by each
// chunk that is taken that it is slow and not stuck: one at 64 kbit/s takes a chunk
// in 4 seconds.
const writeChunk = 32 << 10

// progress is how a client takes what is being written to it. The writer calls
// begin, step and end. Somebody else calls look now and then, and learns whether the
// client is stuck: no write to a WebSocket has a deadline of its own.
type progress struct {
	// session is the client's session while something is written to it, or else nil.
	session atomic.Pointer[Session]
	// steps changes with each chunk that was taken, and with the end of each write.
	steps atomic.Uint32
	// late is true once look has found the same write under way twice.
	late atomic.Bool
	// buffer is how many bytes the writer has borrowed to join messages, and counted how
	// many of them count: those of a write that is late. Most writes are through before it
	// is worth to count their buffer.
	buffer, counted atomic.Int64

	// What follows belongs to the caller of look. of is the session that was found
	// being written to, steps was then seen, and has been that since.
	of    *Session
	seen  uint32
	since int64
	// baseline is what the kernel knew of the client halfway to the write timeout.
	baseline  received
	hasLooked bool
}

// begin says that a write to the session's client begins.
func (p *progress) begin(s *Session) { p.session.Store(s) }

// step says that a chunk was taken.
func (p *progress) step() { p.steps.Add(1) }

// end says that the write has ended, with whatever success.
func (p *progress) end() {
	s := p.session.Load()
	p.session.Store(nil)
	p.steps.Add(1)
	if p.late.Load() {
		p.late.Store(false)
		p.discount(s)
		s.showsLife()
	}
}

// count counts the buffer of a write that is late.
func (p *progress) count(s *Session) {
	if bytes := p.buffer.Load(); bytes != 0 {
		p.counted.Store(bytes)
		s.account.add(int(bytes))
	}
	p.late.Store(true)
	if p.session.Load() != s {
		// It has ended meanwhile, and may not have seen that.
		p.discount(s)
	}
}

// discount undoes count.
func (p *progress) discount(s *Session) {
	if bytes := p.counted.Swap(0); bytes != 0 {
		s.account.add(-int(bytes))
	}
}

// write writes data chunk by chunk.
func (p *progress) write(conn net.Conn, data []byte) (written int, err error) {
	for len(data) > writeChunk {
		n, err := conn.Write(data[:writeChunk])
		if written += n; err != nil {
			return written, err
		}
		p.step()
		data = data[writeChunk:]
	}
	n, err := conn.Write(data)
	return written + n, err
}

// look returns the session of a client that has taken nothing for the write timeout,
// or nil. A client that takes something is alive.
func (p *progress) look(now int64) (stuck *Session) {
	s, steps := p.session.Load(), p.steps.Load()
	if s == nil || s != p.of {
		p.of, p.seen, p.since, p.hasLooked = s, steps, now, false
		return nil
	}
	if !p.late.Load() {
		p.count(s)
	}
	if steps != p.seen {
		p.seen = steps
		p.advance(now)
		return nil
	}
	timeout := int64(s.options.WriteTimeout)
	switch waited := now - p.since; {
	case waited >= timeout:
		// The kernel says that a write goes on only when much of its buffer is free. A slow
		// client may have taken some of it.
		if p.hasLooked && receivedBy(s.client()).movedOnFrom(p.baseline) {
			p.advance(now)
			return nil
		}
		p.since, p.hasLooked = now, false
		return s
	case waited >= timeout/2 && !p.hasLooked:
		p.baseline, p.hasLooked = receivedBy(s.client()), true
	}
	return nil
}

// advance notes that the client has taken something.
func (p *progress) advance(now int64) {
	p.since, p.hasLooked = now, false
	p.of.showsLife()
}

// received is what the kernel knows of what a client has received.
type received struct {
	// acked is how many bytes the client's system has received, ever. It wraps around.
	acked uint32
	// waits is true when there are bytes which it has not received.
	waits bool
	// known is true when the kernel has told.
	known bool
	// closed is true when this side has closed the connection, so that it is not known.
	closed bool
}

// slowestRate is how many bytes a second a client takes at least whose connection the
// kernel tells nothing of: half of what a line of 64 kbit/s carries.
const slowestRate = 4000

// answeredLocked notes that the answer to a poll has been written. Its client may be slow,
// and cannot ask again before it has the answer.
func (s *Session) answeredLocked(bytes int) {
	s.polling.takenAt = s.server.clock() + int64(bytes)*int64(time.Second)/slowestRate
}

// movedOnFrom reports whether the client has received something since it was at
// before. A client that had received everything by then is not waited for.
func (r received) movedOnFrom(before received) bool {
	return before.waits && r.acked != before.acked
}

// receivedBy asks the kernel about a connection. Where the kernel does not tell, the
// answer is the zero value.
func receivedBy(conn net.Conn) received {
	for conn != nil {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = inner.NetConn()
	}
	if conn == nil {
		return received{}
	}
	return askKernel(conn)
}

// client returns the connection that was last written to for the session, or nil
// when it is not known.
func (s *Session) client() net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clientLocked()
}

func (s *Session) clientLocked() net.Conn {
	if s.conn != nil {
		return s.conn
	}
	return s.polling.conn
}

// showsLife notes that the client has taken or sent something just now.
func (s *Session) showsLife() { s.aliveAt.Store(s.server.wheel.now.Load()) }

// answerWatch is a [progress] of the answer to a poll.
type answerWatch struct {
	progress
	session *Session
	timer   *time.Timer
	// stop makes the write fail.
	stop func()

	mu sync.Mutex
	// over is true once the write has ended.
	over bool
}

// watchAnswer begins to watch how the session's client takes the answer to a poll. When the
// client is stuck, its session is ended, and stop is called, but not after end.
func (s *Session) watchAnswer(stop func()) *answerWatch {
	w := &answerWatch{session: s, stop: stop}
	w.begin(s)
	w.of, w.since = s, s.server.clock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.interval(), w.lookAgain)
	return w
}

// interval is the time from one look to the next.
func (w *answerWatch) interval() time.Duration {
	const looks = 20
	return max(w.session.options.WriteTimeout/looks, time.Millisecond)
}

// lookAgain is called by the timer.
func (w *answerWatch) lookAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	if w.look(w.session.server.clock()) == nil {
		w.timer.Reset(w.interval())
		return
	}
	w.session.abort(ReasonStuckClient)
	w.stop()
}

// end says that the answer is written, or has failed.
func (w *answerWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
	w.progress.end()
}
