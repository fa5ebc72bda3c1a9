package socketiostream

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/auth/authcaddy"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/sites"
)

// siteOf is what a handler knows of the site that it is in.
type siteOf struct {
	// place is nil where it is not known.
	place *sites.Place
	// own is true where the handler names no hub, and has that which the site has to itself.
	own bool
	// verification is how certificates of clients are verified, see [sites.Verification].
	verification string
	release      func()
}

// findSite finds out which site the handler is in, and takes the site's own hub where the config
// names none.
func (h *Handler) findSite(ctx caddy.Context) error {
	place, release, err := sites.Find(ctx, h.CaddyModule().ID.Name(), h.DeclaredAt)
	h.site = &siteOf{place: place, own: h.Hub == "", verification: sites.Verification(ctx), release: release}
	switch {
	case err == nil && h.site.own:
		h.Hub = place.Site.Name()
	case errors.Is(err, sites.ErrUnknown) && h.site.own:
		return fmt.Errorf("hub is missing: %w, as in a route that several sites invoke, so it has no hub of its own; "+
			"write one, as in: hub <name>", err)
	case err != nil && !errors.Is(err, sites.ErrUnknown):
		return err
	}
	return h.checkDoors()
}

// checkDoors refuses a handler that clients come to by two paths when what is in front of one of
// them, and keeps clients out, is not in front of the other.
func (h *Handler) checkDoors() error {
	first := h.site.guards(h.Namespaces, h.paths.first)
	for _, path := range h.paths.socket {
		sure, unsure := sites.Difference(first, h.site.guards(h.Namespaces, path))
		switch {
		case len(sure) > 0:
			return fmt.Errorf("%s in front of the paths %s and %s is not the same, so that who may not pass at one may come in at "+
				"the other; put the same in front of both, or give one of them a handler and a hub of its own, as in: hub <name>",
				sites.Kinds(sure), h.paths.first, path)
		case len(unsure) > 0:
			h.logger.Warn("it cannot be told whether the same clients can come to two paths",
				zap.String("differing", sites.Kinds(unsure)), zap.String("path", h.paths.first), zap.String("other_path", path),
				zap.String("declared_at", h.DeclaredAt))
		}
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
		p.Guards = s.guards(namespaces, p.Paths...)
		// What is not sure may read differently though it is the same.
		front := slices.DeleteFunc(s.place.Guards(p.Paths), func(g sites.Guard) bool { return !g.Sure })
		p.Front = fmt.Sprint(front, s.verification)
	}
}

// guards lists what keeps clients from the handler, on the way to paths.
func (s *siteOf) guards(namespaces []*Namespace, paths ...string) []sites.Guard {
	if s.place == nil {
		return nil
	}
	guards := s.place.Guards(paths)
	if identifiesAll(namespaces) {
		guards = slices.DeleteFunc(guards, sites.Guard.Identifies)
	}
	return guards
}

// warnOfNobody logs that auth caddy lets nobody in, where that is certain.
func (h *Handler) warnOfNobody() {
	if h.site == nil || h.site.place == nil || !slices.ContainsFunc(h.Namespaces, (*Namespace).isForNamed) {
		return
	}
	for _, path := range h.paths.socket {
		if h.site.place.Anonymous(path) {
			h.logger.Warn("auth caddy lets nobody in, as nothing in front of the handler says who clients are",
				zap.String("path", path), zap.String("declared_at", h.DeclaredAt),
				zap.String("remedy", "put basic_auth in front of the path, or have tls verify client certificates by client_auth"))
		}
	}
}

// isForNamed reports whether nobody comes into the namespace whom nothing in front has identified.
func (n *Namespace) isForNamed() bool {
	return n.auth != nil && authcaddy.ByFront(n.auth.authenticator)
}

// identifiesAll reports whether nobody comes in whom no guard has identified: then it does not matter
// which one that was.
func identifiesAll(namespaces []*Namespace) bool {
	return !slices.ContainsFunc(namespaces, func(n *Namespace) bool { return !n.isForNamed() })
}
