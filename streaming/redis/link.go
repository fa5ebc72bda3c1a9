package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// maxBackoff is how long is waited at most before Redis is tried again.
const maxBackoff = 5 * time.Second

// link is a node's connection to one Redis: one goroutine publishes, another one hears.
type link struct {
	node    *Node
	options Options
	client  redis.UniversalClient
	address string
	queue   *queue
	ctx     context.Context
	end     context.CancelFunc
	done    sync.WaitGroup
	// pulse is the channel by which the link hears itself, urgent what it is to say there now.
	pulse  string
	urgent chan string
	// mark tells others of the node's links that this one takes their place.
	mark string

	// deaf is why nothing is heard. It is nil while the link hears itself.
	deaf atomic.Pointer[error]
	// heard is when the link has last heard itself, in Unix nanoseconds.
	heard atomic.Int64
	// wasUp is true once it has.
	wasUp atomic.Bool
	// open is true while what is heard is handed on.
	open atomic.Bool
	// over is closed when nothing is handed on any more.
	over     chan struct{}
	overOnce sync.Once

	// rooms are those whose channels come and go, reading is where the link is in a stream.
	rooms   roomChannels
	reading reading

	mu  sync.Mutex
	sub *subscription
	// lost is how many messages were lost since Redis could last be reached.
	lost int64
}

// errNotYet is the health of a link that has not been up.
var errNotYet = errors.New("not connected yet")

// newLink makes a link that is not connected yet. What it hears is handed on once open is true.
func newLink(n *Node, o Options) (*link, error) {
	client, address, err := o.client()
	if err != nil {
		return nil, err
	}
	l := &link{
		node: n, options: o, client: client, address: address, queue: newQueue(), over: make(chan struct{}),
		pulse: o.Prefix + "-node#" + n.uid + "#", urgent: make(chan string, 4), mark: " " + newID(),
	}
	l.rooms.more, l.reading.opened = make(chan struct{}, 1), make(chan struct{}, 1)
	l.deaf.Store(&errNotYet)
	l.ctx, l.end = context.WithCancel(context.Background())
	return l, nil
}

// start begins to connect.
func (l *link) start() {
	l.run("publishing", l.publish)
	l.run("hearing", l.hear)
	switch l.options.Mode {
	case ModeSharded:
		l.run("subscribing rooms", l.followRooms)
	case ModeStreams:
		l.reading.unread.Store(&errNotYet)
		l.run("reading", l.read)
	}
}

// run runs what ends with the link.
func (l *link) run(what string, do func()) {
	l.done.Go(func() {
		defer func() {
			if r := recover(); r != nil {
				l.logger().Error("panic in the adapter redis", "during", what, "panic", r, "stack", string(debug.Stack()))
			}
		}()
		do()
	})
}

func (l *link) logger() *slog.Logger {
	return l.node.logger().With("redis", l.address, "node", l.node.uid)
}

// health says why others are not heard, or is nil.
func (l *link) health() error {
	if err := l.deaf.Load(); err != nil {
		return fmt.Errorf("redis at %s: %w", l.address, *err)
	}
	return nil
}

// close ends the link once what is queued is published, or time is over.
func (l *link) close(patience time.Duration) {
	l.shut()
	l.queue.close()
	select {
	case <-l.queue.drained:
	case <-time.After(patience):
	}
	l.end()
	l.mu.Lock()
	if l.sub != nil {
		l.sub.close()
	}
	l.mu.Unlock()
	_ = l.client.Close()
	l.done.Wait()
}

// shut has nothing handed on any more.
func (l *link) shut() {
	l.open.Store(false)
	l.overOnce.Do(func() { close(l.over) })
}

// batchBytes bounds what is published at once, unless one message has more.
const batchBytes = 1 << 20

// publish publishes what is queued, and lets the link hear itself.
func (l *link) publish() {
	beat := time.NewTicker(l.options.beat)
	defer beat.Stop()
	for {
		batch := l.queue.take(batchBytes)
		var more <-chan struct{}
		idle := make(chan struct{})
		switch {
		case batch == nil && l.queue.isDrained():
			return
		case batch == nil:
			more = l.queue.more
		default:
			close(idle)
		}
		select {
		case <-beat.C:
			batch = append(batch, l.beat(""))
		case mark := <-l.urgent:
			batch = append(batch, l.beat(mark))
		case <-more:
		case <-idle:
		case <-l.ctx.Done():
			l.lose(batch)
			l.lose(l.queue.take(0))
			return
		}
		if len(batch) == 0 {
			continue
		}
		if err := l.send(batch); err != nil {
			l.awaitRedis(err)
		}
	}
}

