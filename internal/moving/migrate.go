package moving

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Options are how a Caddyfile is to be written.
type Options struct {
	// Behind is the address that Caddy is to listen at behind the server that keeps its ports, such as
	// 127.0.0.1:3043, or empty where Caddy takes the place of that server.
	Behind string
}

// A Result is what became of an old setup.
type Result struct {
	// Caddyfile is the whole file.
	Caddyfile string
	// Left is what is not in it, with file and line and what to do, one a line.
	Left []string
}

// Migrate reads files of an old setup, and writes the Caddyfile that takes their place. An error names
// the file and, where there is one, the line.
func Migrate(names []string, o Options) (*Result, error) {
	if len(names) == 0 {
		return nil, errors.New("name the files of the old setup, such as /etc/nginx/sites-enabled/example.com")
	}
	s := &setup{files: &files{folder: commonFolder(names)}}
	if err := s.readAll(names); err != nil {
		return nil, err
	}
	var host, port string
	if o.Behind != "" {
		var err error
		if host, port, err = parseBehind(o.Behind); err != nil {
			return nil, err
		}
	}
	s.settle()
	var front []string
	if o.Behind != "" {
		front = s.moveBehind(host, port)
	}
	if len(s.sites) == 0 {
		return nil, fmt.Errorf("there is no site and no service in %s", strings.Join(names, ", "))
	}
	return s.result(names, front), nil
}

// readAll adds what files say. Programs come last, since the others say by which environment they go.
func (s *setup) readAll(names []string) error {
	texts, ofKind := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		var err error
		if texts[i], err = readNamed(name); err != nil {
			return err
		}
		if ofKind[i], err = kindOf(name, texts[i]); err != nil {
			return err
		}
	}
	for _, programs := range []bool{false, true} {
		for i, name := range names {
			if (ofKind[i] == kindNode) != programs {
				continue
			}
			s.included = 0
			if err := readers[ofKind[i]](s, filepath.Clean(name), texts[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle decides what takes more than one file to know.
func (s *setup) settle() {
	s.split()
	s.unique()
	s.settleServices()
	for _, of := range s.sites {
		for _, r := range of.routes {
			s.settleWebSocket(of, r)
		}
	}
}

// split makes two sites of one that answered by http and by https and has a line for TLS, which a
// Caddyfile cannot have for both.
func (s *setup) split() {
	for _, of := range slices.Clone(s.sites) {
		isPlain := func(address string) bool { return strings.HasPrefix(address, "http://") || address == ":80" }
		isTLS := func(l *line) bool { return l.text == "tls" || strings.HasPrefix(l.text, "tls ") }
		if !slices.ContainsFunc(of.addresses, isPlain) || !slices.ContainsFunc(of.lines, isTLS) {
			continue
		}
		plain := *of
		plain.addresses = slices.DeleteFunc(slices.Clone(of.addresses), func(address string) bool { return !isPlain(address) })
		plain.lines = slices.DeleteFunc(slices.Clone(of.lines), isTLS)
		of.addresses = slices.DeleteFunc(of.addresses, isPlain)
		s.sites = slices.Insert(s.sites, slices.Index(s.sites, of)+1, &plain)
	}
	s.sites = slices.DeleteFunc(s.sites, func(of *site) bool { return len(of.addresses) == 0 })
}

// settleWebSocket takes WebSocket that was passed on for Socket.IO, where that has no path of its own.
func (s *setup) settleWebSocket(of *site, r *route) {
	if r.webSocket == nil {
		return
	}
	service := strings.Join(r.webSocket.upstreams, " ")
	if slices.ContainsFunc(of.endpoints, func(e *endpoint) bool { return strings.Join(e.upstreams, " ") == service }) {
		return
	}
	of.endpoints = append(of.endpoints, r.webSocket)
	r.webSocket.from = append(r.webSocket.from, r.upgrade)
	r.upgrade.leave("WebSocket was passed on here, so Socket.IO is taken to be at %s: change `path` where it is elsewhere, "+
		"and take socketio_stream out where there is none", r.webSocket.path)
}

// result writes the Caddyfile.
func (s *setup) result(names, front []string) *Result {
	var body strings.Builder
	if options := s.globalOptions(); options != nil {
		options.write(&body, 0)
	}
	beginning := body.Len()
	for i, of := range s.sites {
		if i > 0 || beginning > 0 {
			body.WriteString("\n")
		}
		s.lineOf(of).write(&body, 0)
	}
	if front != nil {
		written := map[*directive]bool{}
		for _, of := range s.sites {
			s.lineOf(of).visit(func(d *directive) { written[d] = true })
		}
		s.keepInFront(written)
	}
	var leftOnes []string
	needlessOnes := map[string][]string{}
	var reasons []string
	walk(s.directives, func(d *directive) {
		if d.fate == unseen {
			d.leave("this is not known here: look for it in https://caddyserver.com/docs/caddyfile/directives")
			d.cover(taken, "")
		}
		text := fmt.Sprintf("%s: %s: %s", d.place, shown(d.text), shownWhole(d.why))
		switch {
		case d.fate == left && !slices.Contains(leftOnes, text):
			leftOnes = append(leftOnes, text)
		case d.fate == needless:
			text := fmt.Sprintf("%s: %s", d.place, shown(d.text))
			if needlessOnes[d.why] == nil {
				reasons = append(reasons, d.why)
			}
			if !slices.Contains(needlessOnes[d.why], text) {
				needlessOnes[d.why] = append(needlessOnes[d.why], text)
			}
		}
	})
	var out strings.Builder
	var base []string
	for _, name := range names {
		base = append(base, shown(filepath.Base(name)))
	}
	fmt.Fprintf(&out, "# Made of %s by `caddy socketio migrate`. Read it before it is used.\n", strings.Join(base, ", "))
	list(&out, "Left, and what to do:", leftOnes)
	if beginning == 0 {
		out.WriteString("\n")
	}
	out.WriteString(body.String())
	if front != nil {
		list(&out, "For the server in front:", front)
	}
	for _, why := range reasons {
		list(&out, "Not needed: "+shownWhole(why)+".", needlessOnes[why])
	}
	return &Result{Caddyfile: out.String(), Left: leftOnes}
}

// list writes lines as a comment.
func list(out *strings.Builder, heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	out.WriteString("\n# " + heading + "\n")
	for _, each := range lines {
		out.WriteString(strings.TrimRight("#   "+each, " ") + "\n")
	}
}

// globalOptions returns the block of global options, or nil where there are none.
func (s *setup) globalOptions() *line {
	block := newLine("")
	if len(s.trusted) > 0 {
		servers := newLine("servers")
		servers.with(newLine("trusted_proxies static "+strings.Join(s.trusted, " "), s.trustedFrom...))
		if s.addressHeader != "" && headerText.MatchString(s.addressHeader) {
			servers.with(newLine("client_ip_headers " + s.addressHeader))
		}
		servers.with(newLine("trusted_proxies_strict"))
		block.with(servers)
	}
	block.with(s.global...)
	if len(block.block) == 0 {
		return nil
	}
	return &line{text: globalBlock, block: block.block}
}
