// Package publishcaddy is how an endpoint for publishing is written in a Caddyfile.
package publishcaddy

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/publish"
)

// Options are a path at which backends send events by HTTP.
type Options struct {
	// Path is the URL path.
	Path string `json:"path,omitempty"`

	// Keys are those that a request may show, each of 16 bytes at least. Best placeholders, such as
	// {env.NAME}: two of them while one is being replaced.
	Keys []string `json:"keys,omitempty"`

	// Rate bounds the events of all requests together. Default: no bound.
	Rate *option.Rate `json:"rate,omitempty"`

	// MaxBody is how many bytes a request may have. Zero means the default. Default: 4000000.
	MaxBody int64 `json:"max_body,omitempty"`
}

// minMaxBody is the least of max_body.
const minMaxBody = 1000

const form = "<path> { key <key...> ... }"

// Unmarshal reads the option, whose name has been read:
//
//	publish <path> {
//		key      <key...>
//		rate     <n>/<duration> [<burst>]|off
//		max_body <size>
//	}
func Unmarshal(d *caddyfile.Dispenser) (*Options, error) {
	line := option.At(d, form)
	arguments, err := line.ArgumentsBeforeBlock(d, 1, 1)
	if err != nil {
		return nil, err
	}
	o := &Options{Path: arguments[0]}
	if len(option.WithoutPlaceholders(arguments)) > 0 {
		if err := line.Wrap(option.CheckPath("publish", o.Path)); err != nil {
			return nil, err
		}
	}
	err = option.Each(d, func(name string) (err error) {
		switch name {
		case "key":
			o.Keys, err = unmarshalKeys(d)
		case "rate":
			o.Rate, err = option.CountRate.Unmarshal(d)
		case "max_body":
			o.MaxBody, err = option.Size(d, minMaxBody)
		default:
			err = option.Unknown(d, "publish", "key", "rate", "max_body")
		}
		return err
	})
	if err == nil && len(o.Keys) == 0 {
		err = line.Wrong("has no key, and so nobody could use it")
	}
	return o, err
}

// unmarshalKeys reads keys. Errors leave them out, as they are secrets.
func unmarshalKeys(d *caddyfile.Dispenser) ([]string, error) {
	keys, err := option.Texts(d, "<key...>")
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			return nil, d.Err("a key of publish is given twice: write it once")
		}
	}
	for _, key := range option.WithoutPlaceholders(keys) {
		if err := checkKey(key); err != nil {
			return nil, d.WrapErr(err)
		}
	}
	return keys, nil
}

// checkKey refuses a key that can be guessed.
func checkKey(key string) error {
	if len(key) < publish.MinKey {
		return fmt.Errorf("a key of publish has %d bytes, and must have at least %d: make one with `openssl rand -hex 32`", len(key), publish.MinKey)
	}
	return nil
}

// Provision replaces placeholders, checks what there is, and returns the endpoint.
func (o *Options) Provision(t *option.Resolver) *publish.Endpoint {
	o.Path = t.One("publish", o.Path)
	// What a placeholder stands for is a secret, and stays out of the config that is shown.
	keys := t.All("publish key", slices.Clone(o.Keys))
	if len(keys) == 0 {
		t.Check(fmt.Errorf("publish %s has no key, and so nobody could use it", o.Path))
	}
	for _, key := range keys {
		t.Check(checkKey(key))
	}
	option.CountRate.Provision(t, "publish rate", &o.Rate, option.Rate{Off: true})
	t.Size("publish max_body", &o.MaxBody, publish.DefaultMaxBody, minMaxBody)
	return publish.New(publish.Options{Keys: keys, Rate: o.Rate.Pace(), MaxBody: o.MaxBody})
}
