// Command model holds a Caddy that it runs on loopback against the model of an Engine.IO session, in
// real time: clients on all transports come, talk, change over, are put out and leave, the config is
// reloaded, and the network is cut. It prints what has differed from the model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	caddy   string
	clients int
	length  time.Duration
	rate    int
	reload  time.Duration
	seed    uint64
}

// run is one run of the command.
type run struct {
	options
	began time.Time
	proxy *proxy
	// turns is where clients take a turn for each thing that they do.
	turns chan struct{}

	sessions, messages, upgrades, kicks, cuts, reloads, broken, failed atomic.Int64
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

func start() error {
	r := &run{began: time.Now(), turns: make(chan struct{})}
	flag.StringVar(&r.caddy, "caddy", "", "the Caddy to be held against the model, with the event set echo")
	flag.IntVar(&r.clients, "n", 300, "clients")
	flag.DurationVar(&r.length, "for", 2*time.Minute, "how long clients come and go")
	flag.IntVar(&r.rate, "rate", 1000, "things that all clients together do in a second; by default that takes about half a processor")
	flag.DurationVar(&r.reload, "reload", 5*time.Second, "time from one reload to the next; 0 for none")
	flag.Uint64Var(&r.seed, "seed", uint64(r.began.UnixNano()), "seed of what clients do")
	flag.Parse()
	switch {
	case r.caddy == "":
		return errors.New("-caddy is needed")
	case r.clients < 1 || r.clients > 2000:
		return errors.New("-n must lie between 1 and 2000")
	case r.rate < 1 || r.rate > 20_000:
		return errors.New("-rate must lie between 1 and 20000")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return r.all(ctx)
}

func (r *run) now() time.Duration { return time.Since(r.began) }

func (r *run) all(ctx context.Context) error {
	caddy, err := startServer(r.caddy)
	if err != nil {
		return err
	}
	defer caddy.stop()
	if r.proxy, err = newProxy(caddy.address); err != nil {
		return err
	}
	defer r.proxy.close()
	before, err := caddy.goroutines()
	if err != nil {
		return err
	}

	fmt.Printf("seed %d\n", r.seed)
	ctx, cancel := context.WithTimeout(ctx, r.length)
	defer cancel()
	go r.giveTurns(ctx)
	var all sync.WaitGroup
	for i := range r.clients {
		all.Go(func() { r.client(ctx, i) })
	}
	if r.reload > 0 {
		all.Go(func() { r.reloadNowAndThen(ctx, caddy) })
	}
	all.Go(func() { r.tell(ctx) })
	all.Wait()
	r.print()

	after, err := r.awaitQuiet(caddy, before)
	if err != nil {
		return err
	}
	fmt.Printf("goroutines of Caddy: %d before, %d after\n", before, after)
	caddy.keep = r.failed.Load() > 0
	if words := caddy.faults(); words != "" {
		return errors.New("Caddy has logged:\n" + words)
	}
	if n := r.failed.Load(); n > 0 {
		return fmt.Errorf("%d sessions differed from the model", n)
	}
	return nil
}

// goroutinesLeft is how many goroutines more than before a Caddy may have that no client is at any
// more: those of its own that come with reloads.
const goroutinesLeft = 30

// awaitQuiet waits until Caddy has about as many goroutines as before any client came.
func (r *run) awaitQuiet(caddy *server, before int) (after int, err error) {
	for limit := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
		if after, err = caddy.goroutines(); err == nil && after <= before+goroutinesLeft {
			return after, nil
		}
		if time.Now().After(limit) {
			caddy.keep = true
			return after, fmt.Errorf("Caddy had %d goroutines before any client came, and has %d now (last error: %v)", before, after, err)
		}
	}
}

// giveTurns hands out turns at the rate that was asked for.
func (r *run) giveTurns(ctx context.Context) {
	ticker := time.NewTicker(time.Second / time.Duration(r.rate))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			close(r.turns)
			return
		}
		select {
		case r.turns <- struct{}{}:
		case <-ctx.Done():
			close(r.turns)
			return
		}
	}
}

// turn waits for a turn. It reports false at the end of the run.
func (r *run) turn() bool {
	_, ok := <-r.turns
	return ok
}

// client lives one session after the other.
func (r *run) client(ctx context.Context, number int) {
	random := rand.New(rand.NewPCG(r.seed, uint64(number)))
	for ctx.Err() == nil && r.turn() {
		c := &client{run: r, random: random, number: number}
		r.sessions.Add(1)
		if err := c.live(); err != nil {
			r.failed.Add(1)
			fmt.Printf("client %d, %s, at %v: %v\n", number, c.kind, r.now().Round(time.Millisecond), err)
		}
	}
}

func (r *run) reloadNowAndThen(ctx context.Context, caddy *server) {
	for generation := 1; ; generation++ {
		select {
		case <-time.After(r.reload):
		case <-ctx.Done():
			return
		}
		if err := caddy.reload(generation); err != nil {
			r.failed.Add(1)
			fmt.Println("reload:", err)
		}
		r.reloads.Add(1)
	}
}

// tell prints how far the run is, once a minute.
func (r *run) tell(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Minute):
			r.print()
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) print() {
	fmt.Printf("%v: sessions %d, messages %d, upgrades %d, put out %d, cut %d, reloads %d, requests broken off %d, failed %d\n",
		r.now().Round(time.Second), r.sessions.Load(), r.messages.Load(), r.upgrades.Load(), r.kicks.Load(), r.cuts.Load(),
		r.reloads.Load(), r.broken.Load(), r.failed.Load())
}
