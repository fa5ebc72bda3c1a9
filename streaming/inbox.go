package streaming

import "sync"

// inbox holds what is to be done for a socket, in order. While it is not
// empty a goroutine works on it; otherwise there is none.
type inbox struct {
	tasks []task
	// event comes before the tasks: the only one of an inbox that had been
	// empty, as is the rule, needs no list.
	event *Event
	// eventBytes is what event takes of memory, see task.
	eventBytes int32
	// bytes is what the events that wait in tasks take.
	bytes int32
	// running is true while a goroutine works on the inbox.
	running bool
	// closed inboxes take no more events.
	closed bool
	// counted is true while the inbox counts among those that the server waits for
	// when it ends: from the first task of the socket to the last one. A task that
	// is added after that counts by itself.
	counted bool
	// room is signalled when there is room again. It is nil until needed.
	room *sync.Cond
}

// The events of one socket that may wait for their handlers. Beyond, nothing
// is read from the client.
const (
	maxWaitingEvents = 256
	maxWaitingBytes  = 4 << 20
	// modestWaitingBytes takes the place of maxWaitingBytes when there is no room for
	// more of what all clients have sent, see [engineio.Session.Pressed].
	modestWaitingBytes = 64 << 10
	// eventBytes is what an event takes of memory besides its packet, in bytes.
	eventBytes = 256
	// mostEventBytes is the most that an event counts for, whatever it takes: so the
	// count fits into 32 bits, and a socket stays as small as it is.
	mostEventBytes = 1 << 30
)

// task is one thing to do: exactly one of its fields says what.
type task struct {
	connect bool
	event   *Event
	// bytes is what the event takes of memory. It counts for the session until the
	// event is handled.
	bytes      int32
	answer     func()
	disconnect bool
	reason     Reason
}

// deliver puts an event of a packet, which takes so many bytes of memory, into the
// inbox. It waits while too many wait already.
// start is true when the caller must see to it that the inbox is worked on.
func (s *Socket) deliver(e *Event, packet int) (start bool) {
	size := int32(min(packet+eventBytes, mostEventBytes)) //nolint:gosec // bounded
	session := s.client().session
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.inbox.closed && len(s.inbox.tasks) > 0 && (len(s.inbox.tasks) >= maxWaitingEvents || s.inbox.bytes+size > maxWaitingBytes ||
		s.inbox.bytes+size > modestWaitingBytes && session.Pressed()) {
		if s.inbox.room == nil {
			s.inbox.room = sync.NewCond(&s.mu)
		}
		s.inbox.room.Wait()
	}
	if s.inbox.closed {
		return false
	}
	session.Keep(int(size))
	if !s.inbox.running {
		s.inbox.event, s.inbox.eventBytes, s.inbox.running = e, size, true
		return true
	}
	s.inbox.bytes += size
	return s.addLocked(task{event: e, bytes: size})
}

// run has any other task done. It does not wait.
func (s *Socket) run(t task) {
	s.mu.Lock()
	start := s.addLocked(t)
	s.mu.Unlock()
	if start {
		s.work().Start()
	}
}

// Do has f run like a handler of this socket: in order with the others, also
// after the socket has disconnected. It does not wait for it.
func (s *Socket) Do(f func()) { s.run(task{answer: f}) }

// finish closes the inbox to events and adds the last task. What waits is
// still done, unless drop is set.
func (s *Socket) finish(last task, drop bool) {
	s.mu.Lock()
	s.inbox.closed = true
	if s.inbox.room != nil {
		s.inbox.room.Broadcast()
	}
	if drop {
		if s.inbox.event != nil {
			s.client().session.Keep(-int(s.inbox.eventBytes))
			s.inbox.event = nil
		}
		s.client().session.Keep(-int(s.inbox.bytes))
		kept := s.inbox.tasks[:0]
		for _, t := range s.inbox.tasks {
			if t.event == nil {
				kept = append(kept, t)
			}
		}
		clear(s.inbox.tasks[len(kept):])
		s.inbox.tasks, s.inbox.bytes = kept, 0
	}
	start := last.disconnect && s.addLocked(last)
	s.throughLocked()
	s.mu.Unlock()
	if start {
		s.work().Start()
	}
}

// addLocked adds a task. start is true when the caller must see to it that the
// inbox is worked on.
func (s *Socket) addLocked(t task) (start bool) {
	s.inbox.tasks = append(s.inbox.tasks, t)
	if !s.inbox.counted {
		s.inbox.counted = true
		s.namespace.server.inboxes.Add(1)
	}
	start = !s.inbox.running
	s.inbox.running = true
	return start
}

// throughLocked takes note that the socket has no handlers to run any more, if that
// is so.
func (s *Socket) throughLocked() {
	if s.inbox.closed && !s.inbox.running && s.inbox.counted {
		s.inbox.counted = false
		s.namespace.server.inboxes.Add(-1)
	}
}

// inboxWork is the inbox of a socket as engineio.Work. It is the socket itself, under
// a type of its own: a new value would have to be allocated for each event, and Start
// and Run are no methods for users of [Socket].
type inboxWork Socket

// work returns the inbox as what there is to do for the socket.
func (s *Socket) work() *inboxWork { return (*inboxWork)(s) }

// Start implements engineio.Work.
func (w *inboxWork) Start() { w.namespace.server.runners.start((*Socket)(w)) }

// Run does what is in the inbox until it is empty.
func (w *inboxWork) Run() {
	s := (*Socket)(w)
	for {
		s.mu.Lock()
		t, ok := s.inbox.next()
		if !ok {
			s.throughLocked()
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.do(t)
		if t.bytes != 0 {
			s.client().session.Keep(-int(t.bytes))
		}
	}
}

// next takes the next task out. ok is false when there is none, and nobody
// works on the inbox any more.
func (b *inbox) next() (t task, ok bool) {
	switch {
	case b.event != nil:
		t.event, t.bytes, b.event = b.event, b.eventBytes, nil
		return t, true
	case len(b.tasks) == 0:
		b.tasks = nil
		b.running = false
		return t, false
	}
	t = b.tasks[0]
	b.tasks[0] = task{}
	b.tasks = b.tasks[1:]
	b.bytes -= t.bytes
	if b.room != nil {
		b.room.Broadcast()
	}
	return t, true
}

// do does one task. A panic in it ends the task and nothing else.
func (s *Socket) do(t task) {
	switch {
	case t.connect:
		defer s.recoverConnect()
		s.connect()
	case t.event != nil:
		defer s.recoverEvent(t.event)
		s.namespace.handlers.Load().handle(t.event)
	case t.answer != nil:
		defer s.recoverPanic("acknowledgement")
		t.answer()
	case t.disconnect:
		for _, handler := range s.namespace.handlers.Load().disconnect {
			s.sayGoodbye(handler, t.reason)
		}
		s.namespace.went()
	}
}

func (s *Socket) sayGoodbye(handler func(*Socket, Reason), reason Reason) {
	defer s.recoverPanic("disconnect")
	handler(s, reason)
}
