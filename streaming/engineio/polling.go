package engineio

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// polling is what the requests of long-polling share, guarded by the session's mutex.
// See "HTTP long-polling" in the Engine.IO protocol. What they are doing is in the
// session's machine.
type polling struct {
	// wake tells the waiting GET to look again whether there is an answer.
	wake chan struct{}
	// through, when not nil, is closed when the GET that is being answered has
	// returned: the client's next GET waits for it.
	through chan struct{}
	// end is the packet that answers a poll once the session is over.
	end wire.PacketType
	// ended, when not nil, is closed with the session.
	ended chan struct{}
	// conn is the connection that the last answer was written to, or nil when it is not
	// known, or was to be closed after the answer.
	conn net.Conn
	// takenAt is when a slow client has taken the last answer, by the server's clock.
	takenAt int64
	// stopBody makes reading the body of the current POST fail.
	stopBody func()
	// held is true while the answer to a GET is held back, see [Inbound.Hold].
	held bool
}

// upgradePollInterval is how long a poll is held once a new transport has been
// probed: most clients wait for their poll to end before they change over. It is
// not shorter, since some do not wait, and those change over at any moment.
const upgradePollInterval = 25 * time.Millisecond

// farewellGrace is how long the POST that closes a session waits for a poll
// that the client has sent at the same time.
const farewellGrace = 20 * time.Millisecond

func (p *polling) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// beginPoll registers a GET. A second one while one is pending is a protocol
// error that ends both and the session; one that comes while the first is
// being answered has its turn next.
func (s *Session) beginPoll(ctx context.Context) *RequestError {
	for {
		through, refusal := s.registerPoll()
		if through == nil {
			return refusal
		}
		select {
		case <-through:
		case <-ctx.Done():
			s.abort(ReasonTransportError)
			return refuse(CodeBadRequest, errAbandoned.Error())
		}
	}
}

// registerPoll is beginPoll without waiting. When the GET has to wait for its turn,
// through is closed when it may try again.
func (s *Session) registerPoll() (through chan struct{}, refusal *RequestError) {
	s.showsLife()
	s.mu.Lock()
	_, ok := s.stepLocked(evPoll)
	switch {
	case ok && s.machine.poll == pollNext:
		through = make(chan struct{})
		s.polling.through = through
		s.mu.Unlock()
		return through, nil
	case ok:
		if s.polling.wake == nil {
			s.polling.wake = make(chan struct{}, 1)
		}
		select {
		case <-s.polling.wake:
		default:
		}
		s.mu.Unlock()
		return nil, nil
	}
	was := s.machine
	s.mu.Unlock()
	switch {
	case was.life == lifeClosed:
		return nil, refuse(CodeUnknownSID, "the session is over")
	case was.transport() != Polling:
		return nil, refuse(CodeBadRequest, "poll on a session that was upgraded")
	}
	s.fail(ReasonTransportError)
	return nil, refuse(CodeBadRequest, "a poll is pending already")
}

// closedByClient ends a session whose client has sent a close packet. Its poll
// is answered with a noop, also one that has not quite come yet: the two were
// sent over different connections.
func (s *Session) closedByClient() {
	ended := make(chan struct{})
	s.mu.Lock()
	if s.machine.life == lifeOpen {
		s.reason, s.polling.end, s.polling.ended = ReasonTransportClose, wire.PacketNoop, ended
	}
	do, waits := s.stepLocked(evFarewell)
	s.mu.Unlock()
	s.carryOut(do)
	if waits {
		select {
		case <-ended:
		case <-time.After(farewellGrace):
		}
	}
	s.terminate(ReasonTransportClose, wire.PacketNoop)
}

// errAbandoned is a poll or a POST whose client went away.
var errAbandoned = errors.New("the client went away")

