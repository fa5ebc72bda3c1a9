package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// streamLength is about how many entries the stream keeps, as with the reference implementation, and
// streamBatch how many are read at once.
const (
	streamLength = 10_000
	streamBatch  = 32
)

// reading is where a link is in a stream, in the mode streams.
type reading struct {
	// unread is why the stream cannot be read, or nil.
	unread atomic.Pointer[error]
	// opened is told when entries are handed on.
	opened chan struct{}

	mu sync.Mutex
	// offset is the ID of the last entry that was handed on, or of the last before the link. It is empty
	// as long as that is not known.
	offset string
	// before is where the link was whose place this one takes, or empty.
	before string
}

// Offset is the ID of the last entry of the stream that was read, in the mode streams.
func (n *Node) Offset() string {
	l := n.live.Load()
	if l == nil {
		return ""
	}
	return l.position()
}

// position is where the link is in its stream.
func (l *link) position() string {
	l.reading.mu.Lock()
	defer l.reading.mu.Unlock()
	return l.reading.offset
}

// begin has what is heard handed on. before is the link whose place this one takes, or nil: a stream is read
// on where that one was.
func (l *link) begin(before *link) {
	if before != nil && l.options.Mode == ModeStreams {
		at := before.position()
		l.reading.mu.Lock()
		l.reading.before = at
		l.reading.mu.Unlock()
	}
	l.open.Store(true)
	select {
	case l.reading.opened <- struct{}{}:
	default:
	}
}

// read reads the stream, and begins again whenever that is needed.
func (l *link) read() {
	l.retry(func() error {
		err := l.readOn()
		if l.ctx.Err() == nil {
			l.reading.unread.Store(&err)
		}
		return err
	})
}

func (l *link) readOn() error {
	if l.position() == "" {
		last, err := l.lastEntry()
		if err != nil {
			return err
		}
		l.reading.mu.Lock()
		l.reading.offset = last
		l.reading.mu.Unlock()
	}
	l.reading.unread.Store(nil)
	l.hurry("")
	for {
		if !l.open.Load() {
			select {
			case <-l.reading.opened:
				continue
			case <-l.ctx.Done():
				return l.ctx.Err()
			}
		}
		if err := l.readOnFromBefore(); err != nil {
			return err
		}
		found, err := l.client.XRead(l.ctx, &redis.XReadArgs{
			Streams: []string{l.options.Prefix, l.position()}, Count: streamBatch, Block: l.options.beat,
		}).Result()
		switch {
		case errors.Is(err, redis.Nil):
			err = l.checkOffset()
		case err == nil && len(found) == 1:
			l.takeEntries(found[0].Messages)
		}
		if err != nil {
			return err
		}
	}
}

// lastEntry is the ID of the last entry of the stream.
func (l *link) lastEntry() (string, error) {
	last, err := l.client.XRevRangeN(l.ctx, l.options.Prefix, "+", "-", 1).Result()
	if err != nil || len(last) == 0 {
		return "0-0", err
	}
	return last[0].ID, nil
}

// readOnFromBefore goes on where the link before this one was, if that is in the same stream.
func (l *link) readOnFromBefore() error {
	l.reading.mu.Lock()
	defer l.reading.mu.Unlock()
	before := l.reading.before
	if before == "" {
		return nil
	}
	same, err := l.client.XRange(l.ctx, l.options.Prefix, before, before).Result()
	if err != nil {
		return err
	}
	if len(same) > 0 {
		l.reading.offset = before
	}
	l.reading.before = ""
	return nil
}

// checkOffset makes sure that new entries come after the one that was read last. They do not where the
// stream was made anew by a Redis whose clock is behind.
func (l *link) checkOffset() error {
	last, err := l.lastEntry()
	if err != nil {
		return err
	}
	l.reading.mu.Lock()
	defer l.reading.mu.Unlock()
	if last == "0-0" || !isBefore(last, l.reading.offset) {
		return nil
	}
	l.logger().Warn("the stream of Redis has begun anew, with a clock that is behind; what was added before now is lost",
		"stream", l.options.Prefix, "last", last, "read", l.reading.offset)
	l.reading.offset = last
	return nil
}

// isBefore compares the IDs of entries.
func isBefore(id, other string) bool {
	ms, n := splitID(id)
	otherMS, otherN := splitID(other)
	return ms < otherMS || ms == otherMS && n < otherN
}

func splitID(id string) (ms, n uint64) {
	first, second, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(first, 10, 64)
	n, _ = strconv.ParseUint(second, 10, 64)
	return ms, n
}

// takeEntries hands on entries, up to the one after which another link takes the place of this one.
func (l *link) takeEntries(entries []redis.XMessage) {
	for _, entry := range entries {
		l.reading.mu.Lock()
		if !l.open.Load() {
			l.reading.mu.Unlock()
			return
		}
		l.takeEntry(entry.Values)
		l.reading.offset = entry.ID
		l.reading.mu.Unlock()
	}
}

// takeEntry hands on an entry. One without a namespace is for nobody.
func (l *link) takeEntry(values map[string]any) {
	text := func(name string) string { value, _ := values[name].(string); return value }
	namespace := text("nsp")
	for _, a := range l.node.all() {
		if a.local.Namespace() != namespace {
			continue
		}
		data := text("data")
		h := &heardMessage{UID: text("uid"), Namespace: namespace}
		if h.UID == l.node.uid {
			return
		}
		number, err := strconv.Atoi(text("type"))
		if err != nil {
			err = fmt.Errorf("%w: %s", errUnknownType, shortened(strconv.Quote(text("type"))))
		} else if h.Type = &number; len(data) > l.options.MaxMessage {
			err = errTooLarge
		} else if err = h.readData(data); err == nil {
			err = a.takeMessage(h)
		}
		if err != nil {
			a.refuse(l.options.Prefix, data, err)
		}
		return
	}
}

// retry does something again and again until the link ends, with pauses that grow. What has gone wrong is
// taken note of.
func (l *link) retry(do func() error) {
	least := l.options.beat / 16
	for pause := least; l.ctx.Err() == nil; pause = min(2*pause, maxBackoff) {
		begun := time.Now()
		l.cut(do())
		if time.Since(begun) > maxBackoff {
			pause = least
		}
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
		}
	}
}
