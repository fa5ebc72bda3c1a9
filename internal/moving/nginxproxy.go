package moving

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// noProxy is why lines of a proxy are not needed where there was Socket.IO.
const noProxy = "Caddy answers Socket.IO itself, so there is nothing to pass on"

// endpoint reads a location with Socket.IO.
func (n *nginx) endpoint(of *site, in scope, d, proxied *directive, path string) {
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	e := &endpoint{path: path, from: []*directive{d, proxied}}
	d.take()
	if proxied != nil {
		if upstreams, _, ok := n.upstreamsOf(proxied, true); ok {
			e.upstreams = upstreams
		} else {
			e.upstreams = []string{proxied.arg(0)}
		}
	}
	e.guards = n.guards(in, path)
	n.socketOptions(e, in)
	for _, inner := range d.block {
		if strings.HasPrefix(inner.name, "proxy_") {
			inner.needless(noProxy)
		}
		if inner.name == "if" && strings.Contains(strings.Join(inner.args, " "), "OPTIONS") {
			inner.needless("the server answers for itself what pages of other origins ask before")
			inner.cover(needless, inner.why)
		}
	}
	of.endpoints = append(of.endpoints, e)
}

// socketOptions reads what nginx said of the requests of Socket.IO.
func (n *nginx) socketOptions(e *endpoint, in scope) {
	if d := in.one("client_max_body_size"); d != nil {
		switch size, err := parseSize(d.arg(0)); {
		case err == nil && size > 0:
			e.set("max_http_buffer_size", writeSize(size), d)
		case err == nil:
			d.leave("0 is no bound at all: give max_http_buffer_size the size of the largest message that there is")
		}
	}
	n.corsOf(e, in)
	for _, d := range in.all("limit_conn") {
		key := n.zones[d.arg(0)]
		count, err := strconv.Atoi(d.arg(1))
		if err != nil || count < 1 || key != "$binary_remote_addr" && key != "$remote_addr" {
			d.leave("see `limits` of socketio_stream, which are on for each address and each client")
			continue
		}
		e.set("limits", "", d).with(newLine("connections_per_ip " + strconv.Itoa(count)))
	}
	for _, d := range in.all("limit_req") {
		d.leave("limits of socketio_stream are on, and count handshakes and events in place of requests: see handshakes_per_ip")
	}
}

// corsOf reads which pages of other origins nginx let in.
func (n *nginx) corsOf(e *endpoint, in scope) {
	var origins []string
	var from []*directive
	var credentials *directive
	for _, d := range in.all("add_header") {
		value := d.arg(1)
		switch name := strings.ToLower(d.arg(0)); {
		case name == "access-control-allow-origin":
			found, ok := n.originsOf(value)
			if !ok {
				d.leave("it lets in pages of origins that could not be read: list them with `cors { origins ... }` in socketio_stream")
				continue
			}
			origins = append(origins, found...)
			from = append(from, d)
		case name == "access-control-allow-credentials" && value == "true":
			credentials = d
		case strings.HasPrefix(name, "access-control-"):
			d.needless("the server says by itself which methods and headers it takes")
		default:
			d.needless("answers of Socket.IO are no pages")
		}
	}
	if len(origins) == 0 {
		if credentials != nil {
			credentials.leave("put `credentials` into `cors` when the origins are there")
		}
		return
	}
	block := e.set("cors", "").with(newLine("origins "+strings.Join(origins, " "), from...))
	if credentials != nil {
		block.with(newLine("credentials", credentials))
	}
}

// originsOf returns the origins that a value of a header stands for.
func (n *nginx) originsOf(value string) ([]string, bool) {
	if value == "*" || originText.MatchString(value) {
		return []string{value}, true
	}
	by := n.maps[strings.TrimPrefix(value, "$")]
	if by == nil || by.arg(0) != "$http_origin" {
		return nil, false
	}
	var origins []string
	for _, d := range by.block {
		pattern := d.name
		switch {
		case pattern == "default" || pattern == "volatile" || pattern == "hostnames" || d.arg(0) == "":
			if pattern == "default" && d.arg(0) != "" {
				return nil, false
			}
		case originText.MatchString(pattern):
			origins = append(origins, pattern)
		default:
			origin, ok := originPattern(pattern)
			if !ok {
				d.leave("write the origins that this matches into `cors`")
				continue
			}
			origins = append(origins, origin...)
		}
		d.take()
	}
	by.take()
	return origins, len(origins) > 0
}

