package moving

import (
	"fmt"
	"slices"
	"strings"
)

// A site is what answers for some host names.
type site struct {
	// origin is all that the site comes from.
	origin *directive
	// addresses are those of the Caddyfile, such as https://example.com.
	addresses []string
	// listens are the lines that the addresses come from.
	listens []*directive
	// bind are the addresses of this machine that it listens at, where not at all of them.
	bind []string
	tls  bool
	// lines are the directives of the site itself, such as tls and encode.
	lines []*line
	// first is what is asked before any route: redirections and rewrites.
	first []*line
	// endpoints are the paths at which there is Socket.IO.
	endpoints []*endpoint
	// routes are in the order in which they are tried.
	routes []*route
}

// A route is what answers below a path.
type route struct {
	// matchers are the lines that define the matcher, where it has a name.
	matchers []*line
	// matcher is empty for the route of all that no other one has.
	matcher string
	// strip is set where what answers does not see the path of the route.
	strip bool
	from  []*directive
	body  []*line
	// upstreams are the addresses that it leads to, as they were written.
	upstreams []string
	// webSocket is the endpoint that there may be in it, and upgrade the line that speaks for that.
	webSocket *endpoint
	upgrade   *directive
}

// An endpoint is a path of a site at which there is Socket.IO.
type endpoint struct {
	path string
	from []*directive
	// upstreams are the addresses of the service.
	upstreams []string
	// guards are lines that keep clients out before they come to it.
	guards []*line
	// options are the lines that the web server has for it, by the name of the option.
	options map[string]*line
	notes   []string
	// service is what is known of the program behind it, or nil.
	service *service
}

// set gives the endpoint an option.
func (e *endpoint) set(name, value string, from ...*directive) *line {
	if e.options == nil {
		e.options = map[string]*line{}
	}
	text := name
	if value != "" {
		text += " " + value
	}
	l := newLine(text, from...)
	e.options[name] = l
	return l
}

// setup is what has been read of all files.
type setup struct {
	directives []*directive
	// global are the global options of the Caddyfile.
	global []*line
	sites  []*site
	// services are what the files say of the programs behind.
	services  []*service
	processes []*process
	// hosts are those that labels of containers name.
	hosts     []string
	hostsFrom []*directive
	// trusted are the networks of proxies in front.
	trusted       []string
	trustedFrom   []*directive
	addressHeader string
	// apache is set where the web server was Apache.
	apache bool
	*files
}

// optionOrder is the order of options in the Caddyfile, as the manual has them.
var optionOrder = []string{
	"hub", "path", "transports", "allow_upgrades", "ping_interval", "ping_timeout", "connect_timeout", "upgrade_timeout",
	"max_http_buffer_size", "cors", "cookie", "send_buffer", "max_connections", "limits", "recovery", "per_message_deflate",
	"http_compression", "serve_client", "adapter", "namespace",
}

// socketLines returns the directives of the endpoints of a site. Those with one service are one.
func (s *setup) socketLines(of *site) (lines []*line) {
	done := map[*endpoint]bool{}
	for _, first := range of.endpoints {
		if done[first] {
			continue
		}
		service := strings.Join(first.upstreams, " ")
		handler := newLine("socketio_stream")
		options := map[string]*line{}
		var paths []string
		var from []*directive
		for _, other := range s.sites {
			for _, e := range other.endpoints {
				if other != of && strings.Join(e.upstreams, " ") == service {
					for name, option := range e.options {
						merge(options, name, option)
					}
				}
			}
		}
		for _, e := range of.endpoints {
			if strings.Join(e.upstreams, " ") != service {
				continue
			}
			done[e] = true
			if !slices.Contains(paths, e.path) {
				paths = append(paths, e.path)
			}
			from = append(from, e.from...)
			lines = append(lines, e.guards...)
			handler.notes = append(handler.notes, e.notes...)
			for name, option := range e.options {
				merge(options, name, option)
			}
		}
		handler.add(from...)
		slices.SortStableFunc(paths, func(a, b string) int { return len(a) - len(b) })
		if len(paths) != 1 || paths[0] != "/socket.io/" {
			options["path"] = newLine("path " + strings.Join(paths, " "))
		}
		if hub := s.hubOf(of, first); hub != "" {
			options["hub"] = newLine("hub "+hub).note("all that led to %s was one service, so it is one hub", shown(service))
		}
		s.serve(handler, options, first)
		for _, name := range optionOrder {
			handler.with(options[name])
		}
		if first.service != nil && len(first.service.guards) > 0 {
			name := fmt.Sprintf("closed_service%d", len(lines))
			for i, path := range paths {
				paths[i] = path + "*"
			}
			lines = append(lines, newLine("@"+name+" path "+strings.Join(paths, " ")),
				newLine(strings.Replace(closed, "respond ", "respond @"+name+" ", 1)).note("closed, because of %s", first.service.guards[0].place))
		}
		lines = append(lines, handler)
	}
	return lines
}

