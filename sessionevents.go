package socketiostream

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/sessions"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

func init() {
	caddy.RegisterModule(new(SessionsEvents))
}

// SessionsEvents is the event set of the session service, in which clients share content with all others of their
// session: join, leave, content, chunk and batch.
type SessionsEvents struct {
	// MaxClients is how many clients a session may have. Zero means the default. Default: 100.
	MaxClients int `json:"max_clients,omitempty"`

	// MaxSessions is how many sessions the namespace may have at a time, the empty ones that are kept included. Zero means
	// the default. Default: 10000.
	MaxSessions int `json:"max_sessions,omitempty"`

	// SessionTimeout is how long an empty session is kept for a rejoin, with its history and its fingerprint. Zero removes
	// it at once. Default: 10m.
	SessionTimeout *caddy.Duration `json:"session_timeout,omitempty"`

	// History is what late joiners get of what was shared before. Default: nothing.
	History *SessionHistory `json:"history,omitempty"`

	// Fingerprint says whether joiners must know a key: "off", or "first", where the fingerprint of the first client is
	// the one all later ones must give, and content and chunks need the token of the join. Default: "off".
	Fingerprint string `json:"fingerprint,omitempty"`

	// Throttle bounds how often one client may send an event. Default: no bounds.
	Throttle []SessionThrottle `json:"throttle,omitempty"`

	// Batch is how many entries a batch may have. Zero means the default. Default: 100.
	Batch int `json:"batch,omitempty"`
}

// SessionHistory bounds what a session keeps for late joiners.
type SessionHistory struct {
	// Contents is how many contents are kept. Zero keeps none. Default: 0.
	Contents int `json:"contents,omitempty"`

	// Size is how many bytes they may have together. Zero means the default. Default: 1000000.
	Size int64 `json:"size,omitempty"`
}