// subdomains matches a regular expression for all subdomains of a domain, or for the domain as well.
var subdomains = regexp.MustCompile(`^~\*?\^(https?)://(\(?\.\*\\\.\)?|\([^()|?]*\\\.\)\?|\[\^\.\]\+\\\.|\.\+\\\.)?((?:[a-z0-9-]+\\\.)+[a-z]+)\$$`)

// originPattern returns the origins that a regular expression stands for, where it is one of the usual.
func originPattern(pattern string) ([]string, bool) {
	match := subdomains.FindStringSubmatch(pattern)
	if match == nil {
		return nil, false
	}
	domain := strings.ReplaceAll(match[3], `\.`, ".")
	switch {
	case match[2] == "":
		return []string{match[1] + "://" + domain}, true
	case strings.HasSuffix(match[2], "?"):
		return []string{match[1] + "://" + domain, match[1] + "://*." + domain}, true
	}
	return []string{match[1] + "://*." + domain}, true
}

// guards returns the lines that keep clients out. Where one cannot be taken, all are kept out.
func (n *nginx) guards(in scope, path string) (lines []*line) {
	const wayOut = "until it is replaced by hand, what it guarded is closed"
	shut := func(d *directive, advice string) {
		d.leave("%s; %s", advice, wayOut)
		l := newLine(closed).note("closed, because of %s", d.place)
		if path != "" {
			name := n.name("closed")
			lines = append(lines, newLine("@"+name+" path "+path+"*"))
			l.text = strings.Replace(closed, "respond ", "respond @"+name+" ", 1)
		}
		lines = append(lines, l)
	}
	if d := in.one("auth_basic"); d != nil && d.arg(0) != "off" {
		shut(d, "Caddy's `basic_auth` has accounts of its own, with passwords by `caddy hash-password`")
		if file := in.one("auth_basic_user_file"); file != nil {
			file.needless("its line says what to do")
		}
	}
	if d := in.one("auth_request"); d != nil && d.arg(0) != "off" {
		shut(d, "Caddy's `forward_auth` asks a backend in the same way")
	}
	for _, d := range find(in[0], "limit_except") {
		shut(d, "write a matcher with `method` by hand")
		d.cover(taken, "")
	}
	if d := last(in[0], "internal"); d != nil {
		lines = append(lines, newLine("respond 404", d))
	}
	rules := in.all("allow", "deny")
	if len(rules) == 0 {
		return lines
	}
	if d := in.one("satisfy"); d != nil && d.arg(0) == "any" {
		shut(d, "that one of two guards is enough has to be written anew")
		return lines
	}
	allowed, denied, ok := accessRules(rules)
	switch {
	case !ok:
		for _, d := range rules {
			d.take()
		}
		shut(rules[0], "write matchers with client_ip by hand")
	case len(allowed) == 0 && len(denied) == 0 && rules[0].name == "deny" && path == "":
		lines = append(lines, newLine("respond 403", rules...))
	case len(allowed)+len(denied) == 0 && rules[0].name == "allow":
		rules[0].needless("all may come in")
	default:
		lines = append(lines, n.addressMatcher(allowed, denied, path, rules)...)
	}
	return lines
}

// addressMatcher returns the lines that answer 403 to addresses.
func (n *nginx) addressMatcher(allowed, denied []string, path string, rules []*directive) []*line {
	name := n.name("denied")
	matcher := newLine("@"+name, rules...)
	if path != "" {
		matcher.with(newLine("path " + path + "*"))
	}
	if len(allowed) > 0 {
		matcher.with(newLine("not client_ip " + strings.Join(allowed, " ")))
	} else if len(denied) > 0 {
		matcher.with(newLine("client_ip " + strings.Join(denied, " ")))
	}
	return []*line{matcher, newLine("respond @" + name + " 403")}
}

// accessRules returns who may come in where all others may not, or who may not where all others may.
func accessRules(rules []*directive) (allowed, denied []string, ok bool) {
	for i, d := range rules {
		switch {
		case d.arg(0) == "all":
			if i != len(rules)-1 {
				return nil, nil, false
			}
			if d.name == "deny" {
				return allowed, nil, len(denied) == 0
			}
			return nil, denied, len(allowed) == 0
		case !isNetwork(d.arg(0)):
			return nil, nil, false
		case d.name == "allow":
			allowed = append(allowed, d.arg(0))
		default:
			denied = append(denied, d.arg(0))
		}
	}
	return nil, denied, len(allowed) == 0
}

