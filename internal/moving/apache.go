package moving

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apache is a config of Apache that is being read.
type apache struct {
	*setup
	balancers map[string]*directive
	names     int
	outer     []*directive
}

// readApache adds what a config of Apache says.
func (s *setup) readApache(name, text string) error {
	all, err := parseApache(s.short(name), text)
	if err != nil {
		return err
	}
	if all, err = s.include(chain{name}, all, parseApache); err != nil {
		return err
	}
	all = flatten(all)
	s.directives = append(s.directives, all...)
	s.apache = true
	a := &apache{setup: s, balancers: map[string]*directive{}, outer: all}
	walk(all, func(d *directive) {
		if strings.EqualFold(d.name, "Proxy") && strings.HasPrefix(d.arg(0), "balancer://") {
			a.balancers[strings.TrimSuffix(d.arg(0), "/")] = d
		}
	})
	a.real(all)
	hosts := find(all, "VirtualHost")
	for _, host := range hosts {
		a.host(host)
	}
	if len(hosts) == 0 {
		// A file that is included into a host, as those that panels have for lines of one's own.
		whole := &directive{place: place{s.short(name), 1}, name: "VirtualHost", text: "the whole file", block: all}
		a.snippet(whole)
	}
	walk(all, apacheKnownLine)
	return nil
}

// real reads whose word Apache took for the address of a client.
func (a *apache) real(all []*directive) {
	n := &nginx{setup: a.setup}
	walk(all, func(d *directive) {
		switch strings.ToLower(d.name) {
		case "remoteipheader":
			a.addressHeader = d.arg(0)
			a.trustedFrom = append(a.trustedFrom, d.take())
		case "remoteipinternalproxy", "remoteiptrustedproxy":
			if len(d.args) == 1 {
				n.trust(d)
			}
		}
	})
}

// one returns the last directive of the host that has the name, or that of the whole server.
func (a *apache) one(host *directive, name string) *directive {
	if d := last(host.block, name); d != nil {
		return d
	}
	return last(a.outer, name)
}

// snippet reads lines without a host around them.
func (a *apache) snippet(whole *directive) {
	of := &site{origin: whole, addresses: []string{"localhost"}}
	a.fill(of, whole)
	if len(of.endpoints)+len(of.routes) == 0 {
		return
	}
	whole.leave("which site these lines are for is not in the file: put its name in place of localhost")
	a.directives = append(a.directives, &directive{place: whole.place, name: whole.name, text: whole.text, fate: left, why: whole.why})
	a.sites = append(a.sites, of)
}

// host reads one virtual host.
func (a *apache) host(host *directive) {
	host.take()
	of := &site{origin: host, listens: []*directive{host}}
	var names []string
	for _, d := range find(host.block, "ServerName", "ServerAlias") {
		for _, name := range d.args {
			name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
			name, _, _ = strings.Cut(name, ":")
			if !hostName.MatchString(name) {
				d.leave("a site of a Caddyfile has whole names, or *. before one: write those that are meant by hand")
				continue
			}
			names = append(names, name)
		}
		if d.fate != left {
			of.listens = append(of.listens, d)
		}
	}
	engine := last(host.block, "SSLEngine")
	if engine != nil {
		engine.take()
	}
	var listening []listener
	for _, address := range host.args {
		ip, port, err := net.SplitHostPort(address)
		if err != nil {
			ip, port = strings.Trim(address, "[]"), "80"
		}
		if port == "*" {
			port = "80"
		}
		if ip == "*" || ip == "_default_" || ip == "0.0.0.0" || ip == "::" {
			ip = ""
		}
		if ip != "" && net.ParseIP(ip) == nil || !isDigits(port) {
			host.leaveAll("it is not known what this listens at: write the site by hand")
			return
		}
		listening = append(listening, listener{ip, port, strings.EqualFold(engine.arg(0), "on") || port == "443"})
	}
	if a.onlyRedirects(host, names, listening) {
		return
	}
	of.address(names, listening)
	a.fill(of, host)
	a.sites = append(a.sites, of)
}

