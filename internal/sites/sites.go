// Package sites knows the sites of Caddy's HTTP servers: in which of them a handler is, by which
// addresses clients come to it, and what stands in front of it there.
//
// A handler is not told. But Caddy provisions the routes of a server one after the other, and
// forgets the JSON of each only when its handlers are loaded. So the first handler of a kind that
// is provisioned in a config finds the JSON of all others of that kind, which says where they are.
package sites

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ErrUnknown tells that a handler's place in the config is not known.
var ErrUnknown = errors.New("it cannot be told which site it is in")

// Place is where a config has a handler: on one server, in one site.
type Place struct {
	// Site are the addresses of the handler's site, on all servers that it is provisioned on.
	Site Site
	// server is the one of this place, and top the index of its route that the handler is in.
	server *caddyhttp.Server
	top    int
	// declaredAt is the same for the places of one declaration in a Caddyfile.
	declaredAt string
	// hosts are those that the routes ask for, or nil for any.
	hosts []string
	// way is what requests go through to the handler, from the outside to the inside.
	way []step
	// certificates is what clients have to show, see certificatesOf.
	certificates string
}

// step is one list of routes on the way to a handler.
type step struct {
	// ahead are the routes before the one that the handler is in, which is self, and before are the
	// handlers in front of it in that.
	ahead  []route
	self   route
	before []json.RawMessage
}

// layouts holds the places of the handlers of configs, by Caddy's HTTP app and the handlers' name.
var layouts = caddy.NewUsagePool()

type layoutKey struct {
	app     *caddyhttp.App
	handler string
}

// layout has the places of the handlers of one kind in a config that have not been provisioned, in
// the order in which those of one server are.
type layout struct {
	mu     sync.Mutex
	places []*Place
}

// Destruct implements caddy.Destructor.
func (*layout) Destruct() error { return nil }

// Find returns the place of a handler that is being provisioned, each place once. name is the name
// of the handler's module; declaredAt, if it is not empty, is what the field "declared_at" of its
// JSON says, which must be the same for handlers of one declaration in a Caddyfile alone. release must be
// called when the handler is cleaned up, also where the error is ErrUnknown.
func Find(ctx caddy.Context, name, declaredAt string) (place *Place, release func(), err error) {
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	app := appOf(ctx)
	if server == nil || app == nil {
		return nil, func() {}, ErrUnknown
	}
	key := layoutKey{app, name}
	value, _, err := layouts.LoadOrNew(key, func() (caddy.Destructor, error) { return layoutOf(app, name), nil })
	if err != nil {
		return nil, func() {}, err
	}
	release = func() { _, _ = layouts.Delete(key) }
	if place = value.(*layout).take(server, declaredAt); place == nil {
		return nil, release, ErrUnknown
	}
	return place, release, nil
}

// appOf returns the HTTP app that a module is being provisioned for, or nil.
func appOf(ctx caddy.Context) *caddyhttp.App {
	for _, module := range ctx.Modules() {
		if app, ok := module.(*caddyhttp.App); ok {
			return app
		}
	}
	return nil
}

// take returns the place of the handler that is being provisioned, or nil.
func (l *layout) take(server *caddyhttp.Server, declaredAt string) *Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	top := slices.IndexFunc(server.Routes, func(r caddyhttp.Route) bool {
		return len(r.HandlersRaw) > 0 && len(r.Handlers) == 0
	})
	i := slices.IndexFunc(l.places, func(p *Place) bool {
		return p.server == server && p.top == top && p.declaredAt == declaredAt
	})
	if i < 0 {
		return nil
	}
	place := l.places[i]
	l.places = slices.Delete(l.places, i, i+1)
	return place
}

// layoutOf finds the handlers of a name, none of which has been provisioned, in all servers.
func layoutOf(app *caddyhttp.App, name string) *layout {
	l := new(layout)
	for _, each := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[each]
		routes := routesOf(server.Routes)
		for i := range routes {
			s := scan{layout: l, name: name, server: server, top: i}
			s.route(routes, i, nil, nil)
		}
	}
	l.join()
	return l
}

// join gives the places the addresses of their sites. A site of a Caddyfile may be provisioned on
// several servers: its places have one declaration.
func (l *layout) join() {
	joined, apart := make(map[string][]Address), make(map[string]bool)
	for i, place := range l.places {
		for _, other := range l.places[:i] {
			// A declaration is once on a server. Where it is not, nothing is known by it.
			if other.declaredAt == place.declaredAt && other.server == place.server {
				apart[place.declaredAt] = true
			}
		}
		joined[place.declaredAt] = append(joined[place.declaredAt], place.addresses()...)
	}
	for _, place := range l.places {
		if place.declaredAt == "" || apart[place.declaredAt] {
			place.Site = newSite(place.addresses())
		} else {
			place.Site = newSite(joined[place.declaredAt])
		}
	}
}

// String lists the addresses of the place, as messages name it.
func (p *Place) String() string { return newSite(p.addresses()).String() }

// addresses are those of the place on its server.
func (p *Place) addresses() (addresses []Address) {
	hosts, listeners := p.hosts, p.server.Listen
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	if len(listeners) == 0 {
		listeners = []string{""}
	}
	for _, listener := range listeners {
		for _, host := range hosts {
			addresses = append(addresses, newAddress(host, listener))
		}
	}
	return addresses
}

// scan looks for handlers in one route of a server.
type scan struct {
	layout *layout
	name   string
	server *caddyhttp.Server
	top    int
}

// route looks for handlers in a route. outer are the hosts that are asked for around it, and way is
// what is gone through to it.
func (s *scan) route(routes []route, index int, outer []string, way []step) {
	r := routes[index]
	hosts := outer
	if own := r.hosts(); len(own) > 0 {
		hosts = own
	}
	for i, raw := range r.Handle {
		here := append(slices.Clone(way), step{ahead: routes[:index], self: r, before: r.Handle[:i]})
		h := parseHandler(raw)
		if h.Name == s.name {
			s.layout.places = append(s.layout.places, &Place{
				server: s.server, top: s.top, declaredAt: h.DeclaredAt, hosts: hosts, way: here,
				certificates: certificatesOf(s.server, hosts),
			})
		}
		s.routes(h.Routes, hosts, here)
		for _, response := range h.HandleResponse {
			s.routes(response.Routes, hosts, here)
		}
	}
}

func (s *scan) routes(routes []route, hosts []string, way []step) {
	for i := range routes {
		s.route(routes, i, hosts, way)
	}
}
