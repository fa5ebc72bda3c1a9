package floor

// flusher is a few workers that write what is pending.
type flusher struct {
	ready chan *member
}

// readyMembers bounds how many members wait for a worker. Each waits there once at most.
const readyMembers = 16 << 10

func newFlusher(workers int) *flusher {
	f := &flusher{ready: make(chan *member, readyMembers)}
	for range workers {
		go f.work()
	}
	return f
}

// queue leaves a frame with the member, and the member with the workers if they do not have it
// already.
func (f *flusher) queue(m *member, frame []byte) {
	m.lock.Lock()
	m.pending = append(m.pending, frame)
	idle := !m.flushing
	m.flushing = true
	m.lock.Unlock()
	if idle {
		f.ready <- m
	}
}

func (f *flusher) work() {
	var taken [][]byte
	var joined []byte
	for m := range f.ready {
		m.lock.Lock()
		taken, m.pending = m.pending, taken[:0]
		m.lock.Unlock()

		joined = joined[:0]
		for i, frame := range taken {
			joined = append(joined, frame...)
			taken[i] = nil
		}
		m.write(joined)

		m.lock.Lock()
		again := len(m.pending) > 0
		m.flushing = again
		m.lock.Unlock()
		if again {
			// Behind all others who wait: nobody is served twice before everybody was served once.
			f.ready <- m
		}
	}
}
