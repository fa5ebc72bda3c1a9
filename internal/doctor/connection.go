package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
)

// maxAddresses bounds how many addresses of a name are tried.
const maxAddresses = 8

// checkConnection looks the name up and connects to each of its addresses.
func (d *visit) checkConnection(ctx context.Context) bool {
	host := d.site.Hostname()
	addresses, err := d.lookUp(ctx, host)
	if err != nil {
		d.tellLookup(host, err)
		return false
	}
	failures := make([]error, len(addresses))
	var wg sync.WaitGroup
	for i, address := range addresses {
		wg.Go(func() {
			conn, err := d.dialNet(ctx, "tcp", net.JoinHostPort(address.String(), d.port()))
			if err == nil {
				_ = conn.Close()
			}
			failures[i] = err
		})
	}
	wg.Wait()
	var reached, missed []string
	var first error
	for i, err := range failures {
		address := addresses[i].String()
		switch {
		case err == nil:
			reached = append(reached, address)
		case isOurs(err) && len(addresses) > 1:
			d.skip("the address %s: this machine has no way there", address)
		default:
			missed = append(missed, address)
			if first == nil {
				first = err
			}
		}
	}
	at := place{check: "connection"}
	if len(reached) == 0 {
		if first == nil {
			d.tell(Problem, at, "no-route", "This machine has no way to any address of "+host+": is it online?", nil)
			return false
		}
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

// lookUp returns the addresses of a name.
func (d *visit) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if len(addresses) > maxAddresses {
		addresses = addresses[:maxAddresses]
	}
	for i := range addresses {
		addresses[i] = addresses[i].Unmap()
	}
	return addresses, err
}

// isOurs tells an error that is no fault of the site's: a machine without IPv6 reaches nobody by
// it.
func isOurs(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
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
