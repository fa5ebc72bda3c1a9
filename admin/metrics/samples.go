package metrics

import (
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// sample is the value of a metric for some labels.
type sample struct {
	metric *metric
	labels []string
	value  float64
	// distribution is what a histogram has in place of a value.
	distribution *measure.Distribution
}

// samples are being gathered.
type samples []sample

func (s *samples) add(m *metric, value int64, labels ...string) {
	*s = append(*s, sample{metric: m, labels: labels, value: float64(value)})
}

func (s *samples) addDistribution(m *metric, d *measure.Distribution, labels ...string) {
	*s = append(*s, sample{metric: m, labels: labels, distribution: d})
}

func (s *samples) addReasons(m *metric, counts engineio.ReasonCounts) {
	for _, count := range counts {
		s.add(m, count.Count, count.Reason)
	}
}

// samples returns what a hub tells. What Prometheus and what the status page gets come from here.
func (c *catalog) samples(m streaming.Metrics) samples {
	var s samples
	engine := &m.Engine
	for i := range engine.Transports {
		t := &engine.Transports[i]
		name := string(t.Transport)
		for _, counts := range t.Revisions {
			protocol := counts.Revision.String()
			s.add(metricConnections, counts.Open, name, protocol)
			s.add(metricHandshakes, counts.Handshakes, name, protocol)
		}
		s.add(metricBytes, t.ReceivedBytes, name, "in")
		s.add(metricBytes, t.SentBytes, name, "out")
		s.add(metricDeliveries, t.Deliveries, name)
		s.addDistribution(metricFlushMessages, &t.FlushMessages, name)
		s.addDistribution(metricQueueBytes, &t.QueuedBytes, name)
	}
	s.add(metricUpgrades, engine.Upgrades)
	s.addReasons(metricUpgradeFailures, engine.UpgradeFailures)
	s.addReasons(metricRefused, engine.Refusals)
	s.addReasons(metricLimited, m.Limited)
	s.addReasons(metricAuthRefusals, m.AuthRefusals)
	s.add(metricIdentities, m.Auth.Identified)
	s.add(metricUnjudged, m.Auth.Unjudged)
	s.add(metricRefreshed, m.Auth.Refreshed)
	s.add(metricEnded, m.Auth.Expired, "expired")
	s.add(metricEnded, m.Auth.Revoked, "revoked")
	s.add(metricRecoveryWaiting, m.Recovery.Waiting)
	s.add(metricRecoveryPackets, m.Recovery.Packets)
	s.add(metricRecoveryBytes, m.Recovery.Bytes)
	s.add(metricRecovered, m.Recovery.Recovered)
	for _, failure := range m.Recovery.Failed {
		s.add(metricRecoveryFailed, failure.Count, failure.Reason.String())
	}
	taken := &m.Recovery.Snapshots
	s.add(metricSnapshots, taken.Stored, "stored")
	s.add(metricSnapshots, taken.Failed, "failed")
	s.add(metricSnapshots, taken.Refused, "refused")
	s.add(metricSnapshotBytes, taken.Bytes)
	s.add(metricRestored, taken.Clean, "clean")
	s.add(metricRestored, taken.Crashed, "crash")
	s.addReasons(metricDisconnects, engine.Disconnects)
	s.add(metricBuffered, engine.BufferedBytes)
	s.add(metricKept, engine.KeptBytes)
	s.add(metricSlowClients, engine.SlowClients)
	s.add(metricDropped, engine.VolatileDropped)
	s.addDistribution(metricHeartbeatLatency, &engine.HeartbeatLatency)

	for i := range m.Namespaces {
		s.addNamespace(&m.Namespaces[i], c.figures)
	}
	s.add(metricConnectErrors, m.InvalidNamespaces, "invalid_namespace")
	s.add(metricConnectErrors, m.NotAuthorized, "not_authorized")
	return s
}

// addNamespace adds what is counted for a namespace, with those of its figures that are known.
func (s *samples) addNamespace(n *streaming.NamespaceMetrics, figures map[string]*metric) {
	s.add(metricSockets, n.Sockets, n.Name)
	s.add(metricRooms, n.Rooms, n.Name)
	s.add(metricConnects, n.Connects, n.Name)
	s.add(metricEvents, n.EventsIn, n.Name, "in")
	s.add(metricEvents, n.EventsOut, n.Name, "out")
	for _, count := range n.RefusedEvents {
		s.add(metricEventsRefused, count.Count, n.Name, count.Reason)
	}
	s.addDistribution(metricAckLatency, &n.AckLatency, n.Name)
	for _, figure := range n.Figures {
		if m := figures[figure.Name]; m != nil {
			*s = append(*s, sample{metric: m, labels: []string{n.Name}, value: figure.Value})
		}
	}
}
