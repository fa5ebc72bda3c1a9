package sites

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

// route is a route of Caddy's in the form of its JSON, whether Caddy has loaded its modules already
// or not.
type route struct {
	Group    string                       `json:"group,omitempty"`
	Match    []map[string]json.RawMessage `json:"match,omitempty"`
	Handle   []json.RawMessage            `json:"handle,omitempty"`
	Terminal bool                         `json:"terminal,omitempty"`
}

// routesOf returns the routes of a server or of a subroute.
func routesOf(list caddyhttp.RouteList) []route {
	routes := make([]route, 0, len(list))
	for i := range list {
		routes = append(routes, routeOf(&list[i]))
	}
	return routes
}

// routeOf returns a route. Caddy forgets the JSON of the modules that it has loaded: what is asked
// of those is written again from the modules.
func routeOf(r *caddyhttp.Route) route {
	result := route{Group: r.Group, Terminal: r.Terminal, Handle: r.HandlersRaw}
	for _, set := range r.MatcherSetsRaw {
		result.Match = append(result.Match, set)
	}
	if len(r.MatcherSetsRaw) == 0 {
		result.Match = matchersOf(r.MatcherSets)
	}
	if len(r.HandlersRaw) == 0 {
		for _, handler := range r.Handlers {
			result.Handle = append(result.Handle, handlerOf(handler))
		}
	}
	return result
}

// matchersOf returns matchers that are loaded.
func matchersOf(sets caddyhttp.MatcherSets) (list []map[string]json.RawMessage) {
	for _, set := range sets {
		matchers := make(map[string]json.RawMessage)
		for _, matcher := range set {
			module, ok := matcher.(caddy.Module)
			if !ok {
				continue
			}
			if not, ok := matcher.(*caddyhttp.MatchNot); ok {
				matchers["not"] = encode(matchersOf(not.MatcherSets))
				continue
			}
			matchers[module.CaddyModule().ID.Name()] = encode(matcher)
		}
		list = append(list, matchers)
	}
	return list
}

// handlerOf returns a handler that is loaded.
func handlerOf(handler caddyhttp.MiddlewareHandler) json.RawMessage {
	var options any
	switch loaded := handler.(type) {
	case *caddyhttp.Subroute:
		options = map[string]any{"routes": routesOf(loaded.Routes)}
	case *caddyauth.Authentication:
		options = map[string]any{"providers": providersOf(loaded)}
	default:
		options = handler
	}
	fields := make(map[string]json.RawMessage)
	_ = json.Unmarshal(encode(options), &fields)
	if module, ok := handler.(caddy.Module); ok {
		fields["handler"] = encode(module.CaddyModule().ID.Name())
	}
	return encode(fields)
}

// providersOf returns the providers of an authentication that is loaded.
func providersOf(a *caddyauth.Authentication) map[string]any {
	providers := make(map[string]any)
	for name, provider := range a.Providers {
		providers[name] = nil
		if basic, ok := provider.(*caddyauth.HTTPBasicAuth); ok {
			accounts := basic.AccountList
			for _, account := range basic.Accounts {
				accounts = append(accounts, account)
			}
			providers[name] = map[string]any{"accounts": accounts}
		}
	}
	return providers
}

// encode returns a value as JSON, and null where it has none.
func encode(value any) json.RawMessage {
	encoded, err := json.Marshal(value)
	if err != nil {
		return json.RawMessage("null")
	}
	return encoded
}

// handler is what is asked of a handler's JSON.
type handler struct {
	Name       string  `json:"handler"`
	DeclaredAt string  `json:"declared_at"`
	Routes     []route `json:"routes"`
	// HandleResponse is that of reverse_proxy and intercept.
	HandleResponse []struct {
		Routes []route `json:"routes"`
	} `json:"handle_response"`
}

// parseHandler reads a handler. What cannot be read is for Caddy to refuse.
func parseHandler(raw json.RawMessage) (h handler) {
	if json.Unmarshal(raw, &h) != nil {
		// Another module may have other things by these names.
		var name struct {
			Name string `json:"handler"`
		}
		_ = json.Unmarshal(raw, &name)
		return handler{Name: name.Name}
	}
	return h
}

// hasMatcher reports whether a route has a matcher of that name.
func (r *route) hasMatcher(name string) bool {
	return slices.ContainsFunc(r.Match, func(set map[string]json.RawMessage) bool {
		_, has := set[name]
		return has
	})
}

// hosts returns the hosts that a route is for, or nil where it is for any.
func (r *route) hosts() (hosts []string) {
	for _, set := range r.Match {
		raw, ok := set["host"]
		var list []string
		if !ok || json.Unmarshal(raw, &list) != nil {
			return nil
		}
		hosts = append(hosts, list...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
