package moving

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// haproxySections are the words that begin a section.
var haproxySections = []string{"global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers", "mailers", "cache", "program", "ring", "http-errors", "fcgi-app", "crt-store", "traces", "log-profile", "acme"}

// parseHAProxy reads the sections of a config of HAProxy.
func parseHAProxy(file, text string) ([]*directive, error) {
	var all []*directive
	number := 0
	for row := range strings.Lines(text) {
		number++
		if number > mostDirectives {
			return nil, fmt.Errorf("%s:%d: more than %d lines", file, number, mostDirectives)
		}
		words, ok := haproxyWords(row)
		if !ok {
			return nil, fmt.Errorf("%s:%d: a quote is not closed", file, number)
		}
		if len(words) == 0 {
			continue
		}
		d := &directive{place: place{file, number}, name: words[0], args: words[1:], text: strings.TrimSpace(row)}
		switch {
		case slices.Contains(haproxySections, d.name) && (row[0] != ' ' && row[0] != '\t' || len(all) == 0):
			all = append(all, d)
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: %q is in no section: one such as `frontend <name>` has to begin before it", file, number, shown(d.text))
		default:
			section := all[len(all)-1]
			section.block = append(section.block, d)
		}
	}
	return all, nil
}

// haproxyWords parts a line into words, without its comment, and reports whether all quotes are closed.
func haproxyWords(row string) (words []string, ok bool) {
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(row); i++ {
		c := row[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote != '\'' && c == '\\' && i+1 < len(row) && row[i+1] != '\n':
			i++
			word.WriteByte(row[i])
			inWord = true
		case quote == 0 && c == '#':
			i = len(row)
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, quote == 0
}

// haproxy is a config of HAProxy that is being read.
type haproxy struct {
	*setup
	backends map[string]*directive
	defaults []*directive
	names    int
}

// readHAProxy adds what a config of HAProxy says.
func (s *setup) readHAProxy(name, text string) error {
	all, err := parseHAProxy(s.short(name), text)
	if err != nil {
		return err
	}
	s.directives = append(s.directives, all...)
	h := &haproxy{setup: s, backends: map[string]*directive{}}
	for _, d := range find(all, "backend", "listen") {
		h.backends[d.arg(0)] = d
	}
	for _, d := range find(all, "defaults") {
		d.needless("what of it is needed is where it holds")
		h.defaults = append(h.defaults, d.block...)
	}
	for _, d := range find(all, "frontend", "listen") {
		h.frontend(d)
	}
	for _, d := range find(all, "global", "userlist", "peers", "resolvers", "mailers", "cache", "program", "ring", "traces", "log-profile") {
		d.needless("Caddy does that by itself, or its service unit says it")
		d.cover(needless, d.why)
	}
	walk(all, haproxyKnownLine)
	return nil
}

// A condition is an acl of HAProxy: the hosts or the beginnings of paths that it is about.
type condition struct {
	from         *directive
	hosts, paths []string
	exact        bool
	webSocket    bool
	known        bool
}

// conditionOf reads an acl, or what stands in its place in braces.
func conditionOf(d *directive, words []string) *condition {
	c := &condition{from: d}
	if len(words) == 0 {
		return c
	}
	test := words[0]
	var values []string
	for _, word := range words[1:] {
		if word != "-i" && word != "-m" && word != "beg" && word != "--" && word != "str" {
			values = append(values, word)
		}
	}
	fine := func(ok func(string) bool) bool {
		return len(values) > 0 && !slices.ContainsFunc(values, func(each string) bool { return !ok(each) })
	}
	switch {
	case strings.HasPrefix(test, "hdr(host)") || strings.HasPrefix(test, "hdr(Host)") || test == "ssl_fc_sni" || strings.HasPrefix(test, "req.hdr(host)"):
		c.hosts, c.known = values, fine(hostName.MatchString)
	case test == "hdr_dom(host)":
		c.hosts, c.known = values, fine(hostName.MatchString)
	case test == "path_beg" || test == "path":
		c.paths, c.known, c.exact = values, fine(pathText.MatchString), test == "path" && !slices.Contains(words, "beg")
	case strings.HasPrefix(strings.ToLower(test), "hdr(upgrade)") || strings.HasPrefix(strings.ToLower(test), "hdr(connection)") || test == "hdr_beg(host)" && slices.Contains(values, "ws."):
		c.webSocket, c.known = true, test != "hdr_beg(host)"
	}
	return c
}

// frontend reads what listens, and which backends it leads to.
func (h *haproxy) frontend(d *directive) {
	d.take()
	block := append(slices.Clone(d.block), h.defaults...)
	if mode := last(block, "mode"); mode.arg(0) == "tcp" {
		d.leaveAll("Caddy's standard build passes on HTTP alone: keep HAProxy for this, or build Caddy with caddy-l4")
		return
	}
	conditions := map[string]*condition{}
	for _, acl := range find(d.block, "acl") {
		if conditions[acl.arg(0)] == nil {
			conditions[acl.arg(0)] = conditionOf(acl, acl.args[min(1, len(acl.args)):])
		} else if more := conditionOf(acl, acl.args[1:]); more.known {
			before := conditions[acl.arg(0)]
			before.hosts, before.paths = append(before.hosts, more.hosts...), append(before.paths, more.paths...)
			acl.take()
		} else {
			acl.leave("write a matcher by hand")
		}
	}
	var listening []listener
	for _, bind := range find(d.block, "bind") {
		for _, address := range strings.Split(bind.arg(0), ",") {
			host, port, err := net.SplitHostPort(address)
			if host == "*" || host == "0.0.0.0" || host == "::" {
				host = ""
			}
			if err != nil || !isDigits(port) || host != "" && net.ParseIP(host) == nil {
				bind.leave("it is not known what this listens at: write the address by hand")
				continue
			}
			listening = append(listening, listener{host, port, slices.Contains(bind.args, "ssl")})
			bind.take()
		}
		if slices.Contains(bind.args, "verify") && slices.Contains(bind.args, "required") {
			bind.leave("clients without a certificate would come in, so this is closed: see `client_auth` of Caddy's `tls`")
		}
	}
	if len(listening) == 0 {
		d.leaveAll("nothing of what it listens at could be read")
		return
	}
	h.sites(d, block, conditions, listening)
}

// sites makes a site of each host that a frontend tells apart.
func (h *haproxy) sites(d *directive, block []*directive, conditions map[string]*condition, listening []listener) {
	byHost := map[string]*site{}
	get := func(hosts []string) *site {
		key := strings.Join(hosts, " ")
		if byHost[key] == nil {
			of := &site{origin: d, listens: append([]*directive{d}, find(d.block, "bind")...)}
			of.listens = slices.DeleteFunc(of.listens, func(d *directive) bool { return d.fate == left })
			of.address(hosts, listening)
			byHost[key] = of
			h.setup.sites = append(h.setup.sites, of)
			for _, bind := range find(d.block, "bind") {
				if bind.fate == left && slices.Contains(bind.args, "verify") {
					of.first = append(of.first, newLine(closed).note("closed, because of %s", bind.place))
				}
			}
			h.certificates(of, d, hosts)
			h.guards(of, d)
		}
		return byHost[key]
	}
	for _, use := range find(d.block, "use_backend") {
		words := use.args[min(1, len(use.args)):]
		if len(words) == 0 || words[0] != "if" {
			use.leave("write a `handle` by hand")
			continue
		}
		var hosts, paths []string
		exact, webSocket, known := false, false, true
		for _, group := range groupsOf(words[1:]) {
			c := conditions[group[0]]
			if len(group) > 1 || c == nil {
				c = conditionOf(use, group)
			}
			if c == nil || !c.known {
				known = false
				break
			}
			hosts, paths = append(hosts, c.hosts...), append(paths, c.paths...)
			exact, webSocket = exact || c.exact, webSocket || c.webSocket
			if c.from != use {
				c.from.take()
			}
		}
		if !known {
			use.leave("its condition could not be read: write a `handle` by hand")
			continue
		}
		h.backend(get(hosts), use, use.arg(0), paths, exact, webSocket)
	}
	if fallback := last(block, "default_backend"); fallback != nil {
		if len(byHost) == 0 {
			get(nil)
		}
		for _, of := range byHost {
			h.backend(of, fallback, fallback.arg(0), nil, false, false)
		}
	} else if d.name == "listen" {
		h.backend(get(nil), d, d.arg(0), nil, false, false)
	}
}

// certificates reads the certificates of a frontend.
func (h *haproxy) certificates(of *site, d *directive, hosts []string) {
	for _, bind := range find(d.block, "bind") {
		i := slices.Index(bind.args, "crt")
		if i < 0 || bind.fate == left {
			continue
		}
		file, ok := quoted(bind.arg(i + 1))
		switch {
		case own.MatchString(file):
		case ok && strings.Contains(file, ".") && !strings.HasSuffix(file, "/"):
			of.lines = append(of.lines, newLine("tls "+file+" "+file, bind).note("without this line Caddy gets a certificate by itself, and renews it"))
			return
		case len(hosts) == 0:
			bind.leave("which names this site has is not known, and Caddy gets certificates for names: write them in place of the address, or `tls <certificate> <key>`")
		}
	}
}

// groupsOf parts a condition into names and what is in braces. One with `or` or `!` is none.
func groupsOf(words []string) (groups [][]string) {
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "{":
			end := i + 1
			for end < len(words) && words[end] != "}" {
				end++
			}
			groups = append(groups, append([]string{"{"}, words[i+1:end]...)[1:])
			if len(groups[len(groups)-1]) == 0 {
				groups[len(groups)-1] = []string{"?"}
			}
			i = end
		case words[i] == "or" || words[i] == "||" || strings.HasPrefix(words[i], "!"):
			groups = append(groups, []string{"?", "?"})
		default:
			groups = append(groups, []string{words[i]})
		}
	}
	return groups
}

