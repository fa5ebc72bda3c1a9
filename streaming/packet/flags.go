package packet

import "github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"

// Flags change how a packet is sent. They are values: each call has its own.
type Flags = wire.Flags

const (
	// Volatile packets are better lost than late: one is dropped for a client
	// that does not keep up.
	Volatile = wire.Volatile
	// NoCompress packets are not worth compressing.
	NoCompress = wire.NoCompress
)
