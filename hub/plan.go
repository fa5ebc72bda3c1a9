package hub

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/cors"
	"github.com/caddy-socketio/socketio-stream/internal/sites"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Plan is what one handler of a config wants of a hub. It is not changed once [Join] has it.
type Plan struct {
	// Hub is the name of the hub, and DeclaredAt how messages name the handler: by the place of its
	// declaration.
	Hub, DeclaredAt string
	// Site is "" where the handler names the hub. Otherwise the hub is its site's own, and Site is
	// the same for the handlers of that site alone.
	Site string
	// Addresses are those by which clients come to the handler's site, in a form that is only compared.
	Addresses []string
	// Guards are what of Caddy's stands in front of the handler.
	Guards []sites.Guard
	// Options are what all handlers of the hub in one config must agree on.
	Options []Option
	// Server are the options of the Socket.IO server.
	Server streaming.Options
	// Connect, when not nil, is called when the plan is put in force, before the server has its
	// options: it connects the hub with others as the plan says. It must not wait for them.
	Connect func()
	// Storage is where what is kept for clients outlives the process, or nil where it does not.
	Storage Storage
	// Namespaces are those that the hub has while the plan is in force, and no others.
	Namespaces []Namespace
	// LogEvents says whether the events that come from clients are logged.
	LogEvents bool
	// Drain is the time that closing the connections is spread over when the hub ends.
	Drain time.Duration
	// Paths are the URL paths by which clients come to the handler, and Origins says which
	// origins may. The handler decides that for each request; the hub decides it again at a reload.
	Paths   []string
	Origins cors.Policy
	// Front tells what stands in front of the handler, as far as that is known, in a form that can be
	// compared: clients of whom something was captured are those that it has let through.
	Front string
	// Capture is called with the first request of each client, before it is answered. It adds to
	// attributes, which are kept for as long as the connection and are found in
	// [engineio.Handshake.Attributes].
	Capture []func(r *http.Request, attributes map[string]string)
}

// Option is an option of a handler in a form that can be compared, and shown.
type Option struct{ Name, Value string }

// Namespace is what a plan says of one Socket.IO namespace.
type Namespace struct {
	Name string
	// Sets are its event sets. Who is let in is one of them.
	Sets []streaming.EventSet
	// Rule is the same as long as the namespace lets in the same clients in the same way. It is
	// only compared.
	Rule string
}

// Disagreement says why two handlers cannot have one hub by what their plans say of it, or returns
// nil: they must agree on its options, on who may come in, and on whose it is.
func (p *Plan) Disagreement(other *Plan) error {
	return cmp.Or(p.strange(other), p.differs(other), p.unguarded(other))
}

// strange returns an error unless both handlers name the hub, or both are in the site that has it to
// itself.
func (p *Plan) strange(other *Plan) error {
	switch {
	case p.Site == other.Site:
		return nil
	case p.Site != "" && other.Site != "":
		return fmt.Errorf("the sites of %s and of %s would both have the hub %q to themselves; "+
			"give one of them another, as in: hub <name>", p.DeclaredAt, other.DeclaredAt, p.Hub)
	case p.Site == "":
		p, other = other, p
	}
	return fmt.Errorf("hub %q is the site's own at %s, which names none, and %s names it; if they are to share it, "+
		"write at both: hub %s; otherwise name another at the second", p.Hub, p.DeclaredAt, other.DeclaredAt, p.Hub)
}

// unguarded returns an error where something keeps clients from one of the handlers that does not
// keep them from the other: who is in the hub hears all that is said in it.
func (p *Plan) unguarded(other *Plan) error {
	sure, _ := sites.Difference(p.Guards, other.Guards)
	if len(sure) == 0 {
		return nil
	}
	return fmt.Errorf("hub %q is shared by two handlers, and %s in front of them is not the same at %s and at %s, "+
		"so that who may not pass at one may come in at the other; "+
		"put the same in front of both, or give one of them a hub of its own, as in: hub <name>",
		p.Hub, sites.Kinds(sure), p.DeclaredAt, other.DeclaredAt)
}

// doubt says what may keep clients from one of the handlers and not from the other, or returns "".
func (p *Plan) doubt(other *Plan) string {
	_, unsure := sites.Difference(p.Guards, other.Guards)
	return sites.Kinds(unsure)
}

// differs says in which option the plans differ, or returns nil.
func (p *Plan) differs(other *Plan) error {
	for _, option := range slices.Concat(p.Options, other.Options) {
		ours, theirs := p.option(option.Name), other.option(option.Name)
		if ours != theirs {
			return fmt.Errorf("hub %q is declared with different options: %s is %s at %s and %s at %s; "+
				"make them equal, or give one of them a hub of its own",
				p.Hub, option.Name, cmp.Or(ours, "absent"), p.DeclaredAt, cmp.Or(theirs, "absent"), other.DeclaredAt)
		}
	}
	return nil
}

// connect calls Connect.
func (p *Plan) connect() {
	if p.Connect != nil {
		p.Connect()
	}
}

// option returns the value of the option of that name, or "" where the plan has none.
func (p *Plan) option(name string) string {
	for _, option := range p.Options {
		if option.Name == name {
			return option.Value
		}
	}
	return ""
}

// rules tells who may come into which namespace, in a form that can be compared.
func (p *Plan) rules() map[string]string {
	rules := make(map[string]string, len(p.Namespaces))
	for _, ns := range p.Namespaces {
		rules[ns.Name] = ns.Rule
	}
	return rules
}

// names reports whether the plan has a namespace of that name.
func (p *Plan) names(namespace string) bool {
	return slices.ContainsFunc(p.Namespaces, func(ns Namespace) bool { return ns.Name == namespace })
}

// serves reports whether the path of a request target is one of the paths.
func (p *Plan) serves(target string) bool {
	parsed, err := url.ParseRequestURI(target)
	return err == nil && slices.Contains(p.Paths, parsed.Path)
}
