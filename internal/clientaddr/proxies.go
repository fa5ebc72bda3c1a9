package clientaddr

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// maxProxies is how many proxies may be in front, one behind the other.
	maxProxies = 16
	// maxEntry is the length, in bytes, of the longest address, with zone and port.
	maxEntry = 80
)

// byProxies returns where a request comes from that a trusted proxy, peer, has passed on: the last
// address in the header fields that is not one of a trusted proxy. Each proxy appends the address
// that it has the request from. So what is left of that address is the word of somebody whom nobody
// trusts.
func byProxies(peer Client, values []string, trusted func(netip.Addr) bool) Client {
	farthest, proxies := netip.Addr{}, 0
	for entry := range backward(values) {
		addr, ok := parse(entry)
		if proxies++; !ok || proxies > maxProxies {
			// A trusted proxy has the request from somebody whom it names by something else. Who
			// that is cannot be said, and what comes before is that one's word.
			return Client{Doubt: Unreadable, text: unknown}
		}
		if trusted(addr) {
			farthest = addr
			continue
		}
		if addr.IsLoopback() {
			return Client{Addr: addr, Doubt: LoopbackByHeader}
		}
		return Client{Addr: addr}
	}
	if farthest.IsValid() {
		return Client{Addr: farthest, Doubt: NoClient}
	}
	if peer.Doubt == "" {
		peer.Doubt = NoClient
	}
	return peer
}

// backward yields the entries of the lists in the values of a header field, the last one first. It
// leaves out empty ones, as RFC 9110, 5.6.1.2 has it.
func backward(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, rest := range slices.Backward(values) {
			for more := true; more; {
				comma := strings.LastIndexByte(rest, ',')
				more = comma >= 0
				entry := strings.Trim(rest[comma+1:], " \t")
				rest = rest[:max(comma, 0)]
				if entry != "" && !yield(entry) {
					return
				}
			}
		}
	}
}

// parse reads an address that may have brackets, a zone and a port. Zone and port are left out.
func parse(text string) (addr netip.Addr, ok bool) {
	if len(text) > maxEntry {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	if err != nil && strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		addr, err = netip.ParseAddr(text[1 : len(text)-1])
		if err == nil && !addr.Is6() {
			return netip.Addr{}, false
		}
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.WithZone("").Unmap(), true
}

// trusts reports whether an address is one of a server's trusted_proxies. Caddy has no way to ask
// for that, but says it of each request that it prepares, by the address of its connection.
func trusts(server *caddyhttp.Server, r *http.Request, addr netip.Addr) bool {
	question := r.WithContext(r.Context())
	question.RemoteAddr = netip.AddrPortFrom(addr, 1).String()
	question.Header = nil
	answer := caddyhttp.PrepareRequest(question, caddy.NewEmptyReplacer(), nil, server)
	trusted, _ := caddyhttp.GetVar(answer.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
