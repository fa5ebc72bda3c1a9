package model

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// slowest is how many bytes in a second the slowest client takes of an answer.
const slowest = 4000

// Poll is a GET of the client that has not been answered.
type Poll struct {
	// blocked is true while the client takes nothing of the answer, since then.
	blocked bool
	since   time.Duration
	sent    time.Duration
	// doubtful is true for a poll that was sent while another one was under way, or on a session
	// that may be over or on another transport: it may be refused.
	doubtful bool
	// rested is true once everything was at rest with the poll waiting: the server has it.
	rested bool
}

// Poll says that the client polls. blocked says that it takes nothing of the answer yet. The first
// poll of a session is its handshake.
func (s *Session) Poll(now time.Duration, blocked bool) *Poll {
	s.act(now)
	s.takes(s.now)
	p := &Poll{blocked: blocked, since: s.now, sent: s.now}
	p.doubtful = len(s.polls) > 0 || s.sock != nil || s.over.gone || s.over.told || s.over.must && !s.over.closing
	if !p.doubtful {
		s.beat.aliveAt = s.now
	}
	if len(s.polls) > 0 {
		// Two polls at a time are against the protocol. A client may have the answer of the first
		// one before the server knows.
		for _, other := range s.polls {
			other.doubtful = true
		}
		s.mayEnd(TransportError)
		if s.over.closing {
			s.over.gone = true
		}
	}
	s.polls = append(s.polls, p)
	return p
}

// Blocked says that the client takes nothing of an answer, or takes it again.
func (s *Session) Blocked(now time.Duration, p *Poll, blocked bool) {
	s.act(now)
	p.blocked, p.since = blocked, s.now
	// An answer that it has not taken may be coming.
	p.rested = p.rested && blocked
	s.takes(s.now)
}

// Took says that a client takes so many bytes of an answer, and then nothing again.
func (s *Session) Took(now time.Duration, p *Poll, bytes int) {
	s.act(now)
	if p.blocked && bytes >= s.o.Chunk {
		p.since = s.now
	}
	s.takes(s.now)
}

// Abandon says that the client gives a poll up before it has the answer.
func (s *Session) Abandon(now time.Duration, p *Poll) {
	s.act(now)
	s.polls = slices.DeleteFunc(s.polls, func(has *Poll) bool { return has == p })
	s.mayEnd(TransportError)
	s.over.gone = true
	if !s.over.heard && !s.websocket && !p.doubtful {
		s.mustEnd(TransportError)
	}
}

// Broken says that the server has broken off the answer of a poll, which ends the session.
func (s *Session) Broken(now time.Duration, p *Poll) error {
	s.at(now)
	s.polls = slices.DeleteFunc(s.polls, func(has *Poll) bool { return has == p })
	if !s.over.heard {
		if !p.blocked || s.now-p.since < s.o.WriteTimeout {
			return s.fail("the answer of a poll is broken off for no reason")
		}
		s.mustEnd(TransportError)
	}
	s.over.gone = true
	return s.err
}

// Answered says that a poll was answered.
func (s *Session) Answered(now time.Duration, p *Poll, status int, body string) error {
	s.at(now)
	if !slices.Contains(s.polls, p) {
		return s.err
	}
	s.polls = slices.DeleteFunc(s.polls, func(has *Poll) bool { return has == p })
	if status != http.StatusOK {
		return s.refused(p, status)
	}
	if body == "" {
		return s.fail("a poll is answered with nothing")
	}
	// A slow client may still be at the answer.
	s.takes(s.now + time.Duration(len(body))*time.Second/slowest)
	packets := strings.Split(body, Separator)
	for _, text := range packets {
		packet, ok := Decode(text)
		if !ok {
			return s.fail("a poll is answered with %q, which is no packet", text)
		}
		alone := len(packets) == 1
		switch packet.Type {
		case TypeNoop:
			if !alone {
				return s.fail("a noop comes with other packets")
			}
			if !s.released && !s.probed && !s.ends() && !(s.o.MaxHold > 0 && s.now-p.sent >= s.o.MaxHold) {
				return s.fail("a poll is answered with a noop for no reason")
			}
		case TypeClose:
			if err := s.tell(); err != nil {
				return err
			}
			s.over.byPoll = true
			if !alone && s.over.closing && !s.over.gone {
				return s.fail("the end comes together with messages")
			}
		default:
			if err := s.received(packet); err != nil {
				return err
			}
		}
	}
	return s.err
}

