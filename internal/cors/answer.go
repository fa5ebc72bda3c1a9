package cors

import (
	"net/http"
	"strings"
)

const (
	preflightMethods = "GET,POST,OPTIONS"
	preflightMaxAge  = "600" // seconds

	// maxRequestHeaders bounds how many header names a preflight may ask for.
	maxRequestHeaders = 64
)

// SetHeaders writes the CORS response headers that d calls for.
func (p *Policy) SetHeaders(header http.Header, r *http.Request, d Decision) {
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

// IsPreflight reports whether r asks, before a cross-origin request, whether that request may be
// sent.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// AnswerPreflight allows what r asks for; its origin has been found good.
func AnswerPreflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", preflightMethods)
	if names := requestedHeaders(r); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	header.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// requestedHeaders returns the header names a preflight asks for, those that are no header names
// left out.
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
