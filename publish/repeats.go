package publish

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// How many ids a namespace remembers, and for how long.
const (
	maxRepeats    = 10_000
	repeatsPeriod = 5 * time.Minute
)

// repeats are the ids of the events that were sent to a namespace, so that a backend that has not
// seen an answer may send the same event again. They outlive a config.
type repeats struct {
	mu   sync.Mutex
	byID map[string]*list.Element
	// order has the oldest in front.
	order list.List
}

// sending is an event that has an id.
type sending struct {
	id     string
	digest [sha256.Size]byte
	since  time.Time

	once      sync.Once
	receivers int
	err       error
}

func newRepeats(*streaming.Namespace) *repeats {
	return &repeats{byID: make(map[string]*list.Element)}
}

// once sends an event, or returns what was returned when that was done for its id. Of two that come
// at once, one sends and the other waits for it.
func (r *repeats) once(id string, digest [sha256.Size]byte, send func() (int, error)) (receivers int, err error) {
	s := r.of(id, digest)
	if s.digest != digest {
		return 0, refused(http.StatusConflict, "id %.64q was used for another event: an id is for one event, and for sending that again", id)
	}
	s.once.Do(func() { s.receivers, s.err = send() })
	return s.receivers, s.err
}

// of returns what is remembered of an id, and begins with it.
func (r *repeats) of(id string, digest [sha256.Size]byte) *sending {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for oldest := r.order.Front(); oldest != nil; oldest = r.order.Front() {
		s := oldest.Value.(*sending)
		if r.order.Len() < maxRepeats && now.Sub(s.since) < repeatsPeriod {
			break
		}
		delete(r.byID, s.id)
		r.order.Remove(oldest)
	}
	if known, ok := r.byID[id]; ok {
		return known.Value.(*sending)
	}
	s := &sending{id: id, digest: digest, since: now}
	r.byID[id] = r.order.PushBack(s)
	return s
}
