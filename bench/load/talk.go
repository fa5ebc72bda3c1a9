package load

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is how a talker is connected.
type Kind int

// The kinds of talkers. Singles are on long-polling too, with a connection of its own for each
// request.
const (
	ByWebSocket Kind = iota
	ByUpgrade
	ByPolling
	BySingles
	kinds
)

func (k Kind) String() string {
	return [...]string{"websocket", "upgraded", "polling", "polling, a connection for each request"}[k]
}

// Talk is many clients that ask and listen all the time, each of which knows what it has missed. A
// server's restart or reload shows in its report.
type Talk struct {
	target *Target
	every  time.Duration
	ctx    context.Context
	stop   context.CancelFunc
	group  sync.WaitGroup
	// quiet ends the asking, closing tells that the end of connections is meant.
	quiet, closing atomic.Bool

	connected, resent, missed, disordered, asked, answered, heard atomic.Int64
	drops                                                         *tally

	mu      sync.Mutex
	perKind [kinds]int
	// ended and back are when connections were lost and made again.
	ended, back []time.Duration
	talkers     []*talker
	sent        atomic.Int64
}

// TalkReport is what the clients have seen since the last report was begun.
type TalkReport struct {
	Connected         int64          `json:"connected"`
	Dropped           int64          `json:"dropped"`
	DroppedByKind     map[string]int `json:"dropped_by_kind"`
	Lost              int64          `json:"lost"`
	Disordered        int64          `json:"disordered"`
	Asked             int64          `json:"asked"`
	Answered          int64          `json:"answered"`
	Heard             int64          `json:"heard"`
	Resent            int64          `json:"resent"`
	Notes             []string       `json:"notes,omitempty"`
	EndedSpread       [3]float64     `json:"ended_s_p1_p50_p99,omitempty"`
	BackSpread        [3]float64     `json:"back_s_p1_p50_p99,omitempty"`
	BusiestSecondBack int            `json:"back_in_the_busiest_second,omitempty"`
}

// StartTalk connects the clients, so many of each kind, and makes them talk: each asks a question
// every so often, and one more client sends a broadcast each broadcastEvery.
func StartTalk(ctx context.Context, target *Target, counts map[Kind]int, every time.Duration) (*Talk, error) {
	t := &Talk{target: target, every: every, drops: newTally()}
	t.ctx, t.stop = context.WithCancel(ctx)
	for kind, count := range counts {
		for range count {
			t.talkers = append(t.talkers, &talker{talk: t, kind: kind, name: "c" + strconv.Itoa(len(t.talkers))})
		}
	}
	places := make(chan struct{}, dialers)
	for _, c := range t.talkers {
		t.group.Go(func() { c.run(places) })
	}
	t.group.Go(t.broadcast)
	for deadline := time.Now().Add(time.Minute); int(t.connected.Load()) < len(t.talkers); {
		if time.Now().After(deadline) || ctx.Err() != nil {
			t.End()
			return nil, fmt.Errorf("%d of %d clients are connected: %v", t.connected.Load(), len(t.talkers), t.drops.notes())
		}
		<-time.After(10 * time.Millisecond)
	}
	t.reset()
	return t, nil
}

// broadcastEvery is the time between two messages to all.
const broadcastEvery = 500 * time.Millisecond

func (t *Talk) reset() {
	for _, n := range []*atomic.Int64{&t.resent, &t.missed, &t.disordered, &t.heard} {
		n.Store(0)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drops, t.perKind, t.ended, t.back = newTally(), [kinds]int{}, nil, nil
}

// Connected is how many clients are connected now.
func (t *Talk) Connected() int64 { return t.connected.Load() }

// Settle ends the asking and waits until every client has all its answers, or until so much time
// has passed.
func (t *Talk) Settle(most time.Duration) {
	t.quiet.Store(true)
	for deadline := time.Now().Add(most); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		if t.outstanding() == 0 {
			return
		}
	}
}

// outstanding counts what connected clients have still to get.
func (t *Talk) outstanding() (n int64) {
	sent := t.sent.Load()
	for _, c := range t.talkers {
		c.mu.Lock()
		n += c.asked - c.answered
		if c.last != 0 {
			n += max(0, sent-c.last)
		}
		c.mu.Unlock()
	}
	return n
}

// Report tells what was seen since the beginning; begun is the moment that the spreads count from.
func (t *Talk) Report(begun time.Duration) TalkReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := TalkReport{
		Connected: t.connected.Load(), Dropped: int64(t.drops.total()), DroppedByKind: make(map[string]int),
		Lost: t.missed.Load() + t.outstanding(), Disordered: t.disordered.Load(), Asked: t.asked.Load(), Answered: t.answered.Load(),
		Heard: t.heard.Load(), Resent: t.resent.Load(), Notes: t.drops.notes(),
	}
	for kind, n := range t.perKind {
		if n > 0 {
			r.DroppedByKind[Kind(kind).String()] = n
		}
	}
	r.EndedSpread, r.BackSpread = spread(t.ended, begun), spread(t.back, begun)
	perSecond := make(map[int]int)
	for _, at := range t.back {
		second := int((at - begun).Seconds())
		perSecond[second]++
		r.BusiestSecondBack = max(r.BusiestSecondBack, perSecond[second])
	}
	return r
}

// End closes all connections.
func (t *Talk) End() {
	t.closing.Store(true)
	t.quiet.Store(true)
	t.stop()
	for _, c := range t.talkers {
		c.write.Lock()
		if c.socket != nil {
			c.socket.Abort()
		}
		c.write.Unlock()
	}
	t.group.Wait()
}

// broadcast sends the numbered messages to all.
func (t *Talk) broadcast() {
	message := newMessage(100)
	var socket *Socket
	defer func() {
		if socket != nil {
			socket.Abort()
		}
	}()
	for sleep(t.ctx, broadcastEvery) == nil {
		if t.quiet.Load() {
			continue
		}
		if socket == nil {
			var err error
			if socket, err = Dial(t.ctx, t.target, 1<<10); err != nil {
				socket = nil
				continue
			}
			reading := socket
			t.group.Go(func() {
				for {
					if _, err := reading.next(); err != nil {
						reading.Abort()
						return
					}
				}
			})
		}
		if err := socket.send(message.stamped(time.Duration(t.sent.Load() + 1))); err != nil {
			socket.Abort()
			socket = nil
			continue
		}
		t.sent.Add(1)
	}
}

// spread returns the first hundredth, the middle and the last hundredth of times, in seconds from
// begun.
func spread(times []time.Duration, begun time.Duration) (s [3]float64) {
	if len(times) == 0 {
		return s
	}
	sorted := slices.Sorted(slices.Values(times))
	for i, q := range []float64{0.01, 0.5, 0.99} {
		s[i] = (sorted[int(q*float64(len(sorted)-1))] - begun).Seconds()
	}
	return s
}
