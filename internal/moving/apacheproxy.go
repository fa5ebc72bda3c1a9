package moving

import (
	"slices"
	"strings"
)

// target returns the addresses that a proxy of Apache leads to, and the path there.
func (a *apache) target(text string) (addresses []string, uri string, ok bool) {
	text = strings.Replace(strings.Replace(text, "ws://", "http://", 1), "wss://", "https://", 1)
	scheme, rest, found := strings.Cut(text, "://")
	host, tail, slash := strings.Cut(rest, "/")
	if slash {
		uri = "/" + tail
	}
	if scheme == "balancer" {
		group := a.balancers["balancer://"+host]
		if group == nil {
			return nil, "", false
		}
		group.take()
		for _, d := range find(group.block, "BalancerMember") {
			more, _, fine := a.target(d.arg(0))
			if !fine || strings.HasPrefix(d.arg(0), "balancer:") {
				d.leave("its address could not be read")
				continue
			}
			for _, each := range more {
				if !slices.Contains(addresses, each) {
					addresses = append(addresses, each)
				}
			}
			d.needless("its address is taken where the balancer is")
		}
		return addresses, uri, len(addresses) > 0
	}
	if !found || scheme != "http" && scheme != "https" || strings.ContainsAny(host, "$%{}") {
		return nil, "", false
	}
	address, ok := dialAddress(scheme, host)
	return []string{address}, uri, ok
}

// proxies reads `ProxyPass` and what is like it, in their order.
func (a *apache) proxies(of *site, host *directive) {
	passes := find(host.block, "ProxyPass", "ProxyPassMatch", "Location", "LocationMatch")
	for _, d := range passes {
		switch {
		case strings.HasPrefix(strings.ToLower(d.name), "location"):
			inner := append(find(d.block, "ProxyPass"), find(d.block, "ProxyPassMatch")...)
			if len(inner) > 0 {
				a.proxy(of, host, inner[0], d.arg(len(d.args)-1), inner[0].arg(0), d)
			}
		case len(d.args) >= 2:
			a.proxy(of, host, d, d.arg(0), d.arg(1), nil)
		}
	}
}

// proxy reads one path that leads to another server.
func (a *apache) proxy(of *site, host, d *directive, path, target string, section *directive) {
	expression := strings.HasSuffix(strings.ToLower(d.name), "match") || section != nil && (strings.EqualFold(section.name, "LocationMatch") || section.arg(0) == "~")
	if expression {
		match := plainExpression.FindStringSubmatch(path)
		if match == nil {
			d.leave("the paths that this is about could not be read: write `handle` and `reverse_proxy` by hand, or `path` in socketio_stream")
			return
		}
		path = strings.ReplaceAll(match[1], `\.`, ".")
		target, _, _ = strings.Cut(target, "$")
	}
	if !pathText.MatchString(path) {
		d.leave("the path could not be read: write `handle` by hand")
		return
	}
	if target == "!" {
		r := &route{matcher: strings.TrimSuffix(path, "/") + "*", from: []*directive{d}, body: []*line{newLine("respond 404")}}
		if root := last(host.block, "DocumentRoot"); root != nil {
			if folder, ok := quoted(root.arg(0)); ok {
				r.body = []*line{newLine("root * "+folder, root), newLine("file_server")}
			}
		}
		of.routes = append(of.routes, r)
		return
	}
	addresses, uri, ok := a.target(target)
	if section != nil {
		section.take()
	}
	guard := &route{}
	if section != nil {
		a.guarded(section.block, "", guard)
	}
	if strings.Contains(strings.ToLower(path), "socket.io") {
		e := &endpoint{path: strings.TrimSuffix(path, "/") + "/", from: []*directive{section, d}, upstreams: addresses}
		if !ok {
			e.upstreams = []string{shown(target)}
		}
		e.from = slices.DeleteFunc(e.from, func(d *directive) bool { return d == nil })
		if len(guard.body) > 0 {
			name := a.name("guarded")
			e.guards = []*line{newLine("@" + name + " path " + e.path + "*"), newLine("route @" + name).with(guard.body...)}
		}
		a.socketOptions(e, host, section)
		of.endpoints = append(of.endpoints, e)
		return
	}
	if !ok {
		d.leave("where it leads to could not be read: write `reverse_proxy` by hand")
		return
	}
	r := &route{upstreams: addresses, body: append(guard.body, a.headers(host)...)}
	prefix := strings.TrimSuffix(path, "/")
	switch {
	case prefix == "":
	case strings.HasSuffix(path, "/"):
		r.matcher = path + "*"
	default:
		name := a.name("proxy")
		r.matchers = []*line{newLine("@" + name + " path " + prefix + " " + prefix + "/*")}
		r.matcher = "@" + name
	}
	if there := strings.TrimSuffix(uri, "/"); there != prefix {
		if !pathText.MatchString("/" + there) {
			d.leave("the path that it puts in place of the old one has to be written by hand, with `uri` or `rewrite`")
			return
		}
		if prefix != "" {
			r.body = append(r.body, newLine("uri strip_prefix "+prefix))
		}
		if there != "" {
			r.body = append(r.body, newLine("rewrite * "+there+"{uri}"))
		}
	}
	r.body = append(r.body, a.bodySize(host)...)
	l := newLine("reverse_proxy "+strings.Join(addresses, " "), section, d)
	if preserve := a.one(host, "ProxyPreserveHost"); strings.EqualFold(preserve.arg(0), "on") {
		preserve.needless("Caddy does that by itself")
	} else if !strings.HasPrefix(addresses[0], "127.") {
		l.with(newLine("header_up Host {upstream_hostport}").note("ProxyPreserveHost was not on"))
	}
	r.body = append(r.body, l.with(a.timeout(host)))
	of.routes = append(of.routes, r)
}

