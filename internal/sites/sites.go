// Package sites knows the sites of Caddy's HTTP servers: in which of them a handler is, by which
// addresses clients come to it, and what stands in front of it there.
//
// A handler is not told. But while Caddy provisions the HTTP app it still has the JSON of that app,
// which says where all handlers are; and it provisions the routes of a server one after the other,
// so that the first one which is not provisioned is the one that the handler is in.
package sites

import (
	"errors"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ErrUnknown tells that a handler's place in the config is not known.
var ErrUnknown = errors.New("it cannot be told which site it is in")

// Place is where a config has a handler: on one server, in one site, or in a named route.
type Place struct {
	// Site are the addresses of the handler's site, on all servers that it is provisioned on. Those in
	// a named route have none.
	Site Site
	// server is the one of this place, and top tells in which of its routes the handler is, as the
	// number of those with handlers that come before it, or named.
	server *server
	top    int
	// declaration is the same for the places of one declaration in a Caddyfile.
	declaration Declaration
	// ways are those by which requests come to the handler: one, but for those in a named route, which
	// have one for each time that it is invoked.
	ways []way
}

// named stands for the named routes in the place of a number.
const named = -1

// way is what requests go through to a handler.
type way struct {
	// hosts are those that the routes ask for, or nil for any.
	hosts []string
	// steps are in order from the outside to the inside.
	steps []step
}

// step is one list of routes on the way to a handler.
type step struct {
	// within is the handler that has the list, if it decides by itself which requests come to it.
	within []byte
	// ahead are the routes before the one that the handler is in, which is self, and before are the
	// handlers in front of it in that.
	ahead  []route
	self   route
	before []handler
}

// layouts holds the places of the handlers of configs, by Caddy's HTTP app and the handlers' name.
var layouts = caddy.NewUsagePool()

type layoutKey struct {
	app     *caddyhttp.App
	handler string
}

// Find returns the place of a handler that is being provisioned, each place once. name is the name
// of the handler's module, and declaration what its JSON says of that. The error is ErrUnknown for
// one in a named route too, whose place tells what stands in front of it alone. release must be
// called when the handler is cleaned up, whatever the error is.
func Find(ctx caddy.Context, name string, declaration Declaration) (place *Place, release func(), err error) {
	live, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	app := appOf(ctx)
	if live == nil || app == nil {
		return nil, func() {}, ErrUnknown
	}
	key := layoutKey{app, name}
	value, _, err := layouts.LoadOrNew(key, func() (caddy.Destructor, error) { return layoutOf(ctx, app, name), nil })
	if err != nil {
		return nil, func() {}, err
	}
	release = func() { _, _ = layouts.Delete(key) }
	place = value.(*layout).take(live, declaration)
	if place == nil || place.top == named {
		return place, release, ErrUnknown
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

// layout has the places of the handlers of one kind in a config that have not been provisioned, in
// the order in which those of one server are.
type layout struct {
	mu     sync.Mutex
	places []*Place
}

// Destruct implements caddy.Destructor.
func (*layout) Destruct() error { return nil }

// take returns the place of the handler that is being provisioned, or nil.
func (l *layout) take(live *caddyhttp.Server, declaration Declaration) *Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Caddy takes the JSON of a route's handlers away when it has loaded them. The routes that it
	// adds by itself never had any.
	left := 0
	for i := range live.Routes {
		if len(live.Routes[i].HandlersRaw) > 0 {
			left++
		}
	}
	i := slices.IndexFunc(l.places, func(p *Place) bool {
		top := p.server.withHandlers() - left
		if left == 0 {
			// The named routes come last.
			top = named
		}
		return p.server.live == live && p.top == top && p.declaration == declaration
	})
	if i < 0 {
		return nil
	}
	place := l.places[i]
	l.places = slices.Delete(l.places, i, i+1)
	return place
}

// String lists the addresses of the place, as messages name it.
func (p *Place) String() string { return newSite(p.addresses()).String() }

// addresses are those of the place on its server.
func (p *Place) addresses() (addresses []Address) {
	listeners := p.server.live.Listen
	var hosts []string
	for _, way := range p.ways {
		hosts = append(hosts, way.hosts...)
		if len(way.hosts) == 0 {
			hosts = append(hosts, "")
		}
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
