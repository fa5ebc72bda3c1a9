package recovery

import (
	"net/netip"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/share"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// A client says itself what it has heard last, and may come back as often as it likes: a few bytes have
// many packets looked at, and sent once more. So a client is sent so many bytes in that way at once, and
// so many in each second from then on. An address is sent so many times as much.
const (
	returnBurst   = 8_000_000
	returnRate    = 1_000_000
	returnClients = 32
	// lookBytes is what each packet counts for that is looked at, in bytes.
	lookBytes = 16
)

// MayReturn reports whether a client from an address may go on with the session now: neither the client
// nor its address was sent too much of late because it came back.
func (s *Session) MayReturn(address netip.Prefix) bool {
	who, now := s.client(address), time.Now()
	sent := &s.log.store.sent
	return sent.WaitOwn(who, 0, now) == 0 && sent.WaitOthers(who, 0, now) == 0
}

// Returns counts what a client from an address is sent, and the packets that were looked at for it, which
// are those after a place.
func (s *Session) Returns(address netip.Prefix, after uint64, messages []*wire.Message) {
	s.log.store.mu.RLock()
	looked := min(int64(s.log.head.Load()-after), s.log.store.packets) //nolint:gosec // bounded by what is kept
	s.log.store.mu.RUnlock()
	size := looked * lookBytes
	for _, m := range messages {
		size += int64(m.Size())
	}
	who, now := s.client(address), time.Now()
	s.log.store.sent.WaitOwn(who, size, now)
	s.log.store.sent.WaitOthers(who, size, now)
}

// client is who comes back from an address.
func (s *Session) client(address netip.Prefix) share.Client {
	s.log.store.mu.RLock()
	defer s.log.store.mu.RUnlock()
	return share.Client{ID: s.who.ID, Address: address}
}
