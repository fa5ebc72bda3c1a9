package streaming

import (
	"errors"
	"log/slog"
	"slices"
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
// client has been let into.
func (c *client) Describe() []slog.Attr {
	c.mu.Lock()
	been := c.been
	c.mu.Unlock()
	return []slog.Attr{slog.Any("namespaces", c.server.namespaceBits.list(been))}
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
// are the namespaces there are.
func newRefusals(logger *slog.Logger) *logline.Limiter {
	return logline.NewLimiter(func(namespace string, more int64) {
		logger.Warn("more connections to a namespace refused", "namespace", namespace, "count", more)
	})
}

// logRefused says that a client was not let into a namespace. n is nil when
// there is none of that name.
func (c *client) logRefused(n *Namespace, name string, err error) {
	kind := unknownNamespace
	if n != nil {
		kind = n.name
	}
	if c.server.refusals.Allow(kind) {
		c.server.logger.Warn("connection to a namespace refused",
			"namespace", logline.Text(name, maxLoggedNamespace), "error", logline.Text(err.Error(), maxLoggedError),
			"connection", c.session.LogID(), "remote", c.session.Handshake().RemoteAddr)
	}
}
