package socketiostream

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

const (
	// forbiddenBody is how the reference server answers a refused request: its error 4.
	forbiddenBody = `{"code":4,"message":"Forbidden"}`

	preflightMethods = "GET,POST,OPTIONS"
	preflightMaxAge  = "600" // seconds

	// maxRequestHeaders bounds how many header names a preflight may ask for.
	maxRequestHeaders = 64
)

// The reasons an origin is refused for, as they appear in the log.
const (
	reasonMalformed = "the Origin header is malformed"
	reasonNoCORS    = "only the same origin is allowed: no cors origins are set"
	reasonUnlisted  = "the origin is not in cors origins"
)

// originPolicy decides which origins may connect. Its zero value lets in the same origin only.
type originPolicy struct {
	any         bool
	null        bool
	exact       map[origin]bool
	wildcards   []wildcardOrigin
	credentials bool
}

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

// originDecision is what a policy says of one request.
type originDecision struct {
	reason string // why the request is refused, "" if it is not
	listed bool   // the origin is one of the policy's, so the response may be shared with it
}

func (d originDecision) ok() bool { return d.reason == "" }

// newOriginPolicy parses the entries of an allow-list.
func newOriginPolicy(entries []string, credentials bool) (originPolicy, error) {
	p := originPolicy{credentials: credentials, exact: make(map[origin]bool, len(entries))}
	for _, entry := range entries {
		switch {
		case entry == "*":
			p.any = true
		case entry == "null":
			p.null = true
		case strings.Contains(entry, "*"):
			wildcard, err := parseWildcard(entry)
			if err != nil {
				return originPolicy{}, err
			}
			p.wildcards = append(p.wildcards, wildcard)
		default:
			parsed, err := parseOrigin(entry)
			if err != nil {
				return originPolicy{}, err
			}
			p.exact[parsed] = true
		}
	}
	return p, nil
}

// empty reports whether the policy lists no origin at all.
func (p *originPolicy) empty() bool {
	return !p.any && !p.null && len(p.exact) == 0 && len(p.wildcards) == 0
}

// decide says whether r may pass, and if not, why.
func (p *originPolicy) decide(r *http.Request) originDecision {
	return p.judge(r.Header["Origin"], func(o origin) bool { return isSameOrigin(o, r) })
}

// judge says whether a request with these Origin headers may pass, and if not, why.
func (p *originPolicy) judge(values []string, sameOrigin func(origin) bool) originDecision {
	if len(values) == 0 {
		return originDecision{} // native clients, and browsers' same-origin GETs, send none
	}
	if len(values) > 1 {
		return originDecision{reason: reasonMalformed}
	}
	if p.any {
		return originDecision{listed: true}
	}
	if values[0] == "null" {
		if p.null {
			return originDecision{listed: true}
		}
		return originDecision{reason: p.refusal()}
	}
	parsed, err := parseOrigin(values[0])
	if err != nil {
		return originDecision{reason: reasonMalformed}
	}
	if p.lists(parsed) {
		return originDecision{listed: true}
	}
	if sameOrigin(parsed) {
		return originDecision{}
	}
	return originDecision{reason: p.refusal()}
}

func (p *originPolicy) refusal() string {
	if p.empty() {
		return reasonNoCORS
	}
	return reasonUnlisted
}

func (p *originPolicy) lists(o origin) bool {
	if p.exact[o] {
		return true
	}
	for _, wildcard := range p.wildcards {
		if wildcard.matches(o) {
			return true
		}
	}
	return false
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

// isSameOrigin reports whether o is the origin r was sent to. Over TLS the scheme is known to be https. Without TLS a
// proxy in front may have ended it, so the Host header is read with the default port of o's own scheme.
func isSameOrigin(o origin, r *http.Request) bool {
	scheme := o.scheme
	if r.TLS != nil {
		scheme = "https"
	}
	target, err := parseOrigin(scheme + "://" + r.Host)
	return err == nil && target == o
}

// isSameOriginRequest reports whether a page of the origin r was sent to has sent it.
func isSameOriginRequest(r *http.Request) bool {
	sent := r.Header.Get("Origin")
	if sent == "" {
		return false
	}
	parsed, err := parseOrigin(sent)
	return err == nil && isSameOrigin(parsed, r)
}

// setHeaders writes the CORS response headers that d calls for.
func (p *originPolicy) setHeaders(header http.Header, r *http.Request, d originDecision) {
	if p.any && !p.credentials {
		// The answer is the same for every origin, so caches need not tell them apart.
		header.Set("Access-Control-Allow-Origin", "*")
		return
	}
	header.Add("Vary", "Origin")
	if !d.listed {
		return
	}
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	if p.credentials {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
}

// isPreflight reports whether r asks, before a cross-origin request, whether that request may be sent.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight allows what r asks for; its origin has been found good.
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", preflightMethods)
	if names := requestedHeaders(r); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	header.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// requestedHeaders returns the header names a preflight asks for, those that are no header names left out.
func requestedHeaders(r *http.Request) string {
	var names []string
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		if len(names) == maxRequestHeaders {
			break
		}
		if name = strings.TrimSpace(name); isToken(name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// isToken reports whether s is a token as HTTP defines it.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		isAlphanumeric := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !isAlphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// refuseOrigin answers 403 as the reference server does, and tells the reason to the log only.
func (h *Handler) refuseOrigin(w http.ResponseWriter, r *http.Request, d originDecision) {
	h.refusals.byOrigin(r, d)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_, _ = io.WriteString(w, forbiddenBody) // a client that is gone needs no answer
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
