package doctor

import (
	"context"
	"fmt"
	"net/http"
)

// maxPolls bounds how many polls wait for one answer.
const maxPolls = 8

// checkNamespace connects to the namespace by polling: a poll is pending when the connect packet is
// posted, so that its answer shows whether something in between holds answers back.
func (d *visit) checkNamespace(ctx context.Context, s *session) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pending := make(chan answer, 1)
	go func() { pending <- s.poll(ctx, d.Timeout) }()
	post := s.post(ctx, d.connectPacket())
	if !d.judgePost(s, post) {
		s.end()
		cancel()
		<-pending
		return false
	}
	poll := <-pending
	at := place{"polling", s.path}
	if late := poll.received.Sub(post.received); poll.err == nil && late > d.late {
		d.tell(Problem, at, "poll-late", fmt.Sprintf("A poll was answered %s after there was something to say: something in between holds answers back.", seconds(late)), &poll)
	}
	for range maxPolls {
		if isTimeout(errorOr(poll.err)) && d.isHeard(ctx, s.path) {
			d.tellUnjudged(s.path, poll)
			return false
		}
		if isTimeout(errorOr(poll.err)) {
			d.tell(Problem, at, "poll-not-answered", fmt.Sprintf("A poll was not answered within %v though there was something to say: something in between holds answers back.", d.Timeout), &poll)
			return false
		}
		if d.tellFailure(at, poll) {
			return false
		}
		if poll.status != http.StatusOK {
			d.tellLost(at, "poll-refused", "A poll of the session is refused.", poll)
			return false
		}
		for _, packet := range poll.packets() {
			found, refused, message := d.connectAnswer(packet)
			switch {
			case packet == "2":
				s.post(ctx, "3")
			case refused:
				d.tellRefused(s.path, message, poll)
				return false
			case found:
				if !d.report.hasAt("poll-late", s.path) {
					d.tell(OK, at, "polling-ok", fmt.Sprintf("Connected to %s, answered after %d ms.", d.Namespace, max(0, poll.received.Sub(post.received)).Milliseconds()), nil)
				}
				return true
			}
		}
		poll = s.poll(ctx, d.Timeout)
	}
	d.tell(Problem, at, "namespace-silent", fmt.Sprintf("The server does not say whether %s may be joined.", d.Namespace), &poll)
	return false
}

// errorOr makes isTimeout safe to ask of no error.
func errorOr(err error) error {
	if err == nil {
		return context.Canceled
	}
	return err
}

func (d *visit) tellRefused(path, message string, a answer) {
	d.refused = true
	a.body = nil
	code := "namespace-unauthorized"
	switch {
	case message == "Invalid namespace":
		code = "namespace-refused"
	case d.Auth == "":
		message += " (--auth sends what clients are to show)"
	}
	d.tell(Problem, place{"namespace", path}, code, fmt.Sprintf("The server refuses %s: %s.", d.Namespace, message), &a)
}

// judgePost looks at the answer to a post, and reports whether it was taken.
func (d *visit) judgePost(s *session, a answer) bool {
	at := place{"polling", s.path}
	if d.tellFailure(at, a) {
		return false
	}
	switch a.status {
	case http.StatusOK:
		if string(a.body) == "ok" {
			return true
		}
		d.tell(Problem, at, "post-answer", fmt.Sprintf("A post was answered with %q in place of \"ok\": something in between answers for the server.", excerpt(string(a.body))), &a)
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		d.tell(Problem, at, "post-not-allowed", "GET passes and POST does not: clients on polling can listen and not speak.", &a)
	default:
		d.tellLost(at, "post-refused", "GET passes and POST is refused: clients on polling can listen and not speak.", a)
	}
	return false
}

// tellLost tells a refusal, which is another matter when the session is not known.
func (d *visit) tellLost(at place, code, words string, a answer) {
	if refusal, ok := a.protocolError(); ok && refusal == codeUnknownSID {
		d.astray = true
		code, words = "sessions-not-sticky", "A request did not find its session, and earlier ones did: there are several servers, and a balancer does not keep a client on one."
	}
	d.tell(Problem, at, code, words, &a)
}
