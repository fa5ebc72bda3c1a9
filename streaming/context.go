package streaming

import "context"

// extras is what few sockets have. A socket without any of it has none.
type extras struct {
	// ctx is what Context returns, and end ends it. They are nil until then.
	ctx context.Context
	end context.CancelCauseFunc
	// values are those of the keys, by key.
	values map[any]any
	// unjudged is nil unless the socket waits to be asked who its client is.
	unjudged *unjudged
	// left holds the rooms of a socket that has disconnected.
	left []string
}

// extrasLocked returns the extras of a socket, and makes them if there are
// none. The caller holds the lock.
func (s *Socket) extrasLocked() *extras {
	if s.extras == nil {
		s.extras = new(extras)
	}
	return s.extras
}

// Context returns a context that ends when the socket has disconnected, or when
// the server ends. [context.Cause] says which: [ErrDisconnected], or
// [ErrServerClosed] from the moment on when the server is going down. It has
// ended before the OnDisconnect handlers run. All calls return the same one.
func (s *Socket) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.extrasLocked()
	if x.ctx == nil {
		x.ctx, x.end = context.WithCancelCause(s.namespace.server.ctx)
		if s.state == socketClosed {
			x.end(s.namespace.server.endOfSockets())
		}
	}
	return x.ctx
}

// endContextLocked ends the context. The caller holds the lock.
func (s *Socket) endContextLocked() {
	if s.extras != nil && s.extras.end != nil {
		s.extras.end(s.namespace.server.endOfSockets())
	}
}

// endOfSockets says why sockets disconnect now.
func (s *Server) endOfSockets() error {
	if s.ending.Load() {
		return ErrServerClosed
	}
	return ErrDisconnected
}

// Context returns the context of the event's socket, see [Socket.Context]: a
// handler that waits should give up when it ends, since nobody is there any
// more to hear of what comes.
func (e *Event) Context() context.Context { return e.Socket.Context() }
