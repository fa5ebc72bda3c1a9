package socketiostream

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// provisionTransports writes the transports in lower case and in one order, which is of no account.
func (h *Handler) provisionTransports(t *option.Resolver) {
	t.Texts("transports", &h.Transports, string(engineio.Polling), string(engineio.WebSocket))
	for i, transport := range h.Transports {
		h.Transports[i] = strings.ToLower(transport)
	}
	slices.Sort(h.Transports)
	t.Check(checkTransports(h.Transports))
}

func checkTransports(transports []string) error {
	if len(transports) == 0 {
		return errors.New("transports is empty")
	}
	for i, transport := range transports {
		if t := engineio.Transport(transport); t != engineio.Polling && t != engineio.WebSocket {
			return fmt.Errorf("unknown transport %q: write polling, websocket or both", transport)
		}
		if slices.Contains(transports[:i], transport) {
			return fmt.Errorf("transport %q is given twice", transport)
		}
	}
	return nil
}
