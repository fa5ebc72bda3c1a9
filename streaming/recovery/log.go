package recovery

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Log has the packets of one namespace, in order. Who sends a packet holds a lock for each receiver, from
// before [Log.Append] until all receivers have the packet in their queues, so that the order of the log is
// the order that each of them gets.
type Log struct {
	store *Store
	// epoch tells the log from all others, in the offsets.
	epoch string
	// eras are those of earlier processes, the last one last. Their epochs are other ones, as a process
	// that has crashed may have given places that nobody knows of.
	eras []Era
	// head is the place of the last packet.
	head atomic.Uint64

	// The store's lock guards what follows.
	oldest, newest *Entry
	// everyone has what is no longer kept of packets for everyone.
	everyone mark
	closed   bool
}

// NewLog makes a log, or returns nil where recovery is off.
func (s *Store) NewLog() *Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Window <= 0 {
		return nil
	}
	var b [6]byte
	_, _ = rand.Read(b[:])
	l := &Log{store: s, epoch: base64.RawURLEncoding.EncodeToString(b[:])}
	s.logs = append(s.logs, l)
	return l
}

// Close forgets all that is kept. Nothing is kept any more.
func (l *Log) Close() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.clearLocked()
	if i := slices.Index(l.store.logs, l); i >= 0 {
		l.store.logs = slices.Delete(l.store.logs, i, i+1)
	}
}

func (l *Log) clearLocked() {
	l.closed = true
	for l.oldest != nil {
		l.oldest.removeLocked()
	}
}

// Head is the offset of the last packet: all that was sent to a receiver up to it is in its queue, for
// who holds the receiver's lock.
func (l *Log) Head() string { return l.offset(l.head.Load()) }

func (l *Log) offset(place uint64) string { return l.epoch + "." + strconv.FormatUint(place, 36) }

// place returns the place that an offset names. The reason is that for which there is no such place, or
// [Recovered].
func (l *Log) place(offset string) (place uint64, reason Reason) {
	epoch, digits, _ := strings.Cut(offset, ".")
	place, err := strconv.ParseUint(digits, 36, 64)
	if err != nil || strconv.FormatUint(place, 36) != digits {
		return 0, BadOffset
	}
	from := uint64(0)
	for _, era := range append(l.eras[:len(l.eras):len(l.eras)], Era{l.epoch, l.head.Load(), true}) {
		switch {
		case epoch != era.Epoch:
			from = era.UpTo
		case place <= era.UpTo && place >= from:
			return place, Recovered
		case place > era.UpTo && !era.Clean:
			return 0, AfterSnapshot
		default:
			return 0, BadOffset
		}
	}
	return 0, BadOffset
}

// Target is whom a packet is for.
type Target struct {
	// Everyone is true for all of the namespace. Otherwise it is for the members of Rooms and for
	// Sessions.
	Everyone bool
	Rooms    []*Room
	Sessions []*Session
	// ExceptRooms and ExceptSessions leave some of them out, as does Sender, who may be nil.
	ExceptRooms    []*Room
	ExceptSessions []*Session
	Sender         *Session
	// MayJoin, when not empty, is a room that a receiver must have the right to join.
	MayJoin string
	// Asks is true for a packet that is to be answered, with AckID.
	Asks  bool
	AckID uint64
}

// Entry is a packet in a log.
type Entry struct {
	// log is nil once the entry is out of it.
	log     *Log
	place   uint64
	at      time.Time
	target  Target
	message *wire.Message
	// cause is who the packet counts for, or nil.
	cause      *Session
	holding    *share.Holding[*Entry]
	size       int64
	prev, next *Entry
}

// Append gives a packet its place. Its message follows by Keep. cause is the session whose client has
// brought it about, or nil. Append returns nil where nothing is kept any more.
func (l *Log) Append(t Target, cause *Session) *Entry {
	e := &Entry{log: l, at: time.Now(), target: t, cause: cause}
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed {
		return nil
	}
	l.forgetOldLocked(e.at)
	e.place = l.head.Load() + 1
	if e.prev = l.newest; e.prev != nil {
		e.prev.next = e
	} else {
		l.oldest = e
	}
	l.newest = e
	s.packets++
	s.sweepInLocked()
	l.head.Store(e.place)
	return e
}

// Lose takes note that something was sent that is not kept.
func (l *Log) Lose() {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	l.everyone.note(l.head.Add(1), nil)
}

// Keep has the message of a packet kept, if there is room.
func (l *Log) Keep(e *Entry, m *wire.Message) {
	s := l.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.log == nil {
		return
	}
	e.message = m
	if !s.enterLocked(e, int64(m.Cost())) && e.log != nil {
		e.removeLocked()
	}
}

// OffsetOf is the offset of a packet.
func (l *Log) OffsetOf(e *Entry) string { return l.offset(e.place) }

// removeLocked takes an entry out of its log, and takes note of whom it can no longer be given to.
func (e *Entry) removeLocked() {
	l := e.log
	if l == nil {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.oldest = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.newest = e.prev
	}
	e.log, e.prev, e.next, e.message = nil, nil, nil, nil
	l.store.packets--
	l.store.bytes -= e.size
	if e.holding != nil {
		e.holding.Release()
		e.holding = nil
	}
	t := &e.target
	if t.Everyone {
		l.everyone.note(e.place, t.Sender)
	}
	for _, room := range t.Rooms {
		room.gone.note(e.place, t.Sender)
	}
	for _, session := range t.Sessions {
		session.gone = max(session.gone, e.place)
	}
}

func (l *Log) forgetOldLocked(now time.Time) {
	due := now.Add(-l.store.forgetAfter())
	for l.oldest != nil && l.oldest.at.Before(due) {
		l.oldest.removeLocked()
	}
}

// Missed returns the messages that were for a session after a place, in order, the first one first. may
// says whether the client may join a room, owes whether it owes an answer: a packet that was answered is
// not sent again. ok is false if it may have missed something that is not kept. Nobody else sends to the
// session meanwhile.
func (l *Log) Missed(s *Session, after uint64, may func(room string) bool, owes func(id uint64) bool) (messages []*wire.Message, ok bool) {
	l.store.mu.RLock()
	defer l.store.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed || s.log != l || s.hasLostLocked(after) {
		return nil, false
	}
	in := s.staysInLocked()
	for e := l.newest; e != nil && e.place > after; e = e.prev {
		t := &e.target
		if !s.receivesLocked(e, in) || t.MayJoin != "" && !may(t.MayJoin) || t.Asks && !owes(t.AckID) {
			continue
		}
		if e.message == nil {
			return nil, false
		}
		messages = append(messages, e.message)
	}
	slices.Reverse(messages)
	return messages, true
}
