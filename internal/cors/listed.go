package cors

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// parseListed parses an origin of an allow-list, which has to be written as browsers send it.
func parseListed(entry string) (origin, error) {
	o, err := parseOrigin(entry)
	if err != nil {
		return origin{}, err
	}
	if endsInNumber(o.host) {
		if _, err := netip.ParseAddr(o.host); err != nil {
			return origin{}, fmt.Errorf("cors origin %q: browsers send an IPv4 address as four decimal numbers, such as 127.0.0.1", entry)
		}
	}
	return o, nil
}

// wildcardOrigin stands for every subdomain of a domain.
type wildcardOrigin struct {
	scheme string // "" for http and https
	suffix string // begins with a dot
	port   string // as it is written: "" for the default of the scheme that a page has
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
	if strings.HasPrefix(parsed.host, "[") || endsInNumber(parsed.host) {
		return wildcardOrigin{}, fmt.Errorf("cors origin %q: addresses have no subdomains: list each address", entry)
	}
	if suffix, icann := publicsuffix.PublicSuffix(parsed.host); icann && suffix == parsed.host {
		return wildcardOrigin{}, fmt.Errorf("cors origin %q: anybody can have a domain below %s: write the domain that is yours, or * for every origin", entry, suffix)
	}
	port := parsed.port
	if !hasScheme && strings.HasSuffix(domain, ":443") {
		port = "443"
	}
	return wildcardOrigin{scheme: strings.ToLower(scheme), suffix: "." + parsed.host, port: port}, nil
}

// matches reports whether an origin is one of a subdomain.
func (w wildcardOrigin) matches(o origin) bool {
	if w.scheme == "" {
		if o.scheme != "http" && o.scheme != "https" {
			return false
		}
	} else if w.scheme != o.scheme {
		return false
	}
	samePort := w.port == o.port || o.port == "" && w.port == defaultPorts[o.scheme]
	return samePort && len(o.host) > len(w.suffix) && strings.HasSuffix(o.host, w.suffix)
}

// shared returns the domain if it is one below which a provider gives its customers theirs, such as
// github.io, and else "".
func (w wildcardOrigin) shared() string {
	domain := w.suffix[1:]
	if suffix, icann := publicsuffix.PublicSuffix(domain); suffix == domain && !icann && strings.Contains(domain, ".") {
		return domain
	}
	return ""
}