// guards reads what keeps clients out, and what leads them elsewhere.
func (h *haproxy) guards(of *site, d *directive) {
	for _, each := range find(d.block, "http-request", "tcp-request", "redirect") {
		text := strings.Join(each.args, " ")
		switch {
		case each.name == "redirect" && strings.HasPrefix(text, "scheme https"), each.name == "http-request" && strings.HasPrefix(text, "redirect scheme https"):
			if of.tls {
				each.needless("Caddy leads from http to https by itself")
				of.addresses = slices.DeleteFunc(of.addresses, func(address string) bool { return strings.HasPrefix(address, "http://") || address == ":80" })
				for i, address := range of.addresses {
					of.addresses[i] = strings.TrimPrefix(address, "https://")
					if strings.HasPrefix(of.addresses[i], ":") {
						of.addresses[i] = address
					}
				}
				continue
			}
			of.first = append(of.first, newLine("redir https://{host}{uri} 302", each))
		case each.name == "http-request" && (each.arg(0) == "deny" || each.arg(0) == "auth" || each.arg(0) == "tarpit" || each.arg(0) == "reject"),
			each.name == "tcp-request" && strings.Contains(text, "reject") && !strings.Contains(text, "sc"):
			each.leave("this keeps people out: write a matcher with `respond 403`, or `basic_auth`, by hand; until then the whole site is closed")
			of.first = append(of.first, newLine(closed).note("closed, because of %s", each.place))
		}
	}
}

