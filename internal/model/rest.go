package model

import (
	"slices"
	"time"
)

// Rest says that everything is at rest: nothing happens until the client or the program does
// something or time passes. What the server could have done by now it must have done. busy says that
// a handler of the client is at work, which lets the server be late by Slack, as a client does that
// does not read.
func (s *Session) Rest(now time.Duration, busy bool) error {
	s.at(now)
	busy = busy || s.sock != nil && s.sock.blocked
	late := !busy || s.now-s.acted > s.o.Slack
	switch {
	case s.err != nil || s.over.refused || s.IsHeldBack(s.now):
		return s.err
	case late && s.over.must && !s.over.heard:
		return s.fail("the session has not ended, for which there is reason: %s", list(s.over.may))
	case s.mustTimeOut():
		return s.fail("the session has not ended, and the client has not answered for %v", s.now-s.beat.pongAt)
	}
	if err := s.restPolls(); err != nil {
		return err
	}
	for _, p := range s.posts {
		// The server may wait a little for the poll of a client that takes its leave by a POST.
		patient := !p.legal && s.now-s.acted <= s.o.Slack
		switch {
		case s.held || patient:
		case p.complete:
			return s.fail("a POST that is complete is not answered")
		case s.isGone():
			return s.fail("a POST of a session that has ended is not answered")
		}
	}
	if late && !s.over.heard && !s.in.loose && s.in.next < len(s.in.sent) {
		return s.fail("the program has not heard %v", s.in.sent[s.in.next])
	}
	if s.sock != nil {
		return s.sock.Rest(late)
	}
	return s.err
}

// isGone reports whether the server must have forgotten the session: its client knows of the end, or
// is not waited for any longer.
func (s *Session) isGone() bool {
	if !s.over.heard {
		return false
	}
	atOnce := s.over.told || s.over.reason == PingTimeout || s.over.reason == SlowClient
	wait := s.o.CloseWait + s.o.Slack
	if s.sock != nil && !s.sock.ended {
		wait += s.o.UpgradeTimeout
	}
	return atOnce || s.now > s.over.at+wait
}

// mustTimeOut reports whether the client has been silent for so long that its session must be over. A
// client that takes something is not silent, and the server may give it as much time again for what it has not read yet.
func (s *Session) mustTimeOut() bool {
	since := max(s.beat.pongAt+s.o.PingInterval, s.beat.tookAt)
	return !s.over.heard && !s.beat.loose && !s.isBlocked() && s.now > since+2*s.o.PingTimeout+s.o.Slack
}

// isBlocked reports whether the client takes nothing of what is written to it.
func (s *Session) isBlocked() bool {
	return s.sock != nil && s.sock.blocked || slices.ContainsFunc(s.polls, func(p *Poll) bool { return p.blocked })
}

// pingIsDue reports whether a ping must have come.
func (s *Session) pingIsDue() bool {
	return !s.over.heard && !s.beat.since && !s.beat.loose && s.now > s.beat.pongAt+s.o.PingInterval+s.o.Slack
}

func (s *Session) restPolls() error {
	for _, p := range s.polls {
		p.rested = true
	}
	if s.held {
		return s.err
	}
	waiting := 0
	for _, p := range s.polls {
		if p.blocked {
			return s.err
		}
		waiting++
		switch {
		case s.over.heard:
			return s.fail("a poll of a session that has ended is not answered")
		case s.websocket && s.sock.blocked:
			// The server may be writing an answer to a probe.
		case s.websocket:
			return s.fail("a poll is not answered though the client has moved to a WebSocket")
		case !s.opened:
			return s.fail("the handshake is not answered")
		case s.out.waits():
			return s.fail("a poll is not answered, and %v waits", s.out.messages[s.out.next].Packets[s.out.part])
		case s.pingIsDue():
			return s.fail("a poll is not answered, and a ping is due")
		case s.o.MaxHold > 0 && s.now-p.sent > s.o.MaxHold && !p.doubtful:
			return s.fail("a poll is held for %v", s.now-p.sent)
		case s.sock != nil && s.sock.probed && !s.sock.ended && s.now-max(p.sent, s.sock.probedAt) > s.o.PollEnd:
			return s.fail("a poll is held for %v though the client waits to change over", s.now-max(p.sent, s.sock.probedAt))
		}
	}
	if waiting > 1 {
		return s.fail("two polls wait at the same time")
	}
	return s.err
}

