package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// strangerOrigin is one that no list names.
const strangerOrigin = "https://stranger.example.com"

// checkCORS asks as a browser does for a page of an origin: that of the site, or the one that was
// given.
func (d *visit) checkCORS(ctx context.Context, f found, websocket bool) {
	at := place{"origin", f.path}
	if d.Origin == "" {
		d.skip("pages of other origins on %s: --origin https://app.example.com", f.path)
		d.checkOwnOrigin(ctx, at, websocket)
		return
	}
	header := http.Header{"Origin": {d.Origin}}
	s, a := d.handshake(ctx, at.path, header)
	if s == nil {
		code, words := d.judgeHandshake(a)
		if code == "handshake-forbidden" {
			d.tell(Problem, at, "origin-refused", fmt.Sprintf("Pages of %s may not connect: the server does not allow that origin.", d.Origin), &a)
		} else {
			d.tell(Problem, at, "origin-failed", fmt.Sprintf("With the header Origin: %s the handshake fails. %s", d.Origin, words), &a)
		}
		return
	}
	defer s.end()
	sound := d.judgeSharing(at, a)
	// An origin that is not allowed has no preflight answered either, which would only say the same
	// again.
	sound = sound && d.checkPreflight(ctx, at)
	if websocket && !d.socketAllows(ctx, at, d.Origin) {
		return
	}
	credentials := a.header.Get("Access-Control-Allow-Credentials") == "true"
	if credentials && sound && d.Origin != strangerOrigin {
		sound = d.checkStranger(ctx, at)
	}
	if sound {
		words := "without cookies"
		if credentials {
			words = "with cookies"
		}
		d.tell(OK, at, "origin-allowed", fmt.Sprintf("Pages of %s may connect, %s.", d.Origin, words), nil)
	}
}

// checkOwnOrigin asks as a page of the site itself: browsers send its origin with POST and
// WebSocket.
func (d *visit) checkOwnOrigin(ctx context.Context, at place, websocket bool) {
	own := d.ownOrigin()
	s, a := d.handshake(ctx, at.path, http.Header{"Origin": {own}})
	if s == nil {
		code, words := d.judgeHandshake(a)
		if code == "handshake-forbidden" {
			d.tell(Problem, at, "own-origin-refused", fmt.Sprintf("The site's own pages may not connect: the server does not take %s for its own. Most likely a proxy in between does not pass on the header Host.", own), &a, "own", own)
		} else {
			d.tell(Problem, at, "origin-failed", fmt.Sprintf("With the header Origin: %s the handshake fails. %s", own, words), &a)
		}
		return
	}
	s.end()
	if websocket && !d.socketAllows(ctx, at, own) {
		return
	}
	d.tell(OK, at, "own-origin-allowed", "The site's own pages may connect.", nil)
}

func (d *visit) socketAllows(ctx context.Context, at place, origin string) bool {
	s, a := d.dial(ctx, at.path, "", http.Header{"Origin": {origin}}, false)
	if s == nil {
		d.tell(Problem, at, "websocket-origin-refused", fmt.Sprintf("Pages of %s may connect by polling, and not by WebSocket.", origin), &a, "own", origin)
		return false
	}
	s.end()
	return true
}

// judgeSharing looks at the headers that let a browser show an answer to a page.
func (d *visit) judgeSharing(at place, a answer) bool {
	allowed := a.header.Values("Access-Control-Allow-Origin")
	credentials := a.header.Get("Access-Control-Allow-Credentials") == "true"
	switch value := strings.Join(allowed, ", "); {
	case value == "":
		d.tell(Problem, at, "cors-no-header", "The answer lacks Access-Control-Allow-Origin: the browser hides it from pages of that origin.", &a)
		return false
	case len(allowed) > 1 || strings.Contains(value, ","):
		d.tell(Problem, at, "cors-duplicate-header", fmt.Sprintf("Access-Control-Allow-Origin is there twice (%s): server and proxy both set it, and browsers then refuse the answer.", excerpt(value)), &a)
		return false
	case value == "*" && credentials:
		d.tell(Problem, at, "cors-wildcard-credentials", "Access-Control-Allow-Origin is * and credentials are allowed: browsers refuse that pair, so pages with withCredentials cannot connect.", &a)
		return false
	case value != "*" && value != d.Origin:
		d.tell(Problem, at, "cors-wrong-origin", fmt.Sprintf("Access-Control-Allow-Origin is %s: the browser hides the answer from pages of %s.", excerpt(value), d.Origin), &a)
		return false
	case value != "*" && !varies(a.header):
		d.tell(Warning, at, "cors-missing-vary", "The answer depends on the origin and lacks Vary: Origin: a cache may give one site's answer to another.", &a)
		return false
	}
	return true
}

func varies(header http.Header) bool {
	for _, value := range header.Values("Vary") {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Origin") {
				return true
			}
		}
	}
	return false
}

// checkPreflight asks what a browser asks before a request with headers of the page's own.
func (d *visit) checkPreflight(ctx context.Context, at place) bool {
	a := d.ask(ctx, question{
		method: http.MethodOptions, path: at.path, query: pollingQuery,
		header: http.Header{
			"Origin":                         {d.Origin},
			"Access-Control-Request-Method":  {http.MethodPost},
			"Access-Control-Request-Headers": {"content-type,x-requested-with"},
		},
	})
	const consequence = " Only clients with extraHeaders ask, and they cannot connect."
	at.check = "preflight"
	if code, words := a.failure(); code != "" {
		d.tell(Warning, at, "preflight-failed", words+consequence, &a)
		return false
	}
	if a.status < 200 || a.status > 299 {
		d.tell(Warning, at, "preflight-refused", fmt.Sprintf("The preflight request is answered with %d.", a.status)+consequence, &a)
		return false
	}
	var lacks []string
	origin := strings.Join(a.header.Values("Access-Control-Allow-Origin"), ", ")
	if origin != "*" && origin != d.Origin {
		lacks = append(lacks, "Access-Control-Allow-Origin: "+d.Origin)
	}
	// POST needs no leave of its own; the headers do.
	if !lists(a.header.Values("Access-Control-Allow-Headers"), "x-requested-with") {
		lacks = append(lacks, "Access-Control-Allow-Headers with the headers that were asked for")
	}
	if len(lacks) > 0 {
		d.tell(Warning, at, "preflight-incomplete", "The answer to the preflight request lacks "+strings.Join(lacks, " and ")+"."+consequence, &a)
		return false
	}
	return true
}

func lists(values []string, wanted string) bool {
	names := strings.Split(strings.ToLower(strings.Join(values, ",")), ",")
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.TrimSpace(name)
		return name == "*" || name == wanted
	})
}

// checkStranger asks for an origin that nobody can have listed.
func (d *visit) checkStranger(ctx context.Context, at place) bool {
	s, a := d.handshake(ctx, at.path, http.Header{"Origin": {strangerOrigin}})
	if s == nil {
		return true
	}
	s.end()
	if a.header.Get("Access-Control-Allow-Origin") != strangerOrigin || a.header.Get("Access-Control-Allow-Credentials") != "true" {
		return true
	}
	d.tell(Warning, at, "cors-any-origin-credentials", "Every origin is allowed, with cookies: any page on the web can act in its visitor's name.", &a)
	return false
}
