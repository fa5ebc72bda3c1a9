package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
)

// maxRedirects bounds how many redirects are followed.
const maxRedirects = 5

// checkRedirect asks the plain HTTP port of a site with TLS, which should lead to it.
func (d *visit) checkRedirect(ctx context.Context) {
	if !d.secure() {
		return
	}
	port := d.HTTPPort
	if port == 0 {
		if d.port() != "443" {
			d.skip("the redirect from plain HTTP: --http-port says where it is expected")
			return
		}
		port = 80
	}
	at := place{check: "redirect"}
	plain := url.URL{Scheme: "http", Host: d.site.Hostname()}
	if port != 80 {
		plain.Host = net.JoinHostPort(d.site.Hostname(), strconv.Itoa(port))
	}
	a := d.askElsewhere(ctx, plain.String()+"/")
	switch location, _ := url.Parse(a.header.Get("Location")); {
	case a.err != nil && errors.Is(a.err, syscall.ECONNREFUSED):
		d.tell(Note, at, "http-closed", fmt.Sprintf("Nothing listens on port %d: who types the name without https:// may see an error.", port), nil)
	case a.err != nil:
		_, words := a.failure()
		d.tell(Warning, at, "http-failed", fmt.Sprintf("Plain HTTP on port %d does not lead to https. %s", port, words), &a)
	case a.status >= 300 && a.status < 400 && location != nil && location.Scheme == "https":
		d.tell(OK, at, "redirected", fmt.Sprintf("Plain HTTP on port %d leads to https, with %d.", port, a.status), &a)
	case a.status == http.StatusOK:
		d.tell(Warning, at, "http-not-redirected", "Plain HTTP is answered and does not lead to https: pages loaded that way connect without encryption.", &a)
	default:
		d.tell(Warning, at, "http-not-redirected", fmt.Sprintf("Plain HTTP on port %d does not lead to https.", port), &a)
	}
}

// askElsewhere asks an address that is not known to be of the site: nothing of the user's is sent
// there.
func (d *visit) askElsewhere(ctx context.Context, address string) answer {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return answer{question: "GET " + address, err: errors.New("that is no address")}
	}
	elsewhere := &visit{target: &target{Options: d.Options, site: &url.URL{Scheme: u.Scheme, Host: u.Host}}, client: d.client}
	a := elsewhere.ask(ctx, question{method: http.MethodGet, path: u.EscapedPath(), query: u.RawQuery, bare: true})
	a.question = "GET " + u.Scheme + "://" + u.Host + u.EscapedPath()
	return a
}

// tellRedirect says where a redirected handshake leads.
func (d *visit) tellRedirect(ctx context.Context, at place, a answer) {
	seen := map[string]bool{}
	from, err := url.Parse(d.site.String() + at.path + "?" + pollingQuery)
	next := a
	for range maxRedirects {
		if err != nil {
			break
		}
		seen[from.String()] = true
		to, bad := from.Parse(next.header.Get("Location"))
		if bad != nil || next.header.Get("Location") == "" {
			d.tell(Problem, at, "redirect-broken", fmt.Sprintf("The handshake is redirected with %d, and to no address.", next.status), &a)
			return
		}
		if seen[to.String()] {
			d.tell(Problem, at, "redirect-loop", "The handshake is redirected in a circle, and never answered.", &a)
			return
		}
		from = to
		next = d.askElsewhere(ctx, to.String())
		if next.err != nil || next.status < 300 || next.status > 399 || next.status == http.StatusNotModified {
			break
		}
	}
	if next.status >= 300 && next.status < 400 {
		d.tell(Problem, at, "redirect-loop", fmt.Sprintf("The handshake is redirected more than %d times.", maxRedirects), &a)
		return
	}
	// A session that was opened there is closed again.
	d.abandon(ctx, from, next)
	where := from.Scheme + "://" + from.Host + from.EscapedPath()
	words := fmt.Sprintf("The handshake is redirected to %s. WebSockets do not follow redirects, and a POST may come out as a GET.", where)
	if from.Host == d.site.Host || strings.TrimPrefix(from.Hostname(), "www.") == strings.TrimPrefix(d.site.Hostname(), "www.") {
		words += " Let clients connect there in the first place."
	}
	d.tell(Problem, at, "handshake-redirected", words, &a, "target", where)
}

// abandon closes a session that came to be at another address.
func (d *visit) abandon(ctx context.Context, at *url.URL, a answer) {
	elsewhere := &visit{
		target: &target{Options: d.Options, site: &url.URL{Scheme: at.Scheme, Host: at.Host}},
		base:   ctx, client: d.client, fresh: d.fresh,
	}
	elsewhere.Header = nil
	if s := elsewhere.sessionOf(at.EscapedPath(), nil, a); s != nil {
		d.secrets.add(s.open.SID)
		s.end()
	}
}
