package socketiostream

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Limits bound what one client, or all clients of one IP address, may take of the hub. They are on by default, at values
// that a company or a school behind one address does not reach. New ones hold at once, for clients that are connected,
// too. The client's address follows the server's trusted_proxies; of an IPv6 address the first 64 bits count.
//
// The rates and the limits by address do not hold for addresses in Allow; the others, which bound what is kept for a
// client, hold for everyone.
type Limits struct {
	// ConnectionsPerIP is how many connections one address may have. Zero means no limit. Default: 5000.
	ConnectionsPerIP *int `json:"connections_per_ip,omitempty"`

	// HalfOpenPerIP is how many of them may be those of clients that have joined no namespace yet. Zero means no limit.
	// Default: 1000.
	HalfOpenPerIP *int `json:"half_open_per_ip,omitempty"`

	// HandshakesPerIP is how often clients of one address may connect. Default: 100 in a second, and 1000 at once.
	HandshakesPerIP *RateLimit `json:"handshakes_per_ip,omitempty"`

	// EventsPerSocket is how many events one client may send; an event over it is refused, and a client that goes on is
	// disconnected. Default: 500 in a second, and 2000 at once.
	EventsPerSocket *RateLimit `json:"events_per_socket,omitempty"`

	// BytesPerSocket is how many bytes one client may send; one that sends more is read from more slowly. Default: 10000000
	// in a second, and 40000000 at once.
	BytesPerSocket *RateLimit `json:"bytes_per_socket,omitempty"`

	// RoomsPerSocket is how many rooms one client may be in, in one namespace. Zero means no limit. Default: 1000.
	RoomsPerSocket *int `json:"rooms_per_socket,omitempty"`

	// NamespacesPerSocket is how many namespaces one client may be connected to. At least 1. Default: 64.
	NamespacesPerSocket *int `json:"namespaces_per_socket,omitempty"`

	// PendingAcks is how many answers may be waited for from one client, in one namespace. Zero means no limit.
	// Default: 1000.
	PendingAcks *int `json:"pending_acks,omitempty"`

	// Attachments is how many binary attachments one packet may have, from 1 to 64. Default: 10.
	Attachments *int `json:"attachments,omitempty"`

	// Allow are the client addresses that may connect, and send, as much as they like, as CIDR or single address; "none"
	// stands for no address. Default: loopback.
	Allow []string `json:"allow,omitempty"`
}

// RateLimit is a token bucket.
type RateLimit struct {
	// Off lifts the limit. Default: false.
	Off bool `json:"off,omitempty"`

	// Amount is how much is let through in each Per, on average. Zero means the default of the limit, and then so does Per.
	Amount int64 `json:"amount,omitempty"`

	// Per is the time in which so much is let through. Zero means one second.
	Per caddy.Duration `json:"per,omitempty"`

	// Burst is how much may come at once after a time in which little came. Zero means twice Amount, or the limit's default
	// where Amount is the default, too.
	Burst int64 `json:"burst,omitempty"`
}

// The defaults. For what they are good, and for whom they are enough, see docs/limits.md.
const (
	defaultConnectionsPerIP = 5000
	defaultHalfOpenPerIP    = 1000
	defaultRoomsPerSocket   = 1000
	defaultPendingAcks      = 1000
)

var (
	defaultHandshakesPerIP = rateSettings{Amount: 100, Per: time.Second, Burst: 1000}
	defaultEventsPerSocket = rateSettings{Amount: 500, Per: time.Second, Burst: 2000}
	defaultBytesPerSocket  = rateSettings{Amount: 10_000_000, Per: time.Second, Burst: 40_000_000}
)

// limitsExempt are the addresses in Allow unless the config says otherwise.
var limitsExempt = []string{"127.0.0.0/8", "::1/128"}

// limitSettings are a Limits' options with defaults filled in. A rate that is nil, and a number that is zero, is no limit.
type limitSettings struct {
	connectionsPerIP    int
	halfOpenPerIP       int
	handshakesPerIP     *rateSettings
	eventsPerSocket     *rateSettings
	bytesPerSocket      *rateSettings
	roomsPerSocket      int
	namespacesPerSocket int
	pendingAcks         int
	attachments         int
	exempt              []netip.Prefix
}

