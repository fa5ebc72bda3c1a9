package engineio

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/measure"
)

// Metrics is what a server has counted since it was made, and how it is doing.
type Metrics struct {
	// Sessions is the number of open sessions.
	Sessions int
	// BufferedBytes is what counts for Options.ServerBuffer: the memory that is taken
	// by all messages that wait for clients, each counted once, in bytes.
	BufferedBytes int64
	// KeptBytes is the memory that is taken, in bytes, by what has come from clients
	// and is kept: what is not complete, what waits for its handlers, and what is kept
	// on purpose. It counts for Options.ServerBuffer as well.
	KeptBytes int64
	// SlowClients is how many clients were cut off because they did not keep up, or
	// because they were stuck.
	SlowClients int64
	// VolatileDropped is how many volatile messages were dropped.
	VolatileDropped int64
	// Transports has what is counted for each transport.
	Transports []TransportMetrics
	// Upgrades is how many sessions have moved to WebSocket, UpgradeFailures how many attempts came
	// to nothing.
	Upgrades        int64
	UpgradeFailures ReasonCounts
	// Refusals is how many requests were refused, by [RequestError.Cause].
	Refusals ReasonCounts
	// Limited is how often each of the limits of [Limits] was met.
	Limited ReasonCounts
	// Disconnects is how many sessions have ended.
	Disconnects ReasonCounts
	// HeartbeatLatency is the time from a ping, as it is queued, to the pong.
	HeartbeatLatency measure.Distribution
}

// TransportMetrics is what is counted for one transport.
type TransportMetrics struct {
	Transport Transport
	// Revisions has what is counted for each revision of the protocol. Revision 3 is among them once
	// the options allow it, see Options.AllowRevision3, or once it has been spoken.
	Revisions []RevisionMetrics
	// ReceivedBytes is the size of the WebSocket frames and POST bodies that
	// came, SentBytes that of the WebSocket frames and poll answers that were
	// written, see [Counts].
	ReceivedBytes, SentBytes int64
	// Deliveries is how many messages were written; one to a thousand clients
	// counts a thousand times. Heartbeats and the like are not among them.
	Deliveries int64
	// FlushMessages is how many messages were written at once, QueuedBytes how
	// many bytes were found waiting for the client by then.
	FlushMessages, QueuedBytes measure.Distribution
}

// RevisionMetrics is what is counted for one revision of the protocol on one transport.
type RevisionMetrics struct {
	Revision Revision
	// Open is the number of sessions that are on the transport now.
	Open int64
	// Handshakes is how many sessions have begun on it.
	Handshakes int64
}

// TurnedAway is how many handshakes were answered 503, because the server had as many sessions, as
// much to send or as many handshakes in a second as it may have.
func (m Metrics) TurnedAway() int64 {
	return m.Refusals.Of("max_connections", "hub_buffer", "handshake_rate")
}

// ReasonCount is how often something has happened for one reason.
type ReasonCount struct {
	Reason string
	Count  int64
}

// ReasonCounts are how often something has happened for each reason. The reasons are a closed set,
// and those that have not come up yet are among them.
type ReasonCounts []ReasonCount

// Of adds up the counts of some reasons.
func (c ReasonCounts) Of(reasons ...string) int64 {
	var sum int64
	for _, count := range c {
		if slices.Contains(reasons, count.Reason) {
			sum += count.Count
		}
	}
	return sum
}

// The transports, in the order they are counted in.
var transportNames = [...]Transport{Polling, WebSocket}

// metrics are the counts behind [Metrics], besides those of the flush workers.
type metrics struct {
	transports      [len(transportNames)]transportCounts
	upgrades        atomic.Int64
	upgradeFailures [len(upgradeFailureNames)]atomic.Int64
	refusals        [len(refusalNames)]atomic.Int64
	// The last one counts all reasons that are not told apart.
	disconnects [len(disconnectReasons) + 1]atomic.Int64
	heartbeats  measure.Histogram

	slowClients, volatileDropped atomic.Int64
	// slowedDown is how often [LimitBytes] was met.
	slowedDown atomic.Int64
}

type transportCounts struct {
	// revisions are in the order of revisionsCounted.
	revisions            [len(revisionsCounted)]revisionCounts
	received             measure.Counter
	flushMessages        measure.Histogram
	queuedBytes          measure.Histogram
	deliveries, sentSize atomic.Int64
}

type revisionCounts struct{ open, handshakes atomic.Int64 }

// revisionsCounted are the revisions, in the order they are counted in.
var revisionsCounted = [...]Revision{Revision4, Revision3}

func (c *transportCounts) of(r Revision) *revisionCounts {
	return &c.revisions[max(slices.Index(revisionsCounted[:], r), 0)]
}

func (m *metrics) on(t Transport) *transportCounts {
	return &m.transports[max(slices.Index(transportNames[:], t), 0)]
}

// opened counts a session that begins.
func (m *metrics) opened(t Transport, r Revision) {
	counts := m.on(t).of(r)
	counts.handshakes.Add(1)
	counts.open.Add(1)
}

// upgraded counts a session that moves to WebSocket.
func (m *metrics) upgraded(r Revision) {
	m.upgrades.Add(1)
	m.on(Polling).of(r).open.Add(-1)
	m.on(WebSocket).of(r).open.Add(1)
}

