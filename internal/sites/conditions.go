package sites

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// condition is what a request must be, besides for a host and a path.
type condition struct {
	// text is "" where there is no condition. It is only compared.
	text string
	// names are the matchers, and addresses tells whether one of them is for clients' addresses.
	names     []string
	addresses bool
}

// harmless are the matchers that are no condition on who somebody is.
var harmless = map[string]bool{
	"host": true, "path": true, "path_regexp": true, "method": true, "protocol": true, "file": true,
}

// conditionOf returns the condition of a route.
func conditionOf(match []map[string]json.RawMessage) (c condition) {
	var texts []string
	for _, set := range match {
		rest := make(map[string]json.RawMessage)
		for name, raw := range set {
			if !harmless[name] {
				rest[name] = canonical(raw)
			}
		}
		if len(rest) == 0 {
			return condition{}
		}
		for _, name := range slices.Sorted(maps.Keys(rest)) {
			c.names = append(c.names, name)
			text := strconv.Quote(name) + string(rest[name])
			c.addresses = c.addresses || strings.Contains(text, `"remote_ip"`) || strings.Contains(text, `"client_ip"`)
		}
		texts = append(texts, string(encode(rest)))
	}
	slices.Sort(texts)
	c.text = strings.Join(texts, " or ")
	return c
}

// and joins two conditions.
func (c condition) and(other condition) condition {
	if c.text == "" || other.text == "" {
		return condition{c.text + other.text, slices.Concat(c.names, other.names), c.addresses || other.addresses}
	}
	return condition{c.text + " and " + other.text, slices.Concat(c.names, other.names), c.addresses || other.addresses}
}

// matcherKind begins the kinds of guards that are matchers.
const matcherKind = "the matcher "

// kind names the condition.
func (c condition) kind() string {
	if c.addresses {
		return "remote_ip"
	}
	return matcherKind + strings.Join(slices.Compact(slices.Sorted(slices.Values(c.names))), ", ")
}
