package streaming

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// namespaceBits gives each namespace's name a bit, so that a client can
// remember in one word where it has been. The name keeps its bit when the
// namespace is removed: clients that were there may go on.
type namespaceBits struct {
	mu    sync.Mutex
	names []string
}

// overflow is the bit that is shared by the names for which there is none left.
const overflow = 63

// of returns the bit of a name.
func (b *namespaceBits) of(name string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.names, name)
	if i < 0 {
		if len(b.names) == overflow {
			return 1 << overflow
		}
		i = len(b.names)
		b.names = append(b.names, name)
	}
	return 1 << i
}

// list returns the names whose bits are set.
func (b *namespaceBits) list(set uint64) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := []string{}
	for i, name := range b.names {
		if set&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if set&(1<<overflow) != 0 {
		names = append(names, "others")
	}
	return names
}

// Describe implements engineio.Describer: it adds the namespaces that the
// client has been let into, who it is, and the limit that has ended it.
func (c *client) Describe() []slog.Attr {
	c.mu.Lock()
	been, who, endedBy := c.been, c.who, c.endedBy
	c.mu.Unlock()
	attrs := []slog.Attr{slog.Any("namespaces", c.server.namespaceBits.list(been))}
	if who != nil {
		attrs = append(attrs, slog.String("identity", logline.Text(who.ID, maxLoggedIdentity)))
	}
	return append(attrs, endedBy.attrs()...)
}

var errNoNamespace = errors.New("there is no namespace of that name")

// What is logged of a namespace that a client asks for, and of the error it is
// refused with, which may quote it, in bytes.
const (
	maxLoggedNamespace = 64
	maxLoggedError     = 256
)

// unknownNamespace is the kind of refusals that have no namespace.
const unknownNamespace = ""

// newRefusals returns the limit for lines about refused namespaces, whose kinds
// are the namespaces there are, each by itself and with a code of [Refusal].
func newRefusals(logger *slog.Logger) *logline.Limiter {
	return logline.NewLimiter(func(kind string, more int64) {
		namespace, code, coded := strings.Cut(kind, codeSeparator)
		attrs := []any{"namespace", namespace, "count", more}
		if coded {
			attrs = append(attrs, "code", code)
		}
		logger.Warn("more connections to a namespace refused", attrs...)
	})
}

// codeSeparator stands before the code in the kinds of refusals that have one.
const codeSeparator = "\n"

// logRefused says that a client was not let into a namespace. n is nil when
// there is none of that name.
func (c *client) logRefused(n *Namespace, name string, err error) {
	kind, reason := unknownNamespace, err.Error()
	if n != nil {
		kind = n.name
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		kind += codeSeparator + refusal.Code
		reason = refusal.Reason
	}
	if !c.server.refusals.Allow(kind) {
		return
	}
	attrs := []any{"namespace", logline.Text(name, maxLoggedNamespace), "error", logline.Text(reason, maxLoggedError),
		"connection", c.session.LogID(), "client_ip", c.session.Handshake().RemoteAddr}
	if refusal != nil {
		attrs = append(attrs, "code", refusal.Code)
	}
	c.server.logger.Warn("connection to a namespace refused", attrs...)
}
