package socketiostream

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// CORS says which other origins may connect, and is held against every transport, WebSocket
// included.
type CORS struct {
	// Origins are the origins let in besides the page's own: exact ("https://example.com"), every
	// subdomain ("https://*.example.com", or "*.example.com" for http and https; with a port where
	// it is not the default one), "null", or "*" for all. One entry may hold several, separated by
	// commas or spaces.
	Origins []string `json:"origins,omitempty"`

	// Credentials lets those origins send cookies and HTTP authentication. Default: false.
	Credentials bool `json:"credentials,omitempty"`
}

// provision returns what the options come to. Without options only the same origin is let in.
func (c *CORS) provision(t *option.Resolver) cors.Policy {
	if c == nil {
		return cors.Policy{}
	}
	t.Texts("cors origins", &c.Origins)
	policy, err := cors.New(c.Origins, c.Credentials)
	t.Check(err)
	if c.Credentials && policy.Empty() {
		t.Check(errors.New("cors credentials has no effect without cors origins"))
	}
	return policy
}

func (c *CORS) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	line := option.At(d, "{ origins <origin...> }")
	if _, err := line.ArgumentsBeforeBlock(d, 0, 0); err != nil {
		return err
	}
	if err := option.Each(d, func(string) error { return c.unmarshalOption(d) }); err != nil {
		return err
	}
	if len(c.Origins) == 0 {
		return line.Wrong("has no origins")
	}
	return nil
}

func (c *CORS) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch name := d.Val(); name {
	case "origins":
		if c.Origins, err = option.List(d, "<origin...>"); err == nil {
			_, err = cors.New(option.WithoutPlaceholders(c.Origins), false)
			err = option.Wrap(d, err)
		}
	case "credentials":
		c.Credentials = true
		err = option.Nothing(d, name)
	default:
		err = option.Unknown(d, "cors", "origins", "credentials")
	}
	return err
}
