package streaming

import (
	"runtime/debug"
	"sync"
)

// inbox holds what is to be done for a socket, in order. While it is not
// empty a goroutine works on it; otherwise there is none.
type inbox struct {
	tasks   []task
	running bool
	// bytes is the size of the events that wait.
	bytes int
	// closed inboxes take no more events.
	closed bool
	// room is signalled when there is room again. It is nil until needed.
	room *sync.Cond
}

// The events of one socket that may wait for their handlers. Beyond, nothing
// is read from the client.
const (
	maxWaitingEvents = 256
	maxWaitingBytes  = 4 << 20
)

// task is one thing to do: exactly one of its fields says what.
type task struct {
	connect    bool
	event      *Event
	answer     func()
	disconnect bool
	reason     Reason
}

// deliver hands an event to the socket's handlers. It waits while too many
// wait already.
func (s *Socket) deliver(e *Event) {
	size := e.Args.Size()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.inbox.closed && len(s.inbox.tasks) > 0 && (len(s.inbox.tasks) >= maxWaitingEvents || s.inbox.bytes+size > maxWaitingBytes) {
		if s.inbox.room == nil {
			s.inbox.room = sync.NewCond(&s.mu)
		}
		s.inbox.room.Wait()
	}
	if s.inbox.closed {
		return
	}
	s.inbox.bytes += size
	s.addLocked(task{event: e})
}

// run hands any other task to the socket's goroutine. It does not wait.
func (s *Socket) run(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(t)
}

// finish closes the inbox to events and adds the last task. What waits is
// still done, unless drop is set.
func (s *Socket) finish(last task, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox.closed = true
	if s.inbox.room != nil {
		s.inbox.room.Broadcast()
	}
	if drop {
		kept := s.inbox.tasks[:0]
		for _, t := range s.inbox.tasks {
			if t.event == nil {
				kept = append(kept, t)
			}
		}
		clear(s.inbox.tasks[len(kept):])
		s.inbox.tasks, s.inbox.bytes = kept, 0
	}
	if last.disconnect {
		s.addLocked(last)
	}
}

func (s *Socket) addLocked(t task) {
	s.inbox.tasks = append(s.inbox.tasks, t)
	if !s.inbox.running {
		s.inbox.running = true
		s.namespace.server.runners.start(s)
	}
}

// work does what is in the inbox until it is empty.
func (s *Socket) work() {
	for {
		s.mu.Lock()
		if len(s.inbox.tasks) == 0 {
			s.inbox.tasks = nil
			s.inbox.running = false
			s.mu.Unlock()
			return
		}
		t := s.inbox.tasks[0]
		s.inbox.tasks[0] = task{}
		s.inbox.tasks = s.inbox.tasks[1:]
		if t.event != nil {
			s.inbox.bytes = max(s.inbox.bytes-t.event.Args.Size(), 0)
		}
		if s.inbox.room != nil {
			s.inbox.room.Broadcast()
		}
		s.mu.Unlock()
		s.do(t)
	}
}

// do does one task. A panic in it ends the task and nothing else.
func (s *Socket) do(t task) {
	switch {
	case t.connect:
		defer s.recoverConnect()
		s.connect()
	case t.event != nil:
		defer s.recoverPanic(t.event.Name)
		if handler := s.namespace.handlers.Load().events[t.event.Name]; handler != nil {
			handler(t.event)
		} else {
			t.event.Refuse("unknown_event", "unknown event")
		}
	case t.answer != nil:
		defer s.recoverPanic("acknowledgement")
		t.answer()
	case t.disconnect:
		for _, handler := range s.namespace.handlers.Load().disconnect {
			s.sayGoodbye(handler, t.reason)
		}
	}
}

func (s *Socket) sayGoodbye(handler func(*Socket, Reason), reason Reason) {
	defer s.recoverPanic("disconnect")
	handler(s, reason)
}

// recoverPanic, deferred, logs a panic of a handler and tells the client that
// something went wrong.
func (s *Socket) recoverPanic(during string) {
	if r := recover(); r != nil {
		s.logPanic(during, r)
		s.EmitError("internal_error", "internal error")
	}
}

// recoverConnect, deferred, refuses a client whose authorization panicked. One
// that was let in already stays.
func (s *Socket) recoverConnect() {
	r := recover()
	if r == nil {
		return
	}
	s.logPanic("connect", r)
	if s.Connected() {
		s.EmitError("internal_error", "internal error")
		return
	}
	s.refuse(&ConnectError{Message: "internal error"})
}

func (s *Socket) logPanic(during string, r any) {
	s.namespace.server.logger.Error("panic in an event handler",
		"namespace", s.namespace.name, "event", during, "panic", r, "stack", string(debug.Stack()))
}

// Refuse tells the sender that its event was not accepted: the acknowledgement
// {success: false, error, code} if it asked for one and, unless the event is
// merely unknown, an "error" event {message, code}.
func (e *Event) Refuse(code, message string) {
	if e.Ack.Wanted() {
		args, err := NewArgs(struct {
			Success bool   `json:"success"`
			Error   string `json:"error"`
			Code    string `json:"code"`
		}{false, message, code})
		if err == nil {
			e.Ack.Reply(args)
		}
	}
	if code != "unknown_event" {
		e.Socket.EmitError(code, message)
	}
}