// Rest is [Session.Rest] for a socket. It needs to be called for spare sockets alone.
func (k *Socket) Rest(late bool) error {
	s := k.s
	if s.err != nil || k.cut || k.ended || k.blocked {
		return s.err
	}
	switch {
	case k.spare && !k.closeSeen:
		return s.fail("a second socket is not closed")
	case k.spare:
		return s.fail("a second socket is not ended")
	case !k.confirmed:
		return k.restAttempt()
	}
	k.settled = true
	switch {
	case !late, len(s.polls) > 0:
		// Nothing is written to the socket before the last poll has ended.
		return s.err
	case !s.opened && !s.over.gone:
		return s.fail("the open packet has not come")
	case s.out.waits() && !s.over.gone:
		return s.fail("%v has not come", s.out.messages[s.out.next].Packets[s.out.part])
	case len(k.pings) > 0 && !s.ends():
		return s.fail("a ping frame is not answered: %q", k.pings[len(k.pings)-1])
	case s.over.heard && s.over.closing && !s.over.gone && !k.closeSeen:
		return s.fail("the session is over, and its client is not told")
	case k.closeSeen && k.closeSent:
		return s.fail("both sides have sent close frames, and the connection is not ended")
	case k.closeSeen && s.now-k.closeAt > s.o.CloseGrace+s.o.Slack:
		return s.fail("the connection is not ended after a close frame")
	case s.over.heard && s.over.gone && s.now-s.over.at > s.o.CloseGrace+3*s.o.WriteTimeout+s.o.Slack:
		return s.fail("the session is over, and its connection is not ended")
	case s.pingIsDue():
		return s.fail("no ping comes")
	}
	return s.err
}

func (k *Socket) restAttempt() error {
	s := k.s
	switch {
	case s.now-k.begun > s.o.UpgradeTimeout+s.o.Slack:
		return s.fail("an upgrade is not given up in time")
	case k.dead:
		return s.fail("a socket that is not the session's is not ended")
	case k.probes > 0 && !s.ends():
		return s.fail("a probe is not answered")
	case len(k.pings) > 0 && !s.ends():
		return s.fail("a ping frame is not answered before the upgrade: %q", k.pings[len(k.pings)-1])
	}
	return s.err
}

// Finish says that nothing more will happen, after the program has closed the session and the client
// has been given the time to hear of it.
func (s *Session) Finish(now time.Duration) error {
	s.at(now)
	switch {
	case s.err != nil || s.over.refused:
		return s.err
	case !s.over.heard:
		return s.fail("the session never ends")
	case s.over.gone:
		return s.err
	case s.out.waits():
		return s.fail("%v is lost", s.out.messages[s.out.next].Packets[s.out.part])
	case !s.over.told:
		return s.fail("the client is never told of the end")
	}
	return s.err
}

// IsReachable reports whether the client still has a claim to be told of the end.
func (s *Session) IsReachable() bool { return !s.over.gone && !s.over.told }

// IsOpened reports whether the client has got the open packet.
func (s *Session) IsOpened() bool { return s.opened }

// Told reports whether the client was told of the end.
func (s *Session) Told() bool { return s.over.told }

// Polling reports how many polls wait for an answer.
func (s *Session) Polling() int { return len(s.polls) }

// Posting reports how many POSTs wait for an answer.
func (s *Session) Posting() int { return len(s.posts) }

// Socket is the socket that the session is on, or is to move to; nil without one.
func (s *Session) Socket() *Socket { return s.sock }
