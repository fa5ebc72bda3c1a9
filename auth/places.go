package auth

import (
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
)

// Bounds of the questions to a backend.
const (
	// maxAsking is how many are under way at the same time.
	maxAsking = 64
	// maxWaiting is how many of one address may wait to be asked. Those beyond are not
	// asked now.
	maxWaiting = 1024
)

// errCrowd is a question of an address that has as many waiting as it may have.
var errCrowd = errors.New("too many questions of this address wait to be asked")

// places are those of the questions that are under way at the same time. Who waits
// for one has its turn address by address, and within an address in the order in
// which they came: an address that is alone may have all places, and one with
// thousands of questions delays no other's by more than one question.
type places struct {
	mu   sync.Mutex
	free int
	// lines has the line of each address that waits, turns the same lines in the
	// order in which they have their turns.
	lines map[netip.Prefix]*line
	turns list.List
	// waiting is how many wait in all lines.
	waiting int
}

// line is the questions of one address that wait for a place.
type line struct {
	address netip.Prefix
	// waiters has a channel for each, which is closed when it has a place.
	waiters list.List
	// turn is where the line stands among the turns.
	turn *list.Element
}

func newPlaces(free int) *places {
	return &places{free: free, lines: make(map[netip.Prefix]*line)}
}

// take waits for a place. With an error there is none: errCrowd, or that of ctx.
func (p *places) take(ctx context.Context, address netip.Prefix) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	l := p.lines[address]
	if l == nil {
		l = &line{address: address}
		l.turn = p.turns.PushBack(l)
		p.lines[address] = l
	}
	if l.waiters.Len() >= maxWaiting {
		p.mu.Unlock()
		return errCrowd
	}
	mine := make(chan struct{})
	waiter := l.waiters.PushBack(mine)
	p.waiting++
	p.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-mine:
		// It was its turn in just this moment.
		p.giveLocked()
	default:
		p.leaveLocked(l, waiter)
	}
	return ctx.Err()
}

// give gives a place back.
func (p *places) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveLocked()
}

func (p *places) giveLocked() {
	turn := p.turns.Front()
	if turn == nil {
		p.free++
		return
	}
	l := turn.Value.(*line)
	p.turns.MoveToBack(turn)
	next := l.waiters.Front()
	close(next.Value.(chan struct{}))
	p.leaveLocked(l, next)
}

// leaveLocked takes a waiter out of its line.
func (p *places) leaveLocked(l *line, waiter *list.Element) {
	l.waiters.Remove(waiter)
	p.waiting--
	if l.waiters.Len() == 0 {
		p.turns.Remove(l.turn)
		delete(p.lines, l.address)
	}
}

// length is how many wait.
func (p *places) length() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}
