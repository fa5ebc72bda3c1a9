package sites

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// Guard is something in front of a handler that keeps clients from it.
type Guard struct {
	// Kind is how the Caddyfile names it: "basic_auth", "forward_auth", "client_auth", "remote_ip",
	// which stands for all that goes by clients' addresses, or the name of another module.
	Kind string
	// Rule is the same for guards that let in the same clients. It is only compared.
	Rule string
	// Sure tells that it keeps clients out. What is not sure may do something else.
	Sure bool
}

// Identifies reports whether the guard says who clients are.
func (g Guard) Identifies() bool {
	return slices.Contains([]string{basicAuth, authentication, forwardAuth, clientAuth}, g.Kind)
}

// The kinds of guards that say who clients are.
const (
	basicAuth      = "basic_auth"
	authentication = "authentication"
	forwardAuth    = "forward_auth"
	clientAuth     = "client_auth"
)

// Guards lists what stands in front of the handler, on the way of requests below the paths: each
// once, in order.
func (p *Place) Guards(paths []string) []Guard { return p.look(paths).sorted() }

// look looks at what stands in front of the handler, on the way of requests below the paths.
func (p *Place) look(paths []string) *check {
	c := &check{hosts: p.hosts, paths: paths}
	for _, step := range p.way {
		for _, r := range step.ahead {
			// Of the routes of a group the first that matches is the only one.
			if r.Group == "" || r.Group != step.self.Group {
				c.route(r, scope{onPath: true})
			}
		}
		here := scope{onPath: true}
		if own := conditionOf(step.self.Match); own.text != "" {
			c.add(here, own.kind(), own.text, own.addresses)
		}
		for _, raw := range step.before {
			c.handler(raw, here)
		}
	}
	if p.certificates != "" {
		c.add(scope{onPath: true}, clientAuth, p.certificates, true)
	}
	return c
}

// sorted returns each of the guards once, in order.
func (c *check) sorted() []Guard {
	guards := c.guards()
	slices.SortFunc(guards, func(a, b Guard) int { return strings.Compare(a.Kind+"\n"+a.Rule, b.Kind+"\n"+b.Rule) })
	return slices.Compact(guards)
}

// Difference returns the guards that only one of two lists has, those that are sure apart from the
// others.
func Difference(a, b []Guard) (sure, unsure []Guard) {
	apart := func(list, other []Guard) {
		for _, guard := range list {
			switch {
			case slices.Contains(other, guard):
			case guard.Sure:
				sure = append(sure, guard)
			default:
				unsure = append(unsure, guard)
			}
		}
	}
	apart(a, b)
	apart(b, a)
	return sure, unsure
}

