package option

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/pace"
)

// Rate is a limit: a token bucket, or nothing.
type Rate struct {
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
func (r *Rate) String() string {
	if r.Off {
		return "off"
	}
	return fmt.Sprintf("%d/%s with a burst of %d", r.Amount, time.Duration(r.Per), r.Burst)
}

// Pace returns the limit as a bucket takes it: nil, which bounds nothing, where there is none.
func (r *Rate) Pace() *pace.Rate {
	if r == nil || r.Off {
		return nil
	}
	return &pace.Rate{Amount: r.Amount, Per: time.Duration(r.Per), Burst: r.Burst}
}

// RateKind is what is counted by a rate, and how it is written.
type RateKind struct {
	// parse parses an amount.
	parse func(string) (int64, error)
	// What errors say: how it is written, a rate as it should be, what a burst must be, and what a
	// rate must let.
	form, example, burst, let string
}

const countForm = "<n>/<duration> [<burst>]|off"

// The kinds of rates: clients, events or the like, and bytes.
var (
	ClientRate = RateKind{
		Whole, countForm, "1000/s or 300/1m", "a whole number greater than zero", "in at least one client",
	}
	CountRate = RateKind{Whole, countForm, "100/s or 300/1m", "greater than zero", "something through"}
	ByteRate  = RateKind{Bytes, "<size>/<duration> [<burst>]|off", "1MB/s or 10MB/1m", "greater than zero", "something through"}
)

// Provision fills in the defaults of a limit, those of fallback where its amount is not given, and
// checks it.
func (k RateKind) Provision(t *Resolver, name string, limit **Rate, fallback Rate) {
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

// Unmarshal parses off, or an amount per time such as 100/s or 300/1m, and a burst.
func (k RateKind) Unmarshal(d *caddyfile.Dispenser) (*Rate, error) {
	name, line := d.Val(), At(d, k.form)
	arguments, err := line.Arguments(d, 1, 2)
	switch {
	case err != nil:
		return nil, err
	case arguments[0] == "off" && len(arguments) > 1:
		return nil, line.Wrong("is off and has a burst")
	case arguments[0] == "off":
		return &Rate{Off: true}, nil
	}
	amount, per, err := ParseRate(arguments[0], k.parse)
	if err != nil || amount < 1 || per < time.Millisecond {
		return nil, d.Errf("%s: bad rate %q, write one such as %s, or off", name, arguments[0], k.example)
	}
	rate := &Rate{Amount: amount, Per: caddy.Duration(per)}
	if len(arguments) == 2 {
		if rate.Burst, err = k.parse(arguments[1]); err != nil || rate.Burst < 1 {
			return nil, d.Errf("%s: the burst must be %s, is %q", name, k.burst, arguments[1])
		}
	}
	return rate, nil
}
