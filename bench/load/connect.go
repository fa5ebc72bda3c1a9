package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sort"
	"sync"
	"sync/atomic"
)

// Connect makes Count connections, Parallel at a time, each closed as soon as its CONNECT is
// answered, and counts the ones that are not.
func Connect(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Count == 0 {
		return nil, errors.New("needs a count")
	}
	var next atomic.Int64
	counts := make([]histogram, options.Parallel)
	failures := newTally()
	from, err := options.mark()
	if err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	for worker := range options.Parallel {
		group.Go(func() {
			for next.Add(1) <= int64(options.Count) && ctx.Err() == nil {
				started := now()
				socket, err := Dial(ctx, target, 0)
				if err != nil {
					failures.add(err)
					continue
				}
				counts[worker].add(now() - started)
				socket.Close()
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	to, err := options.mark()
	if err != nil {
		return nil, err
	}
	result := &Result{Notes: failures.notes()}
	result.cost(from, to, float64(options.Count), "connect")
	result.set("failed", float64(failures.total()))
	var all histogram
	for i := range counts {
		all.merge(&counts[i])
	}
	result.latency(&all)
	return result, nil
}

// tally counts errors by what they say.
type tally struct {
	lock   sync.Mutex
	counts map[string]int
}

func newTally() *tally { return &tally{counts: make(map[string]int)} }

func (t *tally) add(err error) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.counts[cause(err)]++
}

// cause names an error without what differs from one to the next, such as ports.
func cause(err error) string {
	var operation *net.OpError
	switch {
	case errors.Is(err, errNoConnect) && errors.As(err, &operation):
		return fmt.Sprintf("%v: %v", errNoConnect, operation.Err)
	case errors.As(err, &operation):
		return fmt.Sprintf("%s: %v", operation.Op, operation.Err)
	case errors.Is(err, io.EOF):
		return "closed by the server"
	}
	return err.Error()
}

func (t *tally) total() (sum int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, n := range t.counts {
		sum += n
	}
	return sum
}

func (t *tally) notes() (notes []string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for text, n := range t.counts {
		notes = append(notes, fmt.Sprintf("%d x %s", n, text))
	}
	sort.Strings(notes)
	return notes
}
