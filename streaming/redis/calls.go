package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// pending is a request that others are to answer.
type pending struct {
	// answer is called with each response, by the goroutine that hears. It must not wait.
	answer func(*envelope)
}

// ask registers a request. It is forgotten when ctx ends.
func (a *adapter) ask(ctx context.Context, answer func(*envelope)) (id string) {
	id = newID()
	a.mu.Lock()
	a.pending[id] = &pending{answer}
	a.mu.Unlock()
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.pending, id)
	})
	return id
}

// others counts the other servers that have the namespace.
func (a *adapter) others(ctx context.Context) (int, error) {
	l := a.node.live.Load()
	if l == nil {
		return 0, errNotYet
	}
	if err := l.health(); err != nil {
		return 0, err
	}
	channel, sharded := l.options.protocol.counted(a, l.options.Prefix)
	var servers atomic.Int64
	count := func(ctx context.Context, client redis.Cmdable) error {
		ask := client.PubSubNumSub
		if sharded {
			ask = client.PubSubShardNumSub
		}
		counts, err := ask(ctx, channel).Result()
		servers.Add(counts[channel])
		return err
	}
	var err error
	if cluster, ok := l.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachShard(ctx, func(ctx context.Context, client *redis.Client) error { return count(ctx, client) })
	} else {
		err = count(ctx, l.client)
	}
	return int(servers.Load()) - 1, err
}

// Sockets implements streaming.Adapter.
func (a *adapter) Sockets(ctx context.Context, t streaming.Target) (states []streaming.SocketState, err error) {
	timeout := a.options().RequestTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	others, err := a.others(ctx)
	if err != nil || others <= 0 {
		return nil, err
	}
	var (
		mu   sync.Mutex
		came int
		done = make(chan struct{})
	)
	id := a.ask(ctx, func(e *envelope) {
		mu.Lock()
		defer mu.Unlock()
		if came == others {
			return
		}
		states = append(states, a.states(e)...)
		if came++; came == others {
			close(done)
		}
	})
	if err := a.request("finding sockets", &request{kind: requestFetch, id: id, target: t}); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	if came < others {
		err = fmt.Errorf("%d of %d servers have not answered within %s", others-came, others, timeout)
	}
	came = others // what comes later is too late
	return states, err
}

// maxCall is how long a call may take that names no end itself, and maxEarly how many answers are
// taken before it is known how many there are.
const (
	maxCall  = 10 * time.Minute
	maxEarly = 100_000
)

// Call implements streaming.Adapter.
func (a *adapter) Call(
	ctx context.Context, p *packet.Packet, t streaming.Target, reply func(streaming.Reply),
) (expected int, err error) {
	counting, cancel := context.WithTimeout(ctx, a.options().RequestTimeout)
	defer cancel()
	others, err := a.others(counting)
	if err != nil || others <= 0 {
		return 0, err
	}
	var (
		mu            sync.Mutex
		counted, came int
		done          = make(chan struct{})
	)
	id := a.ask(ctx, func(e *envelope) {
		if e.ClientCount != nil {
			mu.Lock()
			defer mu.Unlock()
			if counted == others {
				return
			}
			expected += max(*e.ClientCount, 0)
			if counted++; counted == others {
				close(done)
			}
			return
		}
		mu.Lock()
		came++
		excess := counted == others && came > expected || counted < others && came > maxEarly
		mu.Unlock()
		if !excess {
			reply(a.reply(e))
		}
	})
	timeout := maxCall
	if end, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(end), time.Millisecond)
	}
	call := &request{kind: requestBroadcast, id: id, target: t, packet: p, timeout: timeout.Milliseconds()}
	if err := a.request("the event "+p.Event, call); err != nil {
		return 0, err
	}
	select {
	case <-done:
		mu.Lock()
		defer mu.Unlock()
		return expected, nil
	case <-counting.Done():
		mu.Lock()
		defer mu.Unlock()
		return expected, fmt.Errorf("%d of %d servers have not said how many they ask: %w", others-counted, others, counting.Err())
	}
}

// reply returns what a response says of one client's answer.
func (a *adapter) reply(e *envelope) streaming.Reply {
	list := e.Args
	if list == nil {
		list = json.RawMessage("[" + string(e.Packet) + "]")
	}
	args, err := e.argsOf(list)
	if err != nil {
		return streaming.Reply{SocketID: e.SID, Err: err}
	}
	return streaming.Reply{SocketID: e.SID, Args: args, Err: errorOf(e.Error)}
}

// answered hands a response to who has asked.
func (a *adapter) answered(e *envelope) {
	a.mu.Lock()
	p := a.pending[e.RequestID]
	a.mu.Unlock()
	if p == nil {
		// It is for another server, or comes too late.
		return
	}
	a.received.Add(0, 1)
	p.answer(e)
}