// SessionThrottle bounds how often one client may send an event.
type SessionThrottle struct {
	// Event is one of join, leave, content, chunk and batch.
	Event string `json:"event,omitempty"`

	// Count is how often it may be sent in each span of time, and at once. At least 1.
	Count int `json:"count,omitempty"`

	// Per is the span of time. At least 1ms.
	Per caddy.Duration `json:"per,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*SessionsEvents) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  eventsNamespace + ".sessions",
		New: func() caddy.Module { return new(SessionsEvents) },
	}
}

// Provision replaces placeholders and fills in defaults.
func (e *SessionsEvents) Provision(caddy.Context) error {
	t := option.NewResolver()
	e.MaxClients = cmp.Or(e.MaxClients, sessions.DefaultMaxClients)
	e.MaxSessions = cmp.Or(e.MaxSessions, sessions.DefaultMaxSessions)
	if e.SessionTimeout == nil {
		timeout := caddy.Duration(sessions.DefaultTimeout)
		e.SessionTimeout = &timeout
	}
	if e.History == nil {
		e.History = new(SessionHistory)
	}
	e.History.Size = cmp.Or(e.History.Size, sessions.DefaultHistorySize)
	e.Fingerprint = cmp.Or(t.One("fingerprint", e.Fingerprint), string(sessions.FingerprintOff))
	e.Batch = cmp.Or(e.Batch, sessions.DefaultBatch)
	return t.Err()
}

// Validate checks the options.
func (e *SessionsEvents) Validate() error {
	for _, bounded := range []struct {
		name  string
		value int64
	}{
		{"max_clients", int64(e.MaxClients)},
		{"max_sessions", int64(e.MaxSessions)},
		{"session_timeout", int64(*e.SessionTimeout)},
		{"history", int64(e.History.Contents)},
		{"the size of history", e.History.Size},
		{"batch", int64(e.Batch)},
	} {
		if bounded.value < 0 {
			return fmt.Errorf("%s must not be negative, is %d", bounded.name, bounded.value)
		}
	}
	if err := option.CheckChoice("fingerprint", e.Fingerprint, "off", "first"); err != nil {
		return err
	}
	for i, throttle := range e.Throttle {
		if err := throttle.check(e.Throttle[:i]); err != nil {
			return err
		}
	}
	return nil
}

// check checks a throttle and that none of those before it is for the same event.
func (t SessionThrottle) check(before []SessionThrottle) error {
	if err := option.CheckChoice("event to throttle", t.Event, sessions.Events()...); err != nil {
		return err
	}
	if slices.ContainsFunc(before, func(other SessionThrottle) bool { return other.Event == t.Event }) {
		return fmt.Errorf("throttle %s is given twice", t.Event)
	}
	if t.Count < 1 {
		return fmt.Errorf("throttle %s: the count must be at least 1, is %d", t.Event, t.Count)
	}
	return option.CheckDuration("throttle "+t.Event, time.Duration(t.Per))
}

// Register adds the handlers of the set to those of a namespace.
func (e *SessionsEvents) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	return e.set().Register(n, h)
}

// set translates the options.
func (e *SessionsEvents) set() *sessions.Set {
	set := &sessions.Set{
		MaxClients:  e.MaxClients,
		MaxSessions: e.MaxSessions,
		Timeout:     time.Duration(*e.SessionTimeout),
		History:     e.History.Contents,
		HistorySize: int(e.History.Size),
		Fingerprint: sessions.Fingerprint(e.Fingerprint),
		Batch:       e.Batch,
	}
	for _, throttle := range e.Throttle {
		set.Throttle = append(set.Throttle, sessions.Throttle{Event: throttle.Event, Count: throttle.Count, Per: time.Duration(throttle.Per)})
	}
	return set
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events sessions {
//		max_clients     <n>
//		max_sessions    <n>
//		session_timeout <duration>
//		history         <n> [<size>]
//		fingerprint     off|first
//		throttle        <event> <n>/<duration>
//		batch           <max entries>
//	}
//
// throttle may be given once for each event, everything else once.
func (e *SessionsEvents) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if d.NextArg() {
		return d.ArgErr()
	}
	given := make(option.Given)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "throttle" {
			if err := given.Add(d); err != nil {
				return err
			}
		}
		var err error
		switch name := d.Val(); name {
		case "max_clients":
			e.MaxClients, err = option.Count(d)
		case "max_sessions":
			e.MaxSessions, err = option.Count(d)
		case "session_timeout":
			e.SessionTimeout, err = option.Timeout(d)
		case "history":
			e.History = new(SessionHistory)
			err = e.History.unmarshalCaddyfile(d)
		case "fingerprint":
			e.Fingerprint, err = option.Choice(d, "off", "first")
		case "throttle":
			err = e.unmarshalThrottle(d)
		case "batch":
			e.Batch, err = option.Count(d)
		default:
			return d.Errf("unrecognized option '%s' of events sessions", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *SessionHistory) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	contents, err := strconv.Atoi(d.Val())
	if err != nil || contents < 0 {
		return d.Errf("history must be a whole number, zero or more, is %q", d.Val())
	}
	s.Contents = contents
	if d.CountRemainingArgs() == 0 {
		return option.RefuseBlock(d)
	}
	// d stands at the number; what is left has the form of an option that takes a size.
	s.Size, err = option.NamedSize(d, "the size of history", 1)
	return err
}

func (e *SessionsEvents) unmarshalThrottle(d *caddyfile.Dispenser) error {
	var throttle SessionThrottle
	var rate string
	if !d.AllArgs(&throttle.Event, &rate) {
		return d.ArgErr()
	}
	count, per, ok := strings.Cut(rate, "/")
	number, countErr := strconv.Atoi(count)
	duration, perErr := caddy.ParseDuration(per)
	if !ok || countErr != nil || perErr != nil {
		return d.Errf("throttle %s: bad rate %q, write one such as 20/1s", throttle.Event, rate)
	}
	throttle.Count, throttle.Per = number, caddy.Duration(duration)
	if err := throttle.check(e.Throttle); err != nil {
		return d.WrapErr(err)
	}
	e.Throttle = append(e.Throttle, throttle)
	return option.RefuseBlock(d)
}

// Interface guards.
var (
	_ EventSet              = (*SessionsEvents)(nil)
	_ caddy.Provisioner     = (*SessionsEvents)(nil)
	_ caddy.Validator       = (*SessionsEvents)(nil)
	_ caddyfile.Unmarshaler = (*SessionsEvents)(nil)
)
