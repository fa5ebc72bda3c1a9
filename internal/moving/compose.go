package moving

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readCompose adds what a compose file says of the programs that it runs.
func (s *setup) readCompose(name, text string) (err error) {
	file := s.short(name)
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%s is no YAML that can be read", name)
		}
	}()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("%s: %s", name, shown(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s has no services", name)
	}
	c := &compose{setup: s, file: file}
	found := false
	for key, v := range pairs(document.Content[0]) {
		switch {
		case key.Value == "services" && v.Kind == yaml.MappingNode:
			found = true
			for service, body := range pairs(v) {
				c.service(service, body)
			}
		case slices.Contains([]string{"version", "networks", "volumes", "name"}, key.Value) || strings.HasPrefix(key.Value, "x-"):
			c.line(key, key.Value).needless("it is about containers: keep it for those that stay")
		default:
			c.line(key, key.Value).leave("this is not known here: keep it for the containers that stay")
		}
	}
	if !found {
		return fmt.Errorf("%s has no services", name)
	}
	return nil
}

// pairs returns the keys and values of a mapping, a bounded number of them.
func pairs(n *yaml.Node) func(yield func(key, v *yaml.Node) bool) {
	return func(yield func(key, v *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content) && i < mostDirectives; i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// compose is a compose file that is being read.
type compose struct {
	*setup
	file string
}

// line returns a key as a line of an old config.
func (c *compose) line(key *yaml.Node, text string) *directive {
	d := &directive{place: place{c.file, key.Line}, name: key.Value, text: text, program: true}
	c.directives = append(c.directives, d)
	return d
}

var (
	hostRule  = regexp.MustCompile("Host\\(`([A-Za-z0-9.-]+)`\\)")
	nodeFile  = regexp.MustCompile(`[\w./-]+\.(?:js|mjs|cjs|ts)\b`)
	nodeImage = regexp.MustCompile(`(?i)\bnode\b|bun|deno`)
)

// service reads one service of a compose file.
func (c *compose) service(name, body *yaml.Node) {
	d := c.line(name, name.Value+":")
	image, p := "", &process{env: map[string]string{}, lines: map[string]*directive{}}
	builds := false
	for key, v := range pairs(body) {
		switch key.Value {
		case "image":
			image = v.Value
		case "build":
			builds = true
		case "command", "entrypoint":
			text := v.Value
			for _, each := range v.Content {
				text += " " + each.Value
			}
			if match := nodeFile.FindString(text); match != "" {
				p.script = match
			}
		}
	}
	base := image
	if i := strings.LastIndexByte(base, '/'); i >= 0 {
		base = base[i+1:]
	}
	base, _, _ = strings.Cut(base, ":")
	switch {
	case !builds && slices.Contains([]string{"nginx", "httpd", "haproxy", "traefik", "nginx-proxy", "caddy"}, base):
		d.needless("Caddy takes its place: give its config to this command as well")
		return
	case !builds && slices.Contains([]string{"redis", "valkey", "keydb"}, base):
		d.needless("it can stay: `adapter redis` is for several servers")
		return
	case !builds && !nodeImage.MatchString(image):
		d.needless("it can stay as it is")
		return
	}
	d.needless("its lines follow")
	for key, v := range pairs(body) {
		switch key.Value {
		case "environment":
			c.environmentOf(c.line(key, "environment:"), v, p)
		case "ports", "expose":
			for _, each := range v.Content {
				c.line(each, key.Value+": "+each.Value).needless("there is no second port: Caddy answers Socket.IO itself")
			}
		case "labels":
			c.labels(key, v)
		case "deploy":
			c.line(key, "deploy:").needless("one process of Caddy takes all processors")
		case "env_file":
			c.line(key, "env_file").leave("it is not read: where the service goes by it, Caddy needs it in its service unit")
		default:
			c.line(key, key.Value).needless("it is about the container of the service, and Caddy's service unit takes its place")
		}
	}
	c.processes = append(c.processes, p)
}

// environmentOf reads the variables of a service. Only their names are repeated in comments.
func (c *compose) environmentOf(d *directive, v *yaml.Node, p *process) {
	d.needless("each has a line of its own")
	add := func(at *yaml.Node, name, text string, known bool) {
		inner := &directive{place: place{c.file, at.Line}, name: name, text: name, program: true}
		d.block = append(d.block, inner)
		if !known || strings.Contains(text, "${") {
			inner.leave("its value comes from elsewhere: where the service goes by it, Caddy needs it in its service unit")
			return
		}
		p.env[name], p.lines[name] = text, inner
		variableFate(inner)
	}
	if v.Kind == yaml.MappingNode {
		for key, value := range pairs(v) {
			add(key, key.Value, value.Value, value.Kind == yaml.ScalarNode && value.Tag != "!!null")
		}
		return
	}
	for _, each := range v.Content {
		name, text, known := strings.Cut(each.Value, "=")
		add(each, name, text, known)
	}
}

// labels reads for which hosts a proxy led to the service.
func (c *compose) labels(key, v *yaml.Node) {
	d := c.line(key, "labels:")
	d.needless("they are for the proxy in front, which Caddy takes the place of")
	if v.Kind != yaml.MappingNode && v.Kind != yaml.SequenceNode {
		return
	}
	for i, each := range v.Content {
		if v.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		for _, match := range hostRule.FindAllStringSubmatch(each.Value, -1) {
			if hostName.MatchString(match[1]) && !slices.Contains(c.hosts, match[1]) {
				c.hosts = append(c.hosts, match[1])
				at := &directive{place: place{c.file, each.Line}, name: "label", text: strconv.Quote(each.Value), program: true}
				d.block = append(d.block, at)
				c.hostsFrom = append(c.hostsFrom, at.take())
			}
		}
	}
}
