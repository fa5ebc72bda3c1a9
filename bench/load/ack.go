package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// asker is one client that asks, waits for the answer and asks again.
type asker struct {
	socket *Socket
	// turns tell when to ask; without them it asks as soon as it has its answer.
	turns  *turns
	counts histogram
	acks   atomic.Int64
}

// turns are points in time, at equal distances. One that is missed comes at once, and its
// successors keep their times.
type turns struct {
	next     time.Time
	interval time.Duration
}

// wait waits for the next turn.
func (t *turns) wait() {
	if t != nil {
		time.Sleep(time.Until(t.next))
		t.next = t.next.Add(t.interval)
	}
}

// Ack lets every client make one round trip after the other: `stream:join` with an acknowledgement
// asked for. With a Rate they take turns, so many a second in all; without, they ask as fast as
// they are answered.
func Ack(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 {
		return nil, errors.New("needs clients")
	}
	clients, err := gather(ctx, target, options.Receivers, 0)
	if err != nil {
		return nil, err
	}
	defer clients.abort()
	sockets := clients.sockets
	var stopping, recording atomic.Bool
	askers := make([]*asker, len(sockets))
	failed := make([]error, len(sockets))
	var group sync.WaitGroup
	for i, s := range sockets {
		askers[i] = &asker{socket: s}
		if options.Rate > 0 {
			interval := time.Second * time.Duration(len(sockets)) / time.Duration(options.Rate)
			askers[i].turns = &turns{next: time.Now().Add(time.Duration(i) * interval / time.Duration(len(sockets))), interval: interval}
		}
		group.Go(func() { failed[i] = askers[i].ask(&stopping, &recording) })
	}
	// Whatever happens, nobody waits for an answer that does not come.
	finish := func() error {
		stopping.Store(true)
		for _, s := range sockets {
			_ = s.conn.SetReadDeadline(time.Now().Add(stallAfter))
		}
		group.Wait()
		return errors.Join(failed...)
	}

	if err := sleep(ctx, options.Warmup); err != nil {
		return nil, errors.Join(err, finish())
	}
	recording.Store(true)
	before := totalAcks(askers)
	from, err := options.mark()
	if err != nil {
		return nil, errors.Join(err, finish())
	}
	if err := sleep(ctx, options.Duration); err != nil {
		return nil, errors.Join(err, finish())
	}
	to, err := options.mark()
	acks := totalAcks(askers) - before
	recording.Store(false)
	if err := errors.Join(err, finish()); err != nil {
		return nil, err
	}
	result := &Result{}
	result.cost(from, to, float64(acks), "ack")
	result.set("lost_handshakes", float64(clients.lost))
	var all histogram
	for _, a := range askers {
		all.merge(&a.counts)
	}
	result.latency(&all)
	return result, nil
}

func totalAcks(askers []*asker) (sum int64) {
	for _, a := range askers {
		sum += a.acks.Load()
	}
	return sum
}

func (a *asker) ask(stopping, recording *atomic.Bool) error {
	// Ack ids of two digits keep the frame's length, so that it is built in one buffer.
	var question, text, answer []byte
	for id := uint64(10); !stopping.Load(); id = 10 + (id-9)%90 {
		text = append(strconv.AppendUint(append(text[:0], "42"...), id, 10), `["stream:join",{"streamId":"bench"}]`...)
		question = appendFrame(question[:0], opText, text)
		answer = append(strconv.AppendUint(append(answer[:0], "43"...), id, 10), '[')
		a.turns.wait()
		asked := now()
		if err := a.socket.send(question); err != nil {
			return err
		}
		for {
			message, err := a.socket.next()
			if err != nil {
				return fmt.Errorf("waiting for an ack: %w", err)
			}
			if bytes.HasPrefix(message.head, answer) {
				break
			}
		}
		a.acks.Add(1)
		if recording.Load() {
			a.counts.add(a.socket.readAt - asked)
		}
	}
	return nil
}