// backend reads what a backend answers below some paths, or all.
func (h *haproxy) backend(of *site, use *directive, name string, paths []string, exact, webSocket bool) {
	group := h.backends[name]
	if group == nil {
		use.leave("there is no backend %s", shown(name))
		return
	}
	use.take()
	group.take()
	block := append(slices.Clone(group.block), h.defaults...)
	var addresses []string
	for _, server := range find(group.block, "server") {
		scheme := "http"
		if slices.Contains(server.args, "ssl") {
			scheme = "https"
		}
		if address, ok := dialAddress(scheme, server.arg(1)); ok {
			addresses = append(addresses, address)
		} else {
			server.leave("the address could not be read")
		}
	}
	if len(addresses) == 0 {
		use.leave("the backend has no server whose address could be read")
		return
	}
	var others []string
	for _, path := range paths {
		if strings.Contains(strings.ToLower(path), "socket.io") {
			of.endpoints = append(of.endpoints, &endpoint{path: strings.TrimSuffix(path, "/") + "/", from: []*directive{use}, upstreams: addresses})
			for _, server := range find(group.block, "server") {
				server.needless("one process of Caddy takes the place of all of them")
			}
		} else {
			others = append(others, path)
		}
	}
	if len(paths) > 0 && len(others) == 0 {
		return
	}
	if webSocket && len(paths) == 0 {
		of.endpoints = append(of.endpoints, &endpoint{path: "/socket.io/", from: []*directive{use}, upstreams: addresses})
		use.leave("WebSocket was passed on here, so Socket.IO is taken to be at /socket.io/: change `path` where it is elsewhere, and take socketio_stream out where there is none")
		return
	}
	r := &route{from: []*directive{use}, upstreams: addresses}
	if len(others) > 0 {
		h.names++
		for i, path := range others {
			if !exact {
				others[i] = path + "*"
			}
		}
		matcher := fmt.Sprintf("@backend%d", h.names)
		r.matchers, r.matcher = []*line{newLine(matcher + " path " + strings.Join(others, " "))}, matcher
	}
	r.body = append(r.body, h.proxy(group, block, addresses))
	of.routes = append(of.routes, r)
}