type rateSettings engineio.Rate

func (l *Limits) resolve(t *option.Resolver) (s limitSettings, err error) {
	if l == nil {
		l = new(Limits)
	}
	s = limitSettings{
		connectionsPerIP:    valueOr(l.ConnectionsPerIP, defaultConnectionsPerIP),
		halfOpenPerIP:       valueOr(l.HalfOpenPerIP, defaultHalfOpenPerIP),
		handshakesPerIP:     l.HandshakesPerIP.resolve(defaultHandshakesPerIP),
		eventsPerSocket:     l.EventsPerSocket.resolve(defaultEventsPerSocket),
		bytesPerSocket:      l.BytesPerSocket.resolve(defaultBytesPerSocket),
		roomsPerSocket:      valueOr(l.RoomsPerSocket, defaultRoomsPerSocket),
		namespacesPerSocket: valueOr(l.NamespacesPerSocket, streaming.DefaultNamespaces),
		pendingAcks:         valueOr(l.PendingAcks, defaultPendingAcks),
		attachments:         valueOr(l.Attachments, streaming.DefaultAttachments),
	}
	allow := t.All("limits allow", l.Allow)
	switch {
	case len(l.Allow) == 0:
		allow = limitsExempt
	case len(allow) == 1 && allow[0] == option.None:
		allow = nil
	}
	for _, expression := range allow {
		prefix, err := caddyhttp.CIDRExpressionToPrefix(expression)
		if err != nil {
			return s, fmt.Errorf("limits allow: %w", err)
		}
		s.exempt = append(s.exempt, prefix.Masked())
	}
	return s, nil
}

func (r *RateLimit) resolve(fallback rateSettings) *rateSettings {
	switch {
	case r == nil:
		return &fallback
	case r.Off:
		return nil
	case r.Amount == 0:
		fallback.Burst = cmp.Or(r.Burst, fallback.Burst)
		return &fallback
	}
	return &rateSettings{
		Amount: r.Amount, Per: cmp.Or(time.Duration(r.Per), time.Second), Burst: cmp.Or(r.Burst, burstOf(r.Amount)),
	}
}

// burstOf is the burst of a rate that names none.
func burstOf(amount int64) int64 {
	if amount > math.MaxInt64/2 {
		return amount
	}
	return 2 * amount
}

// valueOr returns what value points to, or fallback.
func valueOr(value *int, fallback int) int {
	if value == nil {
		return fallback
	}
	return *value
}

func (s *limitSettings) check() error {
	for _, number := range []struct {
		name        string
		value       int
		least, most int
	}{
		{"connections_per_ip", s.connectionsPerIP, 0, math.MaxInt32},
		{"half_open_per_ip", s.halfOpenPerIP, 0, math.MaxInt32},
		{"rooms_per_socket", s.roomsPerSocket, 0, math.MaxInt32},
		{"namespaces_per_socket", s.namespacesPerSocket, 1, math.MaxInt32},
		{"pending_acks", s.pendingAcks, 0, math.MaxInt32},
		{"attachments", s.attachments, 1, streaming.MaxAttachments},
	} {
		if number.value < number.least || number.value > number.most {
			return fmt.Errorf("limits %s must be from %d to %d, is %d", number.name, number.least, number.most, number.value)
		}
	}
	for _, rate := range []struct {
		name  string
		value *rateSettings
	}{
		{"handshakes_per_ip", s.handshakesPerIP}, {"events_per_socket", s.eventsPerSocket}, {"bytes_per_socket", s.bytesPerSocket},
	} {
		if err := rate.value.check(rate.name); err != nil {
			return err
		}
	}
	return nil
}

func (r *rateSettings) check(name string) error {
	if r != nil && (r.Amount < 1 || r.Burst < 1 || r.Per < time.Millisecond) {
		return fmt.Errorf("limits %s must let something through, and count in at least 1ms, is %s", name, r)
	}
	return nil
}

