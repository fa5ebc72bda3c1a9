package moving

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// own matches the certificates that a program gets by itself, as Caddy does.
var own = regexp.MustCompile(`(?i)letsencrypt|certbot|acme|snakeoil|dehydrated`)

// siteLines reads what holds for a whole server.
func (n *nginx) siteLines(of *site, in scope, names []string) {
	certificate, key := in.one("ssl_certificate"), in.one("ssl_certificate_key")
	of.certificate(certificate, key)
	if d := in.one("gzip"); d.arg(0) == "on" {
		of.lines = append(of.lines, newLine("encode gzip", d))
	}
	if d := in.one("access_log"); d != nil {
		of.accessLog(d)
	}
	if client := in.one("ssl_verify_client"); client != nil && client.arg(0) != "off" {
		authority := in.one("ssl_client_certificate")
		file, ok := quoted(authority.arg(0))
		if authority == nil || !ok || client.arg(0) != "on" {
			client.leave("clients without a certificate would come in, so the site is closed: see `client_auth` of Caddy's `tls`")
			of.first = append(of.first, newLine(closed).note("closed, because of %s", client.place))
		} else {
			of.tlsBlock().with(newLine("client_auth").with(
				newLine("mode require_and_verify", client), newLine("trust_pool file "+file, authority)))
		}
	}
	if of.tls && certificate == nil && len(names) == 0 {
		of.origin.leave("which names this site has is not known, and Caddy gets certificates for names: write them in place of the address")
	}
}

// closed is what a route answers whose guard could not be taken.
const closed = `respond "closed: see the comments in the Caddyfile" 403`

// certificate reads the certificate of a site.
func (of *site) certificate(certificate, key *directive) {
	if certificate == nil {
		return
	}
	const why = "Caddy gets a certificate by itself"
	if own.MatchString(certificate.arg(0)) {
		certificate.needless(why)
		if key != nil {
			key.needless(why)
		}
		return
	}
	first, ok := quoted(certificate.arg(0))
	second, okay := quoted(key.arg(0))
	if key == nil {
		second, okay = first, ok
	}
	if !ok || !okay {
		certificate.leave("write `tls <certificate> <key>` by hand, or let Caddy get one")
		return
	}
	of.lines = append(of.lines, newLine("tls "+first+" "+second, certificate, key).
		note("without this line Caddy gets a certificate by itself, and renews it"))
}

// tlsBlock returns the line with the options of TLS.
func (of *site) tlsBlock() *line {
	for _, l := range of.lines {
		if l.text == "tls" || strings.HasPrefix(l.text, "tls ") {
			return l
		}
	}
	l := newLine("tls")
	of.lines = append(of.lines, l)
	return l
}

// accessLog reads where requests are logged. Session IDs are kept out.
func (of *site) accessLog(d *directive) {
	file, ok := quoted(d.arg(0))
	switch {
	case d.arg(0) == "off":
		d.needless("Caddy logs no requests without `log`")
		return
	case !ok || !strings.HasPrefix(file, "/"):
		of.lines = append(of.lines, newLine("log", d).with(logFormat()))
		return
	}
	of.lines = append(of.lines, newLine("log", d).with(newLine("output file "+file), logFormat()))
}

func logFormat() *line {
	return newLine("format filter").with(newLine("request>uri query").note("whoever reads a session ID can speak for its client").
		with(newLine("replace sid REDACTED")))
}

// serverReturns reads what a server answers before it looks for a location.
func (n *nginx) serverReturns(of *site, in scope, names []string) {
	for _, d := range in[0] {
		switch d.name {
		case "return":
			of.first = append(of.first, n.returned(d, "", names))
		case "rewrite":
			of.first = append(of.first, n.rewrite(d, names)...)
		case "if":
			of.first = append(of.first, n.condition(d, names)...)
		}
	}
}

// returned reads `return`.
func (n *nginx) returned(d *directive, matcher string, names []string) *line {
	code, target := d.arg(0), d.arg(1)
	if len(d.args) == 1 && strings.Contains(code, "://") {
		code, target = "302", code
	}
	number, err := strconv.Atoi(code)
	if matcher != "" {
		matcher += " "
	}
	value, ok := nginxValue(target, first(names), "")
	switch {
	case err != nil || number < 100 || number > 599 || !ok:
		d.leave("write `redir` or `respond` by hand; until then this is answered 503")
		return newLine("respond " + matcher + "503")
	case number == 444:
		return newLine(strings.TrimSpace("abort "+matcher), d)
	case number >= 300 && number < 400 && target != "":
		return newLine("redir "+orAll(matcher, target)+value+" "+code, d)
	case strings.Contains(value, "\n"):
		return newLine("respond "+matcher+code, d).with(newLine("body " + value))
	case target != "":
		return newLine("respond "+matcher+value+" "+code, d)
	}
	return newLine("respond "+matcher+code, d)
}

