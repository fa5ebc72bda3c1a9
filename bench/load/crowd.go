package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// crowd is many sockets, connected where connecting them is not what is measured.
type crowd struct {
	sockets []*Socket
	// lost is how many handshakes the server left unanswered; they were made again.
	lost int
}

const (
	// dialers is how many of a crowd are connected at a time.
	dialers = 32
	// maxLost bounds how many lost handshakes each dialer makes good.
	maxLost = 3
)

// gather connects count sockets. A handshake whose CONNECT is never answered is made again and
// counted, for there are servers that lose some, and whose other figures are wanted all the same.
// Any other failure ends it: a scenario with fewer clients than asked for would compare unlike
// things.
func gather(ctx context.Context, target *Target, count, buffer int) (*crowd, error) {
	c := &crowd{sockets: make([]*Socket, count)}
	failed := make([]error, dialers)
	var lost atomic.Int64
	var group sync.WaitGroup
	for worker := range dialers {
		group.Go(func() {
			again := 0
			for i := worker; i < count; i += dialers {
				var err error
				for c.sockets[i], err = Dial(ctx, target, buffer); err != nil; c.sockets[i], err = Dial(ctx, target, buffer) {
					if again++; again > maxLost || !errors.Is(err, errNoConnect) {
						failed[worker] = err
						return
					}
					lost.Add(1)
				}
			}
		})
	}
	group.Wait()
	c.lost = int(lost.Load())
	if err := errors.Join(failed...); err != nil {
		c.abort()
		return nil, err
	}
	return c, nil
}

// abort resets all connections.
func (c *crowd) abort() {
	for _, s := range c.sockets {
		if s != nil {
			s.Abort()
		}
	}
}
