package moving

import (
	"regexp"
	"slices"
	"sort"
	"strings"
)

// locations reads the locations of a server, and what it does where there is none.
func (n *nginx) locations(of *site, in scope, names []string) {
	var all []*directive
	named := map[string]*directive{}
	for _, d := range find(in[0], "location") {
		switch {
		case strings.HasPrefix(d.arg(0), "@"):
			named[d.arg(0)] = d
		case strings.HasPrefix(d.arg(len(d.args)-1), "/.well-known/acme-challenge"):
			d.needless("Caddy answers its own challenges")
			d.cover(needless, d.why)
		default:
			all = append(all, d)
			// Locations inside of others match below them alone, so they can stand beside them.
			for _, inner := range find(d.block, "location") {
				inner.block = append(inner.block, inherited(d.block, inner.block)...)
				all = append(all, inner)
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := rank(all[i]), rank(all[j])
		if a != b {
			return a < b
		}
		return a != rankExpression && len(all[i].arg(len(all[i].args)-1)) > len(all[j].arg(len(all[j].args)-1))
	})
	php := n.php(all)
	catchAll := false
	for _, d := range all {
		if d == php {
			continue
		}
		catchAll = n.location(of, in, d, named, names, php) || catchAll
	}
	// Without a location for all, nginx answers with the files of its root.
	root := in.one("root")
	answers := slices.ContainsFunc(of.first, func(l *line) bool {
		return strings.HasPrefix(l.text, "redir ") || strings.HasPrefix(l.text, "respond ")
	})
	if !catchAll && root != nil && !(answers && len(of.routes) == 0) {
		r := &route{}
		n.content(r, in, nil, names, php)
		of.routes = append(of.routes, r)
	}
	for _, d := range named {
		if d.fate == unseen {
			d.leaveAll("nothing that was taken leads to it")
		}
	}
}

// inherited returns what a location has from the one around it.
func inherited(outer, inner []*directive) (all []*directive) {
	for _, d := range outer {
		if d.name != "location" && last(inner, d.name) == nil {
			all = append(all, d)
		}
	}
	return all
}

// The order in which nginx asks kinds of locations.
const (
	rankExact = iota
	rankFirst
	rankExpression
	rankPrefix
)

func rank(d *directive) int {
	switch d.arg(0) {
	case "=":
		return rankExact
	case "^~":
		return rankFirst
	case "~", "~*":
		return rankExpression
	}
	return rankPrefix
}

// plainExpression matches a regular expression that stands for one path and all below it.
var plainExpression = regexp.MustCompile(`^\^?((?:/(?:[A-Za-z0-9_-]|\\?\.)*[A-Za-z0-9_-])+/?)(\?)?(\(.*|\.\*)?\$?$`)

// literalPath returns the path that a location is about, where that is one, and whether all below it
// belongs to it.
func literalPath(d *directive) (path string, below, ok bool) {
	text := d.arg(len(d.args) - 1)
	switch rank(d) {
	case rankExact:
		return text, false, pathText.MatchString(text)
	case rankExpression:
		match := plainExpression.FindStringSubmatch(text)
		if match == nil {
			return "", false, false
		}
		path = strings.ReplaceAll(match[1], `\.`, ".")
		if match[2] != "" {
			path = strings.TrimSuffix(path, "/")
		}
		return path, true, pathText.MatchString(path) && (strings.HasPrefix(text, "^") || strings.Contains(path, "socket.io"))
	}
	return text, true, pathText.MatchString(text)
}

// location reads one location, and reports whether it is that of all that no other one has.
func (n *nginx) location(of *site, in scope, d *directive, named map[string]*directive, names []string, php *directive) bool {
	in = append(scope{d.block}, in...)
	path, below, ok := literalPath(d)
	proxied := last(d.block, "proxy_pass")
	if strings.Contains(strings.ToLower(strings.ReplaceAll(d.arg(len(d.args)-1), `\`, "")), "socket.io") && (proxied != nil || len(d.block) == 0) {
		if !ok || !below && !strings.HasSuffix(path, "/") {
			d.leaveAll("the paths that this is about could not be read: list them with `path` in socketio_stream")
			return false
		}
		n.endpoint(of, in, d, proxied, path)
		return false
	}
	d.take()
	r := &route{from: []*directive{d}}
	switch {
	case ok && path == "/" && below:
	case ok && below && strings.HasSuffix(path, "/"):
		r.matcher = path + "*"
	case ok && below:
		r.matcher = path + "*"
	case ok:
		r.matcher = path
	default:
		text := d.arg(len(d.args) - 1)
		flags := ""
		if d.arg(0) == "~*" {
			flags = "(?i)"
		}
		// A usual way to spare the folder of challenges, which Go's expressions cannot say.
		spared := wellKnown.ReplaceAllString(text, "")
		pattern, okay := quoted(flags + spared)
		if _, err := regexp.Compile(spared); err != nil || !okay || rank(d) != rankExpression {
			n.unwritable(of, d)
			return false
		}
		name := n.name("location")
		matcher := newLine("@" + name + " path_regexp " + name + " " + pattern)
		if spared != text {
			matcher = newLine("@"+name).with(newLine("path_regexp "+name+" "+pattern), newLine("not path /.well-known/*"))
		}
		r.matchers = []*line{matcher}
		r.matcher = "@" + name
	}
	if r.matcher == "" && php != nil && proxied == nil {
		n.content(r, in, named, names, php)
	} else {
		n.content(r, in, named, names, nil)
	}
	of.routes = append(of.routes, r)
	if proxied != nil {
		n.assume(of, in, d, r, strings.TrimSuffix(path, "/"))
	}
	return r.matcher == ""
}

// wellKnown matches what keeps an expression from matching the folder of challenges.
var wellKnown = regexp.MustCompile(`\(\?!/?(\\\.)?well-known[^)]*\)`)

// unwritable leaves a location whose matcher cannot be written. One that guards something closes the site.
func (n *nginx) unwritable(of *site, d *directive) {
	guards := find(d.block, "deny", "auth_basic", "auth_request", "internal", "limit_except", "return")
	d.leaveAll("what this is about could not be written as a matcher: write a `handle` by hand")
	if len(guards) > 0 {
		d.leave("what this guards could not be written as a matcher, so the whole site is closed until you write a `handle` for it by hand")
		of.first = append(of.first, newLine(closed).note("closed, because of %s", d.place))
	}
}

// php returns the location that leads scripts of PHP to where they are run, or nil.
func (n *nginx) php(all []*directive) *directive {
	for _, d := range all {
		pass := last(d.block, "fastcgi_pass")
		if rank(d) == rankExpression && pass != nil && strings.Contains(d.arg(1), "php") {
			return d
		}
	}
	return nil
}

// content reads what answers in a location.
func (n *nginx) content(r *route, in scope, named map[string]*directive, names []string, php *directive) {
	r.body = append(r.body, n.guards(in, "")...)
	for _, d := range in[0] {
		switch d.name {
		case "rewrite":
			r.body = append(r.body, n.rewrite(d, names)...)
		case "if":
			r.body = append(r.body, n.condition(d, names)...)
		case "access_log":
			if d.arg(0) == "off" {
				r.body = append(r.body, newLine("log_skip", d))
			}
		case "expires":
			if l := expires(d); l != nil {
				r.body = append(r.body, l)
			}
		}
	}
	for _, l := range headers(in.all("add_header"), names) {
		if last(in[0], "expires") != nil {
			l.text = strings.Replace(l.text, "header Cache-Control", "header +Cache-Control", 1)
		}
		r.body = append(r.body, l)
	}
	if d := last(in[0], "return"); d != nil {
		r.body = append(r.body, n.returned(d, "", names))
		return
	}
	if d := last(in[0], "proxy_pass"); d != nil {
		n.proxied(r, in, d, names)
		return
	}
	if d := last(in[0], "deny"); d.arg(0) == "all" && len(find(in[0], "allow", "root", "try_files", "alias")) == 0 {
		return
	}
	for _, d := range find(in[0], "fastcgi_pass", "uwsgi_pass", "grpc_pass", "scgi_pass", "memcached_pass") {
		d.leave("see `php_fastcgi` and `reverse_proxy` of Caddy; until then this is answered 502")
		r.body = append(r.body, newLine("respond 502"))
		return
	}
	n.serveFiles(r, in, named, names, php)
}

// serveFiles reads how files are found.
func (n *nginx) serveFiles(r *route, in scope, named map[string]*directive, names []string, php *directive) {
	root, alias := in.one("root"), last(in[0], "alias")
	folder := root
	if alias != nil && !strings.HasPrefix(r.matcher, "@") {
		folder = alias
		r.strip = r.matcher != ""
	}
	if folder == nil {
		return
	}
	path, ok := quoted(folder.arg(0))
	if !ok || alias != nil && folder != alias {
		folder.leave("write `root` and `file_server` by hand")
		return
	}
	r.body = append(r.body, newLine("root * "+strings.TrimSuffix(path, "/"), folder))
	browse := newLine("file_server")
	if d := in.one("autoindex"); d.arg(0) == "on" {
		browse = newLine("file_server browse", d)
	}
	if d := in.one("index"); d != nil {
		files := slices.DeleteFunc(slices.Clone(d.args), func(name string) bool { return strings.HasSuffix(name, ".php") })
		plain := slices.ContainsFunc(files, func(name string) bool { _, ok := quoted(name); return !ok || strings.HasPrefix(name, "/") })
		switch {
		case plain:
			d.leave("name the files with `index` in `file_server`")
		case len(files) > 0 && !slices.Equal(files, []string{"index.html"}):
			browse.with(newLine("index "+strings.Join(files, " "), d))
		default:
			d.needless("index.html is what Caddy looks for, and index.php what php_fastcgi does")
		}
	}
	tries := in.one("try_files")
	if php != nil {
		n.phpLines(r, php, tries)
	} else if tries != nil {
		n.tryFiles(r, tries, in, named, names)
	}
	r.body = append(r.body, browse)
}

// phpLines reads where scripts of PHP are run.
func (n *nginx) phpLines(r *route, php, tries *directive) {
	pass := last(php.block, "fastcgi_pass")
	address := pass.arg(0)
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		address = "unix/" + socket
	}
	if server := n.upstreams[address]; server != nil && len(find(server.block, "server")) > 0 {
		address = strings.Replace(find(server.block, "server")[0].arg(0), "unix:", "unix/", 1)
		server.take()
		server.cover(taken, "")
	}
	value, ok := quoted(address)
	if !ok || !strings.Contains(address, ":") && !strings.HasPrefix(address, "unix/") {
		pass.leave("write `php_fastcgi` by hand")
		return
	}
	l := newLine("php_fastcgi "+value, php.take(), pass)
	for _, d := range php.block {
		if d.name == "try_files" || strings.HasPrefix(d.name, "fastcgi_") && d.name != "fastcgi_param" {
			d.needless("php_fastcgi does that")
		} else if d.name == "fastcgi_param" && (d.arg(0) == "SCRIPT_FILENAME" || d.arg(0) == "PATH_INFO" || d.arg(0) == "HTTPS" || d.arg(0) == "QUERY_STRING") {
			d.needless("php_fastcgi does that")
		}
	}
	if tries != nil {
		if strings.HasPrefix(tries.arg(len(tries.args)-1), "/index.php") {
			l.add(tries)
		} else {
			l.with(newLine("try_files {path} {path}/index.php =404", tries))
		}
	}
	r.body = append(r.body, l)
}

// tryFiles reads `try_files`.
func (n *nginx) tryFiles(r *route, d *directive, in scope, named map[string]*directive, names []string) {
	lastOne := d.arg(len(d.args) - 1)
	var tried []string
	for _, arg := range d.args[:max(0, len(d.args)-1)] {
		value, ok := nginxValue(arg, first(names), "")
		if !ok {
			d.leave("write `try_files` by hand")
			return
		}
		tried = append(tried, value)
	}
	if fallback := named[lastOne]; fallback != nil {
		fallback.take()
		name := n.name("missing")
		files := slices.DeleteFunc(tried, func(text string) bool { return text == "{path}/" })
		if len(files) == 0 {
			files = []string{"{path}"}
		}
		r.body = append(r.body, newLine("@"+name+" not file "+strings.Join(files, " "), d))
		inner := &route{from: []*directive{fallback}}
		n.content(inner, append(scope{fallback.block}, in[1:]...), nil, names, nil)
		r.upstreams = append(r.upstreams, inner.upstreams...)
		r.body = append(r.body, newLine("handle @"+name, fallback).with(inner.body...))
		return
	}
	code, isCode := strings.CutPrefix(lastOne, "=")
	target, ok := nginxValue(lastOne, first(names), "")
	switch {
	case code == "404" && !slices.ContainsFunc(tried, func(text string) bool { return text != "{path}" && text != "{path}/" }):
		d.needless("file_server does that")
	case isCode && isDigits(code):
		r.body = append(r.body, newLine("try_files "+strings.Join(append(tried, lastOne), " "), d))
	case ok && strings.HasPrefix(lastOne, "/") && len(tried) > 0:
		r.body = append(r.body, newLine("try_files "+strings.Join(append(tried, target), " "), d))
	default:
		d.leave("write `try_files` by hand")
	}
}
