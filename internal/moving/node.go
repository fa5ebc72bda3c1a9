package moving

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// readNode adds what a program of Node.js says of its Socket.IO, as far as that is literals.
func (s *setup) readNode(name, text string) error {
	file := s.short(name)
	runs := s.environment(name)
	if runs == nil {
		runs = &process{}
	}
	js := parseScript(text, runs.env)
	n := &node{setup: s, script: js, file: file, service: &service{}}
	n.listens()
	n.servers()
	n.handlers()
	for used := range js.used {
		if d := runs.lines[used]; d != nil {
			d.fate, d.why = needless, "it is taken where the service goes by it"
		}
	}
	walk(n.found, func(d *directive) { d.program = true })
	s.directives = append(s.directives, n.found...)
	s.services = append(s.services, n.service)
	return nil
}

// node is a program of Node.js that is being read.
type node struct {
	*setup
	*script
	file    string
	service *service
	found   []*directive
	relays  []string
	others  int
	relayed []*directive
}

// at returns what begins at a token as a line of an old config.
func (n *node) at(from, to int) *directive {
	d := &directive{place: place{n.file, n.tokens[from].line}, name: n.tokens[from].text, text: n.source(from, min(to, len(n.tokens)))}
	n.found = append(n.found, d)
	return d
}

// listens finds the ports that the program may listen at.
func (n *node) listens() {
	for i := range n.tokens {
		if !n.sequence(i, ".", "listen", "(") {
			continue
		}
		v, next := n.value(i + 3)
		if v.kind == isObject {
			v = v.get("port")
		}
		if port := portOf(v); port != "" {
			n.service.ports = append(n.service.ports, port)
			n.at(max(0, i-1), next+1).needless("there is no second port: Caddy answers Socket.IO itself")
		}
	}
}

// portOf returns the port that a value stands for, or nothing.
func portOf(v *value) string {
	if v != nil && v.kind == isEnv {
		v = v.otherwise
	}
	if v == nil {
		return ""
	}
	text := v.text
	if v.kind == isNumber {
		text = strconv.FormatFloat(v.number, 'f', -1, 64)
	}
	if !isDigits(text) {
		return ""
	}
	return text
}

// servers finds where the server of Socket.IO is made.
func (n *node) servers() {
	imported := map[string]bool{}
	for i := range n.tokens {
		if n.sequence(i, "require", "(") && i+2 < len(n.tokens) && n.tokens[i+2].text == "socket.io" && n.sequence(i-1, "=") && i > 1 {
			imported[n.tokens[i-2].text] = true
		}
	}
	for i := range n.tokens {
		var open int
		switch {
		case n.is(i, "new") && n.is(i+1, "Server"):
			open = i + 2
		case n.is(i, "new") && n.sequence(i+2, ".", "Server") && !n.is(i+1, "http", "https", "net", "tls", "ws", "WebSocket", "http2"):
			open = i + 4
		case n.is(i, "WebSocketGateway") && n.is(i-1, "@"):
			open = i + 1
		case n.sequence(i, "require", "(") && i+2 < len(n.tokens) && n.tokens[i+2].text == "socket.io" && n.sequence(i+3, ")", "("):
			open = i + 4
		case n.tokens[i].kind == tokenWord && imported[n.tokens[i].text] && n.is(i+1, "(") && !n.is(i-1, "."):
			open = i + 1
		default:
			continue
		}
		if n.is(open, "<") {
			for depth := 0; open < len(n.tokens); open++ {
				if n.is(open, "<") {
					depth++
				} else if n.is(open, ">") {
					if depth--; depth == 0 {
						open++
						break
					}
				}
			}
		}
		if n.is(open, "(") {
			n.server(i, open)
		}
	}
}

// server reads the arguments of a server of Socket.IO.
func (n *node) server(i, open int) {
	d := n.at(i, open)
	d.take()
	n.service.from = d
	for at := open + 1; at < len(n.tokens) && !n.is(at, ")"); {
		begin := at
		var v *value
		v, at = n.value(at)
		switch {
		case v.kind == isObject:
			for _, f := range v.fields {
				inner := directiveOf(n.file, f)
				d.block = append(d.block, inner)
				n.option(inner, f)
			}
		case portOf(v) != "":
			n.service.ports = append(n.service.ports, portOf(v))
		case begin > open+1 && v.kind == isOpaque:
			n.at(begin, at).leave("the options are made where they cannot be read without running the program: write them into socketio_stream by hand")
		}
		if n.is(at, ",") || at == begin {
			at++
		}
	}
}

// set gives the service an option.
func (s *service) set(text string, from *directive) *line {
	if s.options == nil {
		s.options = map[string]*line{}
	}
	name, _, _ := strings.Cut(text, " ")
	l := newLine(text, from)
	s.options[name] = l
	return l
}