// closed counts a session that is over.
func (m *metrics) closed(t Transport, r Revision, reason Reason) {
	m.on(t).of(r).open.Add(-1)
	i := slices.Index(disconnectReasons[:], reason)
	if i < 0 {
		i = len(disconnectReasons)
	}
	m.disconnects[i].Add(1)
}

// ofRevisions returns what is counted for each revision; what is known of revision 3 only if it may be
// spoken, or has been.
func (c *transportCounts) ofRevisions(with3 bool) (counts []RevisionMetrics) {
	for i, r := range revisionsCounted {
		handshakes, open := c.revisions[i].handshakes.Load(), c.revisions[i].open.Load()
		if r != Revision3 || with3 || handshakes != 0 || open != 0 {
			counts = append(counts, RevisionMetrics{Revision: r, Open: open, Handshakes: handshakes})
		}
	}
	return counts
}

// received counts what came from a client.
func (m *metrics) received(t Transport, sid string, size int) {
	if size > 0 {
		m.on(t).received.Add(sid[0], int64(size))
	}
}

// flushed counts what was not written by the flush workers.
func (m *metrics) flushed(t Transport, f flushed) {
	counts := m.on(t)
	if f.messages > 0 {
		counts.flushMessages.Observe(measure.Items, int64(f.messages))
		counts.queuedBytes.Observe(measure.Bytes, int64(f.queued))
		counts.deliveries.Add(int64(f.deliveries))
	}
	counts.sentSize.Add(int64(f.sent))
}

// disconnectReasons are the reasons that are told apart.
var disconnectReasons = [...]Reason{
	ReasonPingTimeout, ReasonParseError, ReasonTransportError, ReasonTransportClose, ReasonForcedClose, ReasonSlowClient, ReasonStuckClient,
	ReasonTooLarge, ReasonRateLimit, ReasonIncomplete, ReasonOriginRevoked, ReasonHubRemoved, ReasonShutdown,
	ReasonAuthUnavailable, ReasonAuthExpired, ReasonFrontChanged,
}

// upgradeFailure says why an upgrade came to nothing.
type upgradeFailure uint8

const (
	// upgradeRefused is a request that could not be answered with an upgrade.
	upgradeRefused upgradeFailure = iota
	// upgradeTimedOut is a client that did not confirm in time.
	upgradeTimedOut
	// upgradeSessionOver is a session that ended meanwhile.
	upgradeSessionOver
	// upgradeAborted is a client that gave up, or that did not keep to the
	// protocol.
	upgradeAborted
)

var upgradeFailureNames = [...]string{"refused", "timeout", "session_over", "aborted"}

// whyNotUpgraded tells why an upgrade has failed that had begun. inTime says
// that the time for it was not over.
func (s *Session) whyNotUpgraded(inTime bool) upgradeFailure {
	switch {
	case !s.isOpen():
		return upgradeSessionOver
	case !inTime:
		return upgradeTimedOut
	default:
		return upgradeAborted
	}
}

func (m *metrics) upgradeFailed(why upgradeFailure) { m.upgradeFailures[why].Add(1) }

func (m *metrics) refused(e *RequestError) { m.refusals[e.countAs()].Add(1) }

// CountRefusal counts a request that was refused with a code of the protocol
// before it came here, by whoever is in front.
func (s *Server) CountRefusal(code ErrorCode) { s.metrics.refused(refuse(code, "")) }

// Metrics returns what the server has counted.
func (s *Server) Metrics() Metrics {
	m := &s.metrics
	all := Metrics{
		Sessions:        s.Sessions(),
		BufferedBytes:   s.budget.bytes(),
		KeptBytes:       s.received.bytes(),
		SlowClients:     m.slowClients.Load(),
		VolatileDropped: m.volatileDropped.Load(),
		Upgrades:        m.upgrades.Load(),
		Limited: ReasonCounts{
			{string(LimitConnections), s.callers.connections.Load()},
			{string(LimitHalfOpen), s.callers.halfOpen.Load()},
			{string(LimitHandshakes), s.callers.handshakes.Load()},
			{string(LimitBytes), m.slowedDown.Load()},
		},
		HeartbeatLatency: m.heartbeats.Distribution(measure.Latencies),
	}
	for i, t := range transportNames {
		counts := &m.transports[i]
		all.Transports = append(all.Transports, TransportMetrics{
			Transport:     t,
			Revisions:     counts.ofRevisions(s.options.Load().AllowRevision3),
			ReceivedBytes: counts.received.Load(),
			SentBytes:     counts.sentSize.Load(),
			Deliveries:    counts.deliveries.Load(),
			FlushMessages: counts.flushMessages.Distribution(measure.Items),
			QueuedBytes:   counts.queuedBytes.Distribution(measure.Bytes),
		})
		if t == WebSocket {
			s.flusher.addTo(&all.Transports[i])
			s.readers.addTo(&all.Transports[i])
		}
	}
	for i := range m.upgradeFailures {
		all.UpgradeFailures = append(all.UpgradeFailures, ReasonCount{upgradeFailureNames[i], m.upgradeFailures[i].Load()})
	}
	for i := causeUnknownTransport; int(i) < len(refusalNames); i++ {
		all.Refusals = append(all.Refusals, ReasonCount{refusalNames[i], m.refusals[i].Load()})
	}
	for i := range m.disconnects {
		reason := "other"
		if i < len(disconnectReasons) {
			reason = strings.ReplaceAll(string(disconnectReasons[i]), " ", "_")
		}
		all.Disconnects = append(all.Disconnects, ReasonCount{reason, m.disconnects[i].Load()})
	}
	return all
}
