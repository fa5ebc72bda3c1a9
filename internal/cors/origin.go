package cors

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// origin is a normalised web origin: lower case, and no port where it is the scheme's default.
type origin struct {
	scheme, host, port string
}

// wildcardOrigin stands for every subdomain of a domain.
type wildcardOrigin struct {
	scheme string // "" for http and https
	suffix string // begins with a dot
	port   string // "" for the scheme's default
}

func (w wildcardOrigin) matches(o origin) bool {
	if w.scheme == "" {
		if o.scheme != "http" && o.scheme != "https" {
			return false
		}
	} else if w.scheme != o.scheme {
		return false
	}
	return w.port == o.port && len(o.host) > len(w.suffix) && strings.HasSuffix(o.host, w.suffix)
}

// isOriginOf reports whether o is the origin r was sent to. Over TLS the scheme is known to be
// https. Without TLS a proxy in front may have ended it, so the Host header is read with the
// default port of o's own scheme.
func isOriginOf(o origin, r *http.Request) bool {
	scheme := o.scheme
	if r.TLS != nil {
		scheme = "https"
	}
	target, err := parseOrigin(scheme + "://" + r.Host)
	return err == nil && target == o
}

// IsSameOrigin reports whether a page of the origin r was sent to has sent it.
func IsSameOrigin(r *http.Request) bool {
	sent := r.Header.Get("Origin")
	if sent == "" {
		return false
	}
	parsed, err := parseOrigin(sent)
	return err == nil && isOriginOf(parsed, r)
}

// parseWildcard parses "*.example.com" and "https://*.example.com:8443".
func parseWildcard(entry string) (wildcardOrigin, error) {
	scheme, host, hasScheme := strings.Cut(entry, "://")
	if !hasScheme {
		scheme, host = "", entry
	}
	domain, ok := strings.CutPrefix(host, "*.")
	if !ok || strings.Contains(domain, "*") || strings.Contains(scheme, "*") {
		return wildcardOrigin{}, fmt.Errorf("cors origin %q: a wildcard is *, *.example.com or https://*.example.com", entry)
	}
	checked := scheme
	if !hasScheme {
		checked = "https"
	}
	parsed, err := parseOrigin(checked + "://" + domain)
	if err != nil {
		return wildcardOrigin{}, fmt.Errorf("cors origin %q: what follows the wildcard is no domain", entry)
	}
	return wildcardOrigin{scheme: strings.ToLower(scheme), suffix: "." + parsed.host, port: parsed.port}, nil
}

// parseOrigin parses scheme://host[:port] and nothing else.
func parseOrigin(text string) (origin, error) {
	scheme, hostport, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || hostport == "" {
		return origin{}, fmt.Errorf("cors origin %q: an origin is written scheme://host or scheme://host:port", text)
	}
	if strings.ContainsAny(hostport, "/?#@") {
		return origin{}, fmt.Errorf("cors origin %q: an origin has no path, query or user, not even a slash at its end", text)
	}
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && i > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:i], hostport[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return origin{}, fmt.Errorf("cors origin %q: the port is no port", text)
		}
	}
	if !isScheme(scheme) || !isHost(host) {
		return origin{}, fmt.Errorf("cors origin %q: scheme or host has characters it cannot have (write the host in its ASCII form)", text)
	}
	o := origin{scheme: strings.ToLower(scheme), host: strings.ToLower(host), port: port}
	if o.scheme == "https" && port == "443" || o.scheme == "http" && port == "80" {
		o.port = ""
	}
	return o, nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		isLetter := 'a' <= c && c <= 'z'
		if !isLetter && (i == 0 || !('0' <= s[i] && s[i] <= '9' || strings.IndexByte("+-.", s[i]) >= 0)) {
			return false
		}
	}
	return s != ""
}

func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		return ok && strings.Contains(inner, ":") && net.ParseIP(inner) != nil
	}
	for i := range len(s) {
		c := s[i]
		isAlphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !isAlphanumeric && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != "" && !strings.HasPrefix(s, ".") && !strings.Contains(s, "..")
}
