package doctor

import (
	"bytes"
	"strings"
)

// software is what answered, by its name in a sentence.
type software string

// What the visit can tell apart. The first four are those that users configure in front of a
// server.
const (
	nginx      software = "nginx"
	apache     software = "Apache"
	haproxy    software = "HAProxy"
	caddyProxy software = "Caddy's reverse_proxy"
	plugin     software = "Caddy"
	node       software = "Node"
	cloudflare software = "Cloudflare"
	balancer   software = "A load balancer"
	unknown    software = ""
)

// identify tells what answered, by what it puts into its answers. Of several it is the one nearest
// to the client.
func identify(a answer) software {
	server := strings.ToLower(a.header.Get("Server"))
	via := strings.ToLower(strings.Join(a.header.Values("Via"), ","))
	switch {
	case strings.HasPrefix(server, "cloudflare"), a.header.Get("Cf-Ray") != "":
		return cloudflare
	case strings.HasPrefix(server, "nginx"), strings.HasPrefix(server, "openresty"):
		return nginx
	case strings.HasPrefix(server, "apache"):
		return apache
	case strings.Contains(via, "haproxy"), strings.HasPrefix(server, "haproxy"),
		bytes.Contains(a.body, []byte("No server is available to handle this request.")),
		bytes.Contains(a.body, []byte("The server didn't respond in time.")):
		return haproxy
	case strings.Contains(via, "caddy"):
		return caddyProxy
	case strings.HasPrefix(server, "caddy"):
		return plugin
	case strings.HasPrefix(server, "awselb"), strings.HasPrefix(server, "gws"), strings.Contains(via, "google"):
		return balancer
	case strings.EqualFold(a.header.Get("X-Powered-By"), "express"), bytes.Contains(a.body, []byte("Cannot GET /")):
		return node
	}
	return unknown
}

// noteSoftware keeps what was recognised first, for answers that say nothing of it.
func (d *visit) noteSoftware(a answer) {
	name := identify(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.front == unknown {
		d.front = name
	}
}
