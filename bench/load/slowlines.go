package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lineRate is what a client on a slow line takes, in bytes a second: 64 kbit/s.
	lineRate = 8000
	// linePayload is the size, in bytes, of the message that everyone gets at the beginning: half a
	// minute for a slow line, beside the others.
	linePayload = 200_000
	// lineSettle is how long is waited after that message before latencies are taken.
	lineSettle = 3 * time.Second
)

// SlowLines measures the latencies of a fan-out at a fixed rate, first to Receivers clients alone,
// and then beside as many that are on lines of 64 kbit/s and get the same messages, after a long
// one. It counts those of them that the server cuts off, and how fast they were served.
func SlowLines(ctx context.Context, target *Target, options Options) (*Result, error) {
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
	record := func(phase int32) error {
		defer f.recording.Store(notRecording)
		f.recording.Store(phase)
		return sleep(ctx, options.Duration)
	}
	if err := sleep(ctx, options.Warmup); err != nil {
		return nil, err
	}
	if err := record(without); err != nil {
		return nil, err
	}
	lines, err := openLines(ctx, target, options.Receivers)
	if err != nil {
		return nil, err
	}
	defer lines.close()
	if err := f.sendLong(ctx, target); err != nil {
		return nil, err
	}
	if err := sleep(ctx, lineSettle); err != nil {
		return nil, err
	}
	began, before := now(), lines.received.Load()
	if err := record(with); err != nil {
		return nil, err
	}
	received := lines.received.Load() - before
	perLine := float64(received) * 8 / 1e3 / (now() - began).Seconds() / float64(options.Receivers)
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
	result.set("cut_off", float64(lines.cutOff.Load()))
	result.set("line_kbit_per_s", perLine)
	return result, nil
}

// sendLong sends one long message, without a stamp, by a client of its own.
func (f *fanout) sendLong(ctx context.Context, target *Target) error {
	sender, err := gather(ctx, target, 1, 0)
	if err != nil {
		return err
	}
	defer sender.abort()
	text := make([]byte, linePayload)
	for i := range text {
		text[i] = 'x'
	}
	packet := append(append([]byte(`42["message","`), text...), `"]`...)
	if _, err := sender.sockets[0].conn.Write(appendFrame(nil, opText, packet)); err != nil {
		return err
	}
	return sleep(ctx, lineSettle)
}

// lines are clients on slow lines.
type lines struct {
	crowd    *crowd
	received *atomic.Int64
	cutOff   atomic.Int64
	closing  atomic.Bool
	group    sync.WaitGroup
}

func openLines(ctx context.Context, target *Target, count int) (*lines, error) {
	l := &lines{received: new(atomic.Int64)}
	slow := target.narrowed()
	slow.received = l.received
	slow.rate = lineRate
	var err error
	if l.crowd, err = gather(ctx, slow, count, 0); err != nil {
		return nil, err
	}
	for _, s := range l.crowd.sockets {
		l.group.Go(func() {
			for {
				if _, err := s.next(); err != nil {
					if !l.closing.Load() {
						l.cutOff.Add(1)
					}
					return
				}
			}
		})
	}
	return l, nil
}

func (l *lines) close() {
	l.closing.Store(true)
	l.crowd.abort()
	l.group.Wait()
}
