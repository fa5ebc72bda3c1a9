package doctor

import "strings"

// advice is what mends one kind of finding, for each software that may be the place for it. In
// texts, {path} and its kin stand for what the visit knows.
type advice map[software]Mend

// likely are those whose lines are shown when it is not known what answered.
var likely = []software{nginx, apache, haproxy, caddyProxy}

// advise returns the lines that mend a finding. values are names and what they stand for, in turn.
func advise(code string, answered software, values []string) []Mend {
	known := remedies[code]
	if known == nil {
		return nil
	}
	var mends []Mend
	if mend, ok := known[answered]; ok {
		mends = append(mends, mend)
	} else {
		for _, name := range likely {
			if mend, ok := known[name]; ok {
				mends = append(mends, mend)
			}
		}
	}
	// The server behind a proxy is not seen, and may be the place: these come after the proxy's
	// own.
	if answered != plugin && answered != node {
		for _, name := range []software{plugin, node} {
			if mend, ok := known[name]; ok && !mend.direct {
				mends = append(mends, mend)
			}
		}
	}
	if mend, ok := known[anywhere]; ok {
		mends = append(mends, mend)
	}
	replacer := placeholders(values)
	filled := make([]Mend, 0, len(mends))
	for _, mend := range mends {
		if mend.needs != "" && !has(values, mend.needs) {
			continue
		}
		lines := make([]string, len(mend.Lines))
		for i, line := range mend.Lines {
			lines[i] = replacer.Replace(line)
		}
		filled = append(filled, Mend{Where: replacer.Replace(mend.Where), Lines: lines})
	}
	return filled
}

// anywhere stands for advice that holds whatever answered.
const anywhere software = "*"

func placeholders(values []string) *strings.Replacer {
	pairs := make([]string, 0, len(values)+2)
	for i := 0; i+1 < len(values); i += 2 {
		pairs = append(pairs, "{"+values[i]+"}", values[i+1])
	}
	return strings.NewReplacer(append(pairs, "{upstream}", "127.0.0.1:3000")...)
}

func has(values []string, name string) bool {
	for i := 0; i+1 < len(values); i += 2 {
		if values[i] == name && values[i+1] != "" {
			return true
		}
	}
	return false
}

func in(where string, lines ...string) Mend { return Mend{Where: where, Lines: lines} }