// orAll returns the matcher, or the one for all where a target could be taken for a matcher.
func orAll(matcher, target string) string {
	if matcher == "" && (strings.HasPrefix(target, "/") || strings.HasPrefix(target, "@")) {
		return "* "
	}
	return matcher
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// rewrite reads `rewrite`.
func (n *nginx) rewrite(d *directive, names []string) []*line {
	const advice = "write `rewrite` or `redir` by hand"
	if len(d.args) < 2 {
		d.leave(advice)
		return nil
	}
	if _, err := regexp.Compile(d.args[0]); err != nil {
		d.leave("its regular expression is none of Go's: " + advice)
		return nil
	}
	pattern, ok := quoted(d.args[0])
	name := n.name("rewrite")
	asks := strings.Contains(d.args[1], "?")
	target, okay := nginxValue(strings.TrimSuffix(d.args[1], "?"), first(names), name)
	if !ok || !okay {
		d.leave(advice)
		return nil
	}
	matcher := newLine("@" + name + " path_regexp " + name + " " + pattern)
	flag := d.arg(2)
	redirects := flag == "permanent" || flag == "redirect" || strings.Contains(d.args[1], "://")
	switch {
	case redirects:
		code := "302"
		if flag == "permanent" {
			code = "301"
		}
		if !asks {
			target = strings.TrimSuffix(target, `"`) + "{?query}" + strings.Repeat(`"`, strings.Count(target, `"`)/2)
		}
		return []*line{matcher.add(d), newLine("redir @" + name + " " + target + " " + code)}
	case flag == "" || flag == "last" || flag == "break":
		return []*line{matcher.add(d), newLine("rewrite @" + name + " " + target)}
	}
	d.leave(advice)
	return nil
}

// condition reads `if`, as far as it asks for the host, the scheme or the method and returns.
func (n *nginx) condition(d *directive, names []string) []*line {
	condition := strings.Join(d.args, " ")
	condition = strings.TrimSuffix(strings.TrimPrefix(condition, "("), ")")
	words := strings.Fields(strings.TrimSpace(condition))
	if len(words) == 3 && len(d.block) == 1 && d.block[0].name == "return" {
		inner := d.block[0]
		if leadsToHTTPS(inner, names) && (words[0] == "$host" || words[0] == "$scheme" && words[2] == "http" || words[0] == "$https") {
			d.needless("Caddy leads from http to https by itself")
			inner.needless(d.why)
			return nil
		}
		kinds := map[string]string{"$host": "host", "$http_host": "host", "$scheme": "protocol", "$request_method": "method"}
		value, ok := quoted(strings.Trim(words[2], `"'`))
		kind := kinds[words[0]]
		if ok && kind != "" && (words[1] == "=" || words[1] == "!=") && (kind != "host" || hostName.MatchString(value)) {
			name := n.name("if")
			matcher := "@" + name + " " + kind + " " + value
			if words[1] == "!=" {
				matcher = "@" + name + " not " + kind + " " + value
			}
			return []*line{newLine(matcher, d), n.returned(inner, "@"+name, names)}
		}
	}
	d.leaveAll("a condition of a Caddyfile is a named matcher, with `redir`, `respond` or `handle`: write it by hand")
	return nil
}

// expires reads `expires` as the header that it sets.
func expires(d *directive) *line {
	switch d.arg(0) {
	case "off":
		d.needless("nothing is set without it")
		return nil
	case "epoch", "-1":
		return newLine(`header Cache-Control no-cache`, d)
	case "max":
		return newLine(`header Cache-Control max-age=315360000`, d)
	}
	age, err := parseTime(d.arg(0), time.Second)
	if err != nil || len(d.args) != 1 {
		d.leave("set `header Cache-Control` by hand")
		return nil
	}
	return newLine("header Cache-Control max-age="+strconv.Itoa(int(age.Seconds())), d)
}

// headers reads `add_header`, but for what lets pages of other origins in where only that is wanted.
func headers(all []*directive, names []string) (lines []*line) {
	for _, d := range all {
		value, ok := nginxValue(d.arg(1), first(names), "")
		name := d.arg(0)
		if !ok || !headerText.MatchString(name) {
			d.leave("set `header` by hand: the value is made of what Caddy does not know")
			continue
		}
		lines = append(lines, newLine("header "+name+" "+value, d))
	}
	return lines
}

// headerText matches the name of a header.
var headerText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// nginxKnownLine says of lines that nothing has taken whether they are needed, and what to do.
func nginxKnownLine(d *directive) {
	if d.fate != unseen {
		return
	}
	for why, names := range nginxNeedless {
		if slices.Contains(names, d.name) {
			d.needless(why)
			d.cover(needless, why)
			return
		}
	}
	known := ""
	for beginning := range nginxAdvice {
		if strings.HasPrefix(d.name, beginning) && len(beginning) > len(known) {
			known = beginning
		}
	}
	if known != "" {
		d.leaveAll("%s", nginxAdvice[known])
	}
}

// nginxAdvice is what to do with lines that are not taken, by the beginning of their names.
var nginxAdvice = map[string]string{
	"limit_req":           "Caddy's standard build has no limit of requests for pages: see the module caddy-ratelimit",
	"limit_conn":          "Caddy's standard build has no limit of connections for pages: see the module caddy-ratelimit",
	"limit_rate":          "Caddy's standard build sends as fast as it goes",
	"proxy_next_upstream": "reverse_proxy tries another server for as long as `lb_try_duration` says",
	"proxy_cache_bypass":  "Caddy's standard build caches nothing: where there is a cache, it is a module of its own",
	"proxy_cache_path":    "Caddy's standard build caches nothing: see the module cache-handler",
	"proxy_cache":         "Caddy's standard build caches nothing: see the module cache-handler",
	"proxy_no_cache":      "Caddy's standard build caches nothing: see the module cache-handler",
	"proxy_ssl_":          "see `transport http` with its `tls` options in reverse_proxy",
	"error_page":          "Caddy has `handle_errors` for pages of errors",
	"proxy_intercept":     "Caddy has `handle_response` in reverse_proxy",
	"sub_filter":          "Caddy's standard build changes no answers: see the module replace-response",
	"brotli":              "Caddy's encode has gzip and zstd",
	"set":                 "Caddy has `vars`, and `map` for values that depend on others",
	"geo":                 "write a matcher with client_ip, or a `map`, by hand",
	"split_clients":       "Caddy has no such thing in its standard build",
	"modsecurity":         "this guards the site: see the module coraza-caddy before the site goes over",
	"auth_jwt":            "this guards the site: see `auth jwt` for Socket.IO, and a module for pages",
	"if":                  "a condition of a Caddyfile is a named matcher, with `redir`, `respond` or `handle`: write it by hand",
}

// nginxNeedless are the lines of nginx that nothing takes the place of, by the reason.
var nginxNeedless = map[string][]string{
	"Caddy takes the processors and the connections that there are": {"worker_processes", "worker_rlimit_nofile",
		"worker_cpu_affinity", "worker_priority", "events", "worker_connections", "multi_accept", "use", "thread_pool"},
	"the service unit of Caddy says this": {"user", "pid", "daemon", "env", "load_module", "master_process"},
	"Caddy does that by itself": {"sendfile", "tcp_nopush", "tcp_nodelay", "keepalive_timeout", "keepalive_requests",
		"reset_timedout_connection", "types_hash_max_size", "server_names_hash_bucket_size", "server_names_hash_max_size",
		"map_hash_bucket_size", "types", "default_type", "include", "charset", "http2", "http3", "proxy_http_version", "variables_hash_max_size",
		"etag", "if_modified_since", "open_file_cache", "open_file_cache_valid", "open_file_cache_min_uses",
		"open_file_cache_errors", "aio", "directio", "large_client_header_buffers", "client_header_buffer_size", "quic_retry",
		"http3_hq", "ssl_early_data", "proxy_socket_keepalive", "client_body_buffer_size", "output_buffers", "postpone_output",
		"proxy_headers_hash_max_size", "proxy_headers_hash_bucket_size"},
	"Caddy passes on what comes without a buffer": {"proxy_buffering", "proxy_request_buffering", "proxy_buffer_size",
		"proxy_buffers", "proxy_busy_buffers_size", "proxy_max_temp_file_size", "proxy_temp_path", "client_body_temp_path",
		"proxy_temp_file_write_size"},
	"Caddy's settings of TLS are as good": {"ssl_protocols", "ssl_ciphers", "ssl_prefer_server_ciphers",
		"ssl_session_cache", "ssl_session_timeout", "ssl_session_tickets", "ssl_dhparam", "ssl_ecdh_curve", "ssl_stapling",
		"ssl_stapling_verify", "ssl_trusted_certificate", "ssl_buffer_size", "ssl_conf_command", "resolver", "resolver_timeout"},
	"Caddy does not tell its version":       {"server_tokens"},
	"Caddy logs faults without being told":  {"error_log", "log_format", "log_not_found", "open_log_file_cache"},
	"a site of Caddy's has one log":         {"access_log"},
	"encode has a list of what is worth it": {"gzip", "gzip_vary", "gzip_proxied", "gzip_comp_level", "gzip_buffers", "gzip_http_version", "gzip_min_length", "gzip_types", "gzip_disable", "gzip_static"},
	"clients that are slow are what options such as write_timeout are for": {"client_body_timeout", "client_header_timeout",
		"send_timeout", "lingering_close", "lingering_timeout"},
	"no Socket.IO and no other route that was taken asks for it": {"proxy_read_timeout", "proxy_send_timeout",
		"proxy_connect_timeout", "root", "index", "proxy_set_header", "client_max_body_size", "autoindex", "add_header",
		"ssl_certificate", "ssl_certificate_key", "proxy_redirect", "proxy_cookie_path", "keepalive", "real_ip_header"},
}