// servePoll answers a registered GET as soon as there is something to say.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request, in Inbound) error {
	// A poll is silent for as long as a ping interval, by design.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})

	noop, err := s.awaitPoll(r.Context(), in.MaxHold)
	if err != nil {
		s.abort(ReasonTransportError)
		s.step(evAnswered)
		return err
	}
	s.holdPoll(r.Context(), &in)

	s.mu.Lock()
	if _, ok := s.stepLocked(evAnswer); !ok {
		s.mu.Unlock()
		s.step(evAnswered)
		refusal := refuse(CodeBadRequest, "the session was upgraded while its poll was pending")
		refusal.write(w)
		return refusal
	}
	list, taken := s.takeLocked()
	var last wire.PacketType
	over := evAnswered
	switch {
	case s.machine.life != lifeOpen && list == nil:
		// The end has a response of its own: a client would handle the end first,
		// and lose the messages that came in the same response.
		last, over = s.polling.end, evTold
	case noop && list == nil:
		last = wire.PacketNoop
	}
	if s.polling.conn = in.Conn; r.Close {
		s.polling.conn = nil
	}
	s.mu.Unlock()

	done := flushed{queued: taken.bytes}
	if list != nil {
		done.messages = len(list.messages)
	}
	sent, packets, deliveries, err := s.answerPoll(w, r, list, last)
	if err != nil {
		s.abort(ReasonTransportError)
		// It is not known how much of it the client has got.
		sent, packets = 0, 0
	}
	done.written(sent, deliveries, err)
	s.server.metrics.flushed(Polling, done)
	s.endPoll(over, sent, packets)
	return err
}

// awaitPoll waits until a poll can be answered. noop is true when the poll is to be
// answered with a noop if there is nothing to send.
func (s *Session) awaitPoll(ctx context.Context, maxHold time.Duration) (noop bool, err error) {
	var hold <-chan time.Time
	if maxHold > 0 {
		timer := time.NewTimer(maxHold)
		defer timer.Stop()
		hold = timer.C
	}
	var upgrading <-chan time.Time
	for {
		s.mu.Lock()
		done := s.machine.life != lifeOpen || s.machine.transport() != Polling || !s.pending.empty()
		release := s.machine.poll == pollReleased
		if upgrading == nil && s.machine.upgrade == upgradeProbed {
			upgrading = time.After(upgradePollInterval)
		}
		wake := s.polling.wake
		s.mu.Unlock()
		if done || release {
			return release, nil
		}
		select {
		case <-wake:
		case <-hold:
			return true, nil
		case <-upgrading:
			return true, nil
		case <-ctx.Done():
			return false, errAbandoned
		}
	}
}

// endPoll ends a GET with evAnswered or evTold. The answer was of so many bytes and
// packets.
func (s *Session) endPoll(e event, bytes, packets int) {
	s.mu.Lock()
	s.writtenLocked(bytes, packets)
	s.answeredLocked(bytes)
	do, _ := s.stepLocked(e)
	s.mu.Unlock()
	s.carryOut(do)
}

// servePost handles the messages of a POST.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request, in Inbound) *RequestError {
	rc := http.NewResponseController(w)
	if refusal := s.beginPost(rc); refusal != nil {
		return refusal
	}
	s.slowDown()
	s.makeRoom()
	s.awaitRoom(r.ContentLength)
	body, reason, refusal := s.readBody(w, rc, r)
	s.mu.Lock()
	s.polling.stopBody = nil
	s.mu.Unlock()
	if refusal == nil {
		taken := cap(body)
		if s.options.AllowRevision3 && isForm(r) {
			body, refusal = s.formBody(body)
		}
		if refusal == nil {
			refusal = s.handlePayload(body)
		}
		s.Keep(-taken)
	} else {
		s.fail(reason)
	}

	in.hold(r.Context())
	s.step(evPosted)
	if refusal != nil {
		return refusal
	}
	header := w.Header()
	// text/html, as the reference has it: some user agents offer a
	// text/plain answer for download.
	header.Set("Content-Type", "text/html")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", "2")
	_, _ = io.WriteString(w, "ok")
	return nil
}

// beginPost registers a POST. A second one while one is pending is a protocol error
// that ends the session.
func (s *Session) beginPost(rc *http.ResponseController) *RequestError {
	s.mu.Lock()
	if _, ok := s.stepLocked(evPost); ok {
		s.polling.stopBody = func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }
		s.mu.Unlock()
		return nil
	}
	was := s.machine
	s.mu.Unlock()
	switch {
	case was.life == lifeClosed:
		return refuse(CodeUnknownSID, "the session is over")
	case was.transport() != Polling:
		return refuse(CodeBadRequest, "post on a session that was upgraded")
	}
	s.fail(ReasonTransportError)
	return refuse(CodeBadRequest, "a post is pending already")
}

