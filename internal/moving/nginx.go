package moving

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// nginx is a config of nginx that is being read.
type nginx struct {
	*setup
	// upstreams and maps are found by their names.
	upstreams map[string]*directive
	maps      map[string]*directive
	// zones are the keys of the zones for limits, by their names.
	zones map[string]string
	names int
}

// A scope is the blocks that a directive may be inherited from, the innermost first.
type scope [][]*directive

// one returns the directive that holds in the scope, or nil.
func (s scope) one(name string) *directive {
	for _, block := range s {
		if d := last(block, name); d != nil {
			return d
		}
	}
	return nil
}

// all returns the directives that hold in the scope: a block that has any hides those of the others.
func (s scope) all(names ...string) []*directive {
	for _, block := range s {
		if found := find(block, names...); len(found) > 0 {
			return found
		}
	}
	return nil
}

// readNginx adds what a config of nginx says.
func (s *setup) readNginx(name, text string) error {
	all, err := parseNginx(s.short(name), text)
	if err != nil {
		return err
	}
	if all, err = s.include(chain{name}, all, parseNginx); err != nil {
		return err
	}
	s.directives = append(s.directives, all...)
	n := &nginx{setup: s, upstreams: map[string]*directive{}, maps: map[string]*directive{}, zones: map[string]string{}}
	outer := all
	for _, http := range find(all, "http") {
		http.needless("Caddy has no block for it")
		outer = append(slices.Clone(http.block), outer...)
	}
	for _, d := range outer {
		n.collect(d)
	}
	n.real(scope{outer})
	for _, server := range find(outer, "server") {
		n.server(server, outer)
	}
	n.unused(outer)
	for _, d := range find(all, "stream", "mail", "rtmp") {
		d.leaveAll("Caddy's standard build passes on HTTP alone: keep nginx for this, or build Caddy with caddy-l4")
	}
	walk(all, nginxKnownLine)
	return nil
}

// collect remembers what other directives refer to by name.
func (n *nginx) collect(d *directive) {
	switch {
	case d.name == "upstream" && len(d.args) == 1:
		n.upstreams[d.args[0]] = d
	case d.name == "map" && len(d.args) == 2:
		n.maps[strings.TrimPrefix(d.args[1], "$")] = d
	case (d.name == "limit_conn_zone" || d.name == "limit_req_zone") && len(d.args) > 1:
		for _, arg := range d.args[1:] {
			if zone, ok := strings.CutPrefix(arg, "zone="); ok {
				zone, _, _ = strings.Cut(zone, ":")
				n.zones[zone] = d.args[0]
			}
		}
		d.needless("Caddy needs no zones")
	}
}

// unused says of what nothing refers to that it is not needed.
func (n *nginx) unused(outer []*directive) {
	for _, d := range find(outer, "upstream") {
		const why = "nothing that was read leads to it, or only Socket.IO, which Caddy answers itself"
		d.needless(why)
		d.cover(needless, why)
	}
	for _, d := range find(outer, "map") {
		switch {
		case d.arg(0) == "$http_upgrade":
			d.needless("Caddy passes on WebSocket by itself")
			d.cover(needless, d.why)
		case d.fate == unseen:
			d.leaveAll("Caddy has `map` as well: write it anew where %s was used", d.arg(1))
		}
	}
}

// real reads whose word nginx took for the address of a client.
func (n *nginx) real(s scope) {
	if header := s.one("real_ip_header"); header != nil && header.arg(0) != "proxy_protocol" {
		n.addressHeader = header.arg(0)
		n.trustedFrom = append(n.trustedFrom, header.take())
	}
	for _, d := range s.all("set_real_ip_from") {
		n.trust(d)
	}
	if d := s.one("real_ip_recursive"); d != nil {
		d.needless("trusted_proxies_strict does that")
	}
}

// trust adds a network to those of proxies in front.
func (n *nginx) trust(d *directive) {
	if !isNetwork(d.arg(0)) {
		d.leave("trusted_proxies takes addresses and networks such as 10.0.0.0/8")
		return
	}
	if !slices.Contains(n.trusted, d.arg(0)) {
		n.trusted = append(n.trusted, d.arg(0))
	}
	n.trustedFrom = append(n.trustedFrom, d.take())
}

// isNetwork reports whether a text is an address or a network.
func isNetwork(text string) bool {
	if _, _, err := net.ParseCIDR(text); err == nil {
		return true
	}
	return net.ParseIP(text) != nil
}

// A listener is an address that a server listens at.
type listener struct {
	host, port string
	tls        bool
}