// bodySize reads how long a request may be.
func (a *apache) bodySize(host *directive) []*line {
	d := a.one(host, "LimitRequestBody")
	if d == nil {
		return nil
	}
	size, err := parseSize(d.arg(0))
	if err != nil || size == 0 {
		d.needless("Caddy has no bound of its own")
		return nil
	}
	return []*line{newLine("request_body").with(newLine("max_size "+writeSize(size), d))}
}

// socketOptions reads what Apache said of the requests of Socket.IO.
func (a *apache) socketOptions(e *endpoint, host, section *directive) {
	if d := a.one(host, "LimitRequestBody"); d != nil {
		if size, err := parseSize(d.arg(0)); err == nil && size > 0 {
			e.set("max_http_buffer_size", writeSize(size), d)
		}
	}
	var cors *line
	blocks := slices.Clone(host.block)
	if section != nil {
		blocks = append(blocks, section.block...)
	}
	for _, d := range find(blocks, "Header") {
		args := d.args
		if len(args) > 0 && (args[0] == "always" || args[0] == "onsuccess") {
			args = args[1:]
		}
		if len(args) < 3 {
			continue
		}
		switch {
		case strings.EqualFold(args[1], "Access-Control-Allow-Origin") && (args[2] == "*" || originText.MatchString(args[2])):
			cors = e.set("cors", "").with(newLine("origins "+args[2], d))
		case strings.EqualFold(args[1], "Access-Control-Allow-Origin"):
			d.leave("it lets in pages of origins that could not be read: list them with `cors { origins ... }` in socketio_stream")
		case strings.EqualFold(args[1], "Access-Control-Allow-Credentials") && cors != nil && args[2] == "true":
			cors.with(newLine("credentials", d))
		}
	}
}

// rewrites reads `RewriteRule` with its conditions.
func (a *apache) rewrites(of *site, host *directive) {
	var conditions []*directive
	for _, d := range host.block {
		switch strings.ToLower(d.name) {
		case "rewritecond":
			conditions = append(conditions, d)
		case "rewriterule":
			a.rule(of, d, conditions)
			conditions = nil
		}
	}
}

// rule reads one rule.
func (a *apache) rule(of *site, d *directive, conditions []*directive) {
	target := d.arg(1)
	flags := strings.ToUpper(strings.Trim(d.arg(2), "[]"))
	asks := ""
	for _, each := range conditions {
		asks += strings.ToLower(strings.Join(each.args, " ")) + "\n"
	}
	take := func(why string) {
		d.needless(why)
		for _, each := range conditions {
			each.needless(why)
		}
	}
	switch {
	case strings.HasPrefix(target, "ws://") || strings.HasPrefix(target, "wss://"), strings.Contains(asks, "websocket") && strings.Contains(flags, "P"):
		addresses, _, ok := a.target(strings.ReplaceAll(strings.Split(target, "$")[0], "%{REQUEST_URI}", ""))
		if !ok {
			break
		}
		a.upgrade(of, d, conditions, addresses, asks)
	case httpsRule.MatchString(target):
		take("Caddy leads from http to https by itself")
	case strings.Contains(asks, "!-f") && pathText.MatchString(target):
		d.leave("write `try_files {path} %s` beside `file_server` by hand", target)
		for _, each := range conditions {
			each.take()
		}
	}
	if d.fate == unseen {
		d.leave("write `rewrite`, `redir` or `handle` by hand")
		for _, each := range conditions {
			each.take()
		}
	}
}

// upgrade reads a rule that passes on WebSocket.
func (a *apache) upgrade(of *site, d *directive, conditions []*directive, addresses []string, asks string) {
	const why = "Caddy passes on WebSocket by itself, and answers that of Socket.IO"
	service := strings.Join(addresses, " ")
	done := func() {
		d.needless(why)
		for _, each := range conditions {
			each.needless(why)
		}
	}
	if slices.ContainsFunc(of.endpoints, func(e *endpoint) bool { return strings.Join(e.upstreams, " ") == service }) {
		done()
		return
	}
	if strings.Contains(asks, "socket.io") || strings.Contains(asks, "transport=websocket") || strings.Contains(d.arg(0), "socket.io") {
		d.take()
		for _, each := range conditions {
			each.take()
		}
		of.endpoints = append(of.endpoints, &endpoint{path: "/socket.io/", from: append(slices.Clone(conditions), d), upstreams: addresses})
		return
	}
	for _, r := range of.routes {
		if strings.Join(r.upstreams, " ") == service && r.webSocket == nil {
			r.webSocket = &endpoint{path: "/socket.io/", upstreams: addresses}
			r.upgrade = d
			d.needless(why)
			for _, each := range conditions {
				each.needless(why)
			}
			return
		}
	}
	of.endpoints = append(of.endpoints, &endpoint{path: "/socket.io/", from: []*directive{d}, upstreams: addresses})
	d.leave("WebSocket was passed on here, so Socket.IO is taken to be at /socket.io/: change `path` where it is elsewhere, and take socketio_stream out where there is none")
	for _, each := range conditions {
		each.take()
	}
}

