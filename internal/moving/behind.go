package moving

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// UsualBehind is where Caddy listens behind another server, unless it is told otherwise.
const UsualBehind = "127.0.0.1:3043"

// parseBehind reads the address that Caddy is to have behind another server, which is one of this machine.
func parseBehind(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || !isDigits(port) || ip == nil || !ip.IsLoopback() {
		return "", "", fmt.Errorf("--behind takes a loopback address with a port, such as %s, and not %q", UsualBehind, shown(address))
	}
	return host, port, nil
}

// moveBehind leaves in the sites what Caddy is to answer behind the server that keeps its ports: the
// Socket.IO. It returns the lines for that server.
func (s *setup) moveBehind(host, port string) []string {
	front := s.frontLines(host, port)
	for _, of := range s.sites {
		var addresses []string
		for _, address := range of.addresses {
			name := hostOf(address)
			if address = "http://" + name + ":" + port; !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		}
		of.addresses, of.bind = addresses, []string{host}
		of.lines, of.first, of.routes = nil, nil, nil
		for _, e := range of.endpoints {
			e.guards = nil
		}
	}
	s.sites = slices.DeleteFunc(s.sites, func(of *site) bool { return len(of.endpoints) == 0 })
	merged := map[string]*site{}
	s.sites = slices.DeleteFunc(s.sites, func(of *site) bool {
		key := strings.Join(of.addresses, " ")
		before := merged[key]
		merged[key] = of
		if before != nil {
			merged[key] = before
		}
		return before != nil
	})
	for _, one := range []string{"127.0.0.1", "::1"} {
		if !slices.Contains(s.trusted, one) {
			s.trusted = append(s.trusted, one)
		}
	}
	s.addressHeader = ""
	return front
}

// hostOf returns the host of an address of a Caddyfile.
func hostOf(address string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		rest = address
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// keepInFront says of what is not written that the server in front keeps it.
func (s *setup) keepInFront(written map[*directive]bool) {
	ours := map[*directive]bool{}
	for _, of := range s.sites {
		for _, e := range of.endpoints {
			for _, d := range e.from {
				ours[d] = true
				walk(d.block, func(inner *directive) { ours[inner] = true })
			}
		}
	}
	walk(s.directives, func(d *directive) {
		if d.fate != needless && !written[d] && !ours[d] && !d.program {
			d.fate, d.why = needless, "the server in front keeps it"
		}
	})
}

// lineTime matches the line of how often a client is asked whether it is there.
var lineTime = regexp.MustCompile(`^ping_interval (\S+)$`)

// frontLines returns the lines for the server in front, how to test them, and the way back.
func (s *setup) frontLines(host, port string) (lines []string) {
	address := net.JoinHostPort(host, port)
	var old []*directive
	for _, of := range s.sites {
		for _, e := range of.endpoints {
			options := map[string]*line{}
			for name, option := range e.options {
				options[name] = option
			}
			s.serve(newLine("socketio_stream"), options, e)
			size, patience := int64(smallestDefault), 60*time.Second
			if l := options["max_http_buffer_size"]; l != nil {
				size = sizeOf(l)
			}
			if l := options["ping_interval"]; l != nil {
				if match := lineTime.FindStringSubmatch(l.text); match != nil {
					if interval, err := time.ParseDuration(match[1]); err == nil && 2*interval > patience {
						patience = 2 * interval
					}
				}
			}
			lines = append(lines, frontOf(s.apache, e.path, address, size, patience)...)
			lines = append(lines, "")
			for _, d := range e.from {
				if !d.program {
					old = append(old, d)
				}
			}
			if slices.Contains(e.upstreams, address) && !slices.Contains(lines, "--behind=127.0.0.1:3044.") {
				lines = append(lines, "The service listens at "+address+" as well: stop it before Caddy starts, or give Caddy another address with", "--behind=127.0.0.1:3044.", "")
			}
			if options["cors"] != nil {
				lines = append(lines, "Take headers Access-Control-* out in front of "+e.path+": Caddy sets them, and browsers refuse two of them.", "")
			}
		}
	}
	lines = append(lines, "Test, before and after:")
	for _, of := range s.sites {
		for _, e := range of.endpoints {
			name := hostOf(of.addresses[0])
			if name == "" || strings.HasPrefix(name, "*") {
				name = "example.com"
			}
			scheme := "https"
			if strings.HasPrefix(of.addresses[0], "http://") {
				scheme = "http"
			}
			if line := fmt.Sprintf("    caddy socketio doctor %s://%s --path %s", scheme, name, e.path); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	lines = append(lines, "", "The way back: put these lines back, reload the server in front, start the service, and stop Caddy:")
	for _, d := range old {
		if line := fmt.Sprintf("    %s: %s", d.place, shown(d.text)); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// frontOf returns the lines that lead one path to Caddy.
func frontOf(apache bool, path, address string, size int64, patience time.Duration) []string {
	if apache {
		return []string{
			"Apache, in the host of the site, in place of what led there before (with proxy, proxy_http and headers enabled; Apache 2.4.47 or newer):",
			"    ProxyPreserveHost On",
			`    RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"`,
			fmt.Sprintf("    ProxyPass %s http://%s%s upgrade=websocket timeout=%d", path, address, path, int(patience.Seconds())),
			"Where Apache is older, proxy_wstunnel and these lines take the place of upgrade=websocket:",
			"    RewriteEngine On",
			"    RewriteCond %{HTTP:Upgrade} websocket [NC]",
			fmt.Sprintf("    RewriteRule ^%s(.*) ws://%s%s$1 [P,L]", strings.ReplaceAll(path, ".", `\.`), address, path),
		}
	}
	return []string{
		"nginx, in the server of the site, in place of what led there before:",
		fmt.Sprintf("    location %s {", path),
		fmt.Sprintf("        proxy_pass http://%s;", address),
		"        proxy_http_version 1.1;",
		"        proxy_set_header Host $http_host;",
		"        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
		"        proxy_set_header X-Forwarded-Proto $scheme;",
		"        proxy_set_header Upgrade $http_upgrade;",
		`        proxy_set_header Connection "upgrade";`,
		"        proxy_buffering off;",
		fmt.Sprintf("        proxy_read_timeout %ds;", int(patience.Seconds())),
		fmt.Sprintf("        client_max_body_size %dk;", size/1024+1024),
		"    }",
	}
}
