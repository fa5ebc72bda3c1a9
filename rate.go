package socketiostream

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
)

// RateLimit is a token bucket.
type RateLimit struct {
	// Off lifts the limit. Default: false.
	Off bool `json:"off,omitempty"`

	// Amount is how much is let through in each Per, on average. Zero means the default of the
	// limit.
	Amount int64 `json:"amount,omitempty"`

	// Per is the time in which so much is let through. Zero means one second.
	Per caddy.Duration `json:"per,omitempty"`

	// Burst is how much may come at once after a time in which little came. Zero means twice
	// Amount, or the limit's default where Amount is the default, too.
	Burst int64 `json:"burst,omitempty"`
}

// burstOf is the burst of a rate that names none.
func burstOf(amount int64) int64 {
	if amount > math.MaxInt64/2 {
		return amount
	}
	return 2 * amount
}

// String returns the limit in a form that can be compared, and shown.
func (r *RateLimit) String() string {
	if r.Off {
		return "off"
	}
	return fmt.Sprintf("%d/%s with a burst of %d", r.Amount, time.Duration(r.Per), r.Burst)
}

// engine returns the limit as the servers take it.
func (r *RateLimit) engine() *engineio.Rate {
	if r.Off {
		return nil
	}
	return &engineio.Rate{Amount: r.Amount, Per: time.Duration(r.Per), Burst: r.Burst}
}

// rateKind is what is counted by a rate.
type rateKind struct {
	// parse parses an amount.
	parse func(string) (int64, error)
	// What errors say: how it is written, a rate as it should be, what a burst must be, and what a
	// rate must let.
	form, example, burst, let string
}

const countForm = "<n>/<duration> [<burst>]|off"

var (
	clientRate = rateKind{
		option.Whole, countForm, "1000/s or 300/1m", "a whole number greater than zero", "in at least one client",
	}
	countRate = rateKind{option.Whole, countForm, "100/s or 300/1m", "greater than zero", "something through"}
	byteRate  = rateKind{option.Bytes, "<size>/<duration> [<burst>]|off", "1MB/s or 10MB/1m", "greater than zero", "something through"}
)

// provision fills in the defaults of a limit, those of fallback where its amount is not given, and
// checks it.
func (k rateKind) provision(t *option.Resolver, name string, limit **RateLimit, fallback RateLimit) {
	if *limit == nil {
		*limit = &fallback
	}
	r := *limit
	if r.Off {
		return
	}
	if r.Amount == 0 {
		r.Amount, r.Burst = fallback.Amount, cmp.Or(r.Burst, fallback.Burst)
	}
	r.Per = cmp.Or(r.Per, caddy.Duration(time.Second))
	r.Burst = cmp.Or(r.Burst, burstOf(r.Amount))
	switch {
	case r.Amount < 1 || r.Burst < 1:
		t.Check(fmt.Errorf("%s must let %s, is %s", name, k.let, r))
	case time.Duration(r.Per) < time.Millisecond:
		t.Check(fmt.Errorf("%s must count in at least 1ms, is %s", name, r))
	}
}

// unmarshal parses off, or an amount per time such as 100/s or 300/1m, and a burst.
func (k rateKind) unmarshal(d *caddyfile.Dispenser) (*RateLimit, error) {
	name, line := d.Val(), option.At(d, k.form)
	arguments, err := line.Arguments(d, 1, 2)
	switch {
	case err != nil:
		return nil, err
	case arguments[0] == "off" && len(arguments) > 1:
		return nil, line.Wrong("is off and has a burst")
	case arguments[0] == "off":
		return &RateLimit{Off: true}, nil
	}
	amount, per, err := option.ParseRate(arguments[0], k.parse)
	if err != nil || amount < 1 || per < time.Millisecond {
		return nil, d.Errf("%s: bad rate %q, write one such as %s, or off", name, arguments[0], k.example)
	}
	rate := &RateLimit{Amount: amount, Per: caddy.Duration(per)}
	if len(arguments) == 2 {
		if rate.Burst, err = k.parse(arguments[1]); err != nil || rate.Burst < 1 {
			return nil, d.Errf("%s: the burst must be %s, is %q", name, k.burst, arguments[1])
		}
	}
	return rate, nil
}