// tell says that the client is told of the end.
func (s *Session) tell() error {
	switch {
	case s.over.told:
		return s.fail("the end is told twice")
	case !s.ends():
		return s.fail("the end is told of a session that is open")
	case !s.over.gone && s.out.waits() && !s.isCut():
		return s.fail("the end is told, and %v is lost", s.out.messages[s.out.next].Packets[0])
	}
	s.over.told = true
	return s.err
}

// refused says that a poll was refused.
func (s *Session) refused(p *Poll, status int) error {
	switch {
	case !s.opened && (s.over.closing || s.o.SharedBuffer > 0) && status == http.StatusServiceUnavailable:
		// The server was shut down before the session began, or has no memory for it.
		s.over.refused = true
		return s.err
	case status != http.StatusBadRequest:
		return s.fail("a poll is answered with status %d", status)
	case p.doubtful, s.over.gone, s.over.told, s.websocket, s.sock != nil:
		return s.err
	case s.over.must && !s.over.closing:
		return s.err
	case s.isCut():
		// The session was over before the poll came.
		return s.err
	}
	return s.fail("a poll is refused")
}

// Post is a POST of the client that has not been answered.
type Post struct {
	begun    time.Duration
	complete bool
	doubtful bool
	// legal is true when the body has nothing that ends the session.
	legal bool
}

// Post says that the client begins a POST.
func (s *Session) Post(now time.Duration) *Post {
	s.act(now)
	s.takes(s.now)
	p := &Post{begun: s.now, doubtful: len(s.posts) > 0 || s.websocket || s.sock != nil || s.ends()}
	if len(s.posts) > 0 {
		for _, other := range s.posts {
			other.doubtful = true
		}
		s.mayEnd(TransportError)
		s.in.loose, s.beat.loose = true, true
		if s.over.closing {
			s.over.gone = true
		}
	}
	s.posts = append(s.posts, p)
	return p
}

// Complete says that the client has sent the body of a POST. sent says that the form of the request is
// one that the protocol has.
func (s *Session) Complete(now time.Duration, p *Post, body string, sent bool) {
	s.act(now)
	p.complete = true
	s.takes(s.now)
	switch {
	case !sent:
		s.mustEndPost(p, TransportError)
	case len(body) > s.o.MaxPayload:
		s.mustEndPost(p, TooLarge)
	case p.doubtful:
		s.sendsDoubtful(body)
	default:
		was := s.over.must
		s.shows(len(body))
		s.sends(body)
		p.legal = was == s.over.must
	}
}

// sendsDoubtful is sends for a body that may be refused as a whole. The model gives up on knowing
// what the program hears.
func (s *Session) sendsDoubtful(body string) {
	s.over.gone, s.in.loose, s.beat.loose = true, true, true
	s.mayEnd(TransportError, TransportClose, ParseError)
	for text := range strings.SplitSeq(body, Separator) {
		switch p, ok := Decode(text); {
		case !ok:
			return
		case p.Type == TypeMessage && !s.over.heard:
			s.in.sent = append(s.in.sent, p)
		case p.Type == TypePong:
			s.ponged()
		}
	}
}

// mustEndPost is mustEnd if the POST is looked at.
func (s *Session) mustEndPost(p *Post, reason string) {
	if p.doubtful {
		s.mayEnd(reason, TransportError)
		s.over.gone = true
		return
	}
	s.mustEnd(reason)
}

// CutPost says that the client gives a POST up before its body is complete.
func (s *Session) CutPost(now time.Duration, p *Post) {
	s.act(now)
	s.posts = slices.DeleteFunc(s.posts, func(has *Post) bool { return has == p })
	if !s.over.heard {
		s.mustEndPost(p, TransportError)
	}
}

// PostAnswered says that a POST was answered.
func (s *Session) PostAnswered(now time.Duration, p *Post, status int, body string) error {
	s.at(now)
	s.posts = slices.DeleteFunc(s.posts, func(has *Post) bool { return has == p })
	switch {
	case status == http.StatusOK && body != "ok":
		return s.fail("a POST is answered with %q", body)
	case status == http.StatusOK && !p.complete:
		return s.fail("a POST is answered with ok before it has come")
	case status != http.StatusOK && p.legal && !s.ends():
		return s.fail("a POST is answered with status %d", status)
	}
	return s.err
}
