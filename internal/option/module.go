package option

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// NoModule refuses the option that d stands at, which has to name a module of a module namespace.
func NoModule(d *caddyfile.Dispenser, namespace string) error {
	return At(d, strings.Join(modules(namespace), "|")).Wrong("needs an argument")
}

// UnknownModule refuses the name that d stands at, which no module of a module namespace has. kind is
// what these are.
func UnknownModule(d *caddyfile.Dispenser, kind, namespace string) error {
	return d.Errf("unknown %s '%s': there is no module %s.%s in this build: write %s",
		kind, d.Val(), namespace, d.Val(), OneOf(modules(namespace)))
}

// modules lists the names of the modules of a module namespace.
func modules(namespace string) (names []string) {
	for _, module := range caddy.GetModules(namespace) {
		names = append(names, module.ID.Name())
	}
	return names
}
