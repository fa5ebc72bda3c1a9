package load

import (
	"context"
	"errors"
	"time"
)

// The phases of SlowReader.
const (
	without = iota
	with
)

// stalling is how long the client that reads nothing is given until the server's writes to it wait.
const stalling = 1500 * time.Millisecond

// SlowReader measures the latencies of a fan-out at a fixed rate in turns without and with a client
// that stops reading, two turns of each in one server's life, so that what else the machine does
// falls on both alike.
func SlowReader(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 || options.Rate == 0 {
		return nil, errors.New("needs receivers and a rate")
	}
	f := newFanout(target, options)
	if err := f.connect(ctx, target); err != nil {
		return nil, err
	}
	defer f.start(ctx)()
	finish := keepSending(f.send)
	// An early return has an error of its own to tell.
	defer func() { _ = finish() }()
	if err := sleep(ctx, options.Warmup); err != nil {
		return nil, err
	}
	for _, phase := range []int32{without, with, without, with} {
		if err := f.slowTurn(ctx, target, phase); err != nil {
			return nil, err
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	f.await(f.expected())

	result := &Result{}
	result.set("lost_handshakes", float64(f.lostHandshakes))
	if err := f.tell(result); err != nil {
		return nil, err
	}
	alone, beside := f.latencies(without), f.latencies(with)
	result.latency(&alone)
	result.set("p50_beside_ms", beside.quantile(0.50))
	result.set("p99_beside_ms", beside.quantile(0.99))
	if p99 := alone.quantile(0.99); p99 > 0 {
		result.set("p99_moved", beside.quantile(0.99)/p99)
	}
	return result, nil
}

// slowTurn measures once, beside a stalled client when the phase is with.
func (f *fanout) slowTurn(ctx context.Context, target *Target, phase int32) error {
	if phase == with {
		stalled, err := gather(ctx, target.narrowed(), 1, 0)
		if err != nil {
			return err
		}
		defer stalled.abort()
	}
	// Both kinds of turn wait as long, so that they are alike in everything else.
	if err := sleep(ctx, stalling); err != nil {
		return err
	}
	f.recording.Store(phase)
	err := sleep(ctx, f.options.Duration)
	f.recording.Store(notRecording)
	return err
}