// sections says of sections with guards that they are not taken.
func (a *apache) sections(of *site, host *directive) {
	for _, d := range find(host.block, "Location", "LocationMatch", "Files", "FilesMatch") {
		if d.fate != unseen {
			continue
		}
		guards := find(d.block, "Require", "AuthType", "Deny", "RequireAll", "RequireAny")
		path := d.arg(len(d.args) - 1)
		if len(guards) == 0 {
			continue
		}
		if strings.EqualFold(d.name, "Location") && pathText.MatchString(path) {
			r := &route{}
			a.guarded(d.block, path, r)
			if len(r.body) > 0 {
				name := a.name("guarded")
				of.first = append(of.first, newLine("@"+name+" path "+path+"*", d), newLine("route @"+name).with(r.body...))
			}
			continue
		}
		deny := strings.EqualFold(guards[0].name+strings.Join(guards[0].args, ""), "requirealldenied")
		// The expression is about the name of the file, and that of Caddy about the path.
		if rest, begins := strings.CutPrefix(path, "^"); begins {
			path = "/" + rest
		}
		pattern, ok := quoted(path)
		if strings.EqualFold(d.name, "FilesMatch") && deny && ok {
			name := a.name("denied")
			of.first = append(of.first, newLine("@"+name+" path_regexp "+pattern, d, guards[0]), newLine("respond @"+name+" 403"))
			continue
		}
		d.leaveAll("this guards files: write a matcher with `respond 403` by hand; until then the whole site is closed")
		of.first = append(of.first, newLine(closed).note("closed, because of %s", d.place))
	}
}

// apacheKnownLine says of lines that nothing has taken whether they are needed, and what to do.
func apacheKnownLine(d *directive) {
	if d.fate != unseen {
		return
	}
	name := strings.ToLower(d.name)
	for why, names := range apacheNeedless {
		if slices.Contains(names, name) {
			d.needless(why)
			if name != "directory" {
				d.cover(needless, why)
			}
			return
		}
	}
	if strings.HasPrefix(name, "ssl") {
		d.needless("Caddy's settings of TLS are as good")
	}
	switch name {
	case "allowoverride":
		if !strings.EqualFold(d.arg(0), "none") {
			d.leave("Caddy reads no .htaccess: give those files to this command as well")
		}
	case "setenvif", "setenvifnocase", "browsermatch", "setenv":
		d.leave("Caddy has `vars` and `map`; where it is for pages of other origins, list them with `cors` in socketio_stream")
	case "require":
		if strings.EqualFold(strings.Join(d.args, " "), "all granted") {
			d.needless("all may come in")
		}
	case "requestheader":
		if strings.HasPrefix(strings.ToLower(d.arg(1)), "x-forwarded-") {
			d.needless("Caddy does that by itself")
			return
		}
		d.leave("set it with `header_up` in reverse_proxy")
	}
}

// apacheNeedless are the lines of Apache that nothing takes the place of, by the reason, in small letters.
var apacheNeedless = map[string][]string{
	"Caddy does that by itself": {"rewriteengine", "proxyrequests", "proxyvia", "listen", "servertokens", "serversignature", "traceenable", "protocols",
		"keepalive", "keepalivetimeout", "maxkeepaliverequests", "timeout", "proxypassreverse", "proxypassreversecookiedomain", "proxypassreversecookiepath",
		"proxypreservehost", "proxybadheader", "proxyerroroverride", "directoryindex", "adddefaultcharset", "addtype", "hostnamelookups", "sslproxyengine", "usecanonicalname", "requestreadtimeout"},
	"Caddy has its modules built in":                       {"loadmodule"},
	"the service unit of Caddy says this":                  {"user", "group", "serverroot", "pidfile", "serveradmin", "mutex", "defaultruntimedir"},
	"Caddy logs faults without being told":                 {"errorlog", "loglevel", "logformat"},
	"a site of Caddy's has one log":                        {"customlog"},
	"Caddy answers Socket.IO itself":                       {"proxytimeout", "proxyset", "proxywebsocketfallbacktoproxyhttp"},
	"Caddy serves what is below `root` and nothing else":   {"directory", "options", "proxy", "indexoptions"},
	"nothing that was read leads to it":                    {"documentroot", "servername", "serveralias", "limitrequestbody", "header", "balancermember"},
	"it is for compression, which is `encode` in a site":   {"addoutputfilterbytype", "setoutputfilter", "deflatecompressionlevel"},
	"the file of a language or a module, not of this site": {"files", "filesmatch", "sethandler"},
}
