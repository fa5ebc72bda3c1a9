package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 8

// checkConnection looks the name up and connects to each of its addresses.
func (d *visit) checkConnection(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	host := d.site.Hostname()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		d.tellLookup(host, err)
		return false
	}
	if len(addresses) > maxAddresses {
		addresses = addresses[:maxAddresses]
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	var reached, missed []string
	var first error
	for _, address := range addresses {
		conn, err := d.dialNet(ctx, "tcp", net.JoinHostPort(address.String(), d.port()))
		if err != nil {
			missed = append(missed, address.String())
			if first == nil {
				first = err
			}
			continue
		}
		_ = conn.Close()
		reached = append(reached, address.String())
	}
	at := place{check: "connection"}
	if len(reached) == 0 {
		d.tellUnreachable(at, missed, first)
		return false
	}
	d.tell(OK, at, "connected", fmt.Sprintf("%s answers on port %s.", strings.Join(reached, ", "), d.port()), nil)
	// A machine's own names often have an address that nothing listens on, which harms nobody.
	if len(missed) > 0 && !allLoopback(addresses) {
		d.tell(Warning, at, "address-unreachable", fmt.Sprintf("%s has the address %s as well, and nothing answers on port %s there: clients that try it first wait, or fail.",
			host, strings.Join(missed, ", "), d.port()), nil)
	}
	return true
}

func allLoopback(addresses []netip.Addr) bool {
	for _, address := range addresses {
		if !address.IsLoopback() {
			return false
		}
	}
	return true
}

func (d *visit) tellLookup(host string, err error) {
	at := place{check: "name"}
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		d.tell(Problem, at, "no-such-host", fmt.Sprintf("There is no address for %s: the name is misspelt, or has no A or AAAA record yet.", host), nil)
		return
	}
	d.tell(Problem, at, "lookup-failed", fmt.Sprintf("The name %s could not be looked up: no answer from the name server. Is this machine online?", host), nil)
}

func (d *visit) tellUnreachable(at place, missed []string, err error) {
	where := fmt.Sprintf("%s, port %s", strings.Join(missed, " and "), d.port())
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		d.tell(Problem, at, "connection-refused", "Nothing listens at "+where+": the server is not running, or listens on another port.", nil)
	case isTimeout(err):
		d.tell(Problem, at, "connection-timeout", fmt.Sprintf("No answer from %s within %v: most likely a firewall drops what is sent there.", where, d.Timeout), nil)
	default:
		d.tell(Problem, at, "connection-failed", fmt.Sprintf("No connection to %s: %v.", where, err), nil)
	}
}
