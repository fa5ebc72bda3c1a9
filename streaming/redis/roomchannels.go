package redis

import "sync"

// roomChannels has the rooms whose channels may have to be subscribed or unsubscribed, in the mode sharded.
// Who joins or leaves a room does not wait for that.
type roomChannels struct {
	// more is told when there are some.
	more chan struct{}

	mu sync.Mutex
	// following is true while there is a subscription. The next one has all rooms that there are.
	following bool
	changed   map[changedRoom]struct{}
}

type changedRoom struct {
	adapter *adapter
	name    string
}

// follow begins or ends taking note of changes.
func (r *roomChannels) follow(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.following, r.changed = on, nil
}

func (r *roomChannels) note(a *adapter, room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.following {
		return
	}
	if r.changed == nil {
		r.changed = make(map[changedRoom]struct{})
	}
	r.changed[changedRoom{a, room}] = struct{}{}
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *roomChannels) take() map[changedRoom]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.changed
	r.changed = nil
	return changed
}

// roomChanged has the links subscribe the channel of a room or end that.
func (n *Node) roomChanged(a *adapter, room string) {
	for _, l := range []*link{n.live.Load(), n.next.Load()} {
		if l != nil && l.options.Mode == ModeSharded && hasChannel(room) {
			l.rooms.note(a, room)
		}
	}
}

// maxSubscribed is how many channels are subscribed by one command.
const maxSubscribed = 500

// followRooms subscribes the channels of rooms that have come, and ends that for those that have gone.
func (l *link) followRooms() {
	for {
		select {
		case <-l.rooms.more:
		case <-l.ctx.Done():
			return
		}
		var come, gone []string
		for room := range l.rooms.take() {
			channel := roomChannel(room.adapter, l.options.Prefix, room.name)
			if room.adapter.ctx.Err() == nil && room.adapter.local.Has(room.name) {
				come = append(come, channel)
			} else {
				gone = append(gone, channel)
			}
		}
		l.mu.Lock()
		if l.sub != nil {
			// What fails is noticed by who listens.
			_ = l.sub.subscribe(l.ctx, channels{sharded: come})
			_ = l.sub.unsubscribe(l.ctx, channels{sharded: gone})
		}
		l.mu.Unlock()
	}
}