// readBody reads a POST's body, all of it or none. A refusal comes with the
// reason to end the session.
func (s *Session) readBody(w http.ResponseWriter, rc *http.ResponseController, r *http.Request) ([]byte, Reason, *RequestError) {
	// The HTTP server takes what is left of the body, within bounds, before it
	// closes the connection: otherwise the answer would be lost as well.
	leave := func(reason Reason, refusal *RequestError) ([]byte, Reason, *RequestError) {
		_ = rc.SetReadDeadline(time.Now().Add(closeGrace))
		return nil, reason, refusal
	}
	if r.Header.Get("Content-Type") == "application/octet-stream" && s.Revision() == Revision4 {
		return leave(ReasonTransportError, refuse(CodeBadRequest, "binary body, which revision 4 of the protocol has not"))
	}
	limit := s.options.MaxPayload
	tooLarge := func() *RequestError {
		return refuseStatus(http.StatusRequestEntityTooLarge, "body over the limit of "+strconv.FormatInt(limit, 10)+" bytes")
	}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		return leave(ReasonTooLarge, tooLarge())
	}
	body, err := s.readAll(livingReader{s, http.MaxBytesReader(w, r.Body, limit)})
	if exceeded := (*http.MaxBytesError)(nil); errors.As(err, &exceeded) {
		return leave(ReasonTooLarge, tooLarge())
	}
	if err != nil {
		return nil, ReasonTransportError, refuse(CodeBadRequest, "the body ended early: "+err.Error())
	}
	return body, "", nil
}

// handlePayload handles the packets of a POST in order. What the client has to wait
// for, it leaves to the backlog.
func (s *Session) handlePayload(body []byte) (refusal *RequestError) {
	// This is returned after a panic.
	refusal = refuseStatus(http.StatusInternalServerError, "panic while handling a payload") //nolint:wastedassign // see above
	defer s.server.recoverPanic("panic while handling a payload", s)
	s.arrived(len(body), 0)
	if !s.Revision().isValid(body) {
		s.fail(ReasonParseError)
		return refuse(CodeBadRequest, "malformed payload")
	}
	if s.putOff(body) {
		return nil
	}
	rest, refusal := s.handlePackets(body, cap(body))
	if rest != nil {
		s.startBacklog(compact(rest, cap(body)))
	}
	return refusal
}

// handlePackets handles the packets of a payload in order, until the client has to
// wait. rest is what is left then. The payload is a part of a body that takes memory
// bytes.
func (s *Session) handlePackets(payload []byte, memory int) (rest []byte, refusal *RequestError) {
	for {
		p, rest, ok := s.Revision().cut(payload)
		if !ok {
			s.fail(ReasonParseError)
			return nil, refuse(CodeBadRequest, "malformed payload")
		}
		if p.Type == wire.PacketMessage {
			p.Data = ownMemory(p, memory)
		}
		if more, refusal := s.handlePacket(p); !more {
			return nil, refusal
		}
		if rest == nil || s.spending.held.Load() {
			return rest, nil
		}
		payload = rest
	}
}

// handlePacket handles a packet of long-polling. more is false when nothing that
// comes after it is to be handled.
func (s *Session) handlePacket(p wire.Packet) (more bool, refusal *RequestError) {
	if !s.arrived(0, countOf(p)) && p.Type != wire.PacketClose {
		return true, nil
	}
	switch p.Type {
	case wire.PacketMessage:
		work, err := s.receive(p.Data, p.Binary)
		if work != nil {
			work.Start()
		}
		if err != nil {
			s.Close(ReasonParseError)
			return false, nil
		}
	case wire.PacketPong:
		s.onPong()
	case wire.PacketPing:
		if s.onPing() {
			return true, nil
		}
		s.fail(ReasonTransportError)
		return false, refuse(CodeBadRequest, "ping from the client")
	case wire.PacketClose:
		s.closedByClient()
		return false, nil
	}
	return true, nil
}
