package load

import (
	"context"
	"errors"
	"sync"

	"github.com/caddy-socketio/socketio-stream/bench/proc"
)

// Idle connects Receivers clients that only answer heartbeats, lets the server come to rest, and
// measures what it holds for each.
func Idle(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 {
		return nil, errors.New("needs clients")
	}
	if err := warmUp(ctx, target); err != nil {
		return nil, err
	}
	before, err := proc.Measure(options.PIDs)
	if err != nil {
		return nil, err
	}
	clients, err := gather(ctx, target, options.Receivers, 0)
	if err != nil {
		return nil, err
	}
	sockets := clients.sockets
	var group sync.WaitGroup
	failures := make([]error, len(sockets))
	for i, s := range sockets {
		group.Go(func() {
			for failures[i] == nil {
				_, failures[i] = s.next()
			}
		})
	}
	defer group.Wait()
	defer clients.abort()
	if err := sleep(ctx, options.Settle); err != nil {
		return nil, err
	}
	from, err := options.mark()
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, options.Duration); err != nil {
		return nil, err
	}
	to, err := options.mark()
	if err != nil {
		return nil, err
	}
	after, err := proc.Measure(options.PIDs)
	if err != nil {
		return nil, err
	}
	result := &Result{}
	result.set("lost_handshakes", float64(clients.lost))
	each := func(bytes int64) float64 { return float64(bytes) / 1024 / float64(options.Receivers) }
	result.set("pss_kib_each", each(after.PSS-before.PSS))
	result.set("rss_kib_each", each(after.RSS-before.RSS))
	result.set("pss_mib", float64(after.PSS)/(1<<20))
	elapsed := (to.at - from.at).Seconds()
	result.set("cpu_us_per_s_each", float64((to.server-from.server).Microseconds())/elapsed/float64(options.Receivers))
	return result, nil
}

// warmUp lets the server do once what it does once, so that its price is not put on the first
// client.
func warmUp(ctx context.Context, target *Target) error {
	clients, err := gather(ctx, target, dialers, 0)
	if err != nil {
		return err
	}
	for _, s := range clients.sockets {
		s.Close()
	}
	return nil
}
