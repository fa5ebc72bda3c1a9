package main

import (
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

// scenario is one table: what load is put on each stack, and which of the figures are shown.
type scenario struct {
	name, title string
	// load are the arguments of the load command.
	load []string
	// main is the figure that the table begins with; less of it is better.
	main    column
	columns []column
	// counted tells that main counts faults, of which there should be none: no ratios are shown.
	counted bool
	// floors tells whether the floor programs take part. They do not where what they leave out is what counts.
	floors   bool
	settings stack.Settings
}

// column is one figure of the table.
type column struct {
	key, title string
	digits     int
}

// defaults are Socket.IO's own heartbeat. It does not come up during a short run.
var defaults = stack.Settings{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second}

// hasty finds out soon about clients that went without a word.
var hasty = stack.Settings{PingInterval: 3 * time.Second, PingTimeout: 2 * time.Second}

var fanoutMain = column{"cpu_us_per_delivery", "server CPU µs/delivery", 2}

var fanoutColumns = []column{
	{"delivery_per_s", "deliveries/s", 0},
	{"p50_ms", "p50 ms", 1},
	{"p99_ms", "p99 ms", 1},
	{"peak_mib", "peak MiB", 0},
	{"lost", "lost", 0},
	{"lost_handshakes", "lost handshakes", 0},
	{"server_cores", "server cores", 2},
	{"load_cores", "load cores", 2},
}

var connectColumns = []column{
	{"connect_per_s", "connects/s", 0},
	{"p50_ms", "p50 ms", 1},
	{"p99_ms", "p99 ms", 1},
	{"failed", "failed", 0},
}

// scenarios are all tables, in order.
var scenarios = []scenario{
	{
		name: "fanout", title: "Fan-out, saturated: 1,000 receivers, 200-byte messages, 12 under way",
		load: []string{"-scenario", "fanout", "-n", "1000", "-window", "12"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-200", title: "Fan-out, saturated: 200 receivers, 200-byte messages, 12 under way",
		load: []string{"-scenario", "fanout", "-n", "200", "-window", "12"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-fixed", title: "Fan-out at a fixed 20 messages/s: 1,000 receivers, 200-byte messages",
		load: []string{"-scenario", "fanout", "-n", "1000", "-rate", "20"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "ack", title: "Ack round trips: 50 clients, one question each at a time",
		load: []string{"-scenario", "ack", "-n", "50"},
		main: column{"cpu_us_per_ack", "server CPU µs/ack", 1},
		columns: []column{
			{"ack_per_s", "acks/s", 0},
			{"p50_ms", "p50 ms", 2},
			{"p99_ms", "p99 ms", 2},
			{"server_cores", "server cores", 2},
			{"load_cores", "load cores", 2},
		},
		floors: true, settings: defaults,
	},
	{
		name: "connect", title: "Connects: 3,000 WebSocket handshakes, 32 at a time",
		load: []string{"-scenario", "connect", "-count", "3000", "-parallel", "32"},
		main: column{"cpu_us_per_connect", "server CPU µs/connect", 0}, columns: connectColumns,
		floors: true, settings: defaults,
	},
	{
		name: "handshakes", title: "Handshakes: 20,000 over WebSocket, 64 at a time",
		load: []string{"-scenario", "connect", "-count", "20000", "-parallel", "64"},
		main: column{"cpu_us_per_connect", "server CPU µs/connect", 0}, columns: connectColumns,
		settings: defaults,
	},
	{
		name: "idle", title: "Idle: 2,000 connections",
		load: []string{"-scenario", "idle", "-n", "2000", "-duration", "2s"},
		main: column{"pss_kib_each", "PSS KiB each", 1},
		columns: []column{
			{"rss_kib_each", "RSS KiB each", 1},
			{"pss_mib", "PSS MiB in all", 0},
		},
		floors: true, settings: defaults,
	},
	{
		name: "vanish", title: "Vanishing: 20,000 clients that go away while connecting, 64 at a time",
		load: []string{"-scenario", "vanish", "-count", "20000", "-parallel", "64", "-settle", "60s"},
		main: column{"ghosts", "ghosts", 0}, counted: true,
		columns: []column{
			{"health_sockets", "of them in the namespace", 0},
			{"settled_s", "s until empty", 1},
			{"fully_connected", "got to the end", 0},
			{"health_connected", "connected told", 0},
			{"health_disconnected", "disconnected told", 0},
			{"health_twice", "told twice", 0},
			{"failed", "failed", 0},
		},
		settings: hasty,
	},
	{
		name: "stalled", title: "One client that stops reading: 4 receivers, 64 KB messages, 10 s",
		load: []string{"-scenario", "fanout", "-n", "4", "-stalled", "1", "-payload", "65000", "-window", "16", "-duration", "10s"},
		main: column{"peak_mib", "peak MiB", 0},
		columns: []column{
			{"mbit_per_s", "Mbit/s", 0},
			{"delivery_per_s", "deliveries/s", 0},
			{"p99_ms", "p99 ms", 1},
			{"lost", "lost", 0},
		},
		settings: defaults,
	},
}
