package engineio

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// ConnectionLog says of which sessions the start and the end are logged.
type ConnectionLog uint8

const (
	// LogSampled logs up to 100 sessions a second, the start and the end of
	// each. The others are counted, and every 10 s a line says how many they
	// were. It is the default: when all clients of a server come back at once,
	// there are not as many lines as clients.
	LogSampled ConnectionLog = iota
	// LogAll logs every session.
	LogAll
	// LogFaults logs no start, and only the ends that are a client's fault.
	LogFaults
)

const (
	// startsPerSecond is how many sessions are logged of those that begin
	// within one second.
	startsPerSecond = 100
	// maxLoggedAgent bounds what is logged of a User-Agent, in bytes.
	maxLoggedAgent = 160
)

// Describer is a [Listener] that has something to add to the line at the end
// of its session. Describe may be called before Close is, and after it.
type Describer interface {
	Describe() []slog.Attr
}

// LogID names the session in log lines, so that its start and its end can be
// told to belong together. It is a hash of the ID under a key of this process.
// A part of the ID itself would take from what an attacker has to guess; this
// tells nothing about it.
func (s *Session) LogID() string {
	const bits = 48
	sum := maphash.String(s.server.connections.seed, s.id) >> (64 - bits)
	// The leading one keeps the width.
	return strconv.FormatUint(sum|1<<bits, 16)[1:]
}

// connectionLog is what a server logs of its sessions' starts and ends.
//
// When the line of a start is left out, that of the end is, too: a sampler of the
// logger could not do that.
type connectionLog struct {
	logger *slog.Logger
	seed   maphash.Seed
	// faults limits the lines about ends that are a client's fault, for sessions whose
	// start was not logged.
	faults *logline.Limiter

	mu     sync.Mutex
	second time.Time // the beginning of the second that logged counts for
	logged int
	// started and ended count the sessions that were left out.
	started, ended int64
	// timer calls summarise. It is nil while nothing is counted.
	timer *time.Timer
}

func newConnectionLog(logger *slog.Logger) *connectionLog {
	return &connectionLog{
		logger: logger,
		seed:   maphash.MakeSeed(),
		faults: logline.NewLimiter(func(reason string, more int64) {
			logger.Warn("more connections ended", "reason", reason, "count", more)
		}),
	}
}

// begin logs the start of a session, or decides to log neither its start nor
// its end.
func (l *connectionLog) begin(s *Session) {
	if !l.logger.Enabled(context.Background(), slog.LevelInfo) || !l.wants(s.options.LogConnections) {
		return
	}
	s.logged = true
	l.logger.LogAttrs(context.Background(), slog.LevelInfo, "connection started",
		slog.String("connection", s.LogID()),
		slog.String("transport", string(s.Transport())),
		slog.String("client_ip", s.handshake.RemoteAddr),
		slog.Bool("tls", s.handshake.Secure),
		slog.String("user_agent", logline.Text(s.handshake.Header.Get("User-Agent"), maxLoggedAgent)))
}

// wants reports whether one more session is to be logged, and counts it if it is
// not.
func (l *connectionLog) wants(mode ConnectionLog) bool {
	switch mode {
	case LogAll:
		return true
	case LogFaults:
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.second) >= time.Second {
		l.second, l.logged = now, 0
	}
	if l.logged < startsPerSecond {
		l.logged++
		return true
	}
	l.started++
	l.summariseLocked()
	return false
}

// end logs the end of a session. It is called once for each, when all that
// was written to it has been counted.
func (l *connectionLog) end(s *Session) {
	s.mu.Lock()
	reason, transport, upgraded, logged, traffic := s.reason, s.machine.transport(), s.machine.upgrade == upgradeDone, s.logged, s.traffic
	forOthers := s.forOthers
	s.mu.Unlock()

	level := slog.LevelInfo
	switch reason {
	case ReasonSlowClient, ReasonStuckClient, ReasonTooLarge, ReasonParseError, ReasonRateLimit, ReasonIncomplete:
		level = slog.LevelWarn
	}
	if !logged && !l.wantsEnd(level, reason, s.options.LogConnections) {
		return
	}
	if !l.logger.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("connection", s.LogID()),
		slog.String("reason", string(reason)),
		slog.Duration("duration", time.Since(s.handshake.Time)),
		slog.String("transport", string(transport)),
		slog.Bool("upgraded", upgraded),
		slog.Int64("bytes_in", traffic.BytesIn),
		slog.Int64("bytes_out", traffic.BytesOut),
		slog.Int64("messages_in", traffic.MessagesIn),
		slog.Int64("messages_out", traffic.MessagesOut),
		slog.String("client_ip", s.handshake.RemoteAddr),
		slog.String("user_agent", logline.Text(s.handshake.Header.Get("User-Agent"), maxLoggedAgent)),
	}
	if limit := limitOf(reason, forOthers); limit != "" {
		attrs = append(attrs, slog.String("limit", limit))
	}
	if describer, ok := s.listener.(Describer); ok {
		attrs = append(attrs, describer.Describe()...)
	}
	l.logger.LogAttrs(context.Background(), level, "connection ended", attrs...)
}

// limitOf names the option that has ended a session.
func limitOf(reason Reason, forOthers bool) string {
	switch {
	case reason == ReasonStuckClient:
		return "write_timeout"
	case forOthers:
		return "hub_buffer"
	case reason == ReasonSlowClient:
		return "send_buffer"
	default:
		return ""
	}
}

// wantsEnd reports whether the end of a session whose start was not logged is
// to be logged, and counts it if not.
func (l *connectionLog) wantsEnd(level slog.Level, reason Reason, mode ConnectionLog) bool {
	if level >= slog.LevelWarn {
		return l.faults.Allow(string(reason))
	}
	if mode == LogSampled && l.logger.Enabled(context.Background(), slog.LevelInfo) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ended++
		l.summariseLocked()
	}
	return false
}

// summariseLocked makes the counts be logged soon.
func (l *connectionLog) summariseLocked() {
	if l.timer == nil {
		l.timer = time.AfterFunc(logline.Interval, l.summarise)
	}
}

// summarise logs how many sessions were left out.
func (l *connectionLog) summarise() {
	l.mu.Lock()
	started, ended := l.started, l.ended
	l.started, l.ended = 0, 0
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.mu.Unlock()
	if started+ended > 0 {
		l.logger.Info("more connections", "started", started, "ended", ended)
	}
}

// flush logs what is counted so far.
func (l *connectionLog) flush() {
	l.summarise()
	l.faults.Flush()
}
