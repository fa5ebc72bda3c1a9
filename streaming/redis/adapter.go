package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// The figures of a namespace.
var (
	figurePublished = streaming.Figure{Name: "cluster_published_total", Help: "Messages that were published for other servers of the cluster.", Counter: true}
	figureReceived  = streaming.Figure{Name: "cluster_received_total", Help: "Messages of other servers of the cluster that were taken.", Counter: true}
	figureLost      = streaming.Figure{Name: "cluster_lost_total", Help: "Messages that could not be published for other servers of the cluster.", Counter: true}
	figureRefused   = streaming.Figure{Name: "cluster_refused_total", Help: "Messages of other servers of the cluster that were not understood.", Counter: true}
)

func init() {
	streaming.RegisterFigures(figurePublished, figureReceived, figureLost, figureRefused)
}

// adapter is one namespace of a node.
type adapter struct {
	node  *Node
	local streaming.Local
	// The names of the channels without the prefix.
	broadcasts, requests, responses, toMe string

	published, received, lost, refused *measure.Counter

	// ctx ends with the adapter.
	ctx context.Context
	end context.CancelFunc

	mu sync.Mutex
	// pending are the requests that are not answered yet, by their IDs.
	pending map[string]*pending
}

func newAdapter(n *Node, local streaming.Local) *adapter {
	name := "#" + local.Namespace() + "#"
	a := &adapter{
		node: n, local: local,
		broadcasts: name, requests: "-request" + name, responses: "-response" + name, toMe: "-response" + name + n.uid + "#",
		published: local.Counter(figurePublished), received: local.Counter(figureReceived),
		lost: local.Counter(figureLost), refused: local.Counter(figureRefused),
		pending: make(map[string]*pending),
	}
	a.ctx, a.end = context.WithCancel(context.Background())
	return a
}

// channels lists what is subscribed for the namespace.
func (a *adapter) channels(prefix string) (pattern string, channels []string) {
	return globbed.Replace(prefix+a.broadcasts) + "*", []string{prefix + a.requests, prefix + a.responses, prefix + a.toMe}
}

// globbed escapes what has a meaning in a pattern.
var globbed = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// options are those in force.
func (a *adapter) options() Options {
	if l := a.node.live.Load(); l != nil {
		return l.options
	}
	return Options{}.withDefaults()
}

// publish queues a message for other servers. channel is without the prefix.
func (a *adapter) publish(channel string, payload []byte) (ok bool) {
	return a.node.publish(message{
		channel: a.options().Prefix + channel, payload: payload, published: a.published, lost: a.lost,
	})
}

// unsent counts and logs a message that cannot be published.
func (a *adapter) unsent(what string, err error) {
	a.lost.Add(0, 1)
	a.node.line("unsent", slog.LevelError, "a message for other servers cannot be published",
		"namespace", a.local.Namespace(), "message", what, "max_message", a.options().MaxMessage, "error", err.Error())
}

// Broadcast implements streaming.Adapter.
func (a *adapter) Broadcast(p *packet.Packet, t streaming.Target) {
	payload, err := encodeBroadcast(a.node.uid, p, t, a.options().MaxMessage)
	if err != nil {
		a.unsent("the event "+p.Event, err)
		return
	}
	channel := a.broadcasts
	if len(t.Rooms) == 1 {
		channel += t.Rooms[0] + "#"
	}
	a.publish(channel, payload)
}

// requestJSON is a request as the reference implementation writes it.
type requestJSON struct {
	UID       string          `json:"uid"`
	RequestID string          `json:"requestId,omitempty"`
	Type      int             `json:"type"`
	Opts      *whomJSON       `json:"opts,omitempty"`
	Rooms     []string        `json:"rooms,omitempty"`
	Close     *bool           `json:"close,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// whomJSON is whom a request is about. MayJoin is known to servers of this kind alone.
type whomJSON struct {
	Rooms   []string `json:"rooms"`
	Except  []string `json:"except"`
	MayJoin string   `json:"mayJoin,omitempty"`
}

func whom(t streaming.Target) *whomJSON {
	return &whomJSON{Rooms: append([]string{}, t.Rooms...), Except: append([]string{}, t.Except...), MayJoin: t.MayJoin}
}

// request publishes a request.
func (a *adapter) request(what string, r requestJSON) error {
	r.UID = a.node.uid
	payload, err := compact(r)
	if err == nil {
		payload, err = checked(payload, a.options().MaxMessage)
	}
	if err != nil {
		a.unsent(what, err)
		return err
	}
	if !a.publish(a.requests, payload) {
		return errLost
	}
	return nil
}

// errLost is a message that could not be queued.
var errLost = errors.New("no way to Redis, or too much waits for it")

// compact is JSON as JavaScript writes it.
func compact(v any) ([]byte, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}

// Join implements streaming.Adapter.
func (a *adapter) Join(t streaming.Target, rooms []string) {
	if len(rooms) == 0 {
		return
	}
	_ = a.request("joining rooms", requestJSON{Type: requestJoin, Opts: whom(t), Rooms: rooms})
}

// Leave implements streaming.Adapter.
func (a *adapter) Leave(t streaming.Target, rooms []string) {
	if len(rooms) == 0 {
		return
	}
	_ = a.request("leaving rooms", requestJSON{Type: requestLeave, Opts: whom(t), Rooms: rooms})
}

// Disconnect implements streaming.Adapter.
func (a *adapter) Disconnect(t streaming.Target, closeConnection bool) {
	_ = a.request("disconnecting", requestJSON{Type: requestDisconnect, Opts: whom(t), Close: &closeConnection})
}

// Tell implements streaming.Adapter.
func (a *adapter) Tell(event string, args packet.Args) {
	if len(args.Attachments()) == 0 {
		name, _ := compact(event)
		data := append([]byte{'['}, name...)
		if args.Len() > 0 {
			list := args.AppendJSON(nil)
			data = append(append(data, ','), list[1:len(list)-1]...)
		}
		_ = a.request("telling "+event, requestJSON{Type: requestServerSide, Data: append(data, ']')})
		return
	}
	most := a.options().MaxMessage
	list, n, err := appendArgs(nil, args, most)
	if err != nil {
		a.unsent("telling "+event, err)
		return
	}
	dst := appendStr(appendStr(appendMap(nil, 3), "uid"), a.node.uid)
	dst = append(appendStr(dst, "type"), requestServerSide)
	dst = appendStr(appendArray(appendStr(dst, "data"), n+1), event)
	if dst, err = checked(append(dst, list...), most); err != nil {
		a.unsent("telling "+event, err)
		return
	}
	a.publish(a.requests, dst)
}

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
	channel := l.options.Prefix + a.requests
	var servers atomic.Int64
	count := func(ctx context.Context, client redis.Cmdable) error {
		counts, err := client.PubSubNumSub(ctx, channel).Result()
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
	if err := a.request("finding sockets", requestJSON{RequestID: id, Type: requestFetch, Opts: whom(t)}); err != nil {
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
	payload, err := encodeCall(a.node.uid, id, p, t, timeout.Milliseconds(), a.options().MaxMessage)
	if err != nil {
		a.unsent("the event "+p.Event, err)
		return 0, err
	}
	if !a.publish(a.requests, payload) {
		return 0, errLost
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

// Health implements streaming.Healthy.
func (a *adapter) Health() error { return a.node.Health() }

// Close implements streaming.Adapter.
func (a *adapter) Close() error {
	a.end()
	a.node.remove(a)
	return nil
}

// Interface guards.
var (
	_ streaming.Adapter = (*adapter)(nil)
	_ streaming.Healthy = (*adapter)(nil)
)
