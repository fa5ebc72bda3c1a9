package streaming

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// eventCodes are the codes with which the server itself refuses events. They are counted from the
// start, so that the first refusal shows as one more.
var eventCodes = [...]string{
	CodeForbidden, CodeUnknownEvent, CodeReservedEvent, CodeInvalidPayload, CodeRateLimited, CodeTooManyRooms,
	CodeInternalError, codeOther,
}

// codeOther stands for the codes that are not told apart: those of more than maxCodes, and those that
// do not look like one.
const (
	codeOther = "other"
	maxCodes  = 64
)

// refusedEvents are the counts of events that were refused, by code. The zero value is ready to use.
type refusedEvents struct {
	mu     sync.RWMutex
	counts map[string]*atomic.Int64
}

// add counts an event that was refused with a code.
func (r *refusedEvents) add(code string) {
	r.mu.RLock()
	count := r.counts[code]
	r.mu.RUnlock()
	if count == nil {
		count = r.begin(code)
	}
	count.Add(1)
}

// begin returns the count of a code that has none yet.
func (r *refusedEvents) begin(code string) *atomic.Int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[string]*atomic.Int64)
		for _, known := range eventCodes {
			r.counts[known] = new(atomic.Int64)
		}
	}
	if r.counts[code] == nil {
		if len(r.counts) >= maxCodes || !isCode(code) {
			return r.counts[codeOther]
		}
		r.counts[code] = new(atomic.Int64)
	}
	return r.counts[code]
}

// isCode reports whether a text is fit to be the label of a metric.
func isCode(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// list returns the counts, by code.
func (r *refusedEvents) list() (counts engineio.ReasonCounts) {
	r.begin(codeOther)
	r.mu.RLock()
	defer r.mu.RUnlock()
	for code, count := range r.counts {
		counts = append(counts, engineio.ReasonCount{Reason: code, Count: count.Load()})
	}
	slices.SortFunc(counts, func(a, b engineio.ReasonCount) int { return cmp.Compare(a.Reason, b.Reason) })
	return counts
}

// newEventLimit returns the limit for lines at a level about events that were refused, whose kinds are
// namespaces with a code.
func newEventLimit(logger *slog.Logger, level slog.Level) *logline.Limiter {
	return logline.NewLimiter(func(kind string, more int64) {
		namespace, code, _ := strings.Cut(kind, codeSeparator)
		logger.Log(context.Background(), level, "more events refused", "namespace", namespace, "code", code, "count", more)
	})
}

// noteRefused counts an event that was not accepted, and logs it: as a warning where that is because
// of who the client is, and else at debug level, since any client can bring that about.
func (s *Socket) noteRefused(e *Event, refusal *EventError) {
	s.namespace.counts.refusedEvents.add(refusal.Code)
	c, level, limit := s.client(), slog.LevelDebug, s.namespace.server.auth.refused
	if refusal.Code == CodeForbidden || refusal.why != "" {
		level, limit = slog.LevelWarn, s.namespace.server.auth.forbidden
	}
	logger := c.server.logger
	if !logger.Enabled(context.Background(), level) || !limit.Allow(s.namespace.name+codeSeparator+refusal.Code) {
		return
	}
	logger.Log(context.Background(), level, "event refused", "namespace", s.namespace.name,
		"event", logline.Text(e.Name, maxLoggedEvent), "code", logline.Text(refusal.Code, maxLoggedEvent),
		"error", logline.Text(cmp.Or(refusal.why, refusal.Message), maxLoggedError),
		"identity", logline.Text(s.identityID(), maxLoggedIdentity),
		"connection", c.session.LogID(), "client_ip", c.session.Handshake().RemoteAddr)
}
