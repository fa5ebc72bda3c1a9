package sites

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// condition is for which requests something is there, of those for a handler.
type condition struct {
	// never is true where it is there for none of them.
	never bool
	// terms are what else a request must be, all of it, in a form that is only compared. Where
	// there are none, it is there for all of them.
	terms []string
	// matchers are the names of those that the terms are of.
	matchers []string
	// byAddress tells that requests which meet the condition have certain addresses.
	// addressSuffices tells that requests with certain addresses meet it, whatever else they are.
	byAddress, addressSuffices bool
	// byClient is false where it goes by the host and the path alone.
	byClient bool
}

// The conditions that all requests meet, and none.
var (
	always = condition{addressSuffices: true}
	never  = condition{never: true, byAddress: true}
)

func (c condition) isAlways() bool { return !c.never && len(c.terms) == 0 }

// term returns the condition that a matcher matches of which nothing is known before there is a
// request.
func term(name string, raw json.RawMessage) condition {
	addresses := name == "remote_ip" || name == "client_ip"
	return condition{
		terms: []string{name + " " + string(canonical(raw))}, matchers: []string{name},
		byAddress: addresses, addressSuffices: addresses, byClient: !byPlace[name] || asksMore(raw),
	}
}

// byPlace are the matchers that go by the host and the path alone, as long as they do not ask for
// something else of a request by a placeholder.
var byPlace = map[string]bool{"host": true, "path": true, "path_regexp": true, "file": true}

// placeholder matches placeholders, and placed those for what is the same for all requests to one
// host and path.
var (
	placeholder = regexp.MustCompile(`\{[a-z][^{}"]*\}`)
	placed      = regexp.MustCompile(`^\{(http\.request\.(orig_)?uri\.path|http\.request\.host|http\.vars\.(root|fs)|env|file|system)\b`)
)

// asksMore reports whether the options of a matcher ask for more of a request than host and path.
func asksMore(raw json.RawMessage) bool {
	return slices.ContainsFunc(placeholder.FindAll(raw, -1), func(p []byte) bool { return !placed.Match(p) })
}

// and returns the condition that both are met.
func (c condition) and(other condition) condition {
	if c.never || other.never {
		return never
	}
	return condition{
		terms: union(c.terms, other.terms), matchers: union(c.matchers, other.matchers),
		byAddress: c.byAddress || other.byAddress, addressSuffices: c.addressSuffices && other.addressSuffices,
		byClient: c.byClient || other.byClient,
	}
}

// anyOf returns the condition that one of a list is met.
func anyOf(list []condition) condition {
	result := condition{byAddress: true}
	var texts []string
	for _, c := range list {
		if c.isAlways() {
			return always
		}
		if c.never {
			continue
		}
		texts = union(texts, []string{c.text()})
		result.matchers = union(result.matchers, c.matchers)
		result.terms = c.terms
		result.byAddress = result.byAddress && c.byAddress
		result.addressSuffices = result.addressSuffices || c.addressSuffices
		result.byClient = result.byClient || c.byClient
	}
	switch len(texts) {
	case 0:
		return never
	case 1:
	default:
		result.terms = []string{"(" + strings.Join(texts, " or ") + ")"}
	}
	return result
}

// not returns the condition that this one is not met.
func (c condition) not() condition {
	switch {
	case c.never:
		return always
	case c.isAlways():
		return never
	}
	inverse := condition{matchers: c.matchers, byAddress: c.addressSuffices, addressSuffices: c.byAddress, byClient: c.byClient}
	if bare, ok := strings.CutPrefix(c.text(), "not "); ok && len(c.terms) == 1 {
		inverse.terms = []string{bare}
	} else {
		inverse.terms = []string{"not " + c.text()}
	}
	return inverse
}

// text returns the terms as one.
func (c condition) text() string {
	if len(c.terms) == 1 {
		return c.terms[0]
	}
	return "(" + strings.Join(c.terms, " and ") + ")"
}

// matcherKind begins the kinds of guards that are matchers.
const matcherKind = "the matcher "

// kind names the condition on a guard.
func (c condition) kind() string {
	if c.addressSuffices {
		return "remote_ip"
	}
	return matcherKind + strings.Join(c.matchers, ", ")
}

// union returns what is in one list or the other, in order.
func union(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}
