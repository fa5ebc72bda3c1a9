// Package clientaddr finds out which address the client of a request has, and whether that address
// is known or hearsay. An address that a client can write itself must not let it do anything.
//
// What Caddy has found out is not enough for that: unless trusted_proxies_strict is set, it takes
// the first address in X-Forwarded-For, which is what the client has put there. This package reads
// the same header fields from the last address to the first, as strict mode does, and stops at what
// it cannot read.
package clientaddr

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Client is where a request comes from.
type Client struct {
	// Addr is the client's address, without a zone, IPv4 in IPv6 as IPv4. It is not valid where no
	// address can be read.
	Addr netip.Addr
	// Doubt says why Addr exempts its client from nothing. It is empty where there is no doubt.
	Doubt Doubt

	// text stands for an address that is not valid.
	text string
}

// Doubt is a reason for which an address is not enough to be let off anything.
type Doubt string

// The doubts there are, as they appear in the log.
const (
	// Unreadable is an address that is no IP address, as of a client on a Unix socket, or of one
	// that the proxies have named by something else.
	Unreadable Doubt = "the address cannot be read"
	// UnnamedProxy is a request with header fields of a proxy that is not in trusted_proxies.
	UnnamedProxy Doubt = "a proxy that is not in trusted_proxies has forwarded the request"
	// NoClient is a request that came by proxies which say of no one else that they have it from
	// there. Addr is the farthest of them.
	NoClient Doubt = "the proxies in front name no client that is not one of them"
	// LoopbackByHeader is a loopback address that the proxies have told. Nobody but this machine
	// has one, and it would have come by itself.
	LoopbackByHeader Doubt = "a loopback address was told by a proxy"
	// ProxyProtocolIgnored is a connection whose PROXY header, if it had one, Caddy has ignored.
	ProxyProtocolIgnored Doubt = "the listener ignores the PROXY headers of this address"
)

// Remedy says what to do if the client should have been let off.
func (d Doubt) Remedy() string {
	switch d {
	case UnnamedProxy:
		return "if the proxy is yours, name it in trusted_proxies; its clients then have addresses of their own"
	case NoClient:
		return "connect without a proxy from where the proxies are; if clients are meant, name the proxies alone in trusted_proxies"
	case ProxyProtocolIgnored:
		return "name the proxy in allow of proxy_protocol, or set its fallback_policy to reject"
	default:
		return "connect without a proxy"
	}
}

// unknown is how RFC 7239, 6.2 calls a client of which no address is known.
const unknown = "unknown"

// String returns the address, or what there is in place of one.
func (c Client) String() string {
	if c.Addr.IsValid() {
		return c.Addr.String()
	}
	return c.text
}

// In reports whether the address is in a list.
func (c Client) In(list []netip.Prefix) bool {
	return c.Addr.IsValid() && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(c.Addr) })
}

// Exempt reports whether the client may do what only the addresses in a list may: its address is in
// the list, and there is no doubt of it.
func (c Client) Exempt(list []netip.Prefix) bool { return c.Doubt == "" && c.In(list) }

// Of returns where a request that Caddy has got comes from: the address of the connection, or, where
// that is one of the server's trusted_proxies, what these say.
func Of(r *http.Request) Client {
	client := ofConnection(r)
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	var told []string
	if server != nil {
		told = server.ClientIPHeaders
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted || server == nil {
		if client.Doubt == "" && forwarded(r.Header, told) {
			client.Doubt = UnnamedProxy
		}
		return client
	}
	for _, name := range told {
		if values := r.Header.Values(name); len(values) > 0 {
			return byProxies(client, values, func(addr netip.Addr) bool { return trusts(server, r, addr) })
		}
	}
	if client.Doubt == "" && (forwarded(r.Header, told) || wasTold(r, client)) {
		client.Doubt = NoClient
	}
	return client
}

// ofConnection returns the address at the other end of the connection, as Caddy's listener says.
func ofConnection(r *http.Request) Client {
	// A client may bind its end of a Unix socket to a name that looks like an address.
	_, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	addr, ok := parse(r.RemoteAddr)
	if unix || !ok {
		return Client{Doubt: Unreadable, text: r.RemoteAddr}
	}
	return Client{Addr: addr, Doubt: doubtOfConnection(r, addr)}
}

// proxyHeaders are header fields that proxies add and clients do not, besides those that begin as
// proxyPrefix.
var proxyHeaders = []string{
	"Forwarded", "X-Real-Ip", "Via", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For",
	"True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Envoy-External-Address", "Cdn-Loop",
}

const proxyPrefix = "X-Forwarded"

// forwarded reports whether a proxy has passed a request on. told are header fields in which the
// server's proxies name the client.
func forwarded(header http.Header, told []string) bool {
	has := func(name string) bool {
		_, ok := header[http.CanonicalHeaderKey(name)]
		return ok
	}
	for name := range header {
		if strings.HasPrefix(name, proxyPrefix) {
			return true
		}
	}
	return slices.ContainsFunc(proxyHeaders, has) || slices.ContainsFunc(told, has)
}

// wasTold reports whether Caddy has had another address from the proxies than that of the
// connection: a handler before this one has taken the header field away.
func wasTold(r *http.Request, client Client) bool {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, _ := parse(text)
	return addr != client.Addr
}
