// Package eventscaddy is the event sets as guest modules of Caddy, a file each.
package eventscaddy

import (
	"cmp"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/events/streams"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Namespace is the module namespace of event sets.
const Namespace = "http.handlers.socketio_stream.events"

func init() { caddy.RegisterModule(new(Streaming)) }

// Streaming is the event set of the streaming service: stream:start, stream:data, stream:stop,
// stream:join, stream:leave and message.
type Streaming struct {
	// Audience says who gets a stream's data: "all", everyone in the namespace, or "subscribers",
	// those who joined the stream. Default: "all".
	Audience string `json:"audience,omitempty"`

	// Replay says what a late joiner gets of a stream whose owner sent no header with stream:start:
	// "none", or "first", its first stream:data. Default: "none".
	Replay string `json:"replay,omitempty"`

	// MaxStreams is how many streams the namespace may have at a time. Zero means the default.
	// Default: 10000.
	MaxStreams int `json:"max_streams,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Streaming) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  Namespace + ".streaming",
		New: func() caddy.Module { return new(Streaming) },
	}
}

// Provision replaces placeholders and fills in defaults.
func (s *Streaming) Provision(caddy.Context) error {
	t := option.NewResolver()
	s.Audience = cmp.Or(t.One("audience", s.Audience), string(streams.AudienceAll))
	s.Replay = cmp.Or(t.One("replay", s.Replay), string(streams.ReplayNone))
	s.MaxStreams = cmp.Or(s.MaxStreams, streams.DefaultMaxStreams)
	return t.Err()
}

// Validate checks the options.
func (s *Streaming) Validate() error {
	if err := option.CheckChoice("audience", s.Audience, "all", "subscribers"); err != nil {
		return err
	}
	if err := option.CheckChoice("replay", s.Replay, "none", "first"); err != nil {
		return err
	}
	if s.MaxStreams < 0 {
		return fmt.Errorf("max_streams must not be negative, is %d", s.MaxStreams)
	}
	return nil
}

// Register adds the handlers of the set to those of a namespace.
func (s *Streaming) Register(n *streaming.Namespace, h *streaming.Handlers) error {
	set := streams.Set{
		Audience:   streams.Audience(s.Audience),
		Replay:     streams.Replay(s.Replay),
		MaxStreams: s.MaxStreams,
	}
	return set.Register(n, h)
}

// UnmarshalCaddyfile sets up the event set from Caddyfile tokens. Syntax:
//
//	events streaming {
//		audience    all|subscribers
//		replay      none|first
//		max_streams <n>
//	}
func (s *Streaming) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the set
	if err := option.BlockOnly(d, "events streaming"); err != nil {
		return err
	}
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "audience":
			s.Audience, err = option.Choice(d, "all", "subscribers")
		case "replay":
			s.Replay, err = option.Choice(d, "none", "first")
		case "max_streams":
			s.MaxStreams, err = option.Count(d)
		default:
			err = option.Unknown(d, "events streaming", "audience", "replay", "max_streams")
		}
		return err
	})
}

// Interface guards.
var (
	_ streaming.EventSet    = (*Streaming)(nil)
	_ caddy.Provisioner     = (*Streaming)(nil)
	_ caddy.Validator       = (*Streaming)(nil)
	_ caddyfile.Unmarshaler = (*Streaming)(nil)
)
