package streaming

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
)

// mostKicked bounds of how many clients of a namespace that are away it is known that they were kicked.
const mostKicked = 1000

// kicked knows the clients whose sockets were kicked while they waited for them: they hear of it when they
// come back. Each is named by what it shows to be recovered.
type kicked struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// add notes a client that has until some time to come back. If there are too many, the one that has the least
// time left comes back as if it had waited for too long.
func (k *kicked) add(pid string, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.until == nil {
		k.until = make(map[string]time.Time)
	}
	k.until[pid] = until
	if len(k.until) <= mostKicked {
		return
	}
	now, first := time.Now(), pid
	for pid, until := range k.until {
		if until.Before(now) {
			delete(k.until, pid)
		} else if until.Before(k.until[first]) {
			first = pid
		}
	}
	if len(k.until) > mostKicked {
		delete(k.until, first)
	}
}

// take reports whether a client that has come back was kicked, for the first time that it comes back.
func (k *kicked) take(pid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	until, ok := k.until[pid]
	delete(k.until, pid)
	return ok && time.Now().Before(until)
}

// forget has the authenticator forget a client, which has an ID if it is known.
func (n *Namespace) forget(id string) {
	if a, ok := n.handlers.Load().authenticator.(Forgetter); ok && id != "" {
		a.Forget(id)
	}
}

// newKicks returns the limit for lines about clients that were kicked, whose kinds are namespaces.
func newKicks(logger *slog.Logger) *logline.Limiter {
	return logline.NewLimiter(func(namespace string, more int64) {
		logger.Info("more clients kicked", "namespace", namespace, "count", more)
	})
}

// logKick logs that a client is kicked.
func (s *Socket) logKick() {
	server, c := s.namespace.server, s.client()
	if !server.kicks.Allow(s.namespace.name) {
		return
	}
	server.logger.Info("client kicked", "namespace", s.namespace.name, "identity", logline.Text(s.identityID(), maxLoggedIdentity),
		"connection", c.session.LogID(), "client_ip", c.session.Handshake().RemoteAddr)
}