// durations are the options that are milliseconds, sizes and all else have a case of their own.
var nodeDurations = map[string]string{
	"pingInterval": "ping_interval", "pingTimeout": "ping_timeout", "connectTimeout": "connect_timeout", "upgradeTimeout": "upgrade_timeout",
}

const byHand = "its value is no literal: write it into socketio_stream by hand"

// option reads one option of the server.
func (n *node) option(d *directive, f field) {
	v := f.value
	if v.kind == isEnv && f.name != "cors" && v.otherwise != nil {
		d.leave("it is %s of the environment: write what that is into socketio_stream by hand", v.env)
		return
	}
	if name := nodeDurations[f.name]; name != "" {
		if v.kind != isNumber || v.number != math.Trunc(v.number) || v.number < 1 || v.number > 1e12 {
			d.leave(byHand)
			return
		}
		n.service.set(name+" "+writeTime(time.Duration(v.number)*time.Millisecond), d)
		return
	}
	switch f.name {
	case "path":
		path := "/" + strings.Trim(v.text, "/") + "/"
		if v.kind != isText || !pathText.MatchString(path) || v.text == "" {
			d.leave(byHand)
			return
		}
		n.service.path = path
		n.service.set("path "+path, d)
	case "maxHttpBufferSize":
		if v.kind != isNumber || v.number < 1 || v.number > 1<<53 || v.number != math.Trunc(v.number) {
			d.leave(byHand)
			return
		}
		n.service.set("max_http_buffer_size "+writeSize(int64(v.number)), d)
	case "transports":
		n.transports(d, v)
	case "allowUpgrades", "serveClient":
		name := map[string]string{"allowUpgrades": "allow_upgrades", "serveClient": "serve_client"}[f.name]
		switch v.kind {
		case isFalse:
			n.service.set(name+" off", d)
		case isTrue:
			d.needless("that is so without it")
		default:
			d.leave(byHand)
		}
	case "cors":
		n.cors(d, v)
	case "cookie":
		n.cookie(d, v)
	case "perMessageDeflate", "httpCompression":
		n.compression(d, v, map[string]string{"perMessageDeflate": "per_message_deflate", "httpCompression": "http_compression"}[f.name])
	case "connectionStateRecovery":
		n.recovery(d, v)
	case "allowEIO3":
		if v.kind == isFalse {
			d.needless("that is so without it")
		} else {
			d.leave("see the manual for clients of Socket.IO 2, or update them to 3 or 4")
		}
	case "adapter":
		d.leave("write `adapter redis { url redis://... }` by hand where it is Redis: the address is not among the options")
	case "allowRequest":
		n.service.guards = append(n.service.guards, d)
		d.leave("`auth http` asks your backend who gets in; until it is there, Socket.IO is closed")
	case "parser", "wsEngine":
		d.leave("there is the default one alone")
	case "destroyUpgrade", "destroyUpgradeTimeout", "cleanupEmptyChildNamespaces", "addTrailingSlash", "initialPacket", "httpServer", "pingMaxHttpBufferSize":
		d.needless("there is nothing to set in Caddy")
	case "origins", "origin":
		d.leave("this is of Socket.IO 2: list the origins with `cors { origins ... }` in socketio_stream")
	case "...":
		d.leave("what this adds is made where it cannot be read without running the program: write it into socketio_stream by hand")
	case "namespace":
		d.leave("write a `namespace` with its events by hand")
	default:
		d.leave("this is no option that is known here: see the manual")
	}
}

// transports reads which transports there are.
func (n *node) transports(d *directive, v *value) {
	var names []string
	for _, item := range v.items {
		switch {
		case item.kind != isText:
			d.leave(byHand)
			return
		case item.text == "polling" || item.text == "websocket":
			names = append(names, item.text)
		default:
			d.leave("%s is not there: polling and websocket are", shown(item.text))
			return
		}
	}
	if len(names) == 0 {
		d.leave(byHand)
		return
	}
	if strings.Join(names, " ") == "websocket polling" {
		names = []string{"polling", "websocket"}
	}
	n.service.set("transports "+strings.Join(names, " "), d)
}