// remedies are the lines by code.
var remedies = map[string]advice{
	"certificate-expired":      certificateRemedy,
	"certificate-expires-soon": certificateRemedy,
	"certificate-self-signed":  certificateRemedy,
	"certificate-local-authority": {
		anywhere: in("on each machine that is to trust it, or give the site a public name", "caddy trust"),
	},
	"certificate-wrong-name": certificateRemedy,
	"tls-no-certificate":     certificateRemedy,
	"certificate-chain": {
		nginx:   in("nginx, the certificate with its chain", "ssl_certificate /etc/ssl/{host}/fullchain.pem;"),
		apache:  in("Apache, the certificate with its chain", "SSLCertificateFile /etc/ssl/{host}/fullchain.pem"),
		haproxy: in("HAProxy, key, certificate and chain in one file", "bind :443 ssl crt /etc/haproxy/{host}.pem"),
	},
	"http-not-redirected": {
		nginx:   in("nginx, in the server that listens on port 80", "return 308 https://$host$request_uri;"),
		apache:  in("Apache, in the virtual host of port 80", "Redirect permanent / https://{host}/"),
		haproxy: in("HAProxy, in the frontend", "http-request redirect scheme https code 308 unless { ssl_fc }"),
		plugin:  in("Caddyfile, a site address without http:// and without auto_https off redirects by itself", "{host} {"),
	},
	"handshake-not-found": pathRemedy,
	"handshake-html":      pathRemedy,
	"handshake-empty":     pathRemedy,
	"handshake-garbage":   pathRemedy,
	"bad-gateway":         upstreamRemedy,
	"websocket-not-found": pathRemedy,
	"engineio-3": {
		anywhere: in("the server's package.json, Socket.IO 4; or allow this plugin to take its place", `"socket.io": "^4.8.0"`),
	},
	"handshake-cached": {
		nginx:      in("nginx, in location {path}", "proxy_cache off;", "expires off;"),
		apache:     in("Apache, in the virtual host", "CacheDisable {path}"),
		haproxy:    in("HAProxy, keep http-request cache-use from the path", "http-request cache-use cache unless { path_beg {path} }"),
		cloudflare: in("Cloudflare, a cache rule", "URI path starts with {path}: bypass cache"),
	},
	"websocket-headers-stripped": upgradeRemedy,
	"websocket-answer-broken":    upgradeRemedy,
	"websocket-http10":           upgradeRemedy,
	"websocket-refused":          upgradeRemedy,
	"websocket-bad-gateway":      upgradeRemedy,
	"websocket-off": {
		plugin: in("Caddyfile, in socketio_stream", "transports polling websocket"),
		node:   in("Node", `new Server(httpServer, { transports: ["polling", "websocket"] })`),
	},
	"polling-off": {
		plugin:   in("Caddyfile, in socketio_stream", "transports polling websocket"),
		node:     in("Node", `new Server(httpServer, { transports: ["polling", "websocket"] })`),
		anywhere: in("or in each client", `io({ transports: ["websocket"] })`),
	},
	"upgrade-not-offered": {
		plugin: in("Caddyfile, in socketio_stream", "transports polling websocket", "allow_upgrades on"),
		node:   in("Node", `new Server(httpServer, { allowUpgrades: true })`),
	},
	"sessions-not-sticky": stickyRemedy,
	"session-lost":        stickyRemedy,
	"upgrade-astray":      stickyRemedy,
	"sticky-by-cookie": {
		anywhere: in("pages of other sites, in the client", "io({ withCredentials: true })"),
	},
	"poll-late":          bufferRemedy,
	"poll-not-answered":  bufferRemedy,
	"upgrade-poll-held":  bufferRemedy,
	"no-ping":            bufferRemedy,
	"poll-idle-cut":      silenceRemedy("server"),
	"websocket-idle-cut": silenceRemedy("tunnel"),
	"body-limit":         bodyRemedy,
	"body-cut":           bodyRemedy,
	"post-not-allowed": {
		nginx:  in("nginx, in location {path}, in place of a limit_except that names GET alone", "limit_except GET POST OPTIONS { deny all; }"),
		apache: in("Apache, in <Location {path}>", "AllowMethods GET POST OPTIONS"),
	},
	"own-origin-refused":       ownOriginRemedy,
	"origin-refused":           originRemedy,
	"cors-no-header":           originRemedy,
	"cors-wrong-origin":        originRemedy,
	"websocket-origin-refused": originRemedy,
	"cors-duplicate-header": {
		nginx:      in("nginx, in location {path}, and no add_header Access-Control-... there", "proxy_hide_header Access-Control-Allow-Origin;", "add_header Access-Control-Allow-Origin {origin} always;"),
		apache:     in("Apache, set in place of add", "Header always unset Access-Control-Allow-Origin", "Header set Access-Control-Allow-Origin {origin}"),
		haproxy:    in("HAProxy, set-header in place of add-header", "http-response set-header Access-Control-Allow-Origin {origin}"),
		caddyProxy: in("Caddyfile, in reverse_proxy, or remove the header directive", "header_down -Access-Control-Allow-Origin"),
		plugin:     in("Caddyfile, remove the directive; socketio_stream sets the header itself", "header Access-Control-Allow-Origin ..."),
	},
	"cors-wildcard-credentials": {
		plugin: in("Caddyfile, in socketio_stream, the origins by name", "cors {", "\torigins {origin}", "\tcredentials", "}"),
		node:   in("Node, the origins by name", `new Server(httpServer, { cors: { origin: ["{origin}"], credentials: true } })`),
		nginx:  in("nginx, in location {path}, where it adds the header", "add_header Access-Control-Allow-Origin {origin} always;"),
	},
	"cors-any-origin-credentials": {
		plugin: in("Caddyfile, in socketio_stream, the origins by name", "cors {", "\torigins {origin}", "\tcredentials", "}"),
		node:   in("Node, the origins by name", `new Server(httpServer, { cors: { origin: ["{origin}"], credentials: true } })`),
	},
	"cors-missing-vary": {
		nginx:      in("nginx, in location {path}", "add_header Vary Origin always;"),
		apache:     in("Apache, in the virtual host", "Header always merge Vary Origin"),
		haproxy:    in("HAProxy, in the frontend", "http-response add-header Vary Origin"),
		caddyProxy: in("Caddyfile, in the site", "header +Vary Origin"),
	},
	"preflight-refused":    preflightRemedy,
	"preflight-incomplete": preflightRemedy,
	"handshake-redirected": {
		anywhere: in("in each client, in place of the address it has", `io("{target}")`),
	},
	"clock-skew": {
		anywhere: in("on the server, and here", "timedatectl set-ntp true"),
	},
	"namespace-refused": {
		plugin: in("Caddyfile, in socketio_stream, where the namespace is meant to exist", "namespace {namespace} {", "\tevents streaming", "}"),
	},
	"namespace-unauthorized": {
		anywhere: in("in this command, what a client of yours shows, as a JSON object", `--auth '{"token":"..."}'`),
	},
}

