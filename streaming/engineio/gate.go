package engineio

import (
	"context"
	"sync"
)

// Gate holds back the answers of polls and POSTs while the HTTP server in front
// hands over to its successor. A client that waits for an answer sends nothing:
// it has no request under way that the old server would drop. The zero value is
// an open gate; a nil one is always open.
type Gate struct {
	mu sync.Mutex
	// shut is nil while the gate is open, and closed when it opens.
	shut chan struct{}
}

// Shut holds back the answers that come to the gate from now on.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Open lets all answers through.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// pass waits until the gate is open, or until ctx ends.
func (g *Gate) pass(ctx context.Context) {
	if g == nil {
		return
	}
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut == nil {
			return
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return
		}
	}
}

// Pollers counts the open sessions on long-polling: those whose poll waits, and
// those whose client is away, because it has its answer and is about to ask
// again, or because it is gone.
func (s *Server) Pollers() (waiting, away int) {
	for session := range s.table.all() {
		session.mu.Lock()
		switch {
		case session.state != stateOpen || session.transport != Polling:
		case session.poll.active && !session.poll.answering:
			waiting++
		default:
			away++
		}
		session.mu.Unlock()
	}
	return waiting, away
}

// IsShut reports whether answers are held back.
func (g *Gate) IsShut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut != nil
}
