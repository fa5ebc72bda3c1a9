package doctor

import (
	"context"
	"fmt"
	"net/http"
)

// stickyTries is how many connections ask for one session. With two servers in turns the half of
// them miss; by chance alone all of them hit once in 256 times.
const stickyTries = 8

// checkStickiness sends requests of one session over connections of their own. What is sent is a
// heartbeat's answer, which changes nothing.
func (d *visit) checkStickiness(ctx context.Context, s *session) {
	at := place{"one session", s.path}
	missed, asked, last := d.countMisses(ctx, s, question{client: d.fresh})
	switch {
	case asked == 0:
		d.tellFailure(at, last) // an answer of another kind is told by the check of polling
		return
	case missed == asked:
		d.astray = true
		d.tell(Problem, at, "session-lost", "No request finds the session that was just opened: each goes to another server, or the server forgets its sessions.", &last)
		return
	case missed > 0:
		d.astray = true
		d.tell(Problem, at, "sessions-not-sticky", fmt.Sprintf("%d of %d requests did not find their session: there are several servers, and a balancer does not keep a client on one.", missed, asked), &last)
		return
	}
	if !s.cookies {
		d.tell(OK, at, "sessions-found", fmt.Sprintf("%d connections found their session.", asked), nil)
		return
	}
	bare := s.header.Clone()
	bare.Del("Cookie")
	if cookies := d.Header["Cookie"]; cookies != nil {
		bare["Cookie"] = cookies
	}
	missed, asked, last = d.countMisses(ctx, s, question{client: d.fresh, header: bare})
	if missed > 0 {
		d.tell(Warning, at, "sticky-by-cookie", fmt.Sprintf("Without its cookie %d of %d requests did not find their session: native clients, and pages of other sites without withCredentials, lose theirs.", missed, asked), &last)
		return
	}
	d.tell(OK, at, "sessions-found", "Connections found their session, with its cookie and without.", nil)
}

// countMisses counts the requests that were answered by a server, and those of them that did not
// find the session.
func (d *visit) countMisses(ctx context.Context, s *session, q question) (missed, asked int, last answer) {
	for range stickyTries {
		a := s.postBody(ctx, q, []byte("3"))
		if a.err != nil {
			if asked == 0 {
				return 0, 0, a
			}
			break
		}
		code, refused := a.protocolError()
		switch {
		case refused && code == codeUnknownSID:
			missed++
			last = a
		case a.status != http.StatusOK || string(a.body) != "ok":
			return 0, 0, a
		}
		asked++
	}
	return missed, asked, last
}
