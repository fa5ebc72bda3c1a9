package packet

import "github.com/caddy-socketio/socketio-stream/streaming/engineio"

// Flags change how a packet is sent. They are values: each call has its own.
type Flags uint8

const (
	// Volatile packets are better lost than late: one is dropped for a client
	// that does not keep up.
	Volatile Flags = 1 << iota
	// NoCompress packets are not worth compressing.
	NoCompress
)

func (f Flags) options() []engineio.MessageOption {
	if f == 0 {
		return nil
	}
	var options []engineio.MessageOption
	if f&Volatile != 0 {
		options = append(options, engineio.Volatile())
	}
	if f&NoCompress != 0 {
		options = append(options, engineio.NoCompress())
	}
	return options
}
