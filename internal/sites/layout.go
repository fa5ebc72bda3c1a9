package sites

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// layoutOf finds the handlers of a name in all servers of the app that is being provisioned.
func layoutOf(ctx caddy.Context, app *caddyhttp.App, name string) *layout {
	l := new(layout)
	servers := serversOf(ctx, app)
	for _, each := range slices.Sorted(maps.Keys(servers)) {
		server, top := servers[each], 0
		for i := range server.Routes {
			s := scan{layout: l, name: name, server: server, top: top}
			s.route(server.Routes, i, nil, nil, nil)
			if len(server.Routes[i].Handle) > 0 {
				top++
			}
		}
	}
	l.join()
	return l
}

// join gives the places the addresses of their sites. A site of a Caddyfile may be provisioned on
// several servers: its places have one declaration.
func (l *layout) join() {
	joined, apart := make(map[Declaration][]Address), make(map[Declaration]bool)
	for i, place := range l.places {
		for _, other := range l.places[:i] {
			// A declaration is once on a server. Where it is not, nothing is known by it.
			if other.declaration == place.declaration && other.server == place.server {
				apart[place.declaration] = true
			}
		}
		joined[place.declaration] = append(joined[place.declaration], place.addresses()...)
	}
	for _, place := range l.places {
		switch {
		case place.top == named:
		case place.declaration.At == "" || place.declaration.In == "" || apart[place.declaration]:
			place.Site = newSite(place.addresses())
		default:
			place.Site = newSite(joined[place.declaration])
		}
	}
}

// add notes a way to a handler. All ways to one in a named route are those of one place.
func (l *layout) add(place *Place) {
	if place.top == named {
		i := slices.IndexFunc(l.places, func(p *Place) bool {
			return p.top == named && p.server == place.server && p.declaration == place.declaration
		})
		if i >= 0 {
			l.places[i].ways = append(l.places[i].ways, place.ways...)
			return
		}
	}
	l.places = append(l.places, place)
}

// scan looks for handlers in one route of a server.
type scan struct {
	layout *layout
	name   string
	server *server
	top    int
	// invoked are the named routes that are being looked through.
	invoked []string
}

// route looks for handlers in a route. outer are the hosts that are asked for around it, and steps
// what is gone through to it; within is the last handler on the way, see step.
func (s *scan) route(routes []route, index int, outer []string, steps []step, within []byte) {
	r := routes[index]
	hosts := narrow(outer, r.hosts())
	for i, h := range r.Handle {
		here := append(slices.Clone(steps), step{within: within, ahead: routes[:index], self: r, before: r.Handle[:i]})
		if h.Name == s.name {
			s.layout.add(&Place{server: s.server, top: s.top, declaration: h.Declaration, ways: []way{{hosts, here}}})
		}
		if invoked, ok := s.server.NamedRoutes[h.Invokes]; ok && !slices.Contains(s.invoked, h.Invokes) {
			inner := *s
			inner.top, inner.invoked = named, append(slices.Clone(s.invoked), h.Invokes)
			inner.route([]route{invoked}, 0, hosts, here, nil)
		}
		s.routes(h.Routes, hosts, here, nil)
		for _, response := range h.HandleResponse {
			s.routes(response.Routes, hosts, here, h.raw)
		}
	}
}

func (s *scan) routes(routes []route, hosts []string, steps []step, within []byte) {
	for i := range routes {
		s.route(routes, i, hosts, steps, within)
	}
}