// upstreamsOf returns the addresses that a proxy_pass leads to, and the path that it puts in place.
func (n *nginx) upstreamsOf(d *directive, socket bool) (addresses []string, uri string, ok bool) {
	target := d.arg(0)
	scheme, rest, found := strings.Cut(target, "://")
	if !found || scheme != "http" && scheme != "https" || strings.ContainsAny(rest, "${}") {
		return nil, "", false
	}
	if socketFile, file := strings.CutPrefix(rest, "unix:"); file {
		path, uri, _ := strings.Cut(socketFile, ":")
		return []string{"unix/" + path}, uri, pathText.MatchString(path)
	}
	host, tail, _ := strings.Cut(rest, "/")
	if strings.Contains(rest, "/") {
		uri = "/" + tail
	}
	group := n.upstreams[host]
	if group == nil {
		address, ok := dialAddress(scheme, host)
		return []string{address}, uri, ok
	}
	group.take()
	for _, server := range find(group.block, "server") {
		if slices.Contains(server.args, "down") {
			server.needless("it was down")
			continue
		}
		address, ok := dialAddress(scheme, server.arg(0))
		if file, isFile := strings.CutPrefix(server.arg(0), "unix:"); isFile {
			address, ok = "unix/"+file, pathText.MatchString(file)
		}
		if !ok {
			server.leave("the address could not be read")
			continue
		}
		if socket && server.fate == unseen {
			server.needless("one process of Caddy takes the place of all of them")
		}
		addresses = append(addresses, address)
	}
	return addresses, uri, len(addresses) > 0
}

// hostPort matches an address to dial.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9_.-]+(:[0-9]{1,5})?$`)

// dialAddress returns an address as reverse_proxy has it.
func dialAddress(scheme, address string) (string, bool) {
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host) != nil && isDigits(port) {
		address = net.JoinHostPort(host, port)
	} else if !hostPort.MatchString(address) {
		return "", false
	}
	if rest, ok := strings.CutPrefix(address, "localhost"); ok {
		address = "127.0.0.1" + rest
	}
	if !strings.Contains(address, ":") {
		address += map[string]string{"http": ":80", "https": ":443"}[scheme]
	}
	if scheme == "https" {
		return "https://" + address, true
	}
	return address, true
}

// proxied reads a location that leads to another server.
func (n *nginx) proxied(r *route, in scope, d *directive, names []string) {
	addresses, uri, ok := n.upstreamsOf(d, false)
	prefix := strings.TrimSuffix(r.matcher, "*")
	if ok && uri != "" && uri != prefix && !(uri == "/" && prefix == "") {
		switch {
		case strings.HasPrefix(r.matcher, "@"), !strings.HasSuffix(r.matcher, "*") && r.matcher != "",
			strings.HasSuffix(uri, "/") != strings.HasSuffix("/"+prefix, "/"), !pathText.MatchString(uri):
			d.leave("the path that it puts in place of the old one has to be written by hand, with `uri` or `rewrite`; until then this is answered 502")
			r.body = append(r.body, newLine("respond 502"))
			return
		case uri == "/":
			r.body = append(r.body, newLine("uri strip_prefix "+strings.TrimSuffix(prefix, "/"), d))
		default:
			if prefix != "" {
				r.body = append(r.body, newLine("uri strip_prefix "+strings.TrimSuffix(prefix, "/"), d))
			}
			r.body = append(r.body, newLine("rewrite * "+strings.TrimSuffix(uri, "/")+"{uri}", d))
		}
	}
	if !ok {
		d.leave("where it leads to could not be read: write `reverse_proxy` by hand; until then this is answered 502")
		r.body = append(r.body, newLine("respond 502"))
		return
	}
	if b := in.one("client_max_body_size"); b != nil {
		if size, err := parseSize(b.arg(0)); err == nil && size > 0 {
			r.body = append(r.body, newLine("request_body").with(newLine("max_size "+writeSize(size), b)))
		} else if err == nil {
			b.needless("Caddy has no bound of its own")
		}
	}
	r.upstreams = addresses
	l := newLine("reverse_proxy "+strings.Join(addresses, " "), d)
	n.balance(l, d)
	n.requestHeaders(l, in, names)
	responseHeaders(l, in)
	n.timeouts(l, in)
	r.body = append(r.body, l)
}

