package sites

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Guard is something in front of a handler that keeps clients from it.
type Guard struct {
	// Kind is how the Caddyfile names it: "basic_auth", "forward_auth", "client_auth", "remote_ip",
	// which stands for all that goes by clients' addresses, "the matcher" and names for what else
	// requests have to be, or the name of another module.
	Kind string
	// Rule is the same for guards that let in the same clients. It is only compared.
	Rule string
	// Sure tells that it keeps clients out. What is not sure may do something else, or can be gone
	// around.
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

// newGuard returns a guard whose rule is a digest of a text.
func newGuard(kind, rule string, sure bool) Guard {
	digest := sha256.Sum256([]byte(rule))
	return Guard{Kind: kind, Rule: hex.EncodeToString(digest[:8]), Sure: sure}
}

// Guards lists what stands in front of the handler, on the ways of requests to the paths: each once,
// in order.
func (p *Place) Guards(paths []string) (guards []Guard) {
	for _, way := range p.ways {
		guards = append(guards, p.walk(way, paths).guards...)
	}
	slices.SortFunc(guards, func(a, b Guard) int { return strings.Compare(a.Kind+"\n"+a.Rule, b.Kind+"\n"+b.Rule) })
	return slices.Compact(guards)
}

// Door is one way by which clients come to a handler.
type Door struct {
	// Host is "" where the handler is for any, or what is in front is the same for all.
	Host, Path string
	Guards     []Guard
}

// String names the door in messages.
func (d Door) String() string { return d.Host + d.Path }

// Doors lists the doors to the handler, for each of the paths, and for each host where it matters. A
// path by which no request comes is left out.
func (p *Place) Doors(paths []string) (doors []Door) {
	for _, path := range paths {
		for _, each := range p.ways {
			walk := p.walk(each, []string{path})
			switch {
			case !walk.reached:
			case !walk.byHost && len(p.ways) == 1 || len(each.hosts) == 0:
				doors = append(doors, Door{Path: path, Guards: walk.guards})
			default:
				for _, host := range each.hosts {
					walk := p.walk(way{[]string{host}, each.steps}, []string{path})
					doors = append(doors, Door{Host: host, Path: path, Guards: walk.guards})
				}
			}
		}
	}
	return doors
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
