package moving

import (
	"net"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A service is a program of Node.js that had the Socket.IO.
type service struct {
	// from is where its server is made, or nil where there is none.
	from *directive
	// ports are those that it may listen at.
	ports   []string
	path    string
	options map[string]*line
	// guards are what decided there who gets in, which no line of Caddy's does yet.
	guards []*directive
}

// A process is a program as the files say that run it.
type process struct {
	// script is the name of its main file, where that is known.
	script string
	env    map[string]string
	lines  map[string]*directive
}

// environment returns the process that a program is run as: the one that has its file, or else the
// only one that there is.
func (s *setup) environment(name string) *process {
	for _, p := range s.processes {
		if p.script != "" && path.Base(filepath.ToSlash(p.script)) == filepath.Base(name) {
			return p
		}
	}
	if len(s.processes) == 1 {
		return s.processes[0]
	}
	return nil
}

// smallestDefault is what a message may be where a service does not say it.
const smallestDefault = 1_000_000

// settleServices brings services and the sites that lead to them together.
func (s *setup) settleServices() {
	s.services = slices.DeleteFunc(s.services, func(of *service) bool {
		if of.from == nil {
			for _, l := range of.options {
				for _, d := range fromAll([]*line{l}) {
					d.leave("no server is made in this file, so it is not known for which one this is: write `%s` by hand", l.text)
				}
			}
		}
		return of.from == nil
	})
	for _, of := range s.services {
		s.lead(of)
	}
	if len(s.sites) > 0 || len(s.services) == 0 {
		return
	}
	for _, of := range s.services {
		one := &site{origin: of.from, addresses: []string{"localhost"}}
		if len(s.hosts) > 0 && len(s.services) == 1 {
			one.addresses, one.listens = s.hosts, s.hostsFrom
		} else {
			of.from.leave("which site the service is for is in none of the files: put its name in place of localhost")
		}
		one.endpoints = []*endpoint{{path: of.socketPath(), from: []*directive{of.from}, service: of, upstreams: of.ports}}
		s.sites = append(s.sites, one)
		if len(s.services) > 1 {
			one.addresses = []string{"localhost:" + first(of.ports)}
		}
	}
}

func (of *service) socketPath() string {
	if of.path == "" {
		return "/socket.io/"
	}
	return of.path
}

// lead finds the sites that lead to a service, or adds its Socket.IO where all of it was passed on.
func (s *setup) lead(of *service) {
	found := false
	for _, each := range s.sites {
		for _, e := range each.endpoints {
			if e.service == nil && (len(s.services) == 1 || servesAt(of, e.upstreams)) {
				e.service = of
				e.from = append(e.from, of.from)
				found = true
			}
		}
	}
	for _, each := range s.sites {
		for _, r := range each.routes {
			if !servesAt(of, r.upstreams) || slices.ContainsFunc(each.endpoints, func(e *endpoint) bool { return e.service == of }) {
				continue
			}
			e := r.webSocket
			if e == nil {
				e = &endpoint{upstreams: r.upstreams}
			}
			prefix := strings.TrimSuffix(strings.TrimSuffix(e.path, "socket.io/"), "/")
			if !slices.ContainsFunc(r.body, func(l *line) bool { return strings.HasPrefix(l.text, "uri strip_prefix ") }) {
				prefix = ""
			}
			e.path, e.service = prefix+of.socketPath(), of
			e.from = append(e.from, of.from)
			if r.upgrade != nil {
				r.upgrade.needless("Caddy passes on WebSocket by itself")
			}
			r.webSocket = nil
			each.endpoints = append(each.endpoints, e)
			found = true
		}
	}
	if !found && len(s.sites) > 0 {
		of.from.leave("no site that was read leads to this: put socketio_stream with its options into the one that it is for")
		for _, l := range of.options {
			for _, d := range append(slices.Clone(l.from), fromAll(l.block)...) {
				d.leave("no site that was read leads to its service: it would be `%s` in socketio_stream", l.text)
			}
		}
	}
}

// fromAll returns what lines come from.
func fromAll(lines []*line) (all []*directive) {
	for _, l := range lines {
		all = append(append(all, l.from...), fromAll(l.block)...)
	}
	return all
}

// servesAt reports whether one of the addresses has a port of the service.
func servesAt(of *service, upstreams []string) bool {
	return slices.ContainsFunc(upstreams, func(address string) bool {
		_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
		return err == nil && slices.Contains(of.ports, port)
	})
}

// serve gives a handler the options of its service, as far as the web server did not say less.
func (s *setup) serve(handler *line, options map[string]*line, e *endpoint) {
	if e.service != nil {
		bound := int64(smallestDefault)
		if own := e.service.options["max_http_buffer_size"]; own != nil {
			bound = sizeOf(own)
		}
		if of := options["max_http_buffer_size"]; of != nil && sizeOf(of) >= bound {
			for _, d := range of.from {
				if d.fate != left {
					d.fate, d.why = needless, "for Socket.IO the bound of the service itself was not larger, and that is the one that is taken"
				}
			}
			delete(options, "max_http_buffer_size")
		}
		for name, option := range e.service.options {
			before := options[name]
			switch {
			case name == "path" && before == nil:
				handler.add(option.from...)
			case name == "path":
				before.add(option.from...)
			case name == "max_http_buffer_size" && before != nil:
				before.add(option.from...).note("what the web server let through is less than the service took")
			default:
				options[name] = option
			}
		}
	}
	if options["namespace"] == nil {
		handler.note("What the service did with events is not taken: without `namespace` this is `events streaming`.")
	}
	if size := options["max_http_buffer_size"]; size != nil && sizeOf(size) > 4_000_000 && options["send_buffer"] == nil {
		options["send_buffer"] = newLine("send_buffer " + writeSize(2*sizeOf(size))).
			note("room for the largest message and what waits before it, for each client that reads slowly")
	}
}
