package engineio

import (
	"slices"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// queue is what waits for one client, in order. An empty queue holds no memory:
// the list comes from a pool and goes back to it. Each message in a queue has a
// holder for it, see budget: the caller of push has called hold, and release calls
// letGo.
type queue struct {
	list  *messageList
	bytes int
}

// messageList is a list of messages that is used again and again.
type messageList struct{ messages []*wire.Message }

// maxPooledList is the largest list, in messages, that is kept for reuse.
const maxPooledList = 1024

var messageLists = sync.Pool{New: func() any { return &messageList{messages: make([]*wire.Message, 0, 8)} }}

func (q *queue) empty() bool { return q.list == nil }

func (q *queue) push(m *wire.Message) {
	if q.list == nil {
		q.list = messageLists.Get().(*messageList)
	}
	q.list.messages = append(q.list.messages, m)
	q.bytes += m.Size()
}

// take empties the queue. The caller gives the list back with release.
func (q *queue) take() (list *messageList, bytes int) {
	list, bytes = q.list, q.bytes
	q.list, q.bytes = nil, 0
	return list, bytes
}

func (q *queue) clear(b *budget) {
	if list, _ := q.take(); list != nil {
		list.release(b)
	}
}

// dropVolatile removes the volatile messages and returns how many they were.
func (q *queue) dropVolatile(b *budget) (dropped int) {
	if q.list == nil {
		return 0
	}
	q.list.messages = slices.DeleteFunc(q.list.messages, func(m *wire.Message) bool {
		if m.Has(wire.Volatile) {
			q.bytes -= m.Size()
			b.letGo(m, 1)
			dropped++
		}
		return m.Has(wire.Volatile)
	})
	if len(q.list.messages) == 0 {
		q.clear(b)
	}
	return dropped
}

// release gives the list back to the pool. It returns how many packets were in
// it, not counting the protocol's own, and how many messages they made.
func (l *messageList) release(b *budget) (packets, deliveries int) {
	for i, m := range l.messages {
		packets += m.Count()
		if m.Count() > 0 {
			deliveries++
		}
		b.letGo(m, 1)
		l.messages[i] = nil
	}
	l.messages = l.messages[:0]
	if cap(l.messages) <= maxPooledList {
		messageLists.Put(l)
	}
	return packets, deliveries
}
