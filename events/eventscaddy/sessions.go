package eventscaddy

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

func init() { caddy.RegisterModule(new(Sessions)) }

// Sessions is the event set of the session service, in which clients share content with all others
// of their session: join, leave, content, chunk and batch.
type Sessions struct {
	// MaxClients is how many clients a session may have. Zero means the default. Default: 100.
	MaxClients int `json:"max_clients,omitempty"`

	// MaxSessions is how many sessions the namespace may have at a time, the empty ones that are
	// kept included. One client may make a tenth of them, and one address half. Zero means the
	// default. Default: 10000.
	MaxSessions int `json:"max_sessions,omitempty"`

	// SessionTimeout is how long an empty session is kept for a rejoin, with its history and its
	// fingerprint. Zero removes it at once. Default: 10m.
	SessionTimeout *caddy.Duration `json:"session_timeout,omitempty"`

	// History is what late joiners get of what was shared before. Default: nothing.
	History *SessionHistory `json:"history,omitempty"`

	// Fingerprint says whether joiners must know a key: "off", or "first", where the fingerprint of
	// the first client is the one all later ones must give, and content and chunks need the token
	// of the join. Default: "off".
	Fingerprint string `json:"fingerprint,omitempty"`

	// Throttle bounds how often one client may send an event. Default: join 100 times in 10 s, and no
	// bounds for others.
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
func (*Sessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".sessions",
		New: func() caddy.Module { return new(Sessions) },
	}
}

// Provision replaces placeholders and fills in defaults.
func (s *Sessions) Provision(caddy.Context) error {
	t := option.NewResolver()
	s.MaxClients = cmp.Or(s.MaxClients, sessions.DefaultMaxClients)
	s.MaxSessions = cmp.Or(s.MaxSessions, sessions.DefaultMaxSessions)
	if s.SessionTimeout == nil {
		timeout := caddy.Duration(sessions.DefaultTimeout)
		s.SessionTimeout = &timeout
	}
	if s.History == nil {
		s.History = new(SessionHistory)
	}
	s.History.Size = cmp.Or(s.History.Size, sessions.DefaultHistorySize)
	s.Fingerprint = cmp.Or(t.One("fingerprint", s.Fingerprint), string(sessions.FingerprintOff))
	s.Batch = cmp.Or(s.Batch, sessions.DefaultBatch)
	return t.Err()
}

// Validate checks the options.
func (s *Sessions) Validate() error {
	for _, bounded := range []struct {
		name  string
		value int64
	}{
		{"max_clients", int64(s.MaxClients)},
		{"max_sessions", int64(s.MaxSessions)},
		{"session_timeout", int64(*s.SessionTimeout)},
		{"history", int64(s.History.Contents)},
		{"the size of history", s.History.Size},
		{"batch", int64(s.Batch)},
	} {
		if bounded.value < 0 {
			return fmt.Errorf("%s must not be negative, is %d", bounded.name, bounded.value)
		}
	}
	if err := option.CheckChoice("fingerprint", s.Fingerprint, "off", "first"); err != nil {
		return err
	}
	for i, throttle := range s.Throttle {
		if err := throttle.check(s.Throttle[:i]); err != nil {
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
	same := func(other SessionThrottle) bool { return other.Event == t.Event }
	if slices.ContainsFunc(before, same) {
		return fmt.Errorf("throttle %s is given twice", t.Event)
	}
	if t.Count < 1 {
		return fmt.Errorf("throttle %s: the count must be at least 1, is %d", t.Event, t.Count)
	}
	return option.CheckDuration("throttle "+t.Event, time.Duration(t.Per))
}

// Register adds the handlers of the set to those of a namespace.
func (s *Sessions) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	return s.set().Register(n, h)
}

// set translates the options.
func (s *Sessions) set() *sessions.Set {
	set := &sessions.Set{
		MaxClients:  s.MaxClients,
		MaxSessions: s.MaxSessions,
		Timeout:     time.Duration(*s.SessionTimeout),
		History:     s.History.Contents,
		HistorySize: int(s.History.Size),
		Fingerprint: sessions.Fingerprint(s.Fingerprint),
		Batch:       s.Batch,
	}
	for _, throttle := range s.Throttle {
		set.Throttle = append(set.Throttle, sessions.Throttle{
			Event: throttle.Event, Count: throttle.Count, Per: time.Duration(throttle.Per),
		})
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
func (s *Sessions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if err := option.BlockOnly(d, "events sessions"); err != nil {
		return err
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "max_clients":
			s.MaxClients, err = option.Count(d)
		case "max_sessions":
			s.MaxSessions, err = option.Count(d)
		case "session_timeout":
			s.SessionTimeout, err = option.Timeout(d)
		case "history":
			s.History = new(SessionHistory)
			err = s.History.unmarshalCaddyfile(d)
		case "fingerprint":
			s.Fingerprint, err = option.Choice(d, "off", "first")
		case "throttle":
			err = s.unmarshalThrottle(d)
		case "batch":
			s.Batch, err = option.Count(d)
		default:
			err = option.Unknown(d, "events sessions", "max_clients", "max_sessions", "session_timeout", "history", "fingerprint",
				"throttle", "batch")
		}
		return err
	}, "throttle")
}

func (s *SessionHistory) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	given, err := option.At(d, "<n> [<size>]").Arguments(d, 1, 2)
	if err != nil {
		return err
	}
	if s.Contents, err = strconv.Atoi(given[0]); err != nil || s.Contents < 0 {
		return d.Errf("history must be a whole number, zero or more, is %q", given[0])
	}
	if len(given) == 2 {
		s.Size, err = option.ParseSize("the size of history", given[1], 1)
	}
	return option.Wrap(d, err)
}

func (s *Sessions) unmarshalThrottle(d *caddyfile.Dispenser) error {
	given, err := option.At(d, strings.Join(sessions.Events(), "|")+" <n>/<duration>").Arguments(d, 2, 2)
	if err != nil {
		return err
	}
	count, per, err := option.ParseRate(given[1], option.Whole)
	if err != nil {
		return d.Errf("throttle %s: bad rate %q, write one such as 20/1s", given[0], given[1])
	}
	throttle := SessionThrottle{Event: given[0], Count: int(count), Per: caddy.Duration(per)}
	if err := throttle.check(s.Throttle); err != nil {
		return d.WrapErr(err)
	}
	s.Throttle = append(s.Throttle, throttle)
	return nil
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Sessions)(nil)
	_ caddy.Provisioner     = (*Sessions)(nil)
	_ caddy.Validator       = (*Sessions)(nil)
	_ caddyfile.Unmarshaler = (*Sessions)(nil)
)