// envName matches the name of a variable of the environment.
var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// cors reads which pages of other origins are let in.
func (n *node) cors(d *directive, v *value) {
	const advice = "list the origins with `cors { origins ... }` in socketio_stream; until then only the site's own pages are let in"
	origin, credentials := v, v.get("credentials")
	if v.kind == isObject {
		origin = v.get("origin")
	}
	var origins []string
	variable := ""
	add := func(one *value) bool {
		switch {
		case one == nil:
			return false
		case one.kind == isText:
			for _, each := range strings.FieldsFunc(one.text, func(r rune) bool { return r == ',' || r == ' ' }) {
				each = strings.TrimSuffix(each, "/")
				if each != "*" && !originText.MatchString(each) {
					return false
				}
				origins = append(origins, each)
			}
			return one.text != ""
		case one.kind == isTrue:
			origins = append(origins, "*")
			return true
		case one.kind == isEnv && envName.MatchString(one.env):
			if one.otherwise == nil || one.otherwise.kind != isText || one.otherwise.text != "*" && !originText.MatchString(one.otherwise.text) {
				variable = one.env
				return false
			}
			origins = append(origins, "{$"+one.env+":"+one.otherwise.text+"}")
			return true
		}
		return false
	}
	ok := true
	if origin != nil && origin.kind == isList {
		for _, item := range origin.items {
			ok = add(item) && ok
		}
	} else {
		ok = add(origin)
	}
	if !ok && variable != "" {
		d.leave("the origins are in %s of the environment: list them, or write `cors { origins {$%s} }` and give Caddy the variable; until then only the site's own pages are let in", variable, variable)
		return
	}
	if !ok || len(origins) == 0 {
		d.leave(advice)
		return
	}
	block := n.service.set("cors", d).with(newLine("origins " + strings.Join(origins, " ")))
	if credentials != nil && credentials.kind == isTrue {
		block.with(newLine("credentials"))
	} else if credentials != nil && credentials.kind != isFalse {
		d.leave("whether pages of other origins may send cookies is no literal: put `credentials` into `cors` where they may")
	}
}

// cookie reads the cookie with the session's ID.
func (n *node) cookie(d *directive, v *value) {
	switch v.kind {
	case isFalse, isNothing:
		d.needless("there is none without it")
		return
	case isTrue:
		n.service.set("cookie", d)
		return
	case isText:
		if headerText.MatchString(v.text) {
			n.service.set("cookie "+v.text, d)
			return
		}
	case isObject:
		name := "cookie"
		if of := v.get("name"); of != nil && of.kind == isText && headerText.MatchString(of.text) {
			name += " " + of.text
		}
		l := n.service.set(name, d)
		for _, f := range v.fields {
			n.cookieField(l, d, f)
		}
		return
	}
	d.leave(byHand)
}

// cookieField reads one property of the cookie.
func (n *node) cookieField(l *line, d *directive, f field) {
	onOff := map[valueKind]string{isTrue: "on", isFalse: "off"}[f.value.kind]
	switch {
	case f.name == "name":
	case f.name == "httpOnly" && onOff != "":
		l.with(newLine("http_only " + onOff))
	case f.name == "secure" && onOff != "":
		l.with(newLine("secure " + onOff))
	case f.name == "path" && pathText.MatchString(f.value.text):
		l.with(newLine("path " + f.value.text))
	case f.name == "domain" && hostName.MatchString(strings.TrimPrefix(f.value.text, ".")):
		l.with(newLine("domain " + f.value.text))
	case f.name == "sameSite" && (strings.EqualFold(f.value.text, "lax") || strings.EqualFold(f.value.text, "strict") || strings.EqualFold(f.value.text, "none")):
		l.with(newLine("same_site " + strings.ToLower(f.value.text)))
	case f.name == "maxAge" && f.value.kind == isNumber && f.value.number >= 1 && f.value.number < 1e9:
		l.with(newLine("max_age " + writeTime(time.Duration(f.value.number)*time.Second)))
	default:
		d.leave("%s of the cookie could not be taken: write it by hand", shown(f.name))
	}
}

// compression reads from which size on messages are compressed.
func (n *node) compression(d *directive, v *value, name string) {
	threshold := v.get("threshold")
	switch {
	case v.kind == isFalse:
		d.needless("that is so without it")
	case v.kind == isTrue || v.kind == isObject && threshold == nil:
		n.service.set(name, d)
	case v.kind == isObject && threshold.kind == isNumber && threshold.number >= 1 && threshold.number < 1<<40:
		n.service.set(name+" "+writeSize(int64(threshold.number)), d)
	default:
		d.leave(byHand)
	}
}

// recovery reads for how long a client may come back.
func (n *node) recovery(d *directive, v *value) {
	if v.kind != isObject {
		d.leave(byHand)
		return
	}
	l := n.service.set("recovery", d)
	if long := v.get("maxDisconnectionDuration"); long != nil {
		if long.kind != isNumber || long.number < 1 || long.number > 1e12 {
			d.leave(byHand)
			return
		}
		l.with(newLine("window " + writeTime(time.Duration(long.number)*time.Millisecond)))
	}
	if skip := v.get("skipMiddlewares"); skip != nil && skip.kind != isTrue {
		l.note("who a client is is asked anew in any case")
	}
}
