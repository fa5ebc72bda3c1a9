package engineio

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// callers is what is known of the addresses that clients come from. It holds
// callerShards times callersPerShard addresses, which take about 5 MB. From then
// on it forgets one address for each new one: one that has no open session, or
// else one that has few. Addresses with many are remembered, so that it does not
// help an attacker to come from very many addresses.
type callers struct {
	seed   maphash.Seed
	shards [callerShards]callerShard

	connections, halfOpen, handshakes atomic.Int64
}

const (
	callerShards    = 64
	callersPerShard = 768
	// callerSample is how many entries are looked at to find one to forget.
	callerSample = 8
	// callerTidy is how many entries are looked at for each that is added. Those that
	// are like new ones are removed, so that they do not fill the table.
	callerTidy = 2
)

type callerShard struct {
	mu      sync.Mutex
	entries map[addressKey]caller
	_       [48]byte // a cache line each
}

// caller is one address.
type caller struct {
	handshakes     pace.Bucket
	open, halfOpen int32
}

func newCallers() *callers {
	c := &callers{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].entries = make(map[addressKey]caller)
	}
	return c
}

func (c *callers) shard(key addressKey) *callerShard {
	return &c.shards[maphash.Comparable(c.seed, key)%callerShards]
}

// visit is a handshake under way. It counts among the sessions of its address.
type visit struct {
	callers *callers
	key     addressKey
	// limited is false for an address that the limits do not hold for.
	limited bool
	// stays is true once a session counts in place of the visit.
	stays bool
}

// end ends a visit from which no session has come.
func (v *visit) end() {
	if v.limited && !v.stays {
		v.callers.leave(v.key, true)
	}
}

// enter lets a handshake in, or says which limit it is over.
func (c *callers) enter(client ClientAddr, l *Limits, now int64) (visit, *RequestError) {
	key, limited := l.keyOf(client)
	v := visit{callers: c, key: key, limited: limited}
	if !limited {
		return v, nil
	}
	shard := c.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	entry, known := shard.entries[key]
	switch {
	case l.Connections > 0 && int(entry.open) >= l.Connections:
		c.connections.Add(1)
		return v, refuseLimit(key, LimitConnections, defaultRetry)
	case l.HalfOpen > 0 && int(entry.halfOpen) >= l.HalfOpen:
		c.halfOpen.Add(1)
		return v, refuseLimit(key, LimitHalfOpen, defaultRetry)
	case l.Handshakes != nil && !entry.handshakes.Take(l.Handshakes.pace(), now):
		c.handshakes.Add(1)
		// The wait is until there is a token: the next try before that is refused.
		return v, refuseLimit(key, LimitHandshakes, entry.handshakes.Wait(l.Handshakes.pace(), now))
	}
	if !known {
		shard.makeRoom(l, now)
	}
	entry.open++
	entry.halfOpen++
	shard.entries[key] = entry
	return v, nil
}

// settle says that a session of an address is no longer half-open.
func (c *callers) settle(key addressKey) { c.change(key, 0, 1) }

// leave says that a session of an address is over.
func (c *callers) leave(key addressKey, halfOpen bool) {
	if halfOpen {
		c.change(key, 1, 1)
	} else {
		c.change(key, 1, 0)
	}
}

// change lowers the counts of an address, unless it was forgotten meanwhile.
func (c *callers) change(key addressKey, open, halfOpen int32) {
	shard := c.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	entry, known := shard.entries[key]
	if !known {
		return
	}
	entry.open = max(entry.open-open, 0)
	entry.halfOpen = max(entry.halfOpen-halfOpen, 0)
	shard.entries[key] = entry
}

// makeRoom makes sure that one more entry has a place. The order in which a map
// is walked is random enough for a sample.
func (s *callerShard) makeRoom(l *Limits, now int64) {
	full := len(s.entries) >= callersPerShard
	sample := callerTidy
	if full {
		sample = callerSample
	}
	var least addressKey
	var weight int64 = -1
	for key, entry := range s.entries {
		if w := entry.weight(l, now); w == 0 {
			delete(s.entries, key)
			full = false
		} else if weight < 0 || w < weight {
			least, weight = key, w
		}
		if sample--; sample == 0 {
			break
		}
	}
	if full {
		delete(s.entries, least)
	}
}

// weight is how much is lost with an entry. It is zero for an entry that is like a
// new one.
func (e caller) weight(l *Limits, now int64) int64 {
	weight := int64(e.open) << 1
	if l.Handshakes != nil && !e.handshakes.Full(l.Handshakes.pace(), now) {
		weight++
	}
	return weight
}

// size is how many addresses are known.
func (c *callers) size() (size int) {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.mu.Lock()
		size += len(shard.entries)
		shard.mu.Unlock()
	}
	return size
}

// defaultRetry is when a client is told to come back where it is not known when
// there will be room.
const defaultRetry = 5 * time.Second

// limitReasons say for the log which limit a refused handshake was over.
var limitReasons = map[Limit]string{
	LimitConnections: "the address has as many connections as connections_per_ip allows",
	LimitHalfOpen:    "the address has as many connections that join no namespace as half_open_per_ip allows",
	LimitHandshakes:  "the address connects more often than handshakes_per_ip allows",
}

// refuseLimit refuses a handshake that is over a limit of its address.
func refuseLimit(key addressKey, limit Limit, retry time.Duration) *RequestError {
	remedy := "; if it is that of a proxy, name it in trusted_proxies"
	if key == noAddressKey {
		remedy = "; it stands for all clients without one: name the proxies in trusted_proxies, or set trusted_proxies_unix"
	}
	return &RequestError{
		Status: http.StatusTooManyRequests, Code: CodeForbidden, Limit: limit,
		Reason:     limitReasons[limit] + remedy,
		retryAfter: max(retry.Truncate(time.Second)+time.Second, time.Second),
	}
}
