package main

import (
	"strconv"
	"time"

	"github.com/caddy-socketio/socketio-stream/bench/stack"
)

// scenario is one table: what load is put on each stack, and which of the figures are shown.
type scenario struct {
	name, title string
	// short is what the picture calls it; without it, the scenario is not drawn.
	short string
	// load are the arguments of the load command.
	load []string
	// then are further arguments of a second load, on a fresh server. Its figures have names that
	// begin with thenPrefix, and growth is its main figure over that of the first.
	then []string
	// main is the figure that the table begins with; less of it is better.
	main    column
	columns []column
	// alone tells that main is no cost but a ratio, or a count of faults, of which there should be
	// none: it is not compared with other stacks.
	alone bool
	// floors tells whether the floor programs take part. They do not where what they leave out is
	// what counts.
	floors bool
	// only are the stacks that take part, by name; when empty, all that have compression switched
	// off.
	only     []string
	settings stack.Settings
}

// thenPrefix begins the names of the second load's figures.
const thenPrefix = "then_"

// column is one figure of the table.
type column struct {
	key, title string
	digits     int
}

// defaults are Socket.IO's own heartbeat. It does not come up during a short run.
var defaults = stack.Settings{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second}

// hasty finds out soon about clients that went without a word.
var hasty = stack.Settings{PingInterval: 3 * time.Second, PingTimeout: 2 * time.Second}

// rooms sends a stream's data to those who joined it. The heartbeat is rare: of the others, nothing
// is to be seen.
var rooms = stack.Settings{PingInterval: 2 * time.Minute, PingTimeout: 20 * time.Second, Subscribers: true}

// attacked limits clients on loopback too. The heartbeat is that of a default configuration.
var attacked = stack.Settings{PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, Limited: true}

// lean are the stacks that show how this module grows: many clients of a peer would show how the
// peer does.
var lean = []string{"this module, TLS", "floor joined, TLS", "this module", "floor joined"}

// compressing are the stacks that show what compression costs and saves.
var compressing = []string{"this module, TLS", "this module, TLS, compression", "nginx + Node, TLS", "nginx + Node, TLS, compression"}

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

var binaryColumns = append([]column{{"mbit_per_s", "Mbit/s", 0}}, fanoutColumns...)

var compressionColumns = append([]column{{"wire_bytes_per_delivery", "wire bytes/delivery", 0}}, fanoutColumns...)

// attackColumns show the honest clients' p99, what the server took, and how long it needed
// afterwards.
var attackColumns = []column{
	{"before_p99_ms", "p99 ms before", 1},
	{"handshakes_p99_ms", "flood of handshakes", 1},
	{"half_open_p99_ms", "5,000 half-open", 1},
	{"slow_posts_p99_ms", "slow POSTs", 1},
	{"slow_readers_p99_ms", "slow readers", 1},
	{"garbage_p99_ms", "100 MB garbage", 1},
	{"storm_p99_ms", "reconnect storm", 1},
	{"pings_p99_ms", "empty pings", 1},
	{"attachments_p99_ms", "missing attachments", 1},
	{"begun_posts_p99_ms", "begun POSTs", 1},
	{"left_answers_p99_ms", "abandoned polls", 1},
	{"sleepers_p99_ms", "1,000 take nothing", 1},
	{"unread_acks_p99_ms", "unread acks", 1},
	{"bombs_p99_ms", "bombs", 1},
	{"after_p99_ms", "after", 1},
	{"idle_rss_mib", "idle MiB", 0},
	{"pings_rss_mib", "MiB, pings", 0},
	{"attachments_rss_mib", "MiB, attachments", 0},
	{"begun_posts_rss_mib", "MiB, POSTs", 0},
	{"left_answers_rss_mib", "MiB, polls", 0},
	{"sleepers_rss_mib", "MiB, take nothing", 0},
	{"unread_acks_rss_mib", "MiB, acks", 0},
	{"bombs_rss_mib", "MiB, bombs", 0},
	{"most_of_allowed", "most / (idle + hub_buffer)", 2},
	{"peak_mib", "peak MiB", 0},
	{"half_open_recovery_ms", "recovery ms, half-open", 0},
	{"storm_recovery_ms", "recovery ms, storm", 0},
	{"left", "left over", 0},
}

var ackMain = column{"cpu_us_per_ack", "server CPU µs/ack", 1}

var ackColumns = []column{
	{"ack_per_s", "acks/s", 0},
	{"p50_ms", "p50 ms", 2},
	{"p99_ms", "p99 ms", 2},
	{"server_cores", "server cores", 2},
	{"load_cores", "load cores", 2},
}

