package sites

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/idna"
)

// plain returns a host, which may be a pattern, as Caddy compares it: in lower case and in ASCII.
// Placeholders are replaced that are known when a config is loaded.
func plain(host string) string {
	host = caddy.NewReplacer().ReplaceKnown(host, "")
	if ascii, err := idna.ToASCII(host); err == nil {
		host = ascii
	}
	return strings.ToLower(host)
}

// common returns the pattern for the hosts that two patterns have in common, in which a * stands
// for one label.
func common(a, b string) (pattern string, some bool) {
	if a == b {
		return a, true
	}
	if !strings.Contains(a, "*") && !strings.Contains(b, "*") {
		return "", false
	}
	ours, theirs := strings.Split(a, "."), strings.Split(b, ".")
	if len(ours) != len(theirs) {
		return "", false
	}
	for i, label := range theirs {
		switch {
		case ours[i] == "*":
			ours[i] = label
		case label != "*" && label != ours[i]:
			return "", false
		}
	}
	return strings.Join(ours, "."), true
}

// narrow returns the hosts of a list that are also in another one. A list that is empty has all
// hosts. Where nothing is in both, no request comes, and the outer ones are as good as any.
func narrow(outer, inner []string) (hosts []string) {
	if len(outer) == 0 || len(inner) == 0 {
		return slices.Concat(outer, inner)
	}
	for _, a := range outer {
		for _, b := range inner {
			if both, some := common(a, b); some {
				hosts = append(hosts, both)
			} else if isOpen(a) || isOpen(b) {
				// Which host it is shows with the request.
				hosts = append(hosts, b)
			}
		}
	}
	if len(hosts) == 0 {
		return outer
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// isOpen reports whether a text has placeholders of which nothing is known before there is a
// request.
func isOpen(text string) bool { return strings.Contains(text, "{") }
