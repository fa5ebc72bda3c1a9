package load

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/proc"
)

// Options says what a scenario does. A field that a scenario has no use for is ignored by it.
type Options struct {
	// PIDs are the server's processes, descendants included by themselves. Without any, the
	// server's cost is not measured.
	PIDs []int
	// Receivers is how many clients listen (fanout, polling, slow), ask (ack, attack), sit there
	// (idle), or are in each room or session.
	Receivers int
	// Rooms is how many rooms of Receivers clients each there are, and Others how many further
	// clients are in none (rooms). Rooms is also the number of sessions (sessions).
	Rooms, Others int
	// Binary sends the message's argument as an attachment (fanout).
	Binary bool
	// Telemetry makes the argument an object with readings of sensors, which can be compressed as
	// such data can (fanout, polling, slow).
	Telemetry bool
	// Compression lets the clients offer permessage-deflate, and gzip for the bodies of
	// long-polling.
	Compression bool
	// Stalled is how many further clients join and never read (fanout).
	Stalled int
	// Payload is the size of a message's argument in bytes.
	Payload int
	// Window is how many messages a sender may have under way; it is measured by deliveries. 0 with
	// a Rate.
	Window int
	// Rate is how many messages a second are sent, or questions asked (ack, attack), whatever the
	// deliveries; 0 sends as fast as the window lets.
	Rate int
	// Count is how many connections are made in all (connect, vanish).
	Count int
	// Parallel is how many of them are made at the same time.
	Parallel int
	// Warmup is left out of the measurement, Duration is measured.
	Warmup, Duration time.Duration
	// Settle is how long is waited for the server to come to rest (idle: always; vanish, attack: at
	// most).
	Settle time.Duration
	// HubBuffer is the server's hub_buffer, in bytes: what it may take besides what it takes without
	// an attack (attack). 0 where it is not known.
	HubBuffer int64
}

// Bounds of what may be asked for, so that a slip of the finger does not take the machine down.
const (
	maxReceivers = 10_000
	maxCount     = 200_000
	maxParallel  = 1_024
	maxDuration  = 2 * time.Minute
	maxPayload   = 1 << 20
)

func (o *Options) validate() error {
	inRange := func(name string, value, from, to int) error {
		if value < from || value > to {
			return fmt.Errorf("%s is %d: it must lie between %d and %d", name, value, from, to)
		}
		return nil
	}
	return errors.Join(
		inRange("receivers", o.Receivers, 0, maxReceivers),
		inRange("stalled", o.Stalled, 0, maxReceivers),
		inRange("clients of all rooms", o.Rooms*o.Receivers+o.Others, 0, maxReceivers),
		inRange("payload", o.Payload, stampSize, maxPayload),
		inRange("window", o.Window, 0, 1<<16),
		inRange("rate", o.Rate, 0, 100_000),
		inRange("count", o.Count, 0, maxCount),
		inRange("parallel", o.Parallel, 1, maxParallel),
		inRange("warmup in ms", int(o.Warmup.Milliseconds()), 0, int(maxDuration.Milliseconds())),
		inRange("duration in ms", int(o.Duration.Milliseconds()), 1, int(maxDuration.Milliseconds())),
		inRange("settle in ms", int(o.Settle.Milliseconds()), 0, int(maxDuration.Milliseconds())),
	)
}

// Result is what a scenario measured: names and figures, the unit at the end of the name.
type Result struct {
	Scenario string             `json:"scenario"`
	Values   map[string]float64 `json:"values"`
	// Notes tell in words what figures cannot, such as the reasons of failures.
	Notes []string `json:"notes,omitempty"`
}

// Scenario is one way to load a server.
type Scenario func(ctx context.Context, target *Target, options Options) (*Result, error)

// Scenarios are all there are, by name.
var Scenarios = map[string]Scenario{
	"fanout":   Fanout,
	"ack":      Ack,
	"connect":  Connect,
	"idle":     Idle,
	"vanish":   Vanish,
	"rooms":    Rooms,
	"polling":  Polling,
	"slow":     SlowReader,
	"lines":    SlowLines,
	"sessions": Sessions,
	"attack":   Attack,
}

// Run checks the options and runs the named scenario.
func Run(ctx context.Context, name string, target *Target, options Options) (*Result, error) {
	scenario, known := Scenarios[name]
	if !known {
		return nil, fmt.Errorf("there is no scenario %q", name)
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	if options.Compression {
		target = target.offeringCompression()
	}
	result, err := scenario(ctx, target, options)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	result.Scenario = name
	return result, nil
}

// mark is a moment of a measurement.
type mark struct {
	at     time.Duration
	server time.Duration
	own    time.Duration
}

func (o *Options) mark() (mark, error) {
	server, err := proc.CPU(o.PIDs)
	if err != nil {
		return mark{}, err
	}
	own, err := ownCPU()
	return mark{at: now(), server: server, own: own}, err
}

// cost adds to the result what lies between two marks, over so many units of work.
func (r *Result) cost(from, to mark, units float64, unit string) {
	elapsed := (to.at - from.at).Seconds()
	r.set(unit+"_per_s", units/elapsed)
	r.set("server_cores", (to.server-from.server).Seconds()/elapsed)
	r.set("load_cores", (to.own-from.own).Seconds()/elapsed)
	if units > 0 {
		r.set("cpu_us_per_"+unit, float64((to.server-from.server).Microseconds())/units)
		r.set("load_cpu_us_per_"+unit, float64((to.own-from.own).Microseconds())/units)
	}
}

func (r *Result) latency(h *histogram) {
	r.set("p50_ms", h.quantile(0.50))
	r.set("p99_ms", h.quantile(0.99))
}

func (r *Result) set(name string, value float64) {
	if r.Values == nil {
		r.Values = make(map[string]float64)
	}
	r.Values[name] = value
}

// ownCPU is the CPU time of this process, the price of being measured.
func ownCPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

// sleep waits, or ends early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
