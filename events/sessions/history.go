package sessions

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// history is what was shared in a session and is kept for late joiners, the
// oldest first. The session guards it.
type history struct {
	contents []packet.Args
	bytes    int
}

// add keeps content, and lets go of the oldest for it. Where all that is kept
// in the namespace leaves no room it is not kept.
func (h *history) add(t *table, args packet.Args, most, mostBytes int) {
	size := args.Size()
	for len(h.contents) > 0 && (len(h.contents) >= most || h.bytes+size > mostBytes) {
		h.dropOldest(t)
	}
	for t.historyBytes.Add(int64(size)) > maxHistoryBytes {
		t.historyBytes.Add(-int64(size))
		if len(h.contents) == 0 {
			return
		}
		h.dropOldest(t)
	}
	h.contents = append(h.contents, args)
	h.bytes += size
}

func (h *history) dropOldest(t *table) {
	size := h.contents[0].Size()
	h.contents[0] = packet.Args{}
	h.contents = h.contents[1:]
	h.bytes -= size
	t.historyBytes.Add(-int64(size))
}

func (h *history) clear(t *table) {
	t.historyBytes.Add(-int64(h.bytes))
	*h = history{}
}

// replayOverhead is more than what a message adds to its arguments.
const replayOverhead = 256

// replay sends the latest contents, most of them at most, in order. It sends
// no more than half of what may still wait for the client, which must not be
// cut off for having joined.
func (h *history) replay(socket *streaming.Socket, most int) {
	if most == 0 || len(h.contents) == 0 {
		return
	}
	waiting, limit := socket.Backlog()
	room := (limit - waiting) / 2
	first := len(h.contents)
	for first > 0 && len(h.contents)-first < most {
		room -= h.contents[first-1].Size() + replayOverhead
		if room < 0 {
			break
		}
		first--
	}
	for _, args := range h.contents[first:] {
		_ = socket.EmitArgs("content", args)
	}
}
