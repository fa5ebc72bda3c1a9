package sessions

import (
	"container/list"
	"sync"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

const (
	// maxHistoryBytes bounds what is kept for the late joiners of a namespace.
	maxHistoryBytes = 64 << 20
	// leastHistory is how much of it counts as little, see [share.Table].
	leastHistory = 64 << 10
	// contentOverhead is about what a content that is kept takes of memory besides its bytes.
	contentOverhead = 512
)

// histories is what is kept for the late joiners of all sessions of a namespace. Its lock comes after
// that of a session.
type histories struct {
	mu sync.Mutex
	// shares are those of the clients who have sent what is kept. All of it may give way.
	shares share.Table[*kept]
	// bytes is the size of what is kept, without the overhead.
	bytes int
}

// history is what was shared in a session and is kept for late joiners, the oldest first.
type history struct {
	contents list.List // of *share.Holding[*kept]
	bytes    int
}

// kept is a content in a history.
type kept struct {
	args  packet.Args
	of    *history
	place *list.Element
}

func newHistories() *histories {
	return &histories{shares: share.Table[*kept]{Bound: maxHistoryBytes, Least: leastHistory}}
}

// add keeps content of a client, and lets go of the session's oldest for it. Over its share, the
// client's own oldest gives way, wherever it was shared. add reports whether the content is kept: there
// may be no room for one that is large where others of the client's address take all they may.
func (t *histories) add(h *history, who share.Client, args packet.Args, most, mostBytes int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := args.Size()
	for h.contents.Len() > 0 && (h.contents.Len() >= most || h.bytes+size > mostBytes) {
		t.drop(h.contents.Front().Value.(*share.Holding[*kept]))
	}
	k := &kept{args: args, of: h}
	for {
		holding, over := t.shares.Take(who, int64(size+contentOverhead), k)
		if over == share.Within {
			holding.Spare(true)
			k.place = h.contents.PushBack(holding)
			h.bytes += size
			t.bytes += size
			return true
		}
		victim := t.shares.GivesWay(who, over)
		if victim == nil {
			return false
		}
		t.drop(victim)
	}
}

// drop lets go of a content.
func (t *histories) drop(holding *share.Holding[*kept]) {
	k := holding.Value
	size := k.args.Size()
	k.of.contents.Remove(k.place)
	k.of.bytes -= size
	t.bytes -= size
	holding.Release()
}

// clear lets go of all that a session keeps.
func (t *histories) clear(h *history) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h.contents.Len() > 0 {
		t.drop(h.contents.Front().Value.(*share.Holding[*kept]))
	}
}

// leave makes what a session keeps the first to give way: nobody is left in it.
func (t *histories) leave(h *history) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := h.contents.Back(); at != nil; at = at.Prev() {
		at.Value.(*share.Holding[*kept]).First()
	}
}

// size is how many bytes are kept.
func (t *histories) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}

// latest returns the latest contents of a session that have room, in order, but no more than most of
// them. missed is how many there are besides.
func (t *histories) latest(h *history, most, room int) (contents []packet.Args, bytes, missed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := min(most, h.contents.Len())
	first := h.contents.Back()
	taken := 0
	for at := first; at != nil && taken < count; at = at.Prev() {
		size := at.Value.(*share.Holding[*kept]).Value.args.Size() + replayOverhead
		if bytes+size > room {
			break
		}
		bytes += size
		first = at
		taken++
	}
	contents = make([]packet.Args, 0, taken)
	for at := first; len(contents) < taken; at = at.Next() {
		contents = append(contents, at.Value.(*share.Holding[*kept]).Value.args)
	}
	return contents, bytes, count - taken
}

// bytesOf is how many bytes a joiner would get of a session.
func (t *histories) bytesOf(h *history, most int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return h.bytes + min(most, h.contents.Len())*replayOverhead
}