// balance reads how an upstream is chosen.
func (n *nginx) balance(l *line, d *directive) {
	_, host, _ := strings.Cut(d.arg(0), "://")
	host, _, _ = strings.Cut(host, "/")
	group := n.upstreams[host]
	if group == nil {
		return
	}
	servers := find(group.block, "server")
	weighted := false
	var weights []string
	for _, server := range servers {
		if server.fate == needless && server.why == "it was down" {
			continue
		}
		weight := "1"
		for _, option := range server.args[min(1, len(server.args)):] {
			switch value, isWeight := strings.CutPrefix(option, "weight="); {
			case isWeight && isDigits(value):
				weight, weighted = value, true
			case option == "backup":
				server.leave("Caddy has no server that is asked last alone: see `lb_policy first`")
			}
		}
		weights = append(weights, weight)
		l.add(server)
	}
	policy := newLine("lb_policy round_robin")
	switch {
	case last(group.block, "ip_hash") != nil:
		policy = newLine("lb_policy client_ip_hash", last(group.block, "ip_hash"))
	case last(group.block, "least_conn") != nil:
		policy = newLine("lb_policy least_conn", last(group.block, "least_conn"))
	case last(group.block, "hash") != nil:
		hash := last(group.block, "hash")
		if key := hash.arg(0); key != "$remote_addr" && key != "$binary_remote_addr" {
			hash.leave("see `lb_policy` of Caddy's reverse_proxy, which can go by header, cookie, query or URI")
			break
		}
		policy = newLine("lb_policy client_ip_hash", hash)
	case weighted:
		policy = newLine("lb_policy weighted_round_robin " + strings.Join(weights, " "))
	}
	if len(weights) > 1 {
		l.with(policy)
	}
}

// requestHeaders reads what is said to the server behind.
func (n *nginx) requestHeaders(l *line, in scope, names []string) {
	for _, d := range in.all("proxy_set_header") {
		switch name := strings.ToLower(d.arg(0)); {
		case slices.Contains([]string{"upgrade", "connection", "host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}, name) &&
			(name != "host" || d.arg(1) == "$host" || d.arg(1) == "$http_host"):
			d.needless("Caddy does that by itself")
		default:
			value, ok := nginxValue(d.arg(1), first(names), "")
			if !ok || !headerText.MatchString(d.arg(0)) {
				d.leave("set it with `header_up` in reverse_proxy")
				continue
			}
			l.with(newLine("header_up "+d.arg(0)+" "+value, d))
		}
	}
}

// responseHeaders reads what browsers are not to see of the answers.
func responseHeaders(l *line, in scope) {
	for _, d := range in.all("proxy_hide_header") {
		if !headerText.MatchString(d.arg(0)) {
			d.leave("take it out with `header_down` in reverse_proxy")
			continue
		}
		l.with(newLine("header_down -"+d.arg(0), d))
	}
}

// timeouts reads how long the server behind may take.
func (n *nginx) timeouts(l *line, in scope) {
	transport := newLine("transport http")
	for _, each := range []struct{ old, name string }{
		{"proxy_connect_timeout", "dial_timeout"}, {"proxy_read_timeout", "read_timeout"}, {"proxy_send_timeout", "write_timeout"},
	} {
		if d := in.one(each.old); d != nil {
			if long, err := parseTime(d.arg(0), time.Second); err == nil && long > 0 {
				transport.with(newLine(each.name+" "+writeTime(long), d))
			} else {
				d.leave("see `transport http` in reverse_proxy")
			}
		}
	}
	if len(transport.block) > 0 {
		l.with(transport)
	}
}

// assume adds Socket.IO at its usual path, where WebSocket was passed on to a program that may as well
// have other pages, and says so.
func (n *nginx) assume(of *site, in scope, d *directive, r *route, prefix string) {
	if strings.HasPrefix(r.matcher, "@") || r.upstreams == nil {
		return
	}
	for _, header := range in.all("proxy_set_header") {
		if !strings.EqualFold(header.arg(0), "Upgrade") {
			continue
		}
		r.from = append(r.from, header)
		r.webSocket = &endpoint{path: prefix + "/socket.io/", upstreams: r.upstreams}
		r.webSocket.guards = n.guards(in, r.webSocket.path)
		n.socketOptions(r.webSocket, in)
		r.upgrade = header
	}
}