// proxy returns the line that leads to the servers of a backend.
func (h *haproxy) proxy(group *directive, block []*directive, addresses []string) *line {
	l := newLine("reverse_proxy "+strings.Join(addresses, " "), find(group.block, "server")...)
	if len(addresses) > 1 {
		balance := last(block, "balance")
		cookie := last(group.block, "cookie")
		policy := map[string]string{"source": "client_ip_hash", "leastconn": "least_conn", "first": "first", "random": "random", "uri": "uri_hash"}[balance.arg(0)]
		switch {
		case cookie != nil && headerText.MatchString(cookie.arg(0)):
			l.with(newLine("lb_policy cookie "+cookie.arg(0), cookie))
		case policy != "":
			l.with(newLine("lb_policy "+policy, balance))
		default:
			l.with(newLine("lb_policy round_robin", balance))
		}
	}
	transport := newLine("transport http")
	for old, name := range map[string]string{"connect": "dial_timeout", "server": "read_timeout"} {
		for _, d := range find(block, "timeout") {
			if long, err := parseTime(d.arg(1), time.Millisecond); d.arg(0) == old && err == nil && long > 0 {
				transport.block = slices.DeleteFunc(transport.block, func(l *line) bool { return strings.HasPrefix(l.text, name) })
				transport.with(newLine(name+" "+writeTime(long), d))
				break
			}
		}
	}
	slices.SortFunc(transport.block, func(a, b *line) int { return strings.Compare(a.text, b.text) })
	if len(transport.block) > 0 {
		l.with(transport)
	}
	return l
}

// haproxyKnownLine says of lines that nothing has taken whether they are needed, and what to do.
func haproxyKnownLine(d *directive) {
	if d.fate != unseen {
		return
	}
	text := d.name + " " + strings.Join(d.args, " ")
	for why, beginnings := range haproxyNeedless {
		if slices.ContainsFunc(beginnings, func(each string) bool { return text == each || strings.HasPrefix(text, each+" ") || each == text+" " }) {
			d.needless(why)
			return
		}
	}
	switch d.name {
	case "stick-table", "stick":
		d.leave("for clients that stay on one server nothing is needed; for limits see `limits` of socketio_stream, which are on")
	case "acl":
		d.needless("nothing that was taken asks for it")
	case "tcp-request":
		d.leave("see `limits` of socketio_stream, which are on for each address")
	case "http-request", "http-response":
		d.leave("see `header`, `header_up` and `header_down` of Caddy")
	case "stats":
		d.leave("Caddy has figures for Prometheus: see docs/metrics.md")
	case "backend":
		d.needless("nothing that was taken leads to it")
		d.cover(needless, d.why)
	}
}

// haproxyNeedless are the lines of HAProxy that nothing takes the place of, by the reason.
var haproxyNeedless = map[string][]string{
	"Caddy does that by itself": {"mode http", "option http-server-close", "option forwardfor", "option httpclose", "option http-keep-alive", "option redispatch",
		"option dontlognull", "http-request set-header X-Forwarded-Proto", "http-request set-header X-Forwarded-Port", "http-request add-header X-Forwarded-Proto",
		"http-request set-header X-Forwarded-For", "reqadd", "maxconn", "retries", "compression", "option contstats", "option prefer-last-server"},
	"heartbeats keep connections of Socket.IO alive, and end those that are gone": {"timeout tunnel", "timeout client", "timeout server", "timeout connect",
		"timeout http-request", "timeout http-keep-alive", "timeout queue", "timeout check", "timeout client-fin", "timeout server-fin", "timeout tarpit"},
	"there is one process of Caddy, so nothing has to keep clients on one":  {"balance", "cookie", "hash-type"},
	"Caddy's log has what it is for":                                        {"log", "option httplog", "option tcplog", "errorfile", "log-format"},
	"Caddy answers this itself; for others see health_uri in reverse_proxy": {"option httpchk", "http-check", "default-server"},
}
