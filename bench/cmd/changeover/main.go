// Command changeover shows what clients see when a server's config changes under them, or when the
// server goes. It runs a Caddy of its own on loopback, connects clients on all transports that talk
// all the time, and prints as JSON what they have missed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/load"
)

type options struct {
	caddy    string
	scenario string
	clients  int
	singles  int
	every    time.Duration
	reloads  int
	failing  int
	pause    time.Duration
	tls      bool
	wrapper  bool
	drain    time.Duration
	lines    string
	limit    time.Duration
}

// Bounds of what may be asked for.
const (
	maxClients = 8000
	maxReloads = 5000
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "changeover:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.caddy, "caddy", "", "the Caddy with this module")
	flag.StringVar(&o.scenario, "scenario", "reload", "reload, leave (SIGTERM, and a new start) or remove (a reload that removes the hub, and one that names it again)")
	flag.IntVar(&o.clients, "n", 2000, "clients: a third each on WebSocket, upgraded and on long-polling")
	flag.IntVar(&o.singles, "singles", 0, "of those on long-polling, how many use a connection for each request and never send one again")
	flag.DurationVar(&o.every, "every", 5*time.Second, "each client asks a question so often")
	flag.IntVar(&o.reloads, "reloads", 1000, "reloads in a row (reload)")
	flag.IntVar(&o.failing, "failing", 0, "reloads in between that fail (reload)")
	flag.DurationVar(&o.pause, "pause", 0, "time between two reloads")
	flag.BoolVar(&o.tls, "tls", true, "encrypt")
	flag.BoolVar(&o.wrapper, "wrapper", false, "use the listener wrapper, by which connections go over to the next server")
	flag.DurationVar(&o.drain, "drain", 5*time.Second, "the option drain")
	flag.StringVar(&o.lines, "options", "", "more options of the directive, with semicolons between them")
	flag.DurationVar(&o.limit, "limit", 15*time.Minute, "the longest that reloads are made; the whole run ends two minutes later")
	flag.Parse()
	o.lines = strings.ReplaceAll(o.lines, ";", "\n")
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.caddy == "":
		return fmt.Errorf("-caddy is needed")
	case o.clients < 3 || o.clients > maxClients || o.singles > o.clients/3:
		return fmt.Errorf("-n must lie between 3 and %d, and -singles within a third of it", maxClients)
	case o.reloads < 1 || o.reloads > maxReloads || o.failing < 0 || o.failing > o.reloads:
		return fmt.Errorf("-reloads must lie between 1 and %d, and -failing within it", maxReloads)
	case o.every < 100*time.Millisecond:
		return fmt.Errorf("-every must be at least 100ms")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit+2*time.Minute)
	defer cancel()
	if err := raiseFileLimit(); err != nil {
		return err
	}
	var err error
	if o.caddy, err = filepath.Abs(o.caddy); err != nil {
		return err
	}
	caddy, err := newServer(&o)
	if err != nil {
		return err
	}
	defer caddy.remove()
	if err := caddy.start(ctx); err != nil {
		return err
	}
	target, err := load.ParseTarget(caddy.url())
	if err != nil {
		return err
	}
	third := o.clients / 3
	talk, err := load.StartTalk(ctx, target, map[load.Kind]int{
		load.ByWebSocket: o.clients - 2*third, load.ByUpgrade: third, load.ByPolling: third - o.singles, load.BySingles: o.singles,
	}, o.every)
	if err != nil {
		return err
	}
	defer talk.End()
	scenarios := map[string]func(context.Context, *options, *server, *load.Talk) (any, error){
		"reload": reload, "leave": leave, "remove": removeHub,
	}
	scenario, known := scenarios[o.scenario]
	if !known {
		return fmt.Errorf("there is no scenario %q", o.scenario)
	}
	result, err := scenario(ctx, &o, caddy, talk)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, caddy.lastWords())
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}

// raiseFileLimit allows as many files as the system lets: each client is one, and those on
// long-polling two.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
