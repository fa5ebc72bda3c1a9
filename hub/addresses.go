package hub

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/clientaddr"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// addresses finds out where the clients of a hub come from, and says once in a while that an
// address exempts nobody.
type addresses struct {
	logger *slog.Logger
	// finder is find, which each request takes along.
	finder func(*http.Request) engineio.ClientAddr
	// exempt are the exempt addresses of the plan in force.
	exempt atomic.Pointer[[]netip.Prefix]

	mu sync.Mutex
	// told is when each kind of doubt was last logged.
	told map[clientaddr.Doubt]time.Time
}

// doubtInterval is how often a kind of doubt is logged. Everything that a proxy forwards has it.
const doubtInterval = 10 * time.Minute

func newAddresses(logger *slog.Logger) *addresses {
	a := &addresses{logger: logger, told: make(map[clientaddr.Doubt]time.Time)}
	a.finder = a.find
	return a
}

// use takes over which addresses a plan exempts.
func (a *addresses) use(p *Plan) { a.exempt.Store(&p.Server.Engine.Limits.Exempt) }

// find returns where the first request of a session comes from.
func (a *addresses) find(r *http.Request) engineio.ClientAddr {
	client := clientaddr.Of(r)
	a.doubt(client, *a.exempt.Load())
	return engineio.ClientAddr{Addr: client.String(), NotExempt: client.Doubt != ""}
}

// doubt logs that an address which is in an allow-list exempts its client from nothing, if that is
// so.
func (a *addresses) doubt(client clientaddr.Client, allow []netip.Prefix) {
	if client.Doubt == "" || !client.In(allow) || !a.isNews(client.Doubt) {
		return
	}
	a.logger.Warn("an allowed address is not let off, as its client may be another",
		"address", client.String(), "reason", string(client.Doubt), "remedy", client.Doubt.Remedy())
}

func (a *addresses) isNews(doubt clientaddr.Doubt) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if last, ok := a.told[doubt]; ok && now.Sub(last) < doubtInterval {
		return false
	}
	a.told[doubt] = now
	return true
}
