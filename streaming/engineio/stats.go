package engineio

import "sync/atomic"

// counts are what a server counts, since it was made.
type counts struct {
	slowClients        atomic.Int64
	volatileDropped    atomic.Int64
	refusedForSessions atomic.Int64
	refusedForBuffer   atomic.Int64
	refusedForRate     atomic.Int64
	slowedDown         atomic.Int64
}

// Stats tells how a server is doing.
type Stats struct {
	// Sessions is the number of open sessions.
	Sessions int
	// BufferedBytes is the size of all messages that wait for clients, each
	// counted once.
	BufferedBytes int64
	// SlowClients is how many clients were cut off because they did not keep
	// up, since the server was made.
	SlowClients int64
	// VolatileDropped is how many volatile messages were dropped.
	VolatileDropped int64
	// RefusedForSessions and RefusedForBuffer are how many handshakes were
	// answered 503, for want of a place and because too much was waiting.
	RefusedForSessions, RefusedForBuffer int64
	// RefusedForRate is how many were answered 503 because more came than
	// Options.HandshakeRate lets in.
	RefusedForRate int64
	// Limited is how often each of the limits of [Limits] was met.
	Limited map[Limit]int64
}

// Stats returns the state of the server.
func (s *Server) Stats() Stats {
	return Stats{
		Sessions:           s.Sessions(),
		BufferedBytes:      s.budget.bytes.Load(),
		SlowClients:        s.counts.slowClients.Load(),
		VolatileDropped:    s.counts.volatileDropped.Load(),
		RefusedForSessions: s.counts.refusedForSessions.Load(),
		RefusedForBuffer:   s.counts.refusedForBuffer.Load(),
		RefusedForRate:     s.counts.refusedForRate.Load(),
		Limited: map[Limit]int64{
			LimitConnections: s.callers.connections.Load(),
			LimitHalfOpen:    s.callers.halfOpen.Load(),
			LimitHandshakes:  s.callers.handshakes.Load(),
			LimitBytes:       s.counts.slowedDown.Load(),
		},
	}
}
