package socketiostream

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// Cookie describes the cookie that carries the session's id.
type Cookie struct {
	// Name is the cookie's name. Default: "io".
	Name string `json:"name,omitempty"`

	// Path is the path the cookie is sent for. Default: "/".
	Path string `json:"path,omitempty"`

	// Domain is the domain the cookie is sent for. Default: none, which means the host that set it.
	Domain string `json:"domain,omitempty"`

	// SameSite is "lax", "strict" or "none"; "none" needs a secure cookie. Default: "lax".
	SameSite string `json:"same_site,omitempty"`

	// Secure keeps the cookie off plain HTTP. Default: true for requests that came over TLS, and
	// with same_site "none".
	Secure *bool `json:"secure,omitempty"`

	// HTTPOnly hides the cookie from scripts. Default: true.
	HTTPOnly *bool `json:"http_only,omitempty"`

	// MaxAge is how long the browser keeps the cookie, in whole seconds. Zero means until the
	// browser is closed. Default: 0.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// sameSites are the values of same_site.
var sameSites = map[string]http.SameSite{
	"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
}

func (c *Cookie) provision(t *option.Resolver) {
	if c == nil {
		return
	}
	t.Text("cookie", &c.Name, "io")
	t.Text("cookie path", &c.Path, "/")
	t.Text("cookie domain", &c.Domain, "")
	t.Text("cookie same_site", &c.SameSite, "lax")
	t.Switch(&c.HTTPOnly, true)
	c.SameSite = strings.ToLower(c.SameSite)
	t.Check(c.check())
}

// check refuses what browsers refuse.
func (c *Cookie) check() error {
	if sameSites[c.SameSite] == 0 {
		return fmt.Errorf("unknown cookie same_site %q: write lax, strict or none", c.SameSite)
	}
	if c.SameSite == "none" && c.Secure != nil && !*c.Secure {
		return errors.New("cookie same_site none needs secure on: browsers refuse such a cookie otherwise")
	}
	if err := checkMaxAge(c.MaxAge); err != nil {
		return err
	}
	cookie := http.Cookie{Name: c.Name, Value: "x", Path: c.Path, Domain: c.Domain}
	if err := cookie.Valid(); err != nil {
		return fmt.Errorf("cookie: %w", err)
	}
	if !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("cookie path %q: a path begins with a slash", c.Path)
	}
	return nil
}

// checkMaxAge refuses what a Set-Cookie header cannot say, which counts in seconds. Zero is a
// session cookie.
func checkMaxAge(age caddy.Duration) error {
	if d := time.Duration(age); d < 0 || d%time.Second != 0 {
		return fmt.Errorf("cookie max_age must be whole seconds, is %s", d)
	}
	return nil
}

// make makes the cookie of a session.
func (c *Cookie) make(r *http.Request, sid string) *http.Cookie {
	cookie := &http.Cookie{
		Name: c.Name, Value: sid, Path: c.Path, Domain: c.Domain,
		Secure:   r.TLS != nil || c.SameSite == "none",
		HttpOnly: *c.HTTPOnly,
		SameSite: sameSites[c.SameSite],
		MaxAge:   int(time.Duration(c.MaxAge) / time.Second),
	}
	if c.Secure != nil {
		cookie.Secure = *c.Secure
	}
	return cookie
}

func (c *Cookie) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	given, err := option.At(d, "[<name>] { ... }").ArgumentsBeforeBlock(d, 0, 1)
	if err != nil {
		return err
	}
	c.Name = strings.Join(given, "")
	return option.Each(d, func(name string) (err error) {
		switch name {
		case "path":
			c.Path, err = option.Text(d, "<path>")
		case "domain":
			c.Domain, err = option.Text(d, "<domain>")
		case "same_site":
			c.SameSite, err = option.Choice(d, "lax", "strict", "none")
		case "secure":
			c.Secure, err = option.Switch(d)
		case "http_only":
			c.HTTPOnly, err = option.Switch(d)
		case "max_age":
			if c.MaxAge, err = option.Duration(d); err == nil {
				err = option.Wrap(d, checkMaxAge(c.MaxAge))
			}
		default:
			err = option.Unknown(d, "cookie", "path", "domain", "same_site", "secure", "http_only", "max_age")
		}
		return err
	})
}
