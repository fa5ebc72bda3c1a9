package redis

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// hear hands on what others publish, and subscribes again whenever that is needed.
func (l *link) hear() { l.retry(l.listen) }

// errDeaf is a subscription that seems to stand, and by which nothing comes.
var errDeaf = errors.New("this server does not hear itself")

// listen subscribes, and returns when the subscription is of no use any more.
func (l *link) listen() error {
	sub, err := l.subscribe()
	if err != nil {
		return err
	}
	defer func() {
		l.mu.Lock()
		l.sub = nil
		l.mu.Unlock()
		l.rooms.follow(false)
		sub.close()
	}()
	since := time.Now()
	l.hurry("")
	for {
		received, err := sub.receive(l.options.beat)
		if err != nil && !isTimeout(err) {
			return err
		}
		if m, ok := received.(*redis.Message); ok {
			l.take(m)
		}
		last := time.Unix(0, l.heard.Load())
		if last.Before(since) {
			last = since
		}
		if time.Since(last) > deafAfter*l.options.beat {
			return errDeaf
		}
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// subscribe makes a subscription of all channels that there are to be.
func (l *link) subscribe() (*subscription, error) {
	sub := newSubscription(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rooms.follow(true)
	all := l.node.channels(&l.options)
	if l.options.protocol.verb() == shardedPublish {
		all.sharded = append(all.sharded, l.pulse)
	} else {
		all.plain = append(all.plain, l.pulse)
	}
	if err := sub.subscribe(l.ctx, all); err != nil {
		l.rooms.follow(false)
		sub.close()
		return nil, err
	}
	l.sub = sub
	return sub, nil
}

// follow subscribes the channels of one more namespace, or ends that. What fails is noticed by who
// listens.
func (l *link) follow(a *adapter, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sub == nil {
		return
	}
	if list := l.options.protocol.channels(a, l.options.Prefix); on {
		_ = l.sub.subscribe(l.ctx, list)
	} else {
		_ = l.sub.unsubscribe(l.ctx, list)
	}
}

// take hands on what is heard.
func (l *link) take(m *redis.Message) {
	if m.Channel == l.pulse {
		l.pulsed(m.Payload)
		return
	}
	if !l.open.Load() {
		return
	}
	if m.Channel == l.options.Python && m.Pattern == "" {
		l.node.takePython(&l.options, m.Payload)
		return
	}
	channel, ok := strings.CutPrefix(m.Channel, l.options.Prefix)
	if !ok {
		return
	}
	for _, a := range l.node.all() {
		own, err := l.options.protocol.take(a, channel, m.Payload)
		if err != nil {
			a.refuse(l.options.Prefix+channel, m.Payload, err)
		}
		if own {
			return
		}
	}
}

// pulsed takes note of what the link has sent to itself.
func (l *link) pulsed(payload string) {
	nonce, mark := payload, ""
	if at := strings.IndexByte(payload, ' '); at >= 0 {
		nonce, mark = payload[:at], payload[at:]
	}
	if nonce != l.node.nonce {
		l.node.line("name", slog.LevelError, "another server of the cluster has the name of this one", "node", l.node.uid)
		return
	}
	l.heard.Store(time.Now().UnixNano())
	if l.reading.unread.Load() != nil {
		return
	}
	if before := l.deaf.Swap(nil); before != nil {
		l.mu.Lock()
		lost := l.lost
		l.lost = 0
		l.mu.Unlock()
		if l.wasUp.Swap(true) {
			l.logger().Info("connected to Redis again", "lost", lost)
		} else {
			l.logger().Info("connected to Redis", "prefix", l.options.Prefix)
		}
	}
	l.node.beaten(l, mark)
}
