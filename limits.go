package socketiostream

import (
	"math"
	"net/netip"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Limits bound what one client, or all clients of one IP address, may take of the hub. They are on
// by default, at values that a company or a school behind one address does not reach. New ones hold
// at once, for clients that are connected, too. Behind proxies the client's address is the last one
// in X-Forwarded-For that is not in the server's trusted_proxies; of an IPv6 address the first 64
// bits count. All clients whose address cannot be read count as one address.
//
// The rates and the limits by address do not hold for addresses in Allow; the others, which bound
// what is kept for a client, hold for everyone.
type Limits struct {
	// ConnectionsPerIP is how many connections one address may have. Zero means no limit. Default:
	// 5000.
	ConnectionsPerIP *int `json:"connections_per_ip,omitempty"`

	// HalfOpenPerIP is how many of them may be those of clients that have joined no namespace yet.
	// Zero means no limit. Default: 1000.
	HalfOpenPerIP *int `json:"half_open_per_ip,omitempty"`

	// HandshakesPerIP is how often clients of one address may connect. Default: 100 in a second,
	// and 1000 at once.
	HandshakesPerIP *option.Rate `json:"handshakes_per_ip,omitempty"`

	// EventsPerSocket is how many events one client may send; one that sends more is read from more
	// slowly, and is disconnected if it goes on for five minutes. Default: 500 in a second, and 2000
	// at once.
	EventsPerSocket *option.Rate `json:"events_per_socket,omitempty"`

	// BytesPerSocket is how many bytes one client may send; one that sends more is read from more
	// slowly. Default: 10000000 in a second, and 40000000 at once.
	BytesPerSocket *option.Rate `json:"bytes_per_socket,omitempty"`

	// RoomsPerSocket is how many rooms one client may be in, in one namespace. Zero means no limit.
	// Default: 1000.
	RoomsPerSocket *int `json:"rooms_per_socket,omitempty"`

	// NamespacesPerSocket is how many namespaces one client may be connected to. At least 1.
	// Default: 64.
	NamespacesPerSocket *int `json:"namespaces_per_socket,omitempty"`

	// PendingAcks is how many answers may be waited for from one client, in one namespace. Zero
	// means no limit. Default: 1000.
	PendingAcks *int `json:"pending_acks,omitempty"`

	// Attachments is how many binary attachments one packet may have, from 1 to 64. Default: 10.
	Attachments *int `json:"attachments,omitempty"`

	// Allow are the client addresses that may connect, and send, as much as they like, as CIDR or
	// single address; "none" stands for no address. An address that the client may have made up is
	// none of them: one that a proxy which is not in trusted_proxies has, or loopback that a proxy
	// has told. Default: loopback.
	Allow []string `json:"allow,omitempty"`

	// exempt is what Allow comes to.
	exempt []netip.Prefix
}

// The defaults. For what they are good, and for whom they are enough, see docs/limits.md.
const (
	defaultConnectionsPerIP = 5000
	defaultHalfOpenPerIP    = 1000
	defaultRoomsPerSocket   = 1000
	defaultPendingAcks      = 1000
)

var (
	defaultHandshakesPerIP = option.Rate{Amount: 100, Burst: 1000}
	defaultEventsPerSocket = option.Rate{Amount: 500, Burst: 2000}
	defaultBytesPerSocket  = option.Rate{Amount: 10_000_000, Burst: 40_000_000}
)

// limitsExempt are the addresses in Allow unless the config says otherwise.
var limitsExempt = []string{"127.0.0.0/8", "::1/128"}

// provision returns the limits with defaults filled in.
func (l *Limits) provision(t *option.Resolver) *Limits {
	if l == nil {
		l = new(Limits)
	}
	const most = math.MaxInt32
	t.Number("limits connections_per_ip", &l.ConnectionsPerIP, defaultConnectionsPerIP, 0, most)
	t.Number("limits half_open_per_ip", &l.HalfOpenPerIP, defaultHalfOpenPerIP, 0, most)
	option.CountRate.Provision(t, "limits handshakes_per_ip", &l.HandshakesPerIP, defaultHandshakesPerIP)
	option.CountRate.Provision(t, "limits events_per_socket", &l.EventsPerSocket, defaultEventsPerSocket)
	option.ByteRate.Provision(t, "limits bytes_per_socket", &l.BytesPerSocket, defaultBytesPerSocket)
	t.Number("limits rooms_per_socket", &l.RoomsPerSocket, defaultRoomsPerSocket, 0, most)
	t.Number("limits namespaces_per_socket", &l.NamespacesPerSocket, streaming.DefaultNamespaces, 1, most)
	t.Number("limits pending_acks", &l.PendingAcks, defaultPendingAcks, 0, most)
	t.Number("limits attachments", &l.Attachments, streaming.DefaultAttachments, 1, streaming.MaxAttachments)
	l.exempt = t.Prefixes("limits allow", &l.Allow, limitsExempt...)
	return l
}

// engine returns those limits that the Engine.IO server holds.
func (l *Limits) engine() engineio.Limits {
	return engineio.Limits{
		Connections: *l.ConnectionsPerIP, HalfOpen: *l.HalfOpenPerIP, Exempt: l.exempt,
		Handshakes: (*engineio.Rate)(l.HandshakesPerIP.Pace()), Bytes: (*engineio.Rate)(l.BytesPerSocket.Pace()),
	}
}

// streaming returns those limits that the Socket.IO server holds.
func (l *Limits) streaming() streaming.Limits {
	return streaming.Limits{
		Events: (*engineio.Rate)(l.EventsPerSocket.Pace()), Rooms: *l.RoomsPerSocket, Namespaces: *l.NamespacesPerSocket,
		PendingAcks: *l.PendingAcks, Attachments: *l.Attachments,
	}
}

func (l *Limits) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := option.BlockOnly(d, "limits"); err != nil {
		return err
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "connections_per_ip":
			l.ConnectionsPerIP, err = option.CountOrOff(d)
		case "half_open_per_ip":
			l.HalfOpenPerIP, err = option.CountOrOff(d)
		case "handshakes_per_ip":
			l.HandshakesPerIP, err = option.CountRate.Unmarshal(d)
		case "events_per_socket":
			l.EventsPerSocket, err = option.CountRate.Unmarshal(d)
		case "bytes_per_socket":
			l.BytesPerSocket, err = option.ByteRate.Unmarshal(d)
		case "rooms_per_socket":
			l.RoomsPerSocket, err = option.CountOrOff(d)
		case "namespaces_per_socket":
			l.NamespacesPerSocket, err = option.CountUpTo(d, math.MaxInt32)
		case "pending_acks":
			l.PendingAcks, err = option.CountOrOff(d)
		case "attachments":
			l.Attachments, err = option.CountUpTo(d, streaming.MaxAttachments)
		case "allow":
			l.Allow, err = option.Prefixes(d)
		default:
			err = option.Unknown(d, "limits", "connections_per_ip", "half_open_per_ip", "handshakes_per_ip", "events_per_socket",
				"bytes_per_socket", "rooms_per_socket", "namespaces_per_socket", "pending_acks", "attachments", "allow")
		}
		return err
	})
}