// listeners returns what a server listens at.
func listeners(server *directive) (all []listener) {
	old := last(server.block, "ssl")
	if old != nil {
		old.take()
	}
	for _, d := range find(server.block, "listen") {
		address := d.arg(0)
		if strings.HasPrefix(address, "unix:") || strings.ContainsAny(address, "${}") {
			d.leave("Caddy has `bind unix//path` for a socket in the file system: add it by hand")
			continue
		}
		l := listener{port: "80", tls: old.arg(0) == "on"}
		switch host, port, err := net.SplitHostPort(address); {
		case err == nil:
			l.host, l.port = host, port
		case isDigits(address):
			l.port = address
		default:
			l.host = strings.Trim(address, "[]")
		}
		if !isDigits(l.port) || l.host != "" && l.host != "*" && l.host != "localhost" && net.ParseIP(l.host) == nil {
			d.leave("it is not known what this listens at: write the address into the Caddyfile by hand")
			continue
		}
		for _, option := range d.args[min(1, len(d.args)):] {
			switch option {
			case "ssl", "quic":
				l.tls = true
			case "proxy_protocol":
				d.leave("Caddy has the listener wrapper `proxy_protocol` among its global options: name there whose word it is")
			}
		}
		d.take()
		if l.host == "*" || l.host == "::" || l.host == "0.0.0.0" {
			l.host = ""
		}
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	if len(find(server.block, "listen")) == 0 {
		all = append(all, listener{port: "80"})
	}
	return all
}

func isDigits(text string) bool {
	return text != "" && len(text) <= 5 && strings.Trim(text, "0123456789") == ""
}

// serverNames returns the hosts of a server. One without a name answers for all.
func serverNames(server *directive) (names []string) {
	for _, d := range find(server.block, "server_name") {
		for _, name := range d.args {
			switch {
			case name == "_" || name == "" || strings.HasPrefix(name, "$"):
				d.take()
			case strings.HasPrefix(name, ".") && hostName.MatchString(name[1:]):
				names = append(names, name[1:], "*"+name)
				d.take()
			case hostName.MatchString(name):
				names = append(names, name)
				d.take()
			default:
				d.leave("a site of a Caddyfile has whole names, or *. before one: write those that are meant by hand")
			}
		}
	}
	return names
}

// server reads one server.
func (n *nginx) server(server *directive, outer []*directive) {
	server.take()
	in := scope{server.block, outer}
	of := &site{origin: server}
	listening := listeners(server)
	names := serverNames(server)
	if n.onlyRedirects(server, names, listening, outer) {
		return
	}
	of.listens = append(find(server.block, "listen"), find(server.block, "server_name")...)
	of.listens = slices.DeleteFunc(of.listens, func(d *directive) bool { return d.fate == left })
	of.address(names, listening)
	if len(of.addresses) == 0 {
		server.leaveAll("none of what it listens at or is named could be taken, so all of it is left")
		return
	}
	n.siteLines(of, in, names)
	n.serverReturns(of, in, names)
	n.locations(of, in, names)
	n.sites = append(n.sites, of)
}

// address gives a site its addresses, from its names and from what it listens at.
func (of *site) address(names []string, listening []listener) {
	plain := slices.ContainsFunc(listening, func(l listener) bool { return !l.tls && l.port == "80" })
	if len(names) == 0 {
		names = []string{""}
	}
	for _, l := range listening {
		of.tls = of.tls || l.tls
		if l.host != "" && !slices.Contains(of.bind, l.host) {
			of.bind = append(of.bind, l.host)
		}
		for _, name := range names {
			var address string
			switch {
			case name == "" && l.tls && l.port != "443":
				address = "https://:" + l.port
			case name == "":
				address = ":" + l.port
			case l.tls && l.port == "443" && plain:
				address = "https://" + name
			case l.tls && l.port == "443":
				address = name
			case l.tls:
				address = "https://" + name + ":" + l.port
			case l.port == "80":
				address = "http://" + name
			default:
				address = "http://" + name + ":" + l.port
			}
			if !slices.Contains(of.addresses, address) {
				of.addresses = append(of.addresses, address)
			}
		}
	}
}

// onlyRedirects reports whether a server does nothing but to send browsers from http to https, for
// names that have a site by https. Caddy does that by itself.
func (n *nginx) onlyRedirects(server *directive, names []string, listening []listener, outer []*directive) bool {
	if slices.ContainsFunc(listening, func(l listener) bool { return l.tls || l.port != "80" }) {
		return false
	}
	secure := map[string]bool{}
	for _, other := range find(outer, "server") {
		if other != server && slices.ContainsFunc(listeners(other), func(l listener) bool { return l.tls && l.port == "443" }) {
			secure[""] = true
			for _, name := range serverNames(other) {
				secure[name] = true
			}
		}
	}
	redirects := false
	for _, d := range server.block {
		switch d.name {
		case "listen", "server_name", "access_log", "error_log", "include", "server_tokens", "root", "index", "ssl":
		case "return", "rewrite":
			redirects = redirects || leadsToHTTPS(d, names)
			if !leadsToHTTPS(d, names) && d.arg(0) != "404" {
				return false
			}
		case "if":
			for _, inner := range d.block {
				if !leadsToHTTPS(inner, names) {
					return false
				}
				redirects = true
			}
		case "location":
			if strings.Contains(strings.Join(d.args, " "), ".well-known") {
				continue
			}
			for _, inner := range d.block {
				if !leadsToHTTPS(inner, names) {
					return false
				}
				redirects = true
			}
		default:
			return false
		}
	}
	if len(names) == 0 {
		redirects = redirects && secure[""]
	}
	for _, name := range names {
		redirects = redirects && secure[name]
	}
	if !redirects {
		return false
	}
	server.fate, server.why = needless, "Caddy leads from http to https by itself"
	walk(server.block, func(d *directive) { d.fate, d.why = needless, server.why })
	return true
}

// leadsToHTTPS reports whether a line sends a browser to the same address by https.
func leadsToHTTPS(d *directive, names []string) bool {
	target := d.arg(len(d.args) - 1)
	switch {
	case d.name == "return":
	case d.name == "rewrite" && len(d.args) == 3:
		target = d.arg(1)
	default:
		return false
	}
	rest, ok := strings.CutPrefix(target, "https://")
	if !ok {
		return false
	}
	host, tail, _ := strings.Cut(rest, "$re")
	if tail != "quest_uri" && tail != "quest_uri?" {
		host, tail, _ = strings.Cut(rest, "/$")
		if tail != "1" {
			return false
		}
	}
	return host == "$host" || host == "$server_name" || host == "$http_host" || len(names) == 1 && host == names[0]
}

// name returns a name for a matcher that no other one has.
func (n *nginx) name(kind string) string {
	n.names++
	return fmt.Sprintf("%s%d", kind, n.names)
}