// merge adds an option of one more endpoint of the same handler. The larger of two sizes holds.
func merge(options map[string]*line, name string, option *line) {
	before := options[name]
	switch {
	case before == nil:
		copied := *option
		copied.from, copied.notes = slices.Clone(option.from), slices.Clone(option.notes)
		options[name] = &copied
	case before.text == option.text && len(before.block) == 0:
		before.add(option.from...)
	case name == "max_http_buffer_size" && sizeOf(before) >= sizeOf(option):
		before.add(option.from...).note("the larger of those that the paths had")
	case name == "max_http_buffer_size":
		before.text = option.text
		before.add(option.from...).note("the larger of those that the paths had")
	case sameLines(before, option):
		before.add(option.from...)
	default:
		for _, d := range option.from {
			d.leave("another path of the same service has another %s, and a service has one: choose", name)
		}
	}
}

// sameLines reports whether two lines say the same.
func sameLines(a, b *line) bool {
	return a.text == b.text && slices.EqualFunc(a.block, b.block, sameLines)
}

// sizeOf returns the size that a line gives an option.
func sizeOf(l *line) int64 {
	_, text, _ := strings.Cut(l.text, " ")
	for _, size := range exactSizes {
		if number, ok := strings.CutSuffix(text, size.name); ok {
			n, _ := parseSize(number)
			return n * size.unit
		}
	}
	n, _ := parseSize(text)
	return n
}

// hubOf returns the name of the hub of an endpoint, where it needs one: when other sites have the
// same service, or this one has others.
func (s *setup) hubOf(of *site, e *endpoint) string {
	if !s.mixed(of, strings.Join(e.upstreams, " ")) {
		return ""
	}
	return hubName(e.upstreams)
}

// mixed reports whether a service is that of several sites, or one of several of this site.
func (s *setup) mixed(of *site, service string) bool {
	for _, other := range s.sites {
		for _, e := range other.endpoints {
			same := strings.Join(e.upstreams, " ") == service
			if other == of && !same || other != of && same {
				return true
			}
		}
	}
	return false
}

// hubName returns a name for a hub that is made of the addresses of its service.
func hubName(upstreams []string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_'
	}, strings.Join(upstreams, "_"))
	name = strings.Trim(name, "_")
	if len(name) > 60 {
		name = name[:60]
	}
	if name == "" {
		return "main"
	}
	return name
}

// lineOf returns the whole site as lines of the Caddyfile.
func (s *setup) lineOf(of *site) *line {
	block := newLine(strings.Join(of.addresses, ", "), of.listens...)
	block.open = true
	if len(of.bind) > 0 {
		block.with(newLine("bind " + strings.Join(of.bind, " ")))
	}
	block.with(of.lines...)
	inner := newLine("route")
	inner.with(of.first...)
	inner.with(s.socketLines(of)...)
	for _, r := range of.routes {
		name := "handle"
		if r.strip {
			name = "handle_path"
		}
		inner.with(r.matchers...)
		l := newLine(strings.TrimSpace(name+" "+r.matcher), r.from...)
		l.open = true
		inner.with(l.with(r.body...))
	}
	if len(inner.block) > 0 {
		block.with(inner)
	}
	return block
}

// unique keeps the addresses of sites apart: a Caddyfile has each address once.
func (s *setup) unique() {
	owners := map[string]*site{}
	s.sites = slices.DeleteFunc(s.sites, func(of *site) bool {
		of.addresses = slices.DeleteFunc(of.addresses, func(address string) bool {
			key := strings.ToLower(address)
			key = strings.TrimPrefix(key, "https://")
			if owner := owners[key]; owner != nil {
				of.origin.leave("%s is the address of another site as well, at %s, which the old server asks first: "+
					"what of this one is missed there has to be put there by hand", address, owner.origin.place)
				return true
			}
			owners[key] = of
			return false
		})
		return len(of.addresses) == 0
	})
}

// counted names a number of things.
func counted(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
