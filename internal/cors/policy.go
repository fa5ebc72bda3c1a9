// Package cors decides which origins may connect, and writes what browsers are told of it. It is
// held against every transport, WebSocket included.
package cors

import (
	"net/http"
	"net/url"
	"strings"
)

// The reasons an origin is refused for, as they appear in the log.
const (
	ReasonMalformed = "the Origin header is malformed"
	ReasonNoCORS    = "only the same origin is allowed: no cors origins are set"
	ReasonUnlisted  = "the origin is not in cors origins"
	ReasonNoReferer = "a script element does not say of which page it is, as there is no Referer header"
)

// Policy decides which origins may connect. Its zero value lets in the same origin only.
type Policy struct {
	// Scripts says that script elements may get answers that they can read, by the parameter j. They
	// send no Origin header, and Referer counts in its place.
	Scripts bool

	any         bool
	null        bool
	exact       map[origin]bool
	wildcards   []wildcardOrigin
	credentials bool
}

// Decision is what a policy says of one request.
type Decision struct {
	// Reason is why the request is refused, or "" if it is not. It is for the log only.
	Reason string
	// listed tells that the origin is one of the policy's, so the response may be shared with it.
	listed bool
}

// OK reports whether the request may pass.
func (d Decision) OK() bool { return d.Reason == "" }

// New parses the entries of an allow-list. credentials lets their origins send cookies and HTTP
// authentication.
func New(entries []string, credentials bool) (Policy, error) {
	p := Policy{credentials: credentials, exact: make(map[origin]bool, len(entries))}
	for _, entry := range entries {
		if err := p.add(entry); err != nil {
			return Policy{}, refused(entry, err)
		}
	}
	return p, nil
}

// add adds an entry of an allow-list.
func (p *Policy) add(entry string) error {
	switch {
	case entry == "*":
		p.any = true
	case entry == "null":
		p.null = true
	case strings.Contains(entry, "*"):
		wildcard, err := parseWildcard(entry)
		if err != nil {
			return err
		}
		p.wildcards = append(p.wildcards, wildcard)
	default:
		parsed, err := parseListed(entry)
		if err != nil {
			return err
		}
		p.exact[parsed] = true
	}
	return nil
}

// Empty reports whether the policy lists no origin at all.
func (p *Policy) Empty() bool {
	return !p.any && !p.null && len(p.exact) == 0 && len(p.wildcards) == 0
}

// AllowsAny reports whether every origin may connect.
func (p *Policy) AllowsAny() bool { return p.any }

// Shared returns the domains whose subdomains may all connect, and below which anybody can get one
// from a provider.
func (p *Policy) Shared() (domains []string) {
	for _, wildcard := range p.wildcards {
		if domain := wildcard.shared(); domain != "" {
			domains = append(domains, domain)
		}
	}
	return domains
}

// AllowsCredentials reports whether the listed origins may send cookies and HTTP authentication.
func (p *Policy) AllowsCredentials() bool { return p.credentials }

// Decide says whether r may pass, and if not, why.
func (p *Policy) Decide(r *http.Request) Decision {
	sameOrigin := func(o origin) bool { return isOriginOf(o, r) }
	if p.Scripts && r.Header["Origin"] == nil && r.URL.Query().Has("j") {
		return p.judgeScript(r, sameOrigin)
	}
	return p.judge(r.Header["Origin"], sameOrigin)
}

// judgeScript is judge for a script element.
func (p *Policy) judgeScript(r *http.Request, sameOrigin func(origin) bool) Decision {
	if p.any || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return Decision{}
	}
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host == "" {
		return Decision{Reason: ReasonNoReferer}
	}
	return Decision{Reason: p.judge([]string{page.Scheme + "://" + page.Host}, sameOrigin).Reason}
}

// DecideAgain says whether a client that sent this Origin header, from a page of the same origin or
// not, may pass.
func (p *Policy) DecideAgain(sent string, sameOrigin bool) Decision {
	return p.judge([]string{sent}, func(origin) bool { return sameOrigin })
}

// judge says whether a request with these Origin headers may pass, and if not, why.
func (p *Policy) judge(values []string, sameOrigin func(origin) bool) Decision {
	if len(values) == 0 {
		return Decision{} // native clients, and browsers' same-origin GETs, send none
	}
	if len(values) > 1 {
		return Decision{Reason: ReasonMalformed}
	}
	if p.any {
		return Decision{listed: true}
	}
	if values[0] == "null" {
		if p.null {
			return Decision{listed: true}
		}
		return Decision{Reason: p.refusal()}
	}
	parsed, err := parseOrigin(values[0])
	if err != nil {
		return Decision{Reason: ReasonMalformed}
	}
	if p.lists(parsed) {
		return Decision{listed: true}
	}
	if sameOrigin(parsed) {
		return Decision{}
	}
	return Decision{Reason: p.refusal()}
}

func (p *Policy) refusal() string {
	if p.Empty() {
		return ReasonNoCORS
	}
	return ReasonUnlisted
}

func (p *Policy) lists(o origin) bool {
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
