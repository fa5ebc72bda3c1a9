package cors

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// origin is a normalised web origin: lower case, an IPv6 address in its shortest form, no dot at the
// end of a name, and no port where it is the scheme's default.
type origin struct {
	scheme, host, port string
}

// defaultPorts are the ports of the schemes that Socket.IO is spoken by.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

// isOriginOf reports whether o is the origin r was sent to. Over TLS the scheme is known to be
// https. Without TLS a proxy in front may have ended it, so the Host header is read with the
// default port of o's own scheme, which must be one that Socket.IO is spoken by.
func isOriginOf(o origin, r *http.Request) bool {
	scheme := o.scheme
	if r.TLS != nil {
		scheme = "https"
	}
	if defaultPorts[scheme] == "" {
		return false
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

// parseOrigin parses scheme://host[:port] and nothing else.
func parseOrigin(text string) (origin, error) {
	scheme, hostport, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || hostport == "" {
		return origin{}, errors.New("an origin is written scheme://host or scheme://host:port")
	}
	if strings.ContainsAny(hostport, "/?#@") {
		return origin{}, errors.New("an origin has no path, query or user, not even a slash at its end")
	}
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && i > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:i], hostport[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return origin{}, errors.New("the port is no port")
		}
	}
	if !isScheme(scheme) || !isHost(host) {
		return origin{}, errors.New("scheme or host has characters it cannot have; browsers send a host in its ASCII form")
	}
	o := origin{scheme: strings.ToLower(scheme), host: normalHost(host), port: port}
	if port == defaultPorts[o.scheme] {
		o.port = ""
	}
	return o, nil
}

// normalHost returns the form in which equal hosts are equal texts.
func normalHost(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, _ := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return "[" + addr.String() + "]"
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
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
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
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

// endsInNumber reports whether browsers take a host for an IPv4 address, because its last label is a
// number. See "ends in a number" in the URL standard.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		_, err := strconv.ParseUint("0"+hex, 16, 64)
		return err == nil
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
