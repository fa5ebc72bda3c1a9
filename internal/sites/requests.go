package sites

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// requests are those by which clients come to a handler.
type requests struct {
	// hosts are those that they are for, or nil for any.
	hosts []string
	// paths are theirs. stripped tells that a prefix is taken from them on the way, which they may
	// have in capitals as well; anyPath, that the path is changed on the way, so that they may have
	// any, and anyMethod is the same of the method.
	paths              []string
	stripped           bool
	anyPath, anyMethod bool
}

// methods are those by which clients connect.
var methods = []string{http.MethodGet, http.MethodPost}

// matches returns the condition on which a route's matchers match the requests.
func (r *requests) matches(sets []matcherSet) condition {
	if len(sets) == 0 {
		return always
	}
	list := make([]condition, 0, len(sets))
	for i := range sets {
		c := r.matchesHosts(sets[i].hosts)
		for _, name := range slices.Sorted(maps.Keys(sets[i].rest)) {
			if c.never {
				break
			}
			c = c.and(r.matchesOne(name, sets[i].rest[name]))
		}
		list = append(list, c)
	}
	return anyOf(list)
}

// matchesOne is matches for one matcher.
func (r *requests) matchesOne(name string, raw json.RawMessage) condition {
	var known condition
	switch name {
	case "path":
		known = r.matchesPaths(raw)
	case "path_regexp":
		known = r.matchesPathRegexp(raw)
	case "method":
		known = r.matchesMethods(raw)
	case "not":
		var sets []matcherSet
		if json.Unmarshal(raw, &sets) == nil && len(sets) > 0 {
			return r.matches(sets).not()
		}
		return always
	}
	if known.never || known.addressSuffices {
		return known
	}
	return term(name, raw)
}

// matchesHosts returns the condition of a host matcher, which is nil where there is none.
func (r *requests) matchesHosts(patterns []string) condition {
	if patterns == nil {
		return always
	}
	inDoubt := term("host", encode(slices.Sorted(slices.Values(patterns))))
	if len(r.hosts) == 0 || slices.ContainsFunc(patterns, isOpen) {
		return inDoubt
	}
	all, none := true, true
	for _, host := range r.hosts {
		covered := false
		for _, pattern := range patterns {
			if both, some := common(pattern, host); some || isOpen(host) {
				none, covered = false, covered || both == host
			}
		}
		all = all && covered
	}
	return verdict(all, none, inDoubt)
}

// matchesPaths returns the condition of a path matcher: always, never, or the zero condition where
// that depends on the request.
func (r *requests) matchesPaths(raw json.RawMessage) condition {
	var patterns []string
	if json.Unmarshal(raw, &patterns) != nil {
		return condition{}
	}
	for i, pattern := range patterns {
		patterns[i] = caddy.NewReplacer().ReplaceKnown(pattern, "")
	}
	if slices.Contains(patterns, "*") || slices.Contains(patterns, "/*") {
		return always
	}
	// A % is compared with what the client has escaped, as it likes.
	depends := func(pattern string) bool {
		return strings.ContainsAny(pattern, "{%") || r.stripped && strings.Contains(pattern, "//")
	}
	if r.anyPath || slices.ContainsFunc(patterns, depends) {
		return condition{}
	}
	return r.eachPath(func(path string) bool { return matchesPath(patterns, path) })
}

// matchesPathRegexp is [requests.matchesPaths] for a regular expression.
func (r *requests) matchesPathRegexp(raw json.RawMessage) condition {
	var matcher caddyhttp.MatchRegexp
	if r.anyPath || r.stripped || json.Unmarshal(raw, &matcher) != nil {
		return condition{}
	}
	expression, err := regexp.Compile(matcher.Pattern)
	if err != nil {
		return condition{}
	}
	return r.eachPath(expression.MatchString)
}

// matchesMethods is [requests.matchesPaths] for a method matcher.
func (r *requests) matchesMethods(raw json.RawMessage) condition {
	var list []string
	if r.anyMethod || json.Unmarshal(raw, &list) != nil {
		return condition{}
	}
	all, none := true, true
	for _, method := range methods {
		has := slices.Contains(list, method)
		all, none = all && has, none && !has
	}
	return verdict(all, none, condition{})
}

// eachPath asks of each path whether it matches.
func (r *requests) eachPath(match func(path string) bool) condition {
	all, none := true, true
	for _, path := range r.paths {
		has := match(path)
		all, none = all && has, none && !has
	}
	return verdict(all, none, condition{})
}

// verdict returns the condition that all requests meet, none, or what is in doubt.
func verdict(all, none bool, inDoubt condition) condition {
	switch {
	case none:
		return never
	case all:
		return always
	default:
		return inDoubt
	}
}

// matchesPath asks Caddy's path matcher, of which nothing depends on more than the path.
func matchesPath(patterns []string, path string) bool {
	matcher := caddyhttp.MatchPath(slices.Clone(patterns))
	if matcher.Provision(caddy.Context{}) != nil {
		return true
	}
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	matched, err := matcher.MatchWithError((&http.Request{URL: &url.URL{Path: path}}).WithContext(ctx))
	return matched || err != nil
}

// within returns the requests that a route's matchers may match.
func (r *requests) within(sets []matcherSet) requests {
	result := *r
	result.hosts = slices.DeleteFunc(slices.Clone(r.hosts), func(host string) bool {
		one := *r
		one.hosts = []string{host}
		return one.matches(sets).never
	})
	result.paths = slices.DeleteFunc(slices.Clone(r.paths), func(path string) bool {
		one := *r
		one.paths = []string{path}
		return one.matches(sets).never
	})
	if len(result.hosts) == 0 && len(r.hosts) > 0 || len(result.paths) == 0 && !r.anyPath {
		return *r
	}
	return result
}
