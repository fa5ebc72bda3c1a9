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

// phases is how many kinds of time a scenario may tell apart, and notRecording is none of them.
const (
	phases       = 2
	notRecording = -1
)

// fanout is one sender and its receivers.
type fanout struct {
	options           Options
	target            *Target
	audience, stalled *crowd
	receivers         []*receiver // of the audience
	lostHandshakes    int
	// senders are the clients that send: one, or the owners of rooms.
	senders []*Socket
	// each is how many deliveries a message is due.
	each int64

	sent      atomic.Int64 // messages
	delivered atomic.Int64 // deliveries, of all receivers
	written   atomic.Int64 // bytes of delivered frames, or of the bodies they came in
	// wakeAt is the count of deliveries the sender waits for, and wake tells it.
	wakeAt atomic.Int64
	wake   chan struct{}
	// recording says into which histogram latencies go; notRecording into none.
	recording atomic.Int32
	group     sync.WaitGroup
	closing   atomic.Bool
	failed    atomic.Pointer[error]
}

// receiver is one client that listens.
type receiver struct {
	socket *Socket
	stamps stampReader
	// counts are the histograms of the phases that are told apart.
	counts [phases]histogram
	last   time.Duration
	// disordered counts messages that came after one that was sent later.
	disordered int
}

// Fanout lets one client send `message` events that the server hands to all others. Saturated, the
// sender keeps Window messages under way; with a Rate it sends at that pace.
func Fanout(ctx context.Context, target *Target, options Options) (*Result, error) {
	if options.Receivers == 0 || (options.Window == 0) == (options.Rate == 0) {
		return nil, errors.New("needs receivers, and either a window or a rate")
	}
	f := newFanout(target, options)
	if err := f.connect(ctx, target); err != nil {
		return nil, err
	}
	defer f.start(ctx)()
	return f.run(ctx, f.send)
}

func newFanout(target *Target, options Options) *fanout {
	f := &fanout{options: options, target: target, wake: make(chan struct{}, 1)}
	f.wakeAt.Store(-1)
	f.recording.Store(notRecording)
	return f
}

// start lets everyone who is connected read, and returns what ends it.
func (f *fanout) start(ctx context.Context) (end func()) {
	// A server that stops reading would hold a sender for ever; the context's end frees it.
	free := context.AfterFunc(ctx, func() {
		for _, s := range f.senders {
			s.Abort()
		}
	})
	for _, r := range f.receivers {
		f.group.Go(func() { f.receive(r) })
	}
	for _, s := range f.senders {
		f.group.Go(func() { f.drain(s) })
	}
	return func() {
		free()
		f.close()
	}
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
	f.senders = sender.sockets
	f.each = int64(len(f.audience.sockets))
	f.lostHandshakes = f.audience.lost + f.stalled.lost + sender.lost
	for _, s := range f.audience.sockets {
		f.receivers = append(f.receivers, &receiver{socket: s})
	}
	return nil
}

func (f *fanout) close() {
	f.closing.Store(true)
	for _, s := range f.senders {
		s.Abort()
	}
	if f.stalled != nil {
		f.stalled.abort()
	}
	f.audience.abort()
	f.group.Wait()
}

// receive counts what one receiver gets. Shared counters are touched once for each read, not for
// each message.
func (f *fanout) receive(r *receiver) {
	var deliveries, bytes int64
	r.socket.beforeRead = func() {
		if deliveries == 0 {
			return
		}
		f.written.Add(bytes)
		f.count(deliveries)
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
		if phase := f.recording.Load(); phase != notRecording {
			r.counts[phase].add(r.socket.readAt - sent)
		}
	}
}

