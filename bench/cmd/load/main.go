// Command load puts one scenario of load on a Socket.IO server on this machine and prints what it
// measured as JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/load"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	var options load.Options
	names := slices.Sorted(maps.Keys(load.Scenarios))
	scenario := flag.String("scenario", "fanout", "one of "+strings.Join(names, ", "))
	url := flag.String("url", "", "the server, such as https://127.0.0.1:8443/socket.io/; loopback only")
	limit := flag.Duration("limit", 3*time.Minute, "the longest the whole run may take")
	pids := flag.String("pids", "", "the server's process ids, with commas between; their children count too")
	flag.IntVar(&options.Receivers, "n", 1000, "clients that listen (fanout, polling, slow), ask (ack, attack) or sit there (idle); of each room (rooms, sessions)")
	flag.IntVar(&options.Rooms, "rooms", 0, "rooms (rooms, sessions)")
	flag.IntVar(&options.Others, "others", 0, "further clients that are in no room (rooms)")
	flag.BoolVar(&options.Binary, "binary", false, "the argument is a binary attachment (fanout)")
	flag.BoolVar(&options.Telemetry, "telemetry", false, "the argument is an object with readings of sensors, of at most that many bytes (fanout, polling, slow)")
	flag.BoolVar(&options.Compression, "compression", false, "the clients offer permessage-deflate and accept gzip")
	flag.IntVar(&options.Stalled, "stalled", 0, "clients that connect and never read (fanout)")
	flag.IntVar(&options.Payload, "payload", 200, "bytes of a message's argument (fanout, rooms, polling, slow, sessions)")
	flag.IntVar(&options.Window, "window", 12, "messages under way at most (fanout); 0 with -rate")
	flag.IntVar(&options.Rate, "rate", 0, "messages a second, of all rooms together (fanout, rooms, polling, slow), actions of all clients (sessions), or questions (ack, attack); 0 sends as fast as the window lets")
	flag.IntVar(&options.Count, "count", 3000, "connections in all (connect, vanish)")
	flag.IntVar(&options.Parallel, "parallel", 64, "connections at a time (connect, vanish)")
	flag.DurationVar(&options.Warmup, "warmup", time.Second, "time before the measurement (all but connect, idle and vanish)")
	flag.DurationVar(&options.Duration, "duration", 4*time.Second, "time of the measurement (all but connect and vanish)")
	flag.DurationVar(&options.Settle, "settle", 5*time.Second, "time to come to rest (idle), the longest such time (vanish, attack)")
	flag.Int64Var(&options.HubBuffer, "hub-buffer", 0, "the server's hub_buffer, in bytes, for the memory that it may take (attack)")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if options.Rate > 0 {
		options.Window = 0
	}
	for text := range strings.SplitSeq(*pids, ",") {
		if text == "" {
			continue
		}
		pid, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("pids: %w", err)
		}
		options.PIDs = append(options.PIDs, pid)
	}
	target, err := load.ParseTarget(*url)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	result, err := load.Run(ctx, *scenario, target, options)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}
