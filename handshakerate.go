package socketiostream

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// The default of handshake_rate: two thousand clients are let in at once, and twenty thousand within twenty seconds.
const (
	defaultHandshakes   = 1000
	defaultHandshakesIn = time.Second
)

// burstFactor is how many periods' worth of handshakes are let in at once by default.
const burstFactor = 2

// HandshakeRate bounds how many clients are let in at a time, so that those who come back all together, after a restart,
// are greeted one after the other. It is a token bucket.
type HandshakeRate struct {
	// Off lets in every client. Default: false.
	Off bool `json:"off,omitempty"`

	// Handshakes is how many clients are let in for each Per, on average. Zero means the default. Default: 1000.
	Handshakes int `json:"handshakes,omitempty"`

	// Per is the time in which so many are let in. Zero means the default. Default: 1s.
	Per caddy.Duration `json:"per,omitempty"`

	// Burst is how many may come at once after a time in which few came. Zero means the default. Default: twice
	// Handshakes.
	Burst int `json:"burst,omitempty"`
}

// handshakeRateSettings are a HandshakeRate's options with defaults filled in. Nil is no bound.
type handshakeRateSettings struct {
	handshakes int
	per        time.Duration
	burst      int
}

func (r *HandshakeRate) resolve() *handshakeRateSettings {
	if r == nil {
		r = new(HandshakeRate)
	}
	if r.Off {
		return nil
	}
	s := &handshakeRateSettings{
		handshakes: cmp.Or(r.Handshakes, defaultHandshakes),
		per:        cmp.Or(time.Duration(r.Per), defaultHandshakesIn),
	}
	s.burst = cmp.Or(r.Burst, s.handshakes*burstFactor)
	return s
}

func (s *handshakeRateSettings) check() error {
	switch {
	case s == nil:
		return nil
	case s.handshakes < 1 || s.burst < 1:
		return fmt.Errorf("handshake_rate must let in at least one client, is %s", s)
	case s.per < time.Millisecond:
		return fmt.Errorf("handshake_rate must count in at least 1ms, is %s", s)
	}
	return nil
}

// String returns the settings in a form that can be compared.
func (s *handshakeRateSettings) String() string {
	if s == nil {
		return "off"
	}
	return fmt.Sprintf("%d/%s with a burst of %d", s.handshakes, s.per, s.burst)
}

// engine translates the settings.
func (s *handshakeRateSettings) engine() *engineio.Rate {
	if s == nil {
		return nil
	}
	return &engineio.Rate{Amount: int64(s.handshakes), Per: s.per, Burst: int64(s.burst)}
}

// parseHandshakeRate parses off, or a rate such as 1000/s or 300/1m, and a burst.
func parseHandshakeRate(d *caddyfile.Dispenser) (*HandshakeRate, error) {
	arguments := d.RemainingArgs()
	if len(arguments) < 1 || len(arguments) > 2 {
		return nil, d.ArgErr()
	}
	if arguments[0] == "off" {
		if len(arguments) > 1 {
			return nil, d.ArgErr()
		}
		return &HandshakeRate{Off: true}, option.RefuseBlock(d)
	}
	count, per, ok := strings.Cut(arguments[0], "/")
	handshakes, err := strconv.Atoi(count)
	if !ok || err != nil || handshakes < 1 {
		return nil, d.Errf("handshake_rate: bad rate %q, write one such as 1000/s or 300/1m, or off", arguments[0])
	}
	if per != "" && (per[0] < '0' || per[0] > '9') {
		per = "1" + per
	}
	period, err := caddy.ParseDuration(per)
	if err != nil || period < time.Millisecond {
		return nil, d.Errf("handshake_rate: bad rate %q, write one such as 1000/s or 300/1m, or off", arguments[0])
	}
	r := &HandshakeRate{Handshakes: handshakes, Per: caddy.Duration(period)}
	if len(arguments) == 2 {
		if r.Burst, err = strconv.Atoi(arguments[1]); err != nil || r.Burst < 1 {
			return nil, d.Errf("handshake_rate: the burst must be a whole number greater than zero, is %q", arguments[1])
		}
	}
	return r, option.RefuseBlock(d)
}
