package moving

import (
	"regexp"
	"strings"
)

// nginxVariables are the variables of nginx that Caddy has as well.
var nginxVariables = map[string]string{
	"host": "{host}", "http_host": "{hostport}", "request_uri": "{uri}", "uri": "{path}", "document_uri": "{path}",
	"args": "{query}", "query_string": "{query}", "is_args$args": "{?query}", "scheme": "{scheme}", "remote_addr": "{client_ip}",
	"remote_port": "{remote_port}", "request_method": "{method}", "server_port": "{http.request.port}",
	"proxy_host": "{upstream_hostport}", "proxy_add_x_forwarded_for": "",
}

var (
	variable  = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)
	isHeader  = regexp.MustCompile(`^http_([a-z0-9_]+)$`)
	isCookie  = regexp.MustCompile(`^cookie_(\w+)$`)
	isQuery   = regexp.MustCompile(`^arg_(\w+)$`)
	isCapture = regexp.MustCompile(`^[0-9]$`)
)

// nginxValue returns a value of nginx as Caddy has it, in one token, and false where it holds what
// Caddy does not know. A capture is one of the regular expression with the name.
func nginxValue(text, serverName, expression string) (string, bool) {
	if strings.ContainsAny(variable.ReplaceAllString(text, ""), "{}$") {
		return "", false
	}
	text = strings.ReplaceAll(text, "$is_args$args", "\x01")
	known := true
	text = variable.ReplaceAllStringFunc(text, func(match string) string {
		name := strings.Trim(match, "${}")
		switch {
		case name == "server_name" && serverName != "":
			return serverName
		case isCapture.MatchString(name) && expression != "":
			return "{re." + expression + "." + name + "}"
		case nginxVariables[name] != "":
			return nginxVariables[name]
		case isHeader.MatchString(name):
			return "{header." + headerName(name[len("http_"):]) + "}"
		case isCookie.MatchString(name):
			return "{cookie." + name[len("cookie_"):] + "}"
		case isQuery.MatchString(name):
			return "{query." + name[len("arg_"):] + "}"
		}
		known = false
		return ""
	})
	text = strings.ReplaceAll(text, "\x01", "{?query}")
	if !known {
		return "", false
	}
	return quotedPlaceholders(text)
}

// headerName returns the name of a header that a variable of nginx has in small letters.
func headerName(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}

// hostName matches what a host of a Caddyfile may be.
var hostName = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)

// originText matches what an option for origins takes.
var originText = regexp.MustCompile(`^[a-z][a-z0-9+.-]*://(\*\.)?[A-Za-z0-9.-]+(:[0-9]+)?$`)

// pathText matches a path that needs no escapes in a matcher.
var pathText = regexp.MustCompile(`^/[A-Za-z0-9_./@:%+,=~-]*$`)
