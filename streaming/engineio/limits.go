package engineio

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Limits bound what one client, or one address, may take of the server. The
// zero value bounds nothing. They are looked at when something is counted: new
// ones hold for sessions that are there, too.
//
// An address is an IPv4 address, or the first 64 bits of an IPv6 address: that
// is what one customer of a provider has at least. All clients without an IP
// address, such as those on a Unix socket, count as one address.
type Limits struct {
	// Connections is how many sessions one address may have open.
	Connections int
	// HalfOpen is how many of them may be waiting for [Session.Settle].
	HalfOpen int
	// Handshakes is how many sessions one address may begin.
	Handshakes *Rate
	// Bytes is how many bytes one session may send, inflated where they came
	// compressed. One that sends more is not read from for as long as it takes
	// to make up for it, so that nothing is lost and TCP slows it down.
	Bytes *Rate
	// Exempt are the addresses these limits do not hold for, see
	// [ClientAddr.NotExempt].
	Exempt []netip.Prefix
}

// Limit names one of the limits.
type Limit string

// The limits, by the names that counters and logs have for them.
const (
	LimitConnections Limit = "connections_per_ip"
	LimitHalfOpen    Limit = "half_open_per_ip"
	LimitHandshakes  Limit = "handshakes_per_ip"
	LimitBytes       Limit = "bytes_per_socket"
)

// addressKey stands for an address in the table of callers.
type addressKey uint64

// noAddressKey stands for all addresses that cannot be read. It is no IPv4 address,
// and the network 0:1::/64 is reserved.
const noAddressKey addressKey = 1 << 32

// keyOf returns what stands for a client's address. limited is false when the address
// is exempt.
func (l *Limits) keyOf(client ClientAddr) (key addressKey, limited bool) {
	address, ok := parseAddress(client.Addr)
	if !ok {
		return noAddressKey, true
	}
	if !client.NotExempt && slices.ContainsFunc(l.Exempt, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return 0, false
	}
	return keyOfNetwork(networkOf(address)), true
}

func parseAddress(remote string) (address netip.Addr, ok bool) {
	remote, _, _ = strings.Cut(remote, "%") // the zone of a link-local address
	address, err := netip.ParseAddr(remote)
	return address.Unmap(), err == nil
}

// networkBits is how much of an IPv6 address one customer of a provider has at least.
const networkBits = 64

// networkOf returns what counts as one address, see [Limits].
func networkOf(address netip.Addr) netip.Prefix {
	network, _ := address.Prefix(min(networkBits, address.BitLen()))
	return network
}

// Address is what counts as one address of clients wherever something is shared among them:
// an IPv4 address, or the first 64 bits of an IPv6 address. The zero value stands for all that
// cannot be read.
func (h *Handshake) Address() netip.Prefix {
	address, _ := parseAddress(h.RemoteAddr)
	return networkOf(address)
}

func keyOfNetwork(network netip.Prefix) addressKey {
	address := network.Addr()
	if address.Is4() {
		// No host has an address that begins with so many zeros: 0000::/8 is
		// reserved, so this is never the beginning of an IPv6 address.
		whole := address.As4()
		return addressKey(binary.BigEndian.Uint32(whole[:]))
	}
	whole := address.As16()
	return addressKey(binary.BigEndian.Uint64(whole[:]))
}

// take makes the session count among those of its address in place of the visit. The
// session has not begun yet.
func (s *Session) take(v *visit) {
	v.stays = true
	s.limited, s.halfOpen = v.limited, v.limited
}

// Limited reports whether limits hold for the session: the address of its client is
// not exempt. Package streaming asks, since that holds for its own limits, too.
func (s *Session) Limited() bool { return s.limited }

// Clock is the time since the server was made, in nanoseconds. Package streaming
// measures the rates of its own limits by it.
func (s *Session) Clock() int64 { return s.server.clock() }

// Settle says that the client has done what it came for, such as to connect to a
// namespace. Until then its session is half-open, see [Limits.HalfOpen]. Only the
// first call does anything.
func (s *Session) Settle() {
	s.mu.Lock()
	settles := s.halfOpen && s.machine.life == lifeOpen
	if settles {
		s.halfOpen = false
	}
	s.mu.Unlock()
	if settles {
		s.server.callers.settle(s.addressKey())
	}
}

// leaveCallers makes the session, which is over, no longer count among those of its
// address. It is called once.
func (s *Session) leaveCallers() {
	if !s.limited {
		return
	}
	s.mu.Lock()
	halfOpen := s.halfOpen
	s.mu.Unlock()
	s.server.callers.leave(s.addressKey(), halfOpen)
}

// addressKey returns what stands for the client's address. It is not kept, since it
// is needed only twice in the life of a session.
func (s *Session) addressKey() addressKey {
	address, ok := parseAddress(s.handshake.RemoteAddr)
	if !ok {
		return noAddressKey
	}
	return keyOfNetwork(networkOf(address))
}
