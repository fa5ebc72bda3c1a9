package socketiostream

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// Compression says what is worth compressing. Where it is nil, nothing is.
type Compression struct {
	// Threshold is the size, in bytes, from which on a message or an answer is compressed. Zero
	// means the default. Default: 1024.
	Threshold int64 `json:"threshold,omitempty"`
}

func (c *Compression) provision(t *option.Resolver, name string) {
	if c != nil {
		t.Size(name+": the threshold", &c.Threshold, engineio.DefaultThreshold, 1)
	}
}

// String returns the option in a form that can be compared, and shown.
func (c *Compression) String() string {
	if c == nil {
		return "off"
	}
	return fmt.Sprintf("on from %d bytes", c.Threshold)
}

// engine returns the option as the server takes it.
func (c *Compression) engine() *engineio.Compression {
	if c == nil {
		return nil
	}
	return &engineio.Compression{Threshold: int(c.Threshold)}
}

// parseCompression parses the size from which on something is compressed, which may be left out.
func parseCompression(d *caddyfile.Dispenser) (*Compression, error) {
	name := d.Val()
	given, err := option.At(d, "[<size>]").Arguments(d, 0, 1)
	if err != nil || len(given) == 0 {
		return new(Compression), err
	}
	threshold, err := option.ParseSize(name, given[0], 1)
	return &Compression{Threshold: threshold}, option.Wrap(d, err)
}
