package socketiostream

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-socketio/socketio-stream/auth/authcaddy"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/internal/sites"
)

// siteOf is what a handler knows of the site that it is in.
type siteOf struct {
	// place is nil where nothing is known of it.
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
	declaration := sites.Declaration{At: h.DeclaredAt, In: h.DeclaredIn}
	place, release, err := sites.Find(ctx, h.CaddyModule().ID.Name(), declaration)
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

// checkDoors refuses a handler that clients come to by two paths, or two hosts, when what is in
// front of one of them, and keeps clients out, is not in front of the other.
func (h *Handler) checkDoors() error {
	if h.site.place == nil {
		return nil
	}
	doors := h.site.place.Doors(append([]string{h.paths.first}, h.paths.socket...))
	for _, door := range doors {
		first := doors[0]
		sure, unsure := sites.Difference(relevant(first.Guards, h.Namespaces), relevant(door.Guards, h.Namespaces))
		switch {
		case len(sure) > 0:
			return fmt.Errorf("%s in front of %s and %s is not the same, so that who may not pass at one may come in at "+
				"the other; put the same in front of both, or give one of them a handler and a hub of its own, as in: hub <name>",
				sites.Kinds(sure), first, door)
		case len(unsure) > 0:
			h.logger.Warn("it cannot be told whether the same clients can come to two paths; "+
				"put the same in front of both, or give one of them a handler and a hub of its own",
				zap.String("differing", sites.Kinds(unsure)), zap.Stringer("path", first), zap.Stringer("other_path", door),
				zap.String("declared_at", h.place()+" ("+h.site.place.String()+")"))
		}
	}
	return nil
}

// describe adds to a plan what is known of the site.
func (s *siteOf) describe(p *hub.Plan, namespaces []*Namespace) {
	switch {
	case s == nil:
	case s.place == nil:
		p.Guards = []sites.Guard{{Kind: "what stands where the handler is", Rule: p.DeclaredAt}}
	default:
		p.DeclaredAt += " (" + s.place.String() + ")"
		p.Addresses = s.place.Site.Keys()
		if s.own {
			p.Site = strings.Join(p.Addresses, "\n")
		}
		guards := s.place.Guards(p.Paths)
		p.Front = fmt.Sprint(guards, s.verification)
		p.Guards = relevant(guards, namespaces)
	}
}

// relevant returns the guards that matter for who comes into the namespaces.
func relevant(guards []sites.Guard, namespaces []*Namespace) []sites.Guard {
	if identifiesAll(namespaces) {
		return slices.DeleteFunc(slices.Clone(guards), sites.Guard.Identifies)
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

// hubName is what a hub may be called: the name appears in admin addresses and in metrics.
var hubName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func checkHubName(name string) error {
	if !hubName.MatchString(name) {
		return fmt.Errorf("hub %q: a name is up to 64 letters, digits, dots, dashes and underscores, as in: hub main", name)
	}
	return nil
}

// parseHub parses the option hub.
func parseHub(d *caddyfile.Dispenser) (string, error) {
	name, err := option.Text(d, "<name>")
	if err == nil && !strings.Contains(name, "{") {
		err = option.Wrap(d, checkHubName(name))
	}
	return name, err
}