// onlyRedirects reports whether a host does nothing but to send browsers from http to https, for names
// that have a host by https.
func (a *apache) onlyRedirects(host *directive, names []string, listening []listener) bool {
	if slices.ContainsFunc(listening, func(l listener) bool { return l.tls || l.port != "80" }) || len(names) == 0 {
		return false
	}
	secure := map[string]bool{}
	for _, other := range find(a.outer, "VirtualHost") {
		if slices.ContainsFunc(other.args, func(address string) bool { return strings.HasSuffix(address, ":443") }) {
			for _, d := range find(other.block, "ServerName", "ServerAlias") {
				for _, name := range d.args {
					secure[name] = true
				}
			}
		}
	}
	redirects := false
	for _, d := range host.block {
		switch strings.ToLower(d.name) {
		case "servername", "serveralias", "serveradmin", "errorlog", "customlog", "documentroot", "rewriteengine", "rewritecond", "loglevel":
		case "redirect", "redirectpermanent":
			target := d.arg(len(d.args) - 1)
			redirects = slices.Contains(names, strings.TrimSuffix(strings.TrimPrefix(target, "https://"), "/")) && strings.HasPrefix(target, "https://")
			if !redirects {
				return false
			}
		case "rewriterule":
			redirects = httpsRule.MatchString(d.arg(1))
			if !redirects {
				return false
			}
		default:
			return false
		}
	}
	for _, name := range names {
		redirects = redirects && secure[name]
	}
	if redirects {
		host.fate, host.why = needless, "Caddy leads from http to https by itself"
		walk(host.block, func(d *directive) { d.fate, d.why = needless, host.why })
	}
	return redirects
}

// httpsRule matches the target of a rule that leads to the same address by https.
var httpsRule = regexp.MustCompile(`^https://%\{(SERVER_NAME|HTTP_HOST)\}(%\{REQUEST_URI\}|/?\$1|/%\{REQUEST_URI\})$`)

// fill reads what a host answers.
func (a *apache) fill(of *site, host *directive) {
	of.certificate(a.one(host, "SSLCertificateFile"), a.one(host, "SSLCertificateKeyFile"))
	if d := a.one(host, "CustomLog"); d != nil {
		of.accessLog(d)
	}
	if client := last(host.block, "SSLVerifyClient"); client != nil && !strings.EqualFold(client.arg(0), "none") {
		client.leave("clients without a certificate would come in, so the site is closed: see `client_auth` of Caddy's `tls`")
		of.first = append(of.first, newLine(closed).note("closed, because of %s", client.place))
	}
	a.redirects(of, host)
	a.proxies(of, host)
	a.rewrites(of, host)
	a.sections(of, host)
	a.files(of, host)
}

// redirects reads `Redirect`.
func (a *apache) redirects(of *site, host *directive) {
	codes := map[string]string{"permanent": "301", "temp": "302", "seeother": "303"}
	for _, d := range find(host.block, "Redirect", "RedirectPermanent") {
		args, code := d.args, "302"
		if strings.EqualFold(d.name, "RedirectPermanent") {
			code = "301"
		} else if len(args) == 3 {
			code, args = args[0], args[1:]
			if codes[code] != "" {
				code = codes[code]
			}
		}
		if len(args) != 2 || !isDigits(code) || code[0] != '3' || !pathText.MatchString(args[0]) || !targetText.MatchString(args[1]) {
			d.leave("write `redir` by hand")
			continue
		}
		if args[0] == "/" {
			of.first = append(of.first, newLine("redir "+strings.TrimSuffix(args[1], "/")+"{uri} "+code, d))
			continue
		}
		name := a.name("redirect")
		of.first = append(of.first,
			newLine("@"+name+" path_regexp "+name+" ^"+strings.ReplaceAll(args[0], ".", "[.]")+"(.*)$", d),
			newLine("redir @"+name+" "+args[1]+"{re."+name+".1}{?query} "+code))
	}
}

// targetText matches where a redirection may lead to.
var targetText = regexp.MustCompile(`^(https?://[A-Za-z0-9.:-]+)?(/[A-Za-z0-9_./@:%+,=~-]*)?$`)

func (a *apache) name(kind string) string {
	a.names++
	return kind + strconv.Itoa(a.names)
}

// socketGuards says that a host has guards that are not taken, and closes what they guard.
func (a *apache) guarded(block []*directive, path string, r *route) {
	for _, d := range find(block, "AuthType", "Require", "Deny", "AuthName", "AuthUserFile", "AuthBasicProvider", "Order", "Allow", "Satisfy", "RequireAll", "RequireAny", "RequireNone") {
		text := strings.ToLower(d.name + " " + strings.Join(d.args, " "))
		switch {
		case text == "require all granted", text == "order allow,deny", text == "order deny,allow", text == "allow from all":
			d.needless("all may come in")
		case text == "require all denied", text == "deny from all":
			r.body = append(r.body, newLine("respond 403", d))
		case strings.HasPrefix(text, "require ip ") && !slices.ContainsFunc(d.args[1:], func(each string) bool { return !isNetwork(each) }) &&
			len(find(block, "Require")) == 1 && len(find(block, "AuthType")) == 0:
			name := a.name("denied")
			matcher := newLine("@"+name, d)
			if path != "" {
				matcher.with(newLine("path " + path + "*"))
			}
			matcher.with(newLine("not client_ip " + strings.Join(d.args[1:], " ")))
			r.body = append(r.body, matcher, newLine("respond @"+name+" 403"))
		case strings.EqualFold(d.name, "AuthName") || strings.EqualFold(d.name, "AuthUserFile") || strings.EqualFold(d.name, "AuthBasicProvider"):
			d.needless("its guard says what to do")
		default:
			d.leave("this keeps people out: Caddy's `basic_auth`, `forward_auth` or a matcher with client_ip does; until it is replaced by hand, what it guarded is closed")
			d.cover(taken, "")
			r.body = append(r.body, newLine(closed).note("closed, because of %s", d.place))
		}
	}
}

