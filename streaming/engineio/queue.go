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
	list *messageList
	load load
	// pong, unless it is zero, is one more than where in the list the pong is that
	// waits.
	pong int32
}

// load is how much waits.
type load struct {
	// bytes is what will be written, before it is compressed.
	bytes int
	// cost is what it takes of memory, as it counts for Options.SendBuffer: what the
	// messages cost, as if they waited for this client alone, and slotCost for each.
	cost int
}

// slotCost is what a message costs a queue that it waits in, in bytes: the list has
// up to twice as many slots as messages.
const slotCost = 16

// costOf is what a message costs in a queue.
func costOf(m *wire.Message) int { return m.Cost() + slotCost }

func (l *load) add(m *wire.Message) {
	l.bytes += m.Size()
	l.cost += costOf(m)
}

func (l *load) remove(m *wire.Message) {
	l.bytes -= m.Size()
	l.cost -= costOf(m)
}

// messageList is a list of messages that is used again and again.
type messageList struct{ messages []*wire.Message }

const (
	// fewMessages is how many messages a list has room for that counts for nothing:
	// no more than belongs to a session in any case.
	fewMessages = 8
	// maxPooledList is the largest list, in messages, that is kept for reuse.
	maxPooledList = 64
)

var messageLists = sync.Pool{New: func() any { return &messageList{messages: make([]*wire.Message, 0, fewMessages)} }}

// cost is what the list takes of memory, in bytes, without the messages.
func (l *messageList) cost() int { return (cap(l.messages) - fewMessages) * (slotCost / 2) }

func (q *queue) empty() bool { return q.list == nil }

func (q *queue) push(m *wire.Message, a *account) {
	if q.list == nil {
		q.list = messageLists.Get().(*messageList)
		if cost := q.list.cost(); cost != 0 {
			a.add(cost)
		}
	}
	l := q.list
	before := cap(l.messages)
	l.messages = append(l.messages, m)
	if cap(l.messages) != before {
		a.add((cap(l.messages) - before) * (slotCost / 2))
	}
	if m.IsPong() {
		q.pong = int32(len(l.messages)) //nolint:gosec // never that many
	}
	q.load.add(m)
}

// replacePong puts the answer to a ping in the place of the one that waits, and
// reports false if none does. Section 5.5.3 of RFC 6455 asks for an answer to the
// latest ping only.
func (q *queue) replacePong(m *wire.Message, a *account) bool {
	if q.pong == 0 {
		return false
	}
	at := &q.list.messages[q.pong-1]
	q.load.remove(*at)
	a.letGo(*at, 1)
	*at = m
	q.load.add(m)
	return true
}

// take empties the queue. The caller gives the list back with release.
func (q *queue) take() (*messageList, load) {
	list, load := q.list, q.load
	*q = queue{}
	return list, load
}

func (q *queue) clear(a *account) {
	if list, _ := q.take(); list != nil {
		list.release(a)
	}
}

// dropVolatile removes the volatile messages and returns how many they were.
func (q *queue) dropVolatile(a *account) (dropped int) {
	if q.list == nil {
		return 0
	}
	var pong *wire.Message
	if q.pong != 0 {
		pong = q.list.messages[q.pong-1]
	}
	q.list.messages = slices.DeleteFunc(q.list.messages, func(m *wire.Message) bool {
		if m.Has(wire.Volatile) {
			q.load.remove(m)
			a.letGo(m, 1)
			dropped++
		}
		return m.Has(wire.Volatile)
	})
	switch {
	case len(q.list.messages) == 0:
		q.clear(a)
	case pong != nil && dropped > 0:
		q.pong = int32(slices.Index(q.list.messages, pong)) + 1 //nolint:gosec // never that many
	}
	return dropped
}

// release gives the list back to the pool. It returns how many packets were in
// it, not counting the protocol's own, and how many messages they made.
func (l *messageList) release(a *account) (packets, deliveries int) {
	for i, m := range l.messages {
		packets += m.Count()
		if m.Count() > 0 {
			deliveries++
		}
		a.letGo(m, 1)
		l.messages[i] = nil
	}
	l.messages = l.messages[:0]
	if cost := l.cost(); cost != 0 {
		a.add(-cost)
	}
	if cap(l.messages) <= maxPooledList {
		messageLists.Put(l)
	}
	return packets, deliveries
}
