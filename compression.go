package socketiostream

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// parseCompression parses the size from which on something is compressed, which may be left out.
func parseCompression(d *caddyfile.Dispenser) (*Compression, error) {
	if d.CountRemainingArgs() == 0 {
		return new(Compression), option.RefuseBlock(d)
	}
	threshold, err := option.Size(d, 1)
	if err != nil {
		return nil, err
	}
	return &Compression{Threshold: threshold}, nil
}