// files reads the pages of a host.
func (a *apache) files(of *site, host *directive) {
	for _, d := range find(host.block, "Alias") {
		folder, ok := quoted(d.arg(1))
		if !ok || !pathText.MatchString(d.arg(0)) {
			d.leave("write `handle_path` with `root` and `file_server` by hand")
			continue
		}
		of.routes = append(of.routes, &route{matcher: strings.TrimSuffix(d.arg(0), "/") + "/*", strip: true, from: []*directive{d},
			body: []*line{newLine("root * " + folder), newLine("file_server")}})
	}
	root := last(host.block, "DocumentRoot")
	if root == nil || slices.ContainsFunc(of.routes, func(r *route) bool { return r.matcher == "" }) {
		return
	}
	folder, ok := quoted(root.arg(0))
	if !ok {
		root.leave("write `root` by hand")
		return
	}
	r := &route{body: a.headers(host)}
	for _, d := range find(host.block, "Directory") {
		if strings.HasPrefix(root.arg(0), strings.TrimSuffix(d.arg(0), "/")) {
			a.guarded(d.block, "", r)
		}
	}
	r.body = append(r.body, newLine("root * "+folder, root))
	for _, d := range append(find(host.block, "FallbackResource"), inside(host, "Directory", "FallbackResource")...) {
		if d.fate == unseen && pathText.MatchString(d.arg(0)) {
			r.body = append(r.body, newLine("try_files {path} {path}/ "+d.arg(0), d))
		}
	}
	if php := a.php(host); php != nil {
		r.body = append(r.body, php)
	}
	r.body = append(r.body, newLine("file_server"))
	of.routes = append(of.routes, r)
}

// inside returns the directives of a name in sections of another one.
func inside(host *directive, section, name string) (all []*directive) {
	for _, d := range find(host.block, section) {
		all = append(all, find(d.block, name)...)
	}
	return all
}

// php returns the line that leads scripts of PHP to where they are run, or nil.
func (a *apache) php(host *directive) *line {
	for _, d := range append(inside(host, "FilesMatch", "SetHandler"), inside(host, "Files", "SetHandler")...) {
		socket, _, ok := strings.Cut(strings.TrimPrefix(d.arg(0), "proxy:unix:"), "|fcgi:")
		if ok && pathText.MatchString(socket) {
			return newLine("php_fastcgi unix/"+socket, d)
		}
	}
	return nil
}

// headers reads which headers all pages of a host have.
func (a *apache) headers(host *directive) (lines []*line) {
	for _, d := range find(host.block, "Header") {
		args := d.args
		if len(args) > 0 && (args[0] == "always" || args[0] == "onsuccess") {
			args = args[1:]
		}
		prefix := map[string]string{"set": "", "unset": "-", "add": "+", "append": "+", "merge": "+"}
		if len(args) < 2 || !headerText.MatchString(args[1]) {
			d.leave("set `header` by hand")
			continue
		}
		sign, ok := prefix[strings.ToLower(args[0])]
		text := "header " + sign + args[1]
		if ok && sign != "-" {
			var value string
			if len(args) != 3 || strings.Contains(args[2], "%") {
				ok = false
			} else if value, ok = quoted(args[2]); ok {
				text += " " + value
			}
		}
		if !ok {
			d.leave("set `header` by hand: it depends on what Caddy does not know")
			continue
		}
		lines = append(lines, newLine(text, d))
	}
	return lines
}

// timeout reads how long a server behind may take.
func (a *apache) timeout(host *directive) *line {
	d := a.one(host, "ProxyTimeout")
	if d == nil {
		return nil
	}
	long, err := parseTime(d.arg(0), time.Second)
	if err != nil || long == 0 {
		d.leave("see `transport http` in reverse_proxy")
		return nil
	}
	return newLine("transport http").with(newLine("read_timeout "+writeTime(long), d))
}
