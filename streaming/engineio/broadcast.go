package engineio

import "github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"

// Broadcast queues a message for the sessions of many receivers, for each like
// [Session.Send], and then wakes those who write for many of them at once.
// session returns a receiver's session, or nil to leave the receiver out; it must
// not wait for a client. missed, when not nil, is called for each receiver whose
// session does not take the message.
func Broadcast[R any](m *wire.Message, receivers []R, session func(R) *Session, missed func(R)) {
	var b burst
	defer b.flush()
	for _, receiver := range receivers {
		if s := session(receiver); s != nil && !b.send(s, m) && missed != nil {
			missed(receiver)
		}
	}
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

// send queues a message like [Session.Send].
func (b *burst) send(s *Session, m *wire.Message) bool {
	if s.textOnly {
		return s.Send(m)
	}
	if m != b.message || s.server != b.holder {
		b.settle()
		b.message, b.holder, b.account = m, s.server, s.account
		s.account.hold(m, burstHold)
	}
	ready, ok := s.enqueue(m, false)
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
	return ok
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