// count adds deliveries, and wakes the sender when they are what it waits for.
func (f *fanout) count(deliveries int64) {
	total := f.delivered.Add(deliveries)
	if at := f.wakeAt.Load(); at >= 0 && total >= at {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// drain reads what a sender gets, which is heartbeats and acknowledgements.
func (f *fanout) drain(sender *Socket) {
	for {
		if _, err := sender.next(); err != nil {
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

// send sends the one sender's messages as the options say.
func (f *fanout) send(stop <-chan struct{}) error {
	message := newMessage(f.options.Payload)
	switch {
	case f.options.Binary:
		message = newBinaryMessage(f.options.Payload)
	case f.options.Telemetry:
		message = newTelemetry(f.options.Payload)
	}
	if f.options.Rate == 0 {
		return f.sendInWindow(stop, message)
	}
	return f.sendAtRate(stop, func() error {
		if err := f.senders[0].send(message.stamped(now())); err != nil {
			return fmt.Errorf("sender: %w", err)
		}
		f.sent.Add(1)
		return nil
	})
}

// keepSending lets send run until the returned function is called for the first time; that returns
// send's error.
func keepSending(send func(stop <-chan struct{}) error) (finish func() error) {
	stop := make(chan struct{})
	sending := make(chan error, 1)
	go func() { sending <- send(stop) }()
	return sync.OnceValue(func() error {
		close(stop)
		return <-sending
	})
}

// run sends for warm-up and measurement, then waits for the last deliveries.
func (f *fanout) run(ctx context.Context, send func(stop <-chan struct{}) error) (*Result, error) {
	finish := keepSending(send)
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
	receivedBefore := f.target.received.Load()
	f.recording.Store(0)
	if err := sleep(ctx, f.options.Duration); err != nil {
		return nil, err
	}
	f.recording.Store(notRecording)
	to, err := f.options.mark()
	if err != nil {
		return nil, err
	}
	delivered := f.delivered.Load() - deliveredBefore
	written := f.written.Load() - writtenBefore
	received := f.target.received.Load() - receivedBefore
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
	if delivered > 0 {
		result.set("wire_bytes_per_delivery", float64(received)/float64(delivered))
	}
	if err := f.tell(result); err != nil {
		return nil, err
	}
	all := f.latencies(0)
	result.latency(&all)
	return result, nil
}

// tell adds to the result what is known when all is over.
func (f *fanout) tell(result *Result) error {
	result.set("lost", float64(f.expected()-f.delivered.Load()))
	peak, err := proc.Peak(f.options.PIDs)
	if err != nil {
		return err
	}
	result.set("peak_mib", float64(peak)/(1<<20))
	disordered := 0
	for _, r := range f.receivers {
		disordered += r.disordered
	}
	result.set("disordered", float64(disordered))
	if shared := f.target.compression; shared != nil {
		result.set("inflated", float64(shared.frames.inflations()+shared.bodies.inflations()))
		result.set("messages", float64(f.sent.Load()))
	}
	if failure := f.failed.Load(); failure != nil {
		result.set("failed", 1)
		result.Notes = append(result.Notes, (*failure).Error())
	}
	return nil
}

// latencies are those of one phase, of all receivers.
func (f *fanout) latencies(phase int) (all histogram) {
	for _, r := range f.receivers {
		all.merge(&r.counts[phase])
	}
	return all
}

func (f *fanout) expected() int64 { return f.sent.Load() * f.each }

// sendInWindow keeps at most Window messages under way. What a server loses would keep the window
// shut for ever: after a while without any delivery it is opened again, and the loss shows in the
// result.
func (f *fanout) sendInWindow(stop <-chan struct{}, message *message) error {
	var writtenOff int64
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		// Half of the window is waited for at once: waking up for each message would cost more than
		// sending it.
		outstanding := f.expected() - writtenOff - f.delivered.Load()
		if outstanding > int64(f.options.Window-1)*f.each {
			target := f.expected() - writtenOff - int64(f.options.Window/2)*f.each
			if !f.await(target) {
				writtenOff = f.expected() - f.delivered.Load()
			}
		}
		if err := f.senders[0].send(message.stamped(now())); err != nil {
			return fmt.Errorf("sender: %w", err)
		}
		f.sent.Add(1)
	}
}

// sendAtRate sends at a fixed pace. A message that is late is sent at once and its successors keep
// their times.
func (f *fanout) sendAtRate(stop <-chan struct{}, send func() error) error {
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
		if err := send(); err != nil {
			return err
		}
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
