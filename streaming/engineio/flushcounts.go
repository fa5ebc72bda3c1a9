package engineio

import "github.com/caddy-socketio/socketio-stream/streaming/measure"

// flushed is what one flush found and what it has written.
type flushed struct {
	// messages is how many messages waited for the client, queued their size in
	// bytes.
	messages, queued int
	// sent is how many bytes were written, deliveries how many messages that
	// are not the protocol's own.
	sent, deliveries int
}

// written notes what was written.
func (f *flushed) written(bytes, deliveries int, err error) {
	f.sent = bytes
	if err == nil {
		f.deliveries = deliveries
	}
}

// flushCounts is what one flush worker, or the readers of one shard, have counted.
// They add to it under a lock that they take after each flush in any case: that of
// the flusher, or that of the shard. No two workers write to the same memory.
type flushCounts struct {
	messages, queued measure.Distribution
	deliveries, sent int64
}

// add counts a flush.
func (c *flushCounts) add(f flushed) {
	if f.messages == 0 {
		return
	}
	c.messages.Add(measure.ItemsRange(f.messages), int64(f.messages))
	c.queued.Add(measure.BytesRange(f.queued), int64(f.queued))
	c.deliveries += int64(f.deliveries)
	c.sent += int64(f.sent)
}

func (c *flushCounts) merge(other *flushCounts) {
	c.messages.Merge(&other.messages)
	c.queued.Merge(&other.queued)
	c.deliveries += other.deliveries
	c.sent += other.sent
}

// addTo adds what all workers have counted, those that have left included.
func (f *flusher) addTo(t *TransportMetrics) {
	f.mu.Lock()
	all := f.past
	for _, turn := range f.turns {
		if turn.counts != nil {
			all.merge(turn.counts)
		}
	}
	f.mu.Unlock()
	all.addTo(t)
}

// addTo adds what all readers have counted.
func (r *readers) addTo(t *TransportMetrics) {
	var all flushCounts
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		all.merge(&shard.counts)
		shard.mu.Unlock()
	}
	all.addTo(t)
}

func (c *flushCounts) addTo(t *TransportMetrics) {
	t.FlushMessages.Merge(&c.messages)
	t.QueuedBytes.Merge(&c.queued)
	t.Deliveries += c.deliveries
	t.SentBytes += c.sent
}
