package streams

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Joiners come while the owner starts its stream, sends numbered chunks, and
// starts it again: each of them gets the header first, once for each start,
// and then all chunks without a gap.
func TestJoinersSeeTheHeaderFirstAndThenAGaplessTail(t *testing.T) {
	const rounds, joiners, chunks = 15, 8, 60
	for _, test := range []struct {
		name string
		set  *Set
		// own is true when the owner gives a header; otherwise chunk 0 is it.
		own bool
	}{
		{"header", &Set{Audience: AudienceSubscribers}, true},
		{"replay first", &Set{Audience: AudienceSubscribers, Replay: ReplayFirst}, false},
		{"header and replay first", &Set{Audience: AudienceSubscribers, Replay: ReplayFirst}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.set)
			for round := range rounds {
				id := fmt.Sprintf("stream %d", round)
				owner := s.Connect()
				begin := make(chan struct{})
				var running, joined sync.WaitGroup
				joined.Add(joiners)
				for range joiners {
					c := s.Connect()
					running.Go(func() {
						<-begin
						if err := c.TrySend(fmt.Sprintf(`299["stream:join",{"streamId":%q}]`, id)); err != nil {
							t.Error(err)
						}
						if err := checkTail(c, test.own, chunks, joined.Done); err != nil {
							t.Error(err)
						}
					})
				}
				running.Go(func() {
					<-begin
					// The last chunk comes when all have joined.
					if err := sendStream(owner, id, test.own, chunks, joined.Wait); err != nil {
						t.Error(err)
					}
				})
				close(begin)
				running.Wait()
				if t.Failed() {
					return
				}
				owner.Close()
			}
		})
	}
}

func sendStream(owner *client, id string, own bool, chunks int, beforeTheLast func()) error {
	start := fmt.Sprintf(`2["stream:start",{"streamId":%q}]`, id)
	var header []string
	if own {
		start = fmt.Sprintf(`51-["stream:start",{"streamId":%q,"header":%s}]`, id, placeholder0)
		header = []string{"header"}
	}
	if err := owner.TrySend(start, header...); err != nil {
		return err
	}
	for i := range chunks {
		if i == chunks-1 {
			beforeTheLast()
		}
		if err := owner.TrySend(fmt.Sprintf(`51-["stream:data",{"streamId":%q,"n":%d,"chunk":%s}]`, id, i, placeholder0), fmt.Sprint(i)); err != nil {
			return err
		}
	}
	return nil
}

// checkTail reads what a joiner gets, up to the last chunk.
func checkTail(c *client, own bool, chunks int, joined func()) error {
	joined = sync.OnceFunc(joined)
	defer joined()
	headers, last := 0, -1
	for last < chunks-1 {
		r, err := c.Read()
		if err != nil {
			return fmt.Errorf("after chunk %d: %w", last, err)
		}
		if strings.HasPrefix(r.Text, `399[{"success":true,`) {
			joined()
		}
		if !strings.HasPrefix(r.Text, `51-["stream:data",`) {
			continue
		}
		if r.Binary[0] == "header" {
			if headers++; headers > 1 || last >= 0 {
				return fmt.Errorf("header %d after chunk %d", headers, last)
			}
			continue
		}
		var n int
		if _, err := fmt.Sscan(r.Binary[0], &n); err != nil {
			return fmt.Errorf("%v: %w", r, err)
		}
		switch {
		case own && headers != 1:
			return fmt.Errorf("chunk %d came with %d headers before it", n, headers)
		case !own && last < 0 && n != 0:
			return fmt.Errorf("chunk %d came first", n)
		case !own && last == 0 && n > 0, own && last < 0, n == last+1:
			// The tail begins wherever the joiner came.
		default:
			return fmt.Errorf("chunk %d after chunk %d", n, last)
		}
		last = n
	}
	return nil
}
