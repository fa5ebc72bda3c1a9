package sites

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Address is one host at one listener.
type Address struct {
	// host is in lower case and in ASCII, and "" where the site is for any host.
	host string
	// listener is the address that the server listens at, as "network/host:port", without the
	// network where that is TCP. port is 0 where that is not one port of TCP, and everywhere is
	// true where it is, on all interfaces.
	listener   string
	port       int
	everywhere bool
}

// newAddress returns the address of a host at what a server listens at. Placeholders are replaced
// that are known when a config is loaded.
func newAddress(host, listen string) Address {
	host = plain(host)
	listen = caddy.NewReplacer().ReplaceKnown(listen, "")
	parsed, err := caddy.ParseNetworkAddress(listen)
	if err != nil {
		return Address{host: host, listener: listen}
	}
	if parsed.IsUnixNetwork() {
		// Behind the path may stand the permissions of the socket.
		path, _, _ := strings.Cut(parsed.Host, "|")
		return Address{host: host, listener: parsed.Network + "/" + path}
	}
	a := Address{host: host, listener: parsed.String()}
	if parsed.Network == "tcp" && parsed.PortRangeSize() == 1 && parsed.StartPort != 0 {
		a.port, a.everywhere = int(parsed.StartPort), parsed.Host == "" //nolint:gosec // a port has 16 bits
	}
	return a
}

// String returns the address as messages name it.
func (a Address) String() string {
	listener := a.listener
	if a.everywhere {
		listener = ":" + strconv.Itoa(a.port)
	}
	return strings.TrimPrefix(a.host+" on "+listener, " on ")
}

func (a Address) compare(b Address) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.port, b.port), cmp.Compare(a.listener, b.listener))
}

// Site is a site, by its addresses: no two sites of a config have one in common.
type Site struct {
	addresses []Address
}

func newSite(addresses []Address) Site {
	addresses = slices.Clone(addresses)
	slices.SortFunc(addresses, Address.compare)
	return Site{slices.Compact(addresses)}
}

// maxListed is how many addresses a message lists.
const maxListed = 4

// String lists the addresses, as messages name the site.
func (s Site) String() string {
	var list []string
	for i, address := range s.addresses {
		if i == maxListed {
			return fmt.Sprintf("%s and %d more", strings.Join(list, ", "), len(s.addresses)-maxListed)
		}
		list = append(list, address.String())
	}
	return strings.Join(list, ", ")
}

// Keys lists the addresses in a form that is only compared.
func (s Site) Keys() []string {
	keys := make([]string, 0, len(s.addresses))
	for _, address := range s.addresses {
		keys = append(keys, address.host+"\t"+address.listener)
	}
	return keys
}

const (
	// maxName is how long a name may be, and maxReadable how long that part of it which can be read
	// where a digest follows.
	maxName     = 64
	digestBytes = 6
	maxReadable = maxName - len("__") - 2*digestBytes
)

// plainHost matches the hosts that names have as they are, with * written as _, which no host has.
var plainHost = regexp.MustCompile(`^(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?)(\.(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?))*$`)

// Name returns the name of the hub that the site has to itself: up to 64 letters, digits, dots,
// dashes and underscores, the same for the same addresses, and for no others.
//
// A site with one host has that as its name, with its ports if they are not 443 alone:
// "example.com", "localhost_8080", "example.com_80_443". A * is written as _, and a site for any
// host has its ports alone: "_8080". All other sites have the first of their addresses, as far as
// its characters go, two underscores and a digest of all of them.
func (s Site) Name() string {
	if name, ok := s.plainName(); ok {
		return name
	}
	first := s.addresses[0]
	readable := strings.Map(func(r rune) rune {
		switch {
		case r == '*':
			return '_'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		default:
			return '-'
		}
	}, first.host)
	if first.port != 0 && (first.port != httpsPort || readable == "") {
		readable += "_" + strconv.Itoa(first.port)
	}
	readable = strings.TrimLeft(readable, "-.")
	digest := sha256.Sum256([]byte(strings.Join(s.Keys(), "\n") + "\n"))
	return readable[:min(len(readable), maxReadable)] + "__" + hex.EncodeToString(digest[:digestBytes])
}

// httpsPort is the port that names leave out.
const httpsPort = 443

// plainName returns the name of a site with one host, that listens on all interfaces.
func (s Site) plainName() (name string, ok bool) {
	host := s.addresses[0].host
	if host != "" && !plainHost.MatchString(host) {
		return "", false
	}
	ports := ""
	for _, address := range s.addresses {
		if address.host != host || !address.everywhere {
			return "", false
		}
		ports += "_" + strconv.Itoa(address.port)
	}
	if host != "" && ports == "_"+strconv.Itoa(httpsPort) {
		ports = ""
	}
	name = strings.ReplaceAll(host, "*", "_") + ports
	return name, len(name) <= maxName
}
