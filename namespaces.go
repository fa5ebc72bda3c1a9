package socketiostream

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-socketio/socketio-stream/auth"
	"github.com/caddy-socketio/socketio-stream/hub"
	"github.com/caddy-socketio/socketio-stream/internal/option"
	"github.com/caddy-socketio/socketio-stream/streaming"
)

// Namespace is one Socket.IO namespace.
type Namespace struct {
	// Name begins with a slash; "/" is the namespace of clients that name none.
	Name string `json:"name,omitempty"`

	// EventsRaw are the event sets the namespace speaks, each a module of the namespace
	// http.handlers.socketio_stream.events named by its key "set".
	EventsRaw []json.RawMessage `json:"events,omitempty" caddy:"namespace=http.handlers.socketio_stream.events inline_key=set"`

	// AuthRaw says who the namespace's clients are, in place of what the handler says for all
	// namespaces. The method "none" lets everyone in. Default: the handler's.
	AuthRaw json.RawMessage `json:"auth,omitempty" caddy:"namespace=http.handlers.socketio_stream.auth inline_key=method"`

	sets []eventSet
	// auth lets everyone in where it is nil.
	auth *authentication
}

// provisionNamespaces loads the guest modules of the namespaces.
func (h *Handler) provisionNamespaces(ctx caddy.Context, t *option.Resolver) error {
	everywhere, _, err := loadAuth(ctx, h.AuthRaw)
	if err != nil {
		return err
	}
	if len(h.Namespaces) == 0 {
		h.Namespaces = []*Namespace{{Name: "/", EventsRaw: defaultEvents()}}
	}
	for _, ns := range h.Namespaces {
		if ns == nil {
			return errors.New("a namespace is null")
		}
		t.Text("namespace", &ns.Name, "")
		if err := t.Err(); err != nil {
			return err
		}
		if err := ns.provision(ctx, everywhere); err != nil {
			return fmt.Errorf("namespace %q: %w", ns.Name, err)
		}
	}
	return nil
}

// provision loads the guest modules. everywhere is who lets clients in where the namespace does not
// say so itself.
func (n *Namespace) provision(ctx caddy.Context, everywhere *authentication) (err error) {
	if n.sets, err = loadEventSets(ctx, n.EventsRaw); err != nil {
		return err
	}
	own, given, err := loadAuth(ctx, n.AuthRaw)
	if err != nil {
		return err
	}
	n.auth = everywhere
	if given {
		n.auth = own
	}
	return nil
}

// plan says what the hub has to know of the namespace.
func (n *Namespace) plan() hub.Namespace {
	planned := hub.Namespace{Name: n.Name, Rule: n.auth.fingerprint()}
	if n.auth != nil {
		planned.Sets = append(planned.Sets, n.auth)
	}
	for _, set := range n.sets {
		planned.Sets = append(planned.Sets, set)
	}
	return planned
}

// options lists what handlers of one hub must agree on.
func (n *Namespace) options() []hub.Option {
	sets := make([]string, 0, len(n.sets))
	for _, set := range n.sets {
		config, _ := json.Marshal(set)
		sets = append(sets, set.CaddyModule().ID.Name()+string(config))
	}
	return []hub.Option{
		{Name: "namespace " + n.Name, Value: fmt.Sprint(sets)},
		{Name: "auth of namespace " + n.Name, Value: n.auth.String()},
	}
}

// captures lists what those of the namespaces' authenticators do that have to see requests.
func captures(namespaces []*Namespace) (list []func(*http.Request, map[string]string)) {
	seen := make(map[auth.Captor]bool)
	for _, ns := range namespaces {
		if ns.auth == nil {
			continue
		}
		if captor, ok := ns.auth.authenticator.(auth.Captor); ok && !seen[captor] {
			seen[captor] = true
			list = append(list, captor.Capture)
		}
	}
	return list
}

// checkNamespaces refuses names and event sets that cannot be used, before a hub that is at work is
// changed. It tries the sets on a server of no clients.
func checkNamespaces(namespaces []hub.Namespace) error {
	server := streaming.New(streaming.Options{}, nil)
	defer server.Close()
	seen := make(map[string]bool, len(namespaces))
	for _, ns := range namespaces {
		if err := checkNamespaceName(ns.Name); err != nil {
			return err
		}
		if seen[ns.Name] {
			return fmt.Errorf("namespace %q is given twice", ns.Name)
		}
		seen[ns.Name] = true
		if _, err := server.Use(ns.Name, ns.Sets...); err != nil {
			return fmt.Errorf("namespace %q: %w", ns.Name, err)
		}
	}
	return nil
}

// checkNamespaceName refuses names a client could never ask for: on the wire a comma ends the name,
// and clients cut it at a question mark.
func checkNamespaceName(name string) error {
	if !strings.HasPrefix(name, "/") {
		return fmt.Errorf("namespace %q: a name begins with a slash, write /%s", name, name)
	}
	if strings.ContainsAny(name, ",?# \t\r\n") {
		return fmt.Errorf("namespace %q: a name has no comma, question mark, number sign or white space", name)
	}
	return nil
}

// unmarshalCaddyfile parses a namespace. before are those that came before it.
func (n *Namespace) unmarshalCaddyfile(d *caddyfile.Dispenser, before []*Namespace) error {
	line := option.At(d, "<name> { ... }")
	given, err := line.ArgumentsBeforeBlock(d, 1, 1)
	if err != nil {
		return err
	}
	n.Name = given[0]
	for _, name := range option.WithoutPlaceholders([]string{n.Name}) {
		if err := checkNamespaceName(name); err != nil {
			return d.WrapErr(err)
		}
	}
	if slices.ContainsFunc(before, func(other *Namespace) bool { return other.Name == n.Name }) {
		return d.Errf("namespace %q is given twice", n.Name)
	}
	sets := make(option.Given)
	err = option.Each(d, func(string) error { return n.unmarshalOption(d, sets) }, "events")
	if err == nil && len(n.EventsRaw) == 0 {
		err = line.Wrap(fmt.Errorf("namespace %q has no events: write events streaming, events sessions, events relay <event...> or events rooms { ... } in its block", n.Name))
	}
	return err
}

// unmarshalOption parses one option of the block. sets are the event sets so far.
func (n *Namespace) unmarshalOption(d *caddyfile.Dispenser, sets option.Given) (err error) {
	switch d.Val() {
	case "auth":
		n.AuthRaw, err = unmarshalAuth(d)
	case "events":
		var raw json.RawMessage
		raw, err = unmarshalEvents(d, sets)
		n.EventsRaw = append(n.EventsRaw, raw)
	default:
		err = option.Unknown(d, "namespace", "auth", "events")
	}
	return err
}
