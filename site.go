package socketiostream

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-socketio/socketio-stream/auth/authcaddy"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/sites"
)

// siteOf is what a handler knows of the site that it is in.
type siteOf struct {
	// place is nil where it is not known.
	place *sites.Place
	// own is true where the handler names no hub, and has that which the site has to itself.
	own     bool
	release func()
}

// findSite finds out which site the handler is in, and takes the site's own hub where the config
// names none.
func (h *Handler) findSite(ctx caddy.Context) error {
	place, release, err := sites.Find(ctx, h.CaddyModule().ID.Name(), h.DeclaredAt)
	h.site = &siteOf{place: place, own: h.Hub == "", release: release}
	switch {
	case err == nil && h.site.own:
		h.Hub = place.Site.Name()
	case errors.Is(err, sites.ErrUnknown) && h.site.own:
		return fmt.Errorf("hub is missing: %w, as in a route that several sites invoke, so it has no hub of its own; "+
			"write one, as in: hub <name>", err)
	case err != nil && !errors.Is(err, sites.ErrUnknown):
		return err
	}
	return nil
}

// describe adds to a plan what is known of the site.
func (s *siteOf) describe(p *hub.Plan, namespaces []*Namespace) {
	switch {
	case s == nil:
	case s.place == nil:
		p.Guards = []sites.Guard{{Kind: "what stands where the handler is invoked"}}
	default:
		p.DeclaredAt += " (" + s.place.String() + ")"
		if s.own {
			p.Site = s.place.Site.Key()
		}
		p.Guards = s.place.Guards(p.Paths)
		if identifiesAll(namespaces) {
			p.Guards = slices.DeleteFunc(p.Guards, sites.Guard.Identifies)
		}
	}
}

// identifiesAll reports whether nobody comes in whom no guard has identified: then it does not matter
// which one that was.
func identifiesAll(namespaces []*Namespace) bool {
	return !slices.ContainsFunc(namespaces, func(ns *Namespace) bool {
		if ns.auth == nil {
			return true
		}
		_, byGuard := ns.auth.authenticator.(*authcaddy.Caddy)
		return !byGuard
	})
}