var certificateRemedy = advice{
	caddyProxy: in("Caddyfile, which gets a certificate for the name and renews it", "{host} {"),
	nginx:      in("nginx, with a certificate for the name, renewed in time", "ssl_certificate /etc/ssl/{host}/fullchain.pem;", "ssl_certificate_key /etc/ssl/{host}/key.pem;"),
	apache:     in("Apache, with a certificate for the name, renewed in time", "SSLCertificateFile /etc/ssl/{host}/fullchain.pem", "SSLCertificateKeyFile /etc/ssl/{host}/key.pem"),
	haproxy:    in("HAProxy, with a certificate for the name, renewed in time", "bind :443 ssl crt /etc/haproxy/{host}.pem"),
}

var pathRemedy = advice{
	anywhere: {Where: "in each client, the path where there is a server", Lines: []string{`io({ path: "{found}" })`}, needs: "found"},
	nginx: in("nginx, in the server of {host}", "location {path} {", "\tproxy_pass http://{upstream};", "\tproxy_http_version 1.1;",
		"\tproxy_set_header Host $http_host;", "\tproxy_set_header Upgrade $http_upgrade;", "\tproxy_set_header Connection \"upgrade\";", "}"),
	apache:     in("Apache, in the virtual host of {host}", "ProxyPass {path} http://{upstream}{path} upgrade=websocket", "ProxyPreserveHost On"),
	haproxy:    in("HAProxy, in the frontend", "use_backend socketio if { path_beg {path} }"),
	caddyProxy: in("Caddyfile, in the site", "reverse_proxy {path}* {upstream}"),
	plugin:     in("Caddyfile, in socketio_stream, beside the paths that are there", "path {path}"),
	node:       in("Node, as clients have it", `new Server(httpServer, { path: "{path}" })`),
}

var upstreamRemedy = advice{
	nginx:      in("nginx, in location {path}, the port on which the server listens", "proxy_pass http://{upstream};"),
	apache:     in("Apache, the port on which the server listens", "ProxyPass {path} http://{upstream}{path} upgrade=websocket"),
	haproxy:    in("HAProxy, in the backend, the port on which the server listens", "server socketio {upstream} check"),
	caddyProxy: in("Caddyfile, the port on which the server listens", "reverse_proxy {path}* {upstream}"),
}

var upgradeRemedy = advice{
	nginx: in("nginx, in location {path}", "proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;",
		"proxy_set_header Connection \"upgrade\";"),
	apache: in("Apache, after a2enmod proxy_http proxy_wstunnel, in the virtual host", "ProxyPass {path} http://{upstream}{path} upgrade=websocket"),
	haproxy: in("HAProxy, in place of option httpclose, and with no del-header Upgrade or Connection", "option http-server-close",
		"timeout tunnel 1h"),
	caddyProxy: in("Caddyfile, no header_up in reverse_proxy that touches Connection or Upgrade", "reverse_proxy {path}* {upstream}"),
	cloudflare: in("Cloudflare, in the settings of the zone", "Network: WebSockets: on"),
}

