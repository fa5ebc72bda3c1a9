package metrics

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-socketio/socketio-stream/streaming"
)

// prefix is what the names of all metrics begin with.
const prefix = "caddy_socketio_"

// metric is one name in the catalog of what is told.
type metric struct {
	// name is the metric's name without the prefix.
	name string
	help string
	kind prometheus.ValueType
	// labels are those besides the hub's.
	labels      []string
	description *prometheus.Desc
	// unit is what a distribution's values, which are whole numbers, are divided by.
	unit float64
}

// nanoseconds is the unit of the distributions of times, which are told in seconds.
const nanoseconds = 1e9

// catalog has all that is told.
type catalog struct {
	metrics []*metric
	// figures are those of them that event sets tell, by name.
	figures map[string]*metric
}

// ownMetrics are those of the server itself, in the order of their making.
var ownMetrics []*metric

// newCatalog adds figures of event sets to the metrics of the server: as caddy_socketio_<name>, for
// each hub and namespace. The error says which have the name of another; the catalog is without
// them.
func newCatalog(figures []streaming.Figure) (*catalog, error) {
	c := &catalog{metrics: slices.Clone(ownMetrics), figures: make(map[string]*metric)}
	taken := make(map[string]*metric)
	for _, m := range c.metrics {
		taken[m.name] = m
	}
	var clashes []error
	for _, figure := range figures {
		if other := taken[figure.Name]; other != nil {
			clashes = append(clashes, fmt.Errorf("two metrics are named %q: %q and, of an event set, %q",
				figure.Name, other.help, figure.Help))
			continue
		}
		kind := prometheus.GaugeValue
		if figure.Counter {
			kind = prometheus.CounterValue
		}
		m := newMetric(kind, 1, figure.Name, figure.Help, "namespace")
		c.metrics = append(c.metrics, m)
		c.figures[m.name], taken[m.name] = m, m
	}
	return c, errors.Join(clashes...)
}

// wholeCatalog is that of the figures that were registered when the program started.
var wholeCatalog = sync.OnceValues(func() (*catalog, error) {
	return newCatalog(streaming.Figures())
})

// newMetric makes a metric, which has the hub's label in front of its own.
func newMetric(
	kind prometheus.ValueType, unit float64, name, help string, labels ...string,
) *metric {
	return &metric{
		name: name, help: help, kind: kind, labels: labels, unit: unit,
		description: prometheus.NewDesc(prefix+name, help,
			append([]string{"hub"}, labels...), nil),
	}
}

// newOwn makes a metric of the server itself.
func newOwn(
	kind prometheus.ValueType, unit float64, name, help string, labels ...string,
) *metric {
	m := newMetric(kind, unit, name, help, labels...)
	ownMetrics = append(ownMetrics, m)
	return m
}

func newGauge(name, help string, labels ...string) *metric {
	return newOwn(prometheus.GaugeValue, 1, name, help, labels...)
}

func newCounter(name, help string, labels ...string) *metric {
	return newOwn(prometheus.CounterValue, 1, name, help, labels...)
}

func newHistogram(unit float64, name, help string, labels ...string) *metric {
	return newOwn(prometheus.UntypedValue, unit, name, help, labels...)
}

// The metrics. Their labels hold nothing that clients could choose.
var (
	metricConnections = newGauge("connections",
		"Clients that are connected.", "transport", "protocol")
	metricSockets = newGauge("sockets",
		"Clients that are connected to a namespace.", "namespace")
	metricRooms = newGauge("rooms",
		"Rooms that have members.", "namespace")

	metricHandshakes = newCounter("handshakes_total",
		"Connections that were made.", "transport", "protocol")
	metricUpgrades = newCounter("upgrades_total",
		"Connections that moved from polling to WebSocket.")
	metricUpgradeFailures = newCounter("upgrade_failures_total",
		"Moves to WebSocket that came to nothing.", "reason")
	metricRefused = newCounter("refused_requests_total",
		"Requests that were refused.", "reason")
	metricLimited = newCounter("limited_total",
		"Times that a limit of what clients may take was met.", "limit")
	metricConnects = newCounter("connects_total",
		"Clients that were let into a namespace.", "namespace")
	metricConnectErrors = newCounter("connect_errors_total",
		"Clients that were not let into a namespace.", "reason")
	metricAuthRefusals = newCounter("auth_refusals_total",
		"Clients that were not let into a namespace because of what they have shown.", "code")
	metricDisconnects = newCounter("disconnects_total",
		"Connections that have ended.", "reason")

	metricIdentities = newGauge("identities",
		"Clients that are connected to a namespace and have shown who they are.")
	metricUnjudged = newGauge("unjudged",
		"Sockets that wait until it is found out who their client is.")
	metricRefreshed = newCounter("identities_refreshed_total",
		"Times that a client has shown anew who it is.")
	metricEnded = newCounter("identities_ended_total",
		"Clients that were disconnected because of who they are.", "reason")

	metricRecoveryWaiting = newGauge("recovery_waiting",
		"Sockets that wait for a client whose connection was cut.")
	metricRecoveryPackets = newGauge("recovery_packets",
		"Packets that are kept for clients whose connection is cut.")
	metricRecoveryBytes = newGauge("recovery_bytes",
		"Bytes of memory that are taken by what is kept for clients whose connection is cut.")
	metricRecovered = newCounter("recovered_total",
		"Clients that came back after their connection was cut, and have missed nothing.")
	metricRecoveryFailed = newCounter("recovery_failed_total",
		"Clients that came back after their connection was cut, and had to begin anew.", "reason")
	metricSnapshots = newCounter("recovery_snapshots_total",
		"Snapshots of what is kept for clients, for the process that comes next.", "result")
	metricSnapshotBytes = newGauge("recovery_snapshot_bytes",
		"Bytes of the last snapshot that was stored.")
	metricRestored = newCounter("recovery_restored_total",
		"Sockets that were restored from the snapshot of the process before.", "end")

	metricEvents = newCounter("events_total",
		"Events from clients (in) and to clients (out); one to many clients counts once.",
		"namespace", "direction")
	metricEventsRefused = newCounter("refused_events_total",
		"Events from clients that were not accepted.", "namespace", "code")
	metricBytes = newCounter("bytes_total",
		"Bytes of WebSocket frames, POST bodies (in) and poll answers (out).",
		"transport", "direction")
	metricDeliveries = newCounter("deliveries_total",
		"Messages that were written to clients; one to many clients counts for each.", "transport")

	metricFlushMessages = newHistogram(1, "flush_messages",
		"Messages that were written to a client at once.", "transport")
	metricQueueBytes = newHistogram(1, "queue_bytes",
		"Bytes that waited for a client when they were written.", "transport")
	metricBuffered = newGauge("buffered_bytes",
		"Bytes of memory that are taken by what waits for clients, each message counted once.")
	metricKept = newGauge("kept_bytes",
		"Bytes of memory that are taken by what has come from clients and is not complete, or is kept for them.")
	metricSlowClients = newCounter("slow_clients_total",
		"Clients that were cut off because they did not keep up.")
	metricDropped = newCounter("volatile_dropped_total",
		"Volatile messages that were dropped for a client that did not keep up.")

	metricAckLatency = newHistogram(nanoseconds, "ack_latency_seconds",
		"Time from an event that asks for an answer to that answer.", "namespace")
	metricHeartbeatLatency = newHistogram(nanoseconds, "heartbeat_latency_seconds",
		"Time from a ping to its pong.")
)
