package socketiostream

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-socketio/socketio-stream/internal/option"
)

// paths are the URL paths that are answered here. All others are the next handler's.
type paths struct {
	// socket are the paths of Socket.IO, each with a slash at its end, the longest first, so that
	// what lies below one is told apart from one that lies below another; first is the one that
	// the config names first.
	socket []string
	first  string
	// pages are what is answered besides, each at a path of its own.
	pages map[string]page
}

// page answers at a path of its own.
type page interface {
	// kind says in errors what the page is.
	kind() string
	// serve answers a request to a handler that has this claim on its hub.
	serve(w http.ResponseWriter, r *http.Request, hub claim) error
}

// addSocket adds the paths of Socket.IO. It comes before add.
func (p *paths) addSocket(t *option.Resolver, prefixes []string) {
	for _, prefix := range prefixes {
		prefix = strings.TrimSuffix(prefix, "/") + "/"
		t.Check(option.CheckPath("path", prefix))
		if slices.Contains(p.socket, prefix) {
			t.Check(fmt.Errorf("path %q is given twice", prefix))
		}
		p.socket = append(p.socket, prefix)
	}
	if len(p.socket) == 0 {
		p.socket = []string{defaultPath}
	}
	p.first = p.socket[0]
	slices.SortStableFunc(p.socket, func(a, b string) int { return len(b) - len(a) })
}

// add adds a page.
func (p *paths) add(t *option.Resolver, at string, added page) {
	t.Check(option.CheckPath(added.kind(), at))
	if slices.Contains(p.socket, strings.TrimSuffix(at, "/")+"/") {
		t.Check(fmt.Errorf("%s path %q is a socket path too", added.kind(), at))
	}
	if other, taken := p.pages[at]; taken {
		if other.kind() == added.kind() {
			t.Check(fmt.Errorf("%s path %q is given twice", added.kind(), at))
		}
		t.Check(fmt.Errorf("%q is both a %s path and a %s path", at, other.kind(), added.kind()))
	}
	if p.pages == nil {
		p.pages = make(map[string]page)
	}
	p.pages[at] = added
}

// match returns the page at a path, or what follows the path of Socket.IO that it begins with, which
// is nothing for that path itself.
func (p *paths) match(urlPath string) (found page, rest string, isSocket bool) {
	if found = p.pages[urlPath]; found != nil {
		return found, "", false
	}
	for _, prefix := range p.socket {
		if rest, isSocket = strings.CutPrefix(urlPath, prefix); isSocket {
			return nil, rest, true
		}
	}
	return nil, "", false
}
