package redis

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// subscription hears channels. In a Redis Cluster each of the sharded kind is on one of its servers, to each
// of which there is a connection then. It is changed by one goroutine at a time, and received from by one.
type subscription struct {
	link *link
	// plain has all but what is spread over servers.
	plain *redis.PubSub
	// cluster is nil unless channels are spread, servers are those where some are, by their addresses.
	cluster *redis.ClusterClient
	servers map[string]*redis.PubSub
	// plainHeard is true once plain is received from, where there are servers.
	plainHeard bool
	// came is what the servers send, once ctx has not ended.
	came chan received
	ctx  context.Context
	end  context.CancelFunc
}

type received struct {
	value any
	err   error
}

func newSubscription(l *link) *subscription {
	s := &subscription{link: l, plain: l.client.Subscribe(l.ctx)}
	s.ctx, s.end = context.WithCancel(l.ctx)
	if cluster, ok := l.client.(*redis.ClusterClient); ok && l.options.Mode == ModeSharded {
		s.cluster, s.servers, s.came = cluster, make(map[string]*redis.PubSub), make(chan received)
	}
	return s
}

func (s *subscription) close() {
	s.end()
	_ = s.plain.Close()
	for _, sub := range s.servers {
		_ = sub.Close()
	}
}

// subscribe adds channels. Some errors come only from receive.
func (s *subscription) subscribe(ctx context.Context, c channels) error {
	if err := some(ctx, c.patterns, s.plain.PSubscribe); err != nil {
		return err
	}
	if err := some(ctx, c.plain, s.plain.Subscribe); err != nil {
		return err
	}
	if s.cluster != nil && len(c.plain) > 0 && !s.plainHeard {
		s.plainHeard = true
		s.link.run("hearing a server of a cluster", func() { s.hear(s.plain) })
	}
	return s.sharded(ctx, c.sharded, (*redis.PubSub).SSubscribe)
}

// unsubscribe takes channels away.
func (s *subscription) unsubscribe(ctx context.Context, c channels) error {
	if err := some(ctx, c.patterns, s.plain.PUnsubscribe); err != nil {
		return err
	}
	if err := some(ctx, c.plain, s.plain.Unsubscribe); err != nil {
		return err
	}
	return s.sharded(ctx, c.sharded, (*redis.PubSub).SUnsubscribe)
}

// some does something with a list of names that may be empty or long.
func some(ctx context.Context, names []string, do func(context.Context, ...string) error) error {
	for part := range slices.Chunk(names, maxSubscribed) {
		if err := do(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

func (s *subscription) sharded(ctx context.Context, names []string, do func(*redis.PubSub, context.Context, ...string) error) error {
	if s.cluster == nil {
		return some(ctx, names, func(ctx context.Context, part ...string) error { return do(s.plain, ctx, part...) })
	}
	for _, name := range names {
		server, err := s.cluster.MasterForKey(ctx, name)
		if err != nil {
			return err
		}
		address := server.Options().Addr
		sub := s.servers[address]
		if sub == nil {
			sub = server.SSubscribe(ctx)
			s.servers[address] = sub
			s.link.run("hearing a server of a cluster", func() { s.hear(sub) })
		}
		if err := do(sub, ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// hear hands over what one server of a cluster sends. One that sends nothing is asked whether it is there.
func (s *subscription) hear(sub *redis.PubSub) {
	for silent := 0; ; silent++ {
		value, err := sub.ReceiveTimeout(s.ctx, s.link.options.beat)
		switch {
		case err == nil:
			silent = -1
		case isTimeout(err) && silent >= deafAfter:
			err = errDeaf
		case isTimeout(err):
			if err = sub.Ping(s.ctx); err == nil {
				continue
			}
		}
		select {
		case s.came <- received{value, err}:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// receive returns what comes next. What it returns when nothing does is a timeout.
func (s *subscription) receive(timeout time.Duration) (any, error) {
	if s.cluster == nil {
		return s.plain.ReceiveTimeout(s.ctx, timeout)
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	select {
	case r := <-s.came:
		return r.value, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
