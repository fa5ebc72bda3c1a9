package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/proc"
)

// receiverBuffer is a receiver's read buffer: one TLS record fits.
const receiverBuffer = 16 << 10

// stallAfter is how long no delivery may come before what is outstanding counts as lost.
const stallAfter = 2 * time.Second

// fanout is one sender and its receivers.
type fanout struct {
	options           Options
	audience, stalled *crowd
	receivers         []*receiver // of the audience
	sender            *Socket
	lostHandshakes    int

	sent      atomic.Int64 // messages
	delivered atomic.Int64 // deliveries, of all receivers
	written   atomic.Int64 // bytes of delivered frames
	// wakeAt is the count of deliveries the sender waits for, and wake tells it.
	wakeAt    atomic.Int64
	wake      chan struct{}
	recording atomic.Bool
	group     sync.WaitGroup
	closing   atomic.Bool
	failed    atomic.Pointer[error]
}

// receiver is one client that listens.
type receiver struct {
	socket *Socket
	stamps stampReader
	counts histogram
	last   time.Duration
	// disordered counts messages that came after one that was sent later.
	disordered int
}

// Fanout lets one client send `message` events that the server hands to all others. Saturated, the sender keeps Window
// messages under way; with a Rate it sends at that pace.
func Fanout(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 || (options.Window == 0) == (options.Rate == 0) {
		return nil, errors.New("needs receivers, and either a window or a rate")
	}
	f := &fanout{options: options, wake: make(chan struct{}, 1)}
	f.wakeAt.Store(-1)
	if err := f.connect(ctx, target); err != nil {
		return nil, err
	}
	defer f.close()
	// A server that stops reading would hold the sender for ever; the context's end frees it.
	defer context.AfterFunc(ctx, f.sender.Abort)()
	for _, r := range f.receivers {
		f.group.Go(func() { f.receive(r) })
	}
	f.group.Go(f.drain)
	return f.run(ctx)
}

func (f *fanout) connect(ctx context.Context, target *Target) error {
	var err error
	if f.audience, err = gather(ctx, target, f.options.Receivers, receiverBuffer); err != nil {
		return err
	}
	if f.stalled, err = gather(ctx, target, f.options.Stalled, 0); err != nil {
		f.audience.abort()
		return err
	}
	sender, err := gather(ctx, target, 1, 0)
	if err != nil {
		f.audience.abort()
		f.stalled.abort()
		return err
	}
	f.sender = sender.sockets[0]
	f.lostHandshakes = f.audience.lost + f.stalled.lost + sender.lost
	for _, s := range f.audience.sockets {
		f.receivers = append(f.receivers, &receiver{socket: s})
	}
	return nil
}

func (f *fanout) close() {
	f.closing.Store(true)
	f.sender.Abort()
	f.stalled.abort()
	f.audience.abort()
	f.group.Wait()
}

// receive counts what one receiver gets. Shared counters are touched once for each read, not for each message.
func (f *fanout) receive(r *receiver) {
	var deliveries, bytes int64
	r.socket.beforeRead = func() {
		if deliveries == 0 {
			return
		}
		f.written.Add(bytes)
		total := f.delivered.Add(deliveries)
		if at := f.wakeAt.Load(); at >= 0 && total >= at {
			select {
			case f.wake <- struct{}{}:
			default:
			}
		}
		deliveries, bytes = 0, 0
	}
	for {
		message, err := r.socket.next()
		if err != nil {
			f.fail(fmt.Errorf("receiver: %w", err))
			return
		}
		sent, found := r.stamps.read(message.head)
		if !found {
			continue
		}
		deliveries++
		bytes += int64(message.wire)
		if sent < r.last {
			r.disordered++
		}
		r.last = sent
		if f.recording.Load() {
			r.counts.add(r.socket.readAt - sent)
		}
	}
}

// drain reads what the sender gets, which is heartbeats.
func (f *fanout) drain() {
	for {
		if _, err := f.sender.next(); err != nil {
			f.fail(fmt.Errorf("sender: %w", err))
			return
		}
	}
}

func (f *fanout) fail(err error) {
	if !f.closing.Load() {
		f.failed.CompareAndSwap(nil, &err)
	}
}

