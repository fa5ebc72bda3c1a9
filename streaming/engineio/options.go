package engineio

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Transport is the name of a transport, as in the query of a request.
type Transport string

// The transports this server speaks.
const (
	Polling   Transport = "polling"
	WebSocket Transport = "websocket"
)

// The defaults of [Options] and [Compression].
const (
	DefaultPingInterval   = 25 * time.Second
	DefaultPingTimeout    = 20 * time.Second
	DefaultUpgradeTimeout = 10 * time.Second
	DefaultWriteTimeout   = 10 * time.Second
	DefaultMaxPayload     = 1_000_000 // bytes
	DefaultSendBuffer     = 4_000_000 // bytes
	DefaultThreshold      = 1024      // bytes
)

// Options are the settings of a server. The zero value of each field means
// its default. A session keeps the options that were in force when it began.
type Options struct {
	// Transports that a client may use. Default: both.
	Transports []Transport
	// AllowRevision3 lets in clients of revision 3 of the protocol too, and long-polling
	// by JSONP.
	AllowRevision3 bool
	// DisableUpgrades keeps long-polling sessions on long-polling.
	DisableUpgrades bool
	// PingInterval is the time between the pong of one heartbeat and the
	// ping of the next. Default: DefaultPingInterval.
	PingInterval time.Duration
	// PingTimeout is how long a client may take to answer a ping. The time begins
	// anew whenever the client sends something, or takes some of a message that
	// takes long. Default: DefaultPingTimeout.
	PingTimeout time.Duration
	// UpgradeTimeout is how long an upgrade may take from the request for
	// the new transport to its end. Default: DefaultUpgradeTimeout.
	UpgradeTimeout time.Duration
	// MaxPayload is the largest message, and the largest body of a POST,
	// that is accepted, in bytes. Default: DefaultMaxPayload.
	MaxPayload int64
	// SendBuffer is how many bytes may wait for one client before it is cut
	// off. Each message counts with what it takes of memory, which is its size and
	// some 150 bytes. Default: DefaultSendBuffer. A single message may be larger:
	// it is accepted when nothing else waits.
	SendBuffer int
	// ServerBuffer is how many bytes may wait for all clients together, each
	// message counted once, with what it takes of memory, and how many the server
	// may keep of what has come from clients. From 80 % of it on handshakes are
	// answered 503; beyond it clients for whom more than 64 KiB wait are cut off.
	//
	// When what has come takes an eighth of it, sessions with more than 64 KiB of
	// unfinished messages are not read from, except for the one that has had so much
	// for longest. A session that has had it for 10 s is ended then, with
	// ReasonIncomplete.
	//
	// Zero means no bound.
	ServerBuffer int64
	// Deflate, when not nil, compresses WebSocket messages for clients that
	// offer it: permessage-deflate (RFC 7692), without context takeover, so
	// that a message is compressed once for all. Default: none.
	Deflate *Compression
	// HTTPCompression, when not nil, compresses the answers of polls with gzip
	// or deflate, as the client accepts. Default: none.
	HTTPCompression *Compression
	// WriteTimeout is how long a client may take nothing of what is being written
	// to it before it is cut off. One that takes something now and then is slow and
	// not stuck, however long the whole takes. Default: DefaultWriteTimeout.
	WriteTimeout time.Duration
	// MaxSessions bounds the number of open sessions; further handshakes are
	// answered 503. Zero means no bound.
	MaxSessions int
	// Limits bound what one client, or one address, may take. Default: none.
	Limits Limits
	// LogConnections says of which sessions the start and the end are logged, at
	// info level. The end of a session by its client's fault is logged at warn
	// level. Default: LogSampled.
	LogConnections ConnectionLog
	// HandshakeRate bounds how many sessions begin; further handshakes are answered
	// 503. Default: no bound.
	HandshakeRate *Rate
	// CheckOrigin decides whether the sender of a request may connect, by its
	// Origin header, unless Inbound.OriginChecked says that this has been decided.
	// A request for which it is false is answered 403, on every transport: without
	// this check any page could connect in its visitor's name. Default: SameHost.
	CheckOrigin func(*http.Request) bool
	// Cookie, when not nil, makes a cookie that carries the session ID with
	// the answer to a handshake. Default: none.
	Cookie func(handshake *http.Request, sid string) *http.Cookie
}

// Compression says what is worth compressing.
type Compression struct {
	// Threshold is the size, in bytes, from which on a message or an answer is
	// compressed. Default: DefaultThreshold.
	Threshold int
}

func (c *Compression) withDefaults() *Compression {
	if c == nil || c.Threshold != 0 {
		return c
	}
	return &Compression{Threshold: DefaultThreshold}
}

func (o Options) withDefaults() *Options {
	setDefault(&o.PingInterval, DefaultPingInterval)
	setDefault(&o.PingTimeout, DefaultPingTimeout)
	setDefault(&o.UpgradeTimeout, DefaultUpgradeTimeout)
	setDefault(&o.MaxPayload, DefaultMaxPayload)
	setDefault(&o.SendBuffer, DefaultSendBuffer)
	setDefault(&o.WriteTimeout, DefaultWriteTimeout)
	o.HandshakeRate = o.HandshakeRate.WithDefaults()
	o.Limits.Handshakes = o.Limits.Handshakes.WithDefaults()
	o.Limits.Bytes = o.Limits.Bytes.WithDefaults()
	o.Deflate = o.Deflate.withDefaults()
	o.HTTPCompression = o.HTTPCompression.withDefaults()
	if o.CheckOrigin == nil {
		o.CheckOrigin = SameHost
	}
	if len(o.Transports) == 0 {
		o.Transports = []Transport{Polling, WebSocket}
	}
	return &o
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// acceptDeflate returns the extension that a WebSocket is opened with, or "". See
// [wire.AcceptDeflate].
func (o *Options) acceptDeflate(r *http.Request) (extension string) {
	if o.Deflate == nil {
		return ""
	}
	return wire.AcceptDeflate(r.Header["Sec-Websocket-Extensions"])
}

// allows reports whether clients may use the transport.
func (o *Options) allows(t Transport) bool { return slices.Contains(o.Transports, t) }

// upgrades lists what a session on the transport may upgrade to.
func (o *Options) upgrades(from Transport) []Transport {
	if from == Polling && !o.DisableUpgrades && o.allows(WebSocket) {
		return []Transport{WebSocket}
	}
	return []Transport{}
}
