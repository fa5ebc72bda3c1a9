package model

import "time"

// outbound is what goes to the client.
type outbound struct {
	messages []Message
	// next is the message whose packet part is to come next.
	next, part int
	// bytes is the size of what was accepted and has not come.
	bytes int
}

func (o *outbound) undelivered() int { return len(o.messages) - o.next }

// waits reports whether there is a message that has to come.
func (o *outbound) waits() bool {
	for i := o.next; i < len(o.messages); i++ {
		if !o.messages[i].Volatile {
			return true
		}
	}
	return false
}

// overhead is what a message may count for besides its contents, in bytes.
const overhead = 256

// Sent says that the program has given the server a message, and whether the server has taken it.
func (s *Session) Sent(now time.Duration, m Message, ok bool) error {
	s.act(now)
	size := m.size()
	// The answer of a poll is made of the messages in it, and may count besides them.
	waiting := 2*(s.out.bytes+size) + overhead*(s.out.undelivered()+1)
	most := s.o.SendBuffer
	if s.o.SharedBuffer > 0 {
		most = min(most, s.o.ModestBuffer)
	}
	if waiting > most {
		s.mayEnd(SlowClient)
	}
	switch {
	case ok && s.over.heard:
		return s.fail("the server takes a message after the end of the session")
	case !ok && !s.ends() && !m.Volatile:
		return s.fail("the server refuses a message of a session that is open")
	case !ok && !s.ends() && s.out.undelivered() == 0:
		return s.fail("the server drops a message though nothing waits for the client")
	case ok:
		s.out.messages = append(s.out.messages, m)
		s.out.bytes += size
		if s.over.unserved && !s.onSocket() {
			// The poll that was to bring the news of the end brings this.
			s.over.gone = true
		}
	}
	return s.err
}

// delivered says that a message packet has come.
func (s *Session) delivered(p Packet) error {
	o := &s.out
	for i := o.next; i < len(o.messages); i++ {
		m := &o.messages[i]
		part := 0
		if i == o.next {
			part = o.part
		}
		if m.Packets[part] == p {
			o.next, o.part = i, part+1
			if o.part == len(m.Packets) {
				o.bytes -= m.size()
				o.next, o.part = i+1, 0
			}
			return s.err
		}
		if !m.Volatile || part > 0 {
			if s.contains(p, i) {
				return s.fail("%v comes before %v, which was sent earlier", p, m.Packets[part])
			}
			break
		}
		// A volatile message was dropped.
		o.bytes -= m.size()
	}
	if s.containsBefore(p) {
		return s.fail("%v comes twice, or late", p)
	}
	return s.fail("%v comes, which was not sent", p)
}

func (s *Session) contains(p Packet, from int) bool {
	for _, m := range s.out.messages[from:] {
		for _, has := range m.Packets {
			if has == p {
				return true
			}
		}
	}
	return false
}

func (s *Session) containsBefore(p Packet) bool {
	for _, m := range s.out.messages[:min(s.out.next+1, len(s.out.messages))] {
		for _, has := range m.Packets {
			if has == p {
				return true
			}
		}
	}
	return false
}

// received says that any packet has come by a transport that is the session's.
func (s *Session) received(p Packet) error {
	if s.over.told {
		return s.fail("%v comes after the end was told", p)
	}
	if !s.opened {
		if p.Type != TypeOpen || p.Binary {
			return s.fail("%v comes before the open packet", p)
		}
		s.opened = true
		return s.err
	}
	switch p.Type {
	case TypeMessage:
		return s.delivered(p)
	case TypePing:
		return s.pinged(p)
	default:
		return s.fail("%v comes, which makes no sense here", p)
	}
}

// heartbeat is what is known of pings and pongs.
type heartbeat struct {
	// pongAt is when the client has last answered a ping, or when the session began.
	pongAt time.Duration
	// tookAt is when the client has last sent something, or gone on taking what comes.
	tookAt time.Duration
	// aliveAt is when the server has last had to hear or see that the client is there, besides by a
	// pong.
	aliveAt time.Duration
	// pingAt is when the last ping has come.
	pingAt time.Duration
	// pings counts what has come, pongs what was sent.
	pings, pongs int
	// since is true when a ping has come since the last pong.
	since bool
	// loose is true once it is not known whether the server has got each pong.
	loose bool
}

func (s *Session) pinged(p Packet) error {
	b := &s.beat
	b.pings++
	b.since = true
	// A client that is there, but has not answered, is pinged again.
	again := b.pingAt > 0 && s.now >= b.pingAt+min(s.o.PingInterval, s.o.PingTimeout)
	b.pingAt = s.now
	switch {
	case p.Data != "":
		return s.fail("a ping with data")
	case b.pings > b.pongs+1 && !b.loose && !again:
		return s.fail("a ping comes before the last one was answered")
	case b.pongs == 0 && s.now < b.pongAt+s.o.PingInterval:
		return s.fail("a ping comes before the ping interval is over")
	}
	return s.err
}

// takes says that the client has sent something, or is at taking something, up to a time.
func (s *Session) takes(until time.Duration) { s.beat.tookAt = max(s.beat.tookAt, until) }

// shows says that the client does something that the server must take for a sign of life: it has sent
// so many bytes.
func (s *Session) shows(bytes int) {
	s.beat.aliveAt = s.now
	s.spend(bytes)
}

// ponged says that the client has answered a ping, or has sent a pong for no reason.
func (s *Session) ponged() {
	if s.over.heard {
		return
	}
	s.beat.pongs++
	s.beat.since = false
	if !s.beat.loose {
		s.beat.pongAt = s.now
	}
}

// Undelivered yields the messages that were accepted, may still have to come, and wait in the
// server's memory.
func (s *Session) Undelivered() []Message {
	if s.over.gone || s.over.heard && !s.over.closing {
		return nil
	}
	return s.out.messages[s.out.next:]
}
