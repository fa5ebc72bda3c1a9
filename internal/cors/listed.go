package cors

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
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
			return origin{}, errors.New("browsers send an IPv4 address as four decimal numbers, such as 127.0.0.1")
		}
	}
	return o, checkPage(o.scheme)
}

// noPages are the schemes of no page that has an origin of its own: browsers send "null" for such as
// come from a file.
var noPages = []string{"ftp", "ftps", "sftp", "file", "data", "blob", "about", "javascript", "mailto", "tel", "view-source"}

// checkPage refuses a scheme that no page which connects can have.
func checkPage(scheme string) error {
	if slices.Contains(noPages, strings.ToLower(scheme)) {
		return fmt.Errorf("no page that connects has an origin with %s: pages have https or http, and those from a file the origin null", scheme)
	}
	return nil
}

// refused says why an entry is refused, and what may have been meant.
func refused(entry string, err error) error {
	if meant := mended(entry); meant != "" {
		return fmt.Errorf("cors origin %q: %w: write %s", entry, err, meant)
	}
	return fmt.Errorf("cors origin %q: %w", entry, err)
}

// mended returns the origin that may have been meant by an entry that is refused, or "": without what
// follows the host, with a scheme, and with the host in its ASCII form.
func mended(entry string) string {
	scheme, host, ok := strings.Cut(entry, "://")
	if !ok {
		scheme, host = "https", entry
	}
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	wildcard := ""
	if domain, ok := strings.CutPrefix(host, "*."); ok {
		wildcard, host = "*.", domain
	}
	host, port, hasPort := strings.Cut(host, ":")
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return ""
	}
	meant := scheme + "://" + wildcard + ascii
	if hasPort {
		meant += ":" + port
	}
	if p := (Policy{exact: make(map[origin]bool)}); meant == entry || p.add(meant) != nil {
		return ""
	}
	return meant
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
		return wildcardOrigin{}, errors.New("a wildcard is *, *.example.com or https://*.example.com")
	}
	checked := scheme
	if !hasScheme {
		checked = "https"
	}
	parsed, err := parseOrigin(checked + "://" + domain)
	if err != nil {
		return wildcardOrigin{}, err
	}
	if err := checkPage(scheme); err != nil {
		return wildcardOrigin{}, err
	}
	if strings.HasPrefix(parsed.host, "[") || endsInNumber(parsed.host) {
		return wildcardOrigin{}, errors.New("addresses have no subdomains: list each address")
	}
	if suffix, icann := publicsuffix.PublicSuffix(parsed.host); icann && suffix == parsed.host {
		return wildcardOrigin{}, fmt.Errorf("anybody can have a domain below %s: write the domain that is yours, or * for every origin", suffix)
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
