package streaming

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// silencePoll is how often it is looked whether clients have answered.
const silencePoll = 5 * time.Millisecond

// Silent asks clients for a sign of life, all at once, and returns the sockets of those that give none
// within patience. It waits no longer than until all have answered. When ctx ends it returns none.
func Silent(ctx context.Context, sockets []*Socket, patience time.Duration) []*Socket {
	answered := make(map[*Socket]func() bool, len(sockets))
	excused := make(map[*Socket]func() bool, len(sockets))
	for _, s := range sockets {
		answered[s], excused[s] = s.client().session.Ask()
	}
	silent := slices.Clone(sockets)
	again := time.NewTicker(silencePoll)
	defer again.Stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		silent = slices.DeleteFunc(silent, func(s *Socket) bool { return answered[s]() })
		if !slices.ContainsFunc(silent, (*Socket).reachable) {
			return silent
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return slices.DeleteFunc(silent, func(s *Socket) bool { return excused[s]() })
		case <-ctx.Done():
			return nil
		}
	}
}

// Drop closes the connection of a client that is silent, as if its heartbeat had failed. A client that
// is there after all comes back by itself, as a new one: it is not recovered.
func (s *Socket) Drop() {
	s.client().session.Close(engineio.ReasonPingTimeout)
	s.close(engineio.ReasonPingTimeout)
}

// Retire ends a socket whose client is back on another connection, once nothing is left to it: it is
// in no room, and holds nothing of any event set, see [Handlers.Holds]. The socket is disconnected by
// the server, so that a client that is still there does not come back by itself, and the connection is
// closed unless it has sockets of other namespaces. Retire runs after the handlers that the socket has
// waiting, and reports nothing.
func (s *Socket) Retire() { s.Do(s.retire) }

func (s *Socket) retire() {
	holds := func(h func(*Socket) bool) bool { return h(s) }
	if len(s.Rooms()) > 0 || slices.ContainsFunc(s.namespace.handlers.Load().holds, holds) {
		return
	}
	s.Disconnect(false)
	if s.client().isUnused() {
		s.client().session.Close(engineio.ReasonForcedClose)
	}
}

// isUnused reports whether the client has no socket.
func (c *client) isUnused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sockets) == 0
}
