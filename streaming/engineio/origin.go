package engineio

import (
	"net/http"
	"net/url"
	"strings"
)

// SameHost reports whether a request comes from a page of the host that it was
// sent to, or from no page at all: browsers send an Origin header, other clients
// need not. It is what [Options.CheckOrigin] is by default. It compares the hosts
// with their ports, and no schemes: behind a proxy that ends TLS the scheme of a
// request is not known here.
func SameHost(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	// The origin "null", of a page that has none, has no host.
	origin, err := url.Parse(origins[0])
	return err == nil && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}

// AnyOrigin is an [Options.CheckOrigin] that lets the pages of all sites connect.
// That is insecure where clients are known by their cookies, their address or
// their network: any page can then act in its visitor's name.
func AnyOrigin(*http.Request) bool { return true }

// checkOrigin refuses a request of an origin that may not connect, whatever its
// transport, unless the server in front has decided about it.
func checkOrigin(r *http.Request, in Inbound, options *Options) *RequestError {
	switch {
	case in.OriginChecked:
		return nil
	case r.Header["Origin"] == nil && r.Method == http.MethodGet && options.callOf(r) != "":
		if checkScript(r, options) {
			return nil
		}
	case options.CheckOrigin(r):
		return nil
	}
	return refuse(CodeForbidden, "origin "+boundedQuote(strings.Join(r.Header["Origin"], ", "))+" may not connect")
}
