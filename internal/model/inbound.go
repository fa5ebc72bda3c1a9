package model

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// inbound is what comes from the client.
type inbound struct {
	// sent are the messages that the program has to hear, next is the one to come.
	sent []Packet
	next int
	// loose is true once it is not known of every message whether the server has to take it.
	loose bool
	// owed is how many bytes the client has sent that the rate does not make up for, at spentAt.
	owed    float64
	spentAt time.Duration
	// heldUntil is until when the server may read no more from the client.
	heldUntil time.Duration
}

// spend counts bytes that the client has sent. A client that sends more than it may is read from more
// slowly; what it sends is then heard late, its pongs among it.
func (s *Session) spend(bytes int) {
	in := &s.in
	if s.o.Rate == 0 {
		return
	}
	in.owed = max(0, in.owed-float64(s.o.Rate)*(s.now-in.spentAt).Seconds())
	in.spentAt = s.now
	const header = 14 // of a frame, the longest
	in.owed += float64(bytes + header)
	if more := in.owed - float64(s.o.Burst); more > 0 {
		in.heldUntil = s.now + time.Duration(more/float64(s.o.Rate)*float64(time.Second))
		s.beat.loose = true
	}
}

// IsHeldBack reports whether the server may read nothing from the client now, since that has sent too
// much.
func (s *Session) IsHeldBack(now time.Duration) bool {
	return s.in.heldUntil > 0 && now <= s.in.heldUntil+s.o.Slack
}

// Message says that the program hears a message.
func (s *Session) Message(now time.Duration, data string, isBinary bool) error {
	s.at(now)
	in := &s.in
	if in.loose {
		// Requests that the client had under way at the same time have no order.
		if i := slices.Index(in.sent[in.next:], Packet{Type: TypeMessage, Data: data, Binary: isBinary}); i > 0 {
			in.sent = slices.Delete(in.sent, in.next+i, in.next+i+1)
			return s.err
		}
	}
	if in.next == len(in.sent) {
		return s.fail("the program hears %q, which the client has not sent, or hears it twice", data)
	}
	if want := in.sent[in.next]; want.Data != data || want.Binary != isBinary {
		return s.fail("the program hears %q (binary: %v), and the client's next message is %v", data, isBinary, want)
	}
	in.next++
	return s.err
}

// ParseFailed says that the program could make no sense of a message.
func (s *Session) ParseFailed(now time.Duration) {
	s.act(now)
	if !s.over.heard {
		s.mustEnd(ParseError)
	}
}

// Panicked says that the program has panicked when it heard a message, which ends the session.
func (s *Session) Panicked(now time.Duration) {
	s.act(now)
	if !s.over.heard {
		s.mustEnd(TransportError)
	}
}

// sends says that the client sends packets in a body.
func (s *Session) sends(body string) {
	if !utf8.ValidString(body) {
		s.mustEnd(ParseError)
		return
	}
	for text := range strings.SplitSeq(body, Separator) {
		p, ok := Decode(text)
		if !ok {
			s.mustEnd(ParseError)
			return
		}
		if s.sendsPacket(p) {
			return
		}
	}
}

// sendsPacket says that the client sends a packet. It reports whether nothing that follows counts.
func (s *Session) sendsPacket(p Packet) (last bool) {
	switch p.Type {
	case TypeMessage:
		if !s.over.heard {
			s.in.sent = append(s.in.sent, p)
		}
	case TypePong:
		s.ponged()
	case TypePing:
		s.mustEnd(TransportError)
		return true
	case TypeClose:
		s.mustEnd(TransportClose)
		return true
	}
	return false
}
