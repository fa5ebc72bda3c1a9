package sites

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// walk goes back from a handler over the way that requests come, against their direction: what
// changes a request on the way says which requests are meant before that.
type walk struct {
	requests
	server *server
	guards []Guard
	// read are the rules of the guards that have been found, in lower case: what they go by may be
	// set before them.
	read []string
	// byHost tells that something is in front of some hosts only.
	byHost bool
	// maps is true if a handler is there that may set any placeholder.
	maps bool
	// reached is false if no request comes by the paths.
	reached bool
	// invoked are the named routes that are being walked through.
	invoked []string
}

// walk goes back over a way, for requests to the paths.
func (p *Place) walk(way way, paths []string) *walk {
	w := &walk{server: p.server, requests: requests{hosts: way.hosts, paths: paths}, reached: true}
	for _, step := range slices.Backward(way.steps) {
		w.handlers(step.before, nil, always)
		w.requests = w.within(step.self.Match)
		own := w.matches(step.self.Match)
		w.reached = w.reached && !own.never
		w.taken(own.not())
		w.routes(step.ahead, step.self.Group, always)
		if step.within != nil {
			w.forwardAuth(step.within, always)
		}
	}
	if rule, sure := certificatesOf(p.server, way.hosts); rule != "" {
		w.guards = append(w.guards, newGuard(clientAuth, rule, sure))
	}
	return w
}

// add notes a guard for the requests that meet a condition.
func (w *walk) add(where condition, kind, rule string, sure bool) {
	if !where.isAlways() {
		rule += "\nwhere " + where.text()
	}
	w.byHost = w.byHost || slices.Contains(where.matchers, "host")
	if slices.Contains(where.matchers, "client_ip") && w.server.Trusted != nil {
		w.guards = append(w.guards, newGuard("trusted_proxies", string(encode(w.server.proxies)), false))
	}
	w.read = append(w.read, strings.ToLower(rule))
	w.guards = append(w.guards, newGuard(kind, rule, sure && where.addressSuffices))
}

// taken notes that requests which meet a condition do not come further.
func (w *walk) taken(where condition) {
	// Where it is for all requests, this is no way. A host or a path keeps nobody out, since
	// everyone may take another.
	if where.byClient {
		w.add(where, where.kind(), "taken away", true)
	}
}

// routes walks through a list of routes, for requests that meet a condition. group is that of the
// route which the way goes on in.
func (w *walk) routes(list []route, group string, where condition) {
	for i, r := range slices.Backward(list) {
		own := w.matches(r.Match)
		// Of the routes of a group the first that matches is the only one.
		if r.Group != "" && r.Group == group {
			w.taken(where.and(own))
			continue
		}
		for _, other := range list[:i] {
			if r.Group != "" && r.Group == other.Group {
				own = own.and(w.matches(other.Match).not())
			}
		}
		if inner := where.and(own); r.Terminal || w.answers(r.Handle) {
			w.taken(inner)
		} else if w.onHost(r.Match) {
			w.handlers(r.Handle, r.Match, inner)
		}
	}
}

// handlers walks through the handlers of a route with these matchers, which are for requests that
// meet a condition.
func (w *walk) handlers(list []handler, match []matcherSet, where condition) {
	for _, h := range slices.Backward(list) {
		switch {
		case h.Name == "rewrite":
			w.rewrite(h, match, where)
		case h.Name == "subroute":
			w.routes(h.Routes, "", where)
		case h.Name == "invoke":
			w.invoke(h.Invokes, where)
		case where.never:
		case h.Name == "authentication":
			w.authentication(h.raw, where)
		case w.answers([]handler{h}):
			w.taken(where)
		case h.Name == "reverse_proxy":
			w.forwardAuth(h.raw, where)
		case setting[h.Name]:
			w.maps = w.maps || h.Name == "map"
			w.set(h, where)
		case !passing[h.Name]:
			w.add(where, h.Name, string(canonical(h.raw)), false)
		}
	}
}

// invoke walks through a named route.
func (w *walk) invoke(name string, where condition) {
	invoked, ok := w.server.NamedRoutes[name]
	if !ok || slices.Contains(w.invoked, name) {
		return
	}
	w.invoked = append(w.invoked, name)
	w.routes([]route{invoked}, "", where)
	w.invoked = w.invoked[:len(w.invoked)-1]
}

// answering are the handlers of Caddy's that answer each request, so that none comes further.
var answering = map[string]bool{"error": true, "file_server": true, "metrics": true, "reverse_proxy": true, "static_response": true}

// answers reports whether handlers answer each request that comes to them.
func (w *walk) answers(list []handler) bool {
	return slices.ContainsFunc(list, func(h handler) bool {
		var options struct {
			PassThru bool `json:"pass_thru"`
		}
		_ = json.Unmarshal(h.raw, &options)
		if h.Name == "subroute" {
			return slices.ContainsFunc(h.Routes, func(r route) bool {
				return w.matches(r.Match).isAlways() && (r.Terminal || w.answers(r.Handle))
			})
		}
		// A proxy that has routes for its response may go on behind them.
		return answering[h.Name] && !options.PassThru && !h.goesOn()
	})
}

// passing are the handlers of Caddy's that let everyone through.
var passing = map[string]bool{
	"acme_server": true, "copy_response": true, "copy_response_headers": true, "encode": true, "file_server": true,
	"intercept": true, "log_append": true, "push": true, "request_body": true, "socketio_stream": true,
	"templates": true, "timeouts": true, "tracing": true,
}

// setting are the handlers of Caddy's that let everyone through, and set something that a guard
// behind them may go by.
var setting = map[string]bool{"headers": true, "map": true, "vars": true}

// set notes a handler that sets what guards behind it go by.
func (w *walk) set(h handler, where condition) {
	var options struct {
		Request struct {
			Add, Set, Replace map[string]json.RawMessage
			Delete            []string
		}
		Destinations []string
	}
	_ = json.Unmarshal(h.raw, &options)
	names := slices.Concat(options.Request.Delete, options.Destinations,
		slices.Collect(maps.Keys(options.Request.Add)), slices.Collect(maps.Keys(options.Request.Set)),
		slices.Collect(maps.Keys(options.Request.Replace)))
	if h.Name == "vars" {
		var vars map[string]json.RawMessage
		_ = json.Unmarshal(h.raw, &vars)
		delete(vars, "handler")
		names = slices.Collect(maps.Keys(vars))
	}
	if slices.ContainsFunc(names, w.reads) {
		w.add(where, h.Name, string(canonical(h.raw)), false)
	}
}

// reads reports whether a guard may go by the header or the variable of that name.
func (w *walk) reads(name string) bool {
	name = regexp.QuoteMeta(strings.ToLower(strings.Trim(name, "{}*")))
	named := regexp.MustCompile(`(^|[^a-z0-9_-])` + name + `($|[^a-z0-9_-])`)
	return name != "" && slices.ContainsFunc(w.read, named.MatchString)
}