// beat is what the link sends to itself. mark is what it says besides.
func (l *link) beat(mark string) message {
	return message{verb: l.options.protocol.verb(), channel: l.pulse, payload: []byte(l.node.nonce + mark)}
}

// hurry sends a beat now, unless some are under way.
func (l *link) hurry(mark string) {
	select {
	case l.urgent <- mark:
	default:
	}
}

// send publishes a batch. The error is that of the connection: some of the batch may have been
// published then, and nothing of it is again.
func (l *link) send(batch []message) error {
	pipe := l.client.Pipeline()
	for _, m := range batch {
		m.addTo(l.ctx, pipe)
	}
	commands, err := pipe.Exec(l.ctx)
	if err == nil {
		for _, m := range batch {
			m.count(m.published)
		}
		return nil
	}
	var broken error
	for i, m := range batch {
		err := commands[i].Err()
		if err == nil {
			m.count(m.published)
			continue
		}
		l.lose(batch[i : i+1])
		var refused redis.Error
		if errors.As(err, &refused) && !isLogin(err) && !isUnknown(err) {
			l.node.line("refused", slog.LevelWarn, "Redis has refused a message", "channel", m.channel, "error", err.Error())
		} else {
			broken = err
		}
	}
	return broken
}

// isLogin reports whether Redis does not let the node in.
func isLogin(err error) bool {
	return redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

// isUnknown reports whether Redis does not know a command.
func isUnknown(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}

// awaitRedis waits until Redis answers again. Meanwhile what is to be published is lost.
func (l *link) awaitRedis(err error) {
	l.queue.refuse(true)
	defer l.queue.refuse(false)
	for pause := l.options.beat / 16; l.ctx.Err() == nil; pause = min(2*pause, maxBackoff) {
		l.lose(l.queue.take(0))
		l.cut(err)
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
		}
		if err = l.client.Ping(l.ctx).Err(); err == nil {
			return
		}
	}
}

// lose counts messages that cannot be published.
func (l *link) lose(batch []message) {
	for _, m := range batch {
		if m.lost != nil {
			m.count(m.lost)
			l.mu.Lock()
			l.lost++
			l.mu.Unlock()
		}
	}
}

// cut takes note of why Redis is not reached. Only what is news is logged.
func (l *link) cut(err error) {
	if l.ctx.Err() != nil || err == nil {
		return
	}
	reason := reasonOf(err)
	before := l.deaf.Swap(&reason)
	switch {
	case before != nil && (*before).Error() == reason.Error():
	case errors.Is(err, errDeaf):
		l.logger().Error("this server does not hear itself through Redis and subscribes again; "+
			"clients of other servers and of this one do not hear of each other", "error", reason.Error())
	case before == nil || errors.Is(*before, errNotYet) || isLogin(err):
		l.logger().Error("no connection to Redis; clients of other servers and of this one do not hear of each other",
			"error", reason.Error())
	}
}

// reasonOf says what is wrong in words that do not change from one try to the next.
func reasonOf(err error) error {
	switch {
	case isLogin(err):
		return fmt.Errorf("it does not let this server in: %w", err)
	case errors.Is(err, errDeaf):
		return err
	}
	var refused redis.Error
	switch {
	case isUnknown(err):
		return fmt.Errorf("it has not what the mode needs, which Redis 7 has: %w", err)
	case errors.As(err, &refused):
		return fmt.Errorf("it answers with an error: %w", err)
	}
	return fmt.Errorf("it cannot be reached: %w", err)
}

// message is what is to be published.
type message struct {
	verb verb
	// channel is the name of a channel, or of a stream.
	channel string
	// payload is what is published, or the field data of an entry of a stream.
	payload []byte
	// fields are the other fields of an entry of a stream, and their values.
	fields []string
	// published and lost count the message, if they are not nil.
	published, lost *measure.Counter
}

func (m message) size() int { return len(m.channel) + len(m.payload) + 64 + 48*len(m.fields) }

// addTo has the message published with others.
func (m message) addTo(ctx context.Context, pipe redis.Pipeliner) {
	switch m.verb {
	case publish:
		pipe.Publish(ctx, m.channel, m.payload)
	case shardedPublish:
		pipe.SPublish(ctx, m.channel, m.payload)
	case addToStream:
		values := make([]any, 0, len(m.fields)+2)
		for _, field := range m.fields {
			values = append(values, field)
		}
		pipe.XAdd(ctx, &redis.XAddArgs{
			Stream: m.channel, MaxLen: streamLength, Approx: true, Values: append(values, "data", m.payload),
		})
	}
}

func (m message) count(counter *measure.Counter) {
	if counter != nil {
		counter.Add(0, 1)
	}
}
