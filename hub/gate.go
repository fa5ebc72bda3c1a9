package hub

import (
	"context"
	"sync"
)

// gate holds back the answers of polls and POSTs while a config's HTTP servers hand over to those
// of the next config. A client that waits for an answer sends nothing, so it has no request under
// way that the old server would drop. The zero value is an open gate.
type gate struct {
	mu sync.Mutex
	// opens is nil while the gate is open. Otherwise it is closed when the gate opens.
	opens chan struct{}
}

// shut holds back the answers that come to the gate from now on.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opens == nil {
		g.opens = make(chan struct{})
	}
}

// open lets all answers through.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opens != nil {
		close(g.opens)
		g.opens = nil
	}
}

// isShut reports whether answers are held back.
func (g *gate) isShut() bool { return g.waits() != nil }

// waits returns what is closed when the gate opens, or nil while it is open.
func (g *gate) waits() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opens
}

// pass waits until the gate is open, or until ctx ends.
func (g *gate) pass(ctx context.Context) {
	for {
		opens := g.waits()
		if opens == nil {
			return
		}
		select {
		case <-opens:
		case <-ctx.Done():
			return
		}
	}
}