// Kinds names guards, each kind once.
func Kinds(guards []Guard) string {
	var names []string
	for _, guard := range guards {
		names = append(names, guard.Kind)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// check collects what is in front of a handler.
type check struct {
	hosts, paths []string
	found        []finding
	// maps is true if a handler is there that may set any placeholder.
	maps bool
}

// finding is a guard, or a handler that may change the path.
type finding struct {
	guard   Guard
	rewrite bool
	// onPath is false for what is for other paths only.
	onPath bool
}

// scope is for which requests something is there.
type scope struct {
	condition
	onPath   bool
	terminal bool
}

func (c *check) add(where scope, kind, rule string, sure bool) {
	digest := sha256.Sum256([]byte(rule))
	guard := Guard{Kind: kind, Rule: hex.EncodeToString(digest[:8]), Sure: sure}
	c.found = append(c.found, finding{guard: guard, onPath: where.onPath})
}

// guards returns the guards that requests come by. Where the path is changed behind a guard, the
// path that the guard is for says nothing.
func (c *check) guards() (guards []Guard) {
	rewritten := false
	for _, f := range slices.Backward(c.found) {
		switch {
		case f.rewrite:
			rewritten = true
		case f.onPath || rewritten:
			guards = append(guards, f.guard)
		}
	}
	return guards
}

// passing are the handlers of Caddy's that let everyone through, or that answer whoever comes to
// them: neither keeps anybody from the handler behind.
var passing = map[string]bool{
	"acme_server": true, "copy_response": true, "copy_response_headers": true, "encode": true, "file_server": true,
	"headers": true, "intercept": true, "log_append": true, "metrics": true, "push": true,
	"request_body": true, "socketio_stream": true, "templates": true, "timeouts": true, "tracing": true, "vars": true,
}

// route looks at a route in front of the handler. outer is what the routes around it are for.
func (c *check) route(r route, outer scope) {
	onHost, onPath := c.touches(r.Match)
	if !onHost {
		return
	}
	inner := scope{outer.and(conditionOf(r.Match)), outer.onPath && onPath, outer.terminal || r.Terminal}
	for _, raw := range r.Handle {
		// try_files changes the paths of files.
		if h := parseHandler(raw); h.Name == "rewrite" && r.hasMatcher("file") {
			continue
		}
		c.handler(raw, inner)
	}
}

// handler looks at a handler in front of the handler. Behind one in a terminal route nothing comes,
// so that it cannot let anybody through.
func (c *check) handler(raw json.RawMessage, where scope) {
	h := parseHandler(raw)
	switch h.Name {
	case "authentication":
		if kind, rule := authenticationOf(raw); !where.terminal {
			c.add(where, kind, rule+where.text, true)
		}
	case "reverse_proxy":
		if rule := forwardAuthOf(raw); rule != "" && !where.terminal {
			c.add(where, forwardAuth, rule+where.text, true)
		}
	case "static_response", "error":
		if refuses(raw) && where.text != "" {
			c.add(where, where.kind(), "refused "+where.text, where.addresses)
		}
	case "rewrite":
		c.found = append(c.found, finding{rewrite: true})
	case "map":
		c.maps = true
	case "subroute":
		for _, inner := range h.Routes {
			c.route(inner, where)
		}
	default:
		if !passing[h.Name] && !where.terminal {
			c.add(where, h.Name, string(canonical(raw))+where.text, false)
		}
	}
}

// touches reports whether requests for the handler may match, by their host, and by their path as
// well.
func (c *check) touches(match []map[string]json.RawMessage) (onHost, onPath bool) {
	if len(match) == 0 {
		return true, true
	}
	for _, set := range match {
		var hosts, paths []string
		_ = json.Unmarshal(set["host"], &hosts)
		_ = json.Unmarshal(set["path"], &paths)
		if c.touchesHost(hosts) {
			onHost, onPath = true, onPath || c.touchesPath(paths)
		}
	}
	return onHost, onPath
}

func (c *check) touchesHost(patterns []string) bool {
	if len(patterns) == 0 || len(c.hosts) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(c.hosts, func(host string) bool {
			return matchesHost(pattern, host) || matchesHost(host, pattern)
		})
	})
}

func (c *check) touchesPath(patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return slices.ContainsFunc(c.paths, func(path string) bool { return matchesPath(pattern, path) })
	})
}

// matchesHost reports whether a pattern, in which a * stands for a label, matches a host.
func matchesHost(pattern, host string) bool {
	wanted, labels := strings.Split(strings.ToLower(pattern), "."), strings.Split(strings.ToLower(host), ".")
	if len(wanted) != len(labels) {
		return false
	}
	for i, label := range wanted {
		if label != "*" && label != labels[i] {
			return false
		}
	}
	return true
}

// matchesPath reports whether a path matcher of Caddy's may match a request below a path, which
// ends in a slash. In doubt it may.
func matchesPath(pattern, path string) bool {
	pattern, path = strings.ToLower(pattern), strings.ToLower(path)
	if !strings.Contains(pattern, "*") {
		return strings.TrimSuffix(pattern, "/") == strings.TrimSuffix(path, "/")
	}
	prefix, _, _ := strings.Cut(pattern, "*")
	return strings.HasPrefix(path, prefix) || strings.HasPrefix(prefix, path)
}
