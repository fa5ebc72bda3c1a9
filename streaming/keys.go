package streaming

// Key names something that an event set keeps with each socket: a value of one
// type, which only those have who have the key. Two keys never meet, also of
// the same type. A key is usually a variable of the package that needs it:
//
//	var userKey = streaming.NewKey[*User]()
//
// A value stays until the socket itself is garbage. It is still there in an
// OnDisconnect handler, and nobody has to delete it. All methods may be called
// from any goroutine; what a value points to is for its owner to guard.
type Key[T any] struct {
	// Values of no size may share one address, which is what a key is known by.
	_ byte
}

// NewKey returns a new key.
func NewKey[T any]() *Key[T] { return new(Key[T]) }

// Get returns the value that a socket has, or the zero value when none was set.
func (k *Key[T]) Get(s *Socket) T {
	value, _ := k.Lookup(s)
	return value
}

// Lookup returns the value that a socket has. ok is false when none was set.
func (k *Key[T]) Lookup(s *Socket) (value T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extras == nil {
		return value, false
	}
	kept, ok := s.extras.values[k]
	// An interface that is nil has been kept as that.
	value, _ = kept.(T)
	return value, ok
}

// Set gives a socket a value in place of the one it has.
func (k *Key[T]) Set(s *Socket, value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.extrasLocked()
	if x.values == nil {
		x.values = make(map[any]any)
	}
	x.values[k] = value
}

// Delete takes the value from a socket.
func (k *Key[T]) Delete(s *Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extras != nil {
		delete(s.extras.values, k)
	}
}