var stickyRemedy = advice{
	nginx: in("nginx, in the upstream", "ip_hash;"),
	apache: in("Apache, in <Proxy balancer://...>, each member with its own route=", "Header add Set-Cookie \"ROUTE=.%{BALANCER_WORKER_ROUTE}e; path=/\" env=BALANCER_ROUTE_CHANGED",
		"ProxySet stickysession=ROUTE"),
	haproxy:    in("HAProxy, in the backend, each server with its own cookie word", "cookie SERVER insert indirect nocache", "server one {upstream} check cookie one"),
	caddyProxy: in("Caddyfile, in reverse_proxy", "lb_policy client_ip_hash"),
	balancer:   in("the load balancer, in the target group or backend service", "session affinity: client IP or cookie"),
}

var bufferRemedy = advice{
	nginx:      in("nginx, in location {path}", "proxy_buffering off;", "gzip off;"),
	apache:     in("Apache, in the virtual host", "ProxyPass {path} http://{upstream}{path} upgrade=websocket flushpackets=on"),
	haproxy:    in("HAProxy, in the backend", "option http-no-delay"),
	caddyProxy: in("Caddyfile, in reverse_proxy", "flush_interval -1"),
}

// silenceRemedy is for a timeout that cuts the silent; haproxyTimeout is the one HAProxy has for
// that.
func silenceRemedy(haproxyTimeout string) advice {
	return advice{
		nginx:      in("nginx, in location {path}, above the ping interval", "proxy_read_timeout {seconds}s;", "proxy_send_timeout {seconds}s;"),
		apache:     in("Apache, in the virtual host, above the ping interval", "ProxyTimeout {seconds}"),
		haproxy:    in("HAProxy, in the backend, above the ping interval", "timeout "+haproxyTimeout+" {seconds}s"),
		caddyProxy: in("Caddyfile, in reverse_proxy: no stream_timeout, and in its transport http", "read_timeout {seconds}s", "response_header_timeout {seconds}s"),
		plugin:     in("or, in Caddyfile's socketio_stream, a ping before the proxy's timeout", "ping_interval {interval}"),
		balancer:   in("the load balancer, above the ping interval", "idle timeout: {seconds} s"),
	}
}

var bodyRemedy = advice{
	nginx:      in("nginx, in location {path}", "client_max_body_size {size}m;"),
	apache:     in("Apache, in <Location {path}>", "LimitRequestBody {bytes}"),
	caddyProxy: in("Caddyfile, in the site", "request_body {path}* {", "\tmax_size {size}MiB", "}"),
	plugin:     {Where: "Caddyfile, in the site, where there is a request_body", Lines: []string{"request_body {path}* {", "\tmax_size {size}MiB", "}"}, direct: true},
}

var ownOriginRemedy = advice{
	nginx:      in("nginx, in location {path}", "proxy_set_header Host $http_host;"),
	apache:     in("Apache, in the virtual host", "ProxyPreserveHost On"),
	haproxy:    in("HAProxy passes Host on, so no rule may set it", "http-request set-header Host ..."),
	caddyProxy: in("Caddyfile, in reverse_proxy", "header_up Host {http.request.hostport}"),
	plugin:     in("or, in Caddyfile's socketio_stream, the origin by name", "cors {", "\torigins {own}", "}"),
}

var originRemedy = advice{
	plugin: {Where: "Caddyfile, in socketio_stream", Lines: []string{"cors {", "\torigins {origin}", "}"}, needs: "origin"},
	node:   {Where: "Node", Lines: []string{`new Server(httpServer, { cors: { origin: ["{origin}"] } })`}, needs: "origin"},
}

var preflightRemedy = advice{
	nginx:  in("nginx, in location {path}, in place of a limit_except without OPTIONS", "limit_except GET POST OPTIONS { deny all; }"),
	apache: in("Apache, in <Location {path}>", "AllowMethods GET POST OPTIONS"),
	node:   in("Node", `new Server(httpServer, { cors: { origin: ["{origin}"], allowedHeaders: ["x-requested-with"] } })`),
}