// run sends for warm-up and measurement, then waits for the last deliveries.
func (f *fanout) run(ctx context.Context) (*Result, error) {
	stop := make(chan struct{})
	sending := make(chan error, 1)
	go func() {
		if f.options.Rate > 0 {
			sending <- f.sendAtRate(stop)
		} else {
			sending <- f.sendInWindow(stop)
		}
	}()
	finish := sync.OnceValue(func() error {
		close(stop)
		return <-sending
	})
	// An early return has an error of its own to tell.
	defer func() { _ = finish() }()

	if err := sleep(ctx, f.options.Warmup); err != nil {
		return nil, err
	}
	from, err := f.options.mark()
	if err != nil {
		return nil, err
	}
	deliveredBefore, writtenBefore, sentBefore := f.delivered.Load(), f.written.Load(), f.sent.Load()
	f.recording.Store(true)
	if err := sleep(ctx, f.options.Duration); err != nil {
		return nil, err
	}
	f.recording.Store(false)
	to, err := f.options.mark()
	if err != nil {
		return nil, err
	}
	delivered := f.delivered.Load() - deliveredBefore
	written := f.written.Load() - writtenBefore
	sent := f.sent.Load() - sentBefore
	if err := finish(); err != nil {
		return nil, err
	}
	f.await(f.expected())

	result := &Result{}
	result.cost(from, to, float64(delivered), "delivery")
	result.set("lost_handshakes", float64(f.lostHandshakes))
	result.set("messages_per_s", float64(sent)/(to.at-from.at).Seconds())
	result.set("mbit_per_s", float64(written)*8/1e6/(to.at-from.at).Seconds())
	result.set("lost", float64(f.expected()-f.delivered.Load()))
	peak, err := proc.Peak(f.options.PIDs)
	if err != nil {
		return nil, err
	}
	result.set("peak_mib", float64(peak)/(1<<20))
	var all histogram
	disordered := 0
	for _, r := range f.receivers {
		all.merge(&r.counts)
		disordered += r.disordered
	}
	result.set("disordered", float64(disordered))
	result.latency(&all)
	if failure := f.failed.Load(); failure != nil {
		result.set("failed", 1)
		result.Notes = append(result.Notes, (*failure).Error())
	}
	return result, nil
}

func (f *fanout) expected() int64 { return f.sent.Load() * int64(len(f.receivers)) }

// sendInWindow keeps at most Window messages under way. What a server loses would keep the window shut for ever: after a
// while without any delivery it is opened again, and the loss shows in the result.
func (f *fanout) sendInWindow(stop <-chan struct{}) error {
	message := newMessage(f.options.Payload)
	receivers := int64(len(f.receivers))
	var writtenOff int64
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		// Half of the window is waited for at once: waking up for each message would cost more than sending it.
		outstanding := f.expected() - writtenOff - f.delivered.Load()
		if outstanding > int64(f.options.Window-1)*receivers {
			target := f.expected() - writtenOff - int64(f.options.Window/2)*receivers
			if !f.await(target) {
				writtenOff = f.expected() - f.delivered.Load()
			}
		}
		if err := f.sender.send(message.stamped(now())); err != nil {
			return fmt.Errorf("sender: %w", err)
		}
		f.sent.Add(1)
	}
}

// sendAtRate sends at a fixed pace. A message that is late is sent at once and its successors keep their times.
func (f *fanout) sendAtRate(stop <-chan struct{}) error {
	message := newMessage(f.options.Payload)
	interval := time.Second / time.Duration(f.options.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := now(); ; due += interval {
		timer.Reset(due - now())
		select {
		case <-stop:
			return nil
		case <-timer.C:
		}
		if err := f.sender.send(message.stamped(now())); err != nil {
			return fmt.Errorf("sender: %w", err)
		}
		f.sent.Add(1)
	}
}

// await waits until so many deliveries have come. It gives up when none comes for stallAfter.
func (f *fanout) await(target int64) bool {
	timer := time.NewTimer(stallAfter)
	defer timer.Stop()
	f.wakeAt.Store(target)
	defer f.wakeAt.Store(-1)
	for seen := f.delivered.Load(); ; {
		reached := f.delivered.Load()
		if reached >= target {
			return true
		}
		select {
		case <-f.wake:
		case <-timer.C:
			if reached = f.delivered.Load(); reached == seen {
				return false
			}
			seen = reached
			timer.Reset(stallAfter)
		}
	}
}