// String returns the settings in a form that can be compared.
func (r *rateSettings) String() string {
	if r == nil {
		return "off"
	}
	return fmt.Sprintf("%d/%s with a burst of %d", r.Amount, r.Per, r.Burst)
}

// String returns the settings in a form that can be compared.
func (s *limitSettings) String() string {
	return fmt.Sprintf("connections_per_ip %d, half_open_per_ip %d, handshakes_per_ip %s, events_per_socket %s, bytes_per_socket %s, "+
		"rooms_per_socket %d, namespaces_per_socket %d, pending_acks %d, attachments %d, allow %s",
		s.connectionsPerIP, s.halfOpenPerIP, s.handshakesPerIP, s.eventsPerSocket, s.bytesPerSocket,
		s.roomsPerSocket, s.namespacesPerSocket, s.pendingAcks, s.attachments, s.exempt)
}

// engine translates the settings.
func (s *limitSettings) engine() engineio.Limits {
	return engineio.Limits{
		Connections: s.connectionsPerIP, HalfOpen: s.halfOpenPerIP, Exempt: s.exempt,
		Handshakes: (*engineio.Rate)(s.handshakesPerIP), Bytes: (*engineio.Rate)(s.bytesPerSocket),
	}
}

// streaming translates the settings.
func (s *limitSettings) streaming() streaming.Limits {
	return streaming.Limits{
		Events: (*engineio.Rate)(s.eventsPerSocket), Rooms: s.roomsPerSocket, Namespaces: s.namespacesPerSocket,
		PendingAcks: s.pendingAcks, Attachments: s.attachments,
	}
}

func (l *Limits) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "connections_per_ip":
			l.ConnectionsPerIP, err = option.CountOrOff(d)
		case "half_open_per_ip":
			l.HalfOpenPerIP, err = option.CountOrOff(d)
		case "handshakes_per_ip":
			l.HandshakesPerIP, err = parseRate(d, option.Whole, "100/s or 300/1m")
		case "events_per_socket":
			l.EventsPerSocket, err = parseRate(d, option.Whole, "100/s or 300/1m")
		case "bytes_per_socket":
			l.BytesPerSocket, err = parseRate(d, option.Bytes, "1MB/s or 10MB/1m")
		case "rooms_per_socket":
			l.RoomsPerSocket, err = option.CountOrOff(d)
		case "namespaces_per_socket":
			l.NamespacesPerSocket, err = option.CountUpTo(d, math.MaxInt32)
		case "pending_acks":
			l.PendingAcks, err = option.CountOrOff(d)
		case "attachments":
			l.Attachments, err = option.CountUpTo(d, streaming.MaxAttachments)
		case "allow":
			l.Allow, err = option.PrefixesOrNone(d)
		default:
			err = d.Errf("unrecognized option '%s' of limits", name)
		}
		return err
	})
}

// parseRate parses off, or an amount per time such as 100/s or 300/1m, and a burst.
func parseRate(d *caddyfile.Dispenser, parse func(string) (int64, error), example string) (*RateLimit, error) {
	name := d.Val()
	arguments := d.RemainingArgs()
	if len(arguments) < 1 || len(arguments) > 2 {
		return nil, d.ArgErr()
	}
	if arguments[0] == "off" {
		if len(arguments) > 1 {
			return nil, d.ArgErr()
		}
		return &RateLimit{Off: true}, option.RefuseBlock(d)
	}
	text, per, ok := strings.Cut(arguments[0], "/")
	amount, err := parse(text)
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	period, periodErr := caddy.ParseDuration(per)
	if !ok || err != nil || amount < 1 || periodErr != nil || period < time.Millisecond {
		return nil, d.Errf("%s: bad rate %q, write one such as %s, or off", name, arguments[0], example)
	}
	rate := &RateLimit{Amount: amount, Per: caddy.Duration(period)}
	if len(arguments) == 2 {
		if rate.Burst, err = parse(arguments[1]); err != nil || rate.Burst < 1 {
			return nil, d.Errf("%s: the burst must be greater than zero, is %q", name, arguments[1])
		}
	}
	return rate, option.RefuseBlock(d)
}
