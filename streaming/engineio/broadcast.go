package engineio

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Audience is who receives a broadcast, see [Broadcast]. Its methods must not
// wait for a client.
type Audience[R any] interface {
	// Lock returns the receivers, in one list or in several. It takes the locks
	// that keep the broadcast in order with others. The lists are only read, and
	// not any more after Unlock.
	Lock() (receivers [][]R)
	// Unlock gives back what Lock has taken. It is called once every receiver's
	// session has the message in its queue, or has refused it.
	Unlock()
	// Session returns the session of a receiver, or nil to leave the receiver
	// out. Where there are thousands of receivers it is called by several
	// goroutines at the same time. It is called between Lock and Unlock.
	Session(receiver R) *Session
	// Missed is told of a receiver whose session has refused the message. It is
	// called after Unlock.
	Missed(receiver R)
}

// Broadcast queues a message for the sessions of an audience, for each like
// [Session.Send], and then wakes those who write for many of them at once. Where
// there are thousands of receivers, all processors share the work. A session whose
// queue is full is ended by another goroutine, after Unlock: its listener may
// broadcast, and the caller may hold locks of its own. It returns how many
// receivers Lock has returned.
func Broadcast[R any](m *wire.Message, to Audience[R]) (total int) {
	b := broadcast[R]{message: m, audience: to}
	defer b.end()
	receivers := to.Lock()
	defer to.Unlock()
	for _, list := range receivers {
		total += len(list)
	}
	if total >= sharedFrom {
		b.share(receivers, total)
		return total
	}
	for _, list := range receivers {
		b.send(&b.burst, list)
	}
	return total
}

const (
	// sharedFrom is from how many receivers on several goroutines share the work:
	// to start them costs as much as some dozens of receivers.
	sharedFrom = 4096
	// partSize is how many receivers one of these goroutines takes at a time.
	partSize = 1024
)

// broadcast is one message on its way to the sessions of an audience.
type broadcast[R any] struct {
	message  *wire.Message
	audience Audience[R]
	burst    burst
	// missed are the receivers, and full the sessions to be ended, that are dealt
	// with after Unlock.
	missed []R
	full   []*Session
}

// send queues the message for the receivers of a list. Only one goroutine at a time
// may use a burst, and only one the broadcast.
func (b *broadcast[R]) send(out *burst, list []R) {
	for _, receiver := range list {
		s := b.audience.Session(receiver)
		if s == nil {
			continue
		}
		ok, full := out.send(s, b.message)
		if !ok {
			b.missed = append(b.missed, receiver)
		}
		if full {
			b.full = append(b.full, s)
		}
	}
}

// end does what may call back into the locks of the audience.
func (b *broadcast[R]) end() {
	b.burst.flush()
	for _, s := range b.full {
		s.server.losses.add(s, ReasonSlowClient)
	}
	for _, receiver := range b.missed {
		b.audience.Missed(receiver)
	}
}

// parts are the receivers of a broadcast that several goroutines share.
type parts[R any] struct {
	message  *wire.Message
	audience Audience[R]
	// taken counts the parts that somebody works on.
	taken sync.WaitGroup

	mu sync.Mutex
	// list is what is left of the list that is being worked on, lists are the others.
	list  []R
	lists [][]R
	// missed and full are those of the broadcast.
	missed   []R
	full     []*Session
	panicked error
}

// share has as many goroutines as there are processors send to the receivers. The
// caller is one of them: on a busy machine it does not wait for another one that has
// no processor yet.
func (b *broadcast[R]) share(receivers [][]R, total int) {
	p := &parts[R]{message: b.message, audience: b.audience, lists: receivers}
	for range min(runtime.GOMAXPROCS(0), total/partSize) - 1 {
		go p.work()
	}
	p.work()
	p.taken.Wait()
	b.missed, b.full = p.missed, p.full
	if p.panicked != nil {
		panic(p.panicked)
	}
}

// work sends to one part after another until there is none left.
func (p *parts[R]) work() {
	for list := p.next(); list != nil; list = p.next() {
		p.send(list)
	}
}

// next takes a part. The caller tells taken when it is done.
func (p *parts[R]) next() (list []R) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.list) == 0 {
		if len(p.lists) == 0 {
			return nil
		}
		p.list, p.lists = p.lists[0], p.lists[1:]
	}
	p.taken.Add(1)
	n := min(partSize, len(p.list))
	list, p.list = p.list[:n], p.list[n:]
	return list
}

// send sends to one part. A panic ends that part; the caller of share panics in its
// place.
func (p *parts[R]) send(list []R) {
	part := broadcast[R]{message: p.message, audience: p.audience}
	defer p.taken.Done()
	defer func() {
		part.burst.flush()
		r := recover()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.missed = append(p.missed, part.missed...)
		p.full = append(p.full, part.full...)
		if r != nil {
			p.panicked = fmt.Errorf("%v, in a part of a broadcast: %s", r, debug.Stack())
		}
	}()
	part.send(&part.burst, list)
}

// burst sends to many sessions and hands those that became ready to the flush
// workers in one go. Its zero value is ready to use by one goroutine, which must
// call flush at the end: a session that waits in a burst is not written to.
type burst struct {
	server     *Server
	head, tail *Session
	n          int

	// message is what is being sent to clients of holder. So far sent sessions have
	// taken it.
	message *wire.Message
	holder  *Server
	account *account
	sent    int64
}

// burstSize bounds how many sessions wait for the end of a burst.
const burstSize = 128

// send queues a message, see [Session.enqueue].
func (b *burst) send(s *Session, m *wire.Message) (ok, full bool) {
	if own := m.As(s.form); own != m {
		return s.sendFormed(own, false)
	}
	if m != b.message || s.server != b.holder {
		b.settle()
		b.message, b.holder, b.account = m, s.server, s.account
		s.account.hold(m, burstHold)
	}
	ready, ok, full := s.enqueue(m, false)
	if ok {
		b.sent++
	}
	if ready {
		if b.server != nil && b.server != s.server {
			b.push()
		}
		b.server = s.server
		if b.head == nil {
			b.head = s
		} else {
			b.tail.nextReady = s
		}
		b.tail = s
		if b.n++; b.n == burstSize {
			b.push()
		}
	}
	return ok, full
}

// settle takes back the holders that send has added to the message, but for one for
// each session that has taken it.
func (b *burst) settle() {
	if b.message != nil {
		b.account.letGo(b.message, burstHold-b.sent)
	}
	b.message, b.holder, b.account, b.sent = nil, nil, nil, 0
}

// push hands the sessions that became ready to the flush workers.
func (b *burst) push() {
	if b.head != nil {
		b.server.flusher.push(b.head, b.tail, b.n)
	}
	b.server, b.head, b.tail, b.n = nil, nil, nil, 0
}

// flush makes the flush workers begin with what was sent.
func (b *burst) flush() {
	b.settle()
	b.push()
}