var growthMain = column{"growth", "later / first", 2}

var connectColumns = []column{
	{"connect_per_s", "connects/s", 0},
	{"p50_ms", "p50 ms", 1},
	{"p99_ms", "p99 ms", 1},
	{"failed", "failed", 0},
}

// scenarios are all tables, in order.
var scenarios = []scenario{
	{
		name: "fanout", short: "1,000 receivers, saturated", title: "Fan-out, saturated: 1,000 receivers, 200-byte messages, 12 under way",
		load: []string{"-scenario", "fanout", "-n", "1000", "-window", "12"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-200", short: "200 receivers, saturated", title: "Fan-out, saturated: 200 receivers, 200-byte messages, 12 under way",
		load: []string{"-scenario", "fanout", "-n", "200", "-window", "12"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-fixed", short: "1,000 receivers, 20 messages/s", title: "Fan-out at a fixed 20 messages/s: 1,000 receivers, 200-byte messages",
		load: []string{"-scenario", "fanout", "-n", "1000", "-rate", "20"},
		main: fanoutMain, columns: fanoutColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-binary", short: "1,000 receivers, 64 KB binary",
		title: "Fan-out, saturated: 1,000 receivers, 64 KB binary messages, 2 under way",
		load:  []string{"-scenario", "fanout", "-n", "1000", "-window", "2", "-binary", "-payload", "65536"},
		main:  fanoutMain, columns: binaryColumns, floors: true, settings: defaults,
	},
	{
		name: "fanout-binary-200", title: "Fan-out, saturated: 200 receivers, 64 KB binary messages, 4 under way",
		load: []string{"-scenario", "fanout", "-n", "200", "-window", "4", "-binary", "-payload", "65536"},
		main: fanoutMain, columns: binaryColumns, floors: true, settings: defaults,
	},
	{
		name: "rooms", short: "200 rooms of 20", title: "Rooms: 200 of 20 clients, 500 messages/s in all, of which 70 % text, 20 % binary of 2 KB, 10 % acknowledged questions",
		load: []string{"-scenario", "rooms", "-rooms", "200", "-n", "20", "-rate", "500"},
		main: fanoutMain, columns: fanoutColumns, settings: rooms,
	},
	{
		name: "room-growth", title: "One room of 20 at 1,000 messages/s: alone, then beside 8,000 clients that are not in it",
		load: []string{"-scenario", "rooms", "-rooms", "1", "-n", "20", "-rate", "1000"},
		then: []string{"-others", "8000"},
		main: growthMain, alone: true,
		columns: []column{
			{"cpu_us_per_delivery", "µs/delivery alone", 2},
			{thenPrefix + "cpu_us_per_delivery", "µs/delivery beside 8,000", 2},
			{"p99_ms", "p99 ms alone", 2},
			{thenPrefix + "p99_ms", "p99 ms beside 8,000", 2},
			{thenPrefix + "lost", "lost", 0},
		},
		only: []string{"this module, TLS", "nginx + Node, TLS", "this module"}, settings: rooms,
	},
	{
		name: "grow", title: "Growth: fan-out saturated, 1,000 receivers and then 8,000, 12 messages under way",
		load: []string{"-scenario", "fanout", "-n", "1000", "-window", "12"},
		then: []string{"-n", "8000"},
		main: growthMain, alone: true,
		columns: []column{
			{"cpu_us_per_delivery", "µs/delivery at 1,000", 2},
			{thenPrefix + "cpu_us_per_delivery", "µs/delivery at 8,000", 2},
			{"delivery_per_s", "deliveries/s at 1,000", 0},
			{thenPrefix + "delivery_per_s", "deliveries/s at 8,000", 0},
			{thenPrefix + "peak_mib", "peak MiB at 8,000", 0},
			{thenPrefix + "lost", "lost", 0},
		},
		floors: true, only: lean, settings: defaults,
	},
	{
		name: "polling", short: "200 long-polling receivers", title: "Long-polling: 200 receivers, 20 messages/s of 200 bytes",
		load: []string{"-scenario", "polling", "-n", "200", "-rate", "20"},
		main: fanoutMain, columns: fanoutColumns, settings: defaults,
	},
	{
		name: "compression", title: "Compression over WebSocket at a fixed 20 messages/s: 200 receivers, telemetry of 4 KB",
		load: []string{"-scenario", "fanout", "-n", "200", "-rate", "20", "-payload", "4096", "-telemetry", "-compression"},
		main: fanoutMain, columns: compressionColumns, only: compressing, settings: defaults,
	},
	{
		name: "compression-saturated", title: "Compression over WebSocket, saturated: 200 receivers, telemetry of 4 KB, 12 under way",
		load: []string{"-scenario", "fanout", "-n", "200", "-window", "12", "-payload", "4096", "-telemetry", "-compression"},
		main: fanoutMain, columns: compressionColumns, only: compressing, settings: defaults,
	},
	{
		name: "compression-polling", title: "Compression over long-polling: 200 receivers, 20 messages/s, telemetry of 4 KB",
		load: []string{"-scenario", "polling", "-n", "200", "-rate", "20", "-payload", "4096", "-telemetry", "-compression"},
		main: fanoutMain, columns: compressionColumns, only: compressing, settings: defaults,
	},
	{
		name: "slow-reader", title: "One client that stops reading beside 1,000 at 20 messages/s of 4 KB: how far the others' p99 moves",
		load: []string{"-scenario", "slow", "-n", "1000", "-rate", "20", "-payload", "4096", "-duration", "3s"},
		main: column{"p99_moved", "p99 beside it / without", 2}, alone: true,
		columns: []column{
			{"p50_ms", "p50 ms without", 1},
			{"p50_beside_ms", "p50 ms beside", 1},
			{"p99_ms", "p99 ms without", 1},
			{"p99_beside_ms", "p99 ms beside", 1},
			{"peak_mib", "peak MiB", 0},
			{"lost", "lost", 0},
		},
		settings: defaults,
	},
	{
		name: "slow-lines", title: "1,000 clients at 64 kbit/s beside 1,000 fast ones, 10 messages/s of 200 bytes after one of 200 KB",
		load: []string{"-scenario", "lines", "-n", "1000", "-rate", "10", "-payload", "200", "-duration", "60s"},
		main: column{"cut_off", "cut off", 0}, alone: true,
		columns: []column{
			{"line_kbit_per_s", "kbit/s of a slow line", 1},
			{"p50_ms", "fast p50 ms without", 1},
			{"p50_beside_ms", "fast p50 ms beside", 1},
			{"p99_ms", "fast p99 ms without", 1},
			{"p99_beside_ms", "fast p99 ms beside", 1},
			{"peak_mib", "peak MiB", 0},
			{"lost", "lost", 0},
		},
		settings: defaults,
	},
	{
		name: "ack", short: "acknowledged questions", title: "Ack round trips: 50 clients, one question each at a time",
		load: []string{"-scenario", "ack", "-n", "50"},
		main: ackMain, columns: ackColumns,
		floors: true, settings: defaults,
	},
	{
		name: "ack-fixed", title: "Ack round trips at a fixed 2,000 questions/s: 50 clients",
		load: []string{"-scenario", "ack", "-n", "50", "-rate", "2000"},
		main: ackMain, columns: ackColumns,
		floors: true, settings: defaults,
	},
	{
		name: "connect", short: "connecting", title: "Connects: 3,000 WebSocket handshakes, 32 at a time",
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
		name: "idle", short: "idle connections: memory", title: "Idle: 2,000 connections",
		load: []string{"-scenario", "idle", "-n", "2000", "-duration", "2s"},
		main: column{"pss_kib_each", "PSS KiB each", 1},
		columns: []column{
			{"rss_kib_each", "RSS KiB each", 1},
			{"pss_mib", "PSS MiB in all", 0},
		},
		floors: true, settings: defaults,
	},
	{
		name: "idle-8000", title: "Idle: 8,000 connections",
		load: []string{"-scenario", "idle", "-n", "8000", "-duration", "2s"},
		main: column{"pss_kib_each", "PSS KiB each", 1},
		columns: []column{
			{"rss_kib_each", "RSS KiB each", 1},
			{"pss_mib", "PSS MiB in all", 0},
			{"cpu_us_per_s_each", "CPU µs/s each", 1},
		},
		floors: true, settings: defaults,
	},
	{
		name: "vanish", title: "Vanishing: 20,000 clients that go away while connecting, 64 at a time",
		load: []string{"-scenario", "vanish", "-count", "20000", "-parallel", "64", "-settle", "60s"},
		main: column{"ghosts", "ghosts", 0}, alone: true,
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
	{
		name: "attack", title: "Attacks, one after the other, beside 500 clients that ask 2,000 questions a second in all",
		load: []string{"-scenario", "attack", "-n", "500", "-rate", "2000", "-duration", "60s", "-settle", "60s", "-limit", "30m", "-hub-buffer", strconv.Itoa(stack.HubBuffer)},
		main: column{"failed", "honest clients that failed", 0}, alone: true,
		columns: attackColumns, only: []string{"this module, TLS", "this module"}, settings: attacked,
	},
}
