package engineio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// pollState is the long-polling side of a session, guarded by its mutex. See
// "HTTP long-polling" in the Engine.IO protocol.
type pollState struct {
	// active is true while a GET waits or is being answered.
	active bool
	// answering is true while that GET is being answered. The client may have the
	// answer, and send its next GET, before the first one has returned.
	answering bool
	// through, when not nil, is closed when the GET that is being answered has
	// returned: the client's next GET waits for it.
	through chan struct{}
	// wake tells the waiting GET to look again whether there is an answer.
	wake chan struct{}
	// end is the packet that answers a poll once the session is over.
	end wire.PacketType
	// release is true when the waiting GET is to be answered now, though there may
	// be nothing to send.
	release bool
	// posting is true while a POST is being handled.
	posting bool
	// ended, when not nil, is closed with the session.
	ended chan struct{}
	// stopBody makes reading the body of the current POST fail.
	stopBody func()
}

// upgradePollInterval is how long a poll is held once a new transport has been
// probed: most clients wait for their poll to end before they change over. It is
// not shorter, since some do not wait, and those change over at any moment.
const upgradePollInterval = 25 * time.Millisecond

// farewellGrace is how long the POST that closes a session waits for a poll
// that the client has sent at the same time.
const farewellGrace = 20 * time.Millisecond

func (p *pollState) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pollState) abortBody() {
	if p.stopBody != nil {
		p.stopBody()
	}
}

// beginPoll registers a GET. A second one while one is pending is a protocol
// error that ends both and the session; one that comes while the first is
// being answered has its turn next.
func (s *Session) beginPoll(ctx context.Context) *RequestError {
	s.mu.Lock()
	if s.poll.answering && s.poll.through == nil && s.state != stateClosed && s.transport == Polling {
		through := make(chan struct{})
		s.poll.through = through
		s.mu.Unlock()
		select {
		case <-through:
		case <-ctx.Done():
			s.abort(ReasonTransportError)
			return refuse(CodeBadRequest, errAbandoned.Error())
		}
		s.mu.Lock()
	}
	switch {
	case s.state == stateClosed:
		s.mu.Unlock()
		return refuse(CodeUnknownSID, "the session is over")
	case s.transport != Polling:
		s.mu.Unlock()
		return refuse(CodeBadRequest, "poll on a session that was upgraded")
	case s.poll.active:
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		return refuse(CodeBadRequest, "a poll is pending already")
	}
	s.poll.active = true
	if s.poll.wake == nil {
		s.poll.wake = make(chan struct{}, 1)
	}
	select {
	case <-s.poll.wake:
	default:
	}
	s.mu.Unlock()
	return nil
}

// closedByClient ends a session whose client has sent a close packet. Its poll
// is answered with a noop, also one that has not quite come yet: the two were
// sent over different connections.
func (s *Session) closedByClient() {
	s.mu.Lock()
	waits := s.state == stateOpen && (!s.poll.active || s.poll.answering)
	if waits {
		s.state = stateClosing
		s.reason = ReasonTransportClose
		s.poll.end = wire.PacketNoop
		s.poll.ended = make(chan struct{})
		s.pending.clear(&s.server.budget)
	}
	s.mu.Unlock()
	if waits {
		s.tellClosed(ReasonTransportClose)
		select {
		case <-s.poll.ended:
		case <-time.After(farewellGrace):
		}
	}
	s.terminate(ReasonTransportClose, wire.PacketNoop)
}

// errAbandoned is a poll or a POST whose client went away.
var errAbandoned = errors.New("the client went away")

// servePoll answers a registered GET as soon as there is something to say.
func (s *Session) servePoll(w http.ResponseWriter, r *http.Request, in Inbound) error {
	rc := http.NewResponseController(w)
	// A poll is silent for as long as a ping interval, by design.
	_ = rc.SetWriteDeadline(time.Time{})

	noop, err := s.awaitPoll(r.Context(), in.MaxHold)
	if err != nil {
		s.abort(ReasonTransportError)
		s.endPoll(0, 0, 0)
		return err
	}
	in.hold(r.Context())

	s.mu.Lock()
	if s.transport != Polling {
		s.mu.Unlock()
		s.endPoll(0, 0, 0)
		refusal := refuse(CodeBadRequest, "the session was upgraded while its poll was pending")
		refusal.write(w)
		return refusal
	}
	list, bytes := s.pending.take()
	s.inFlight = bytes
	var messages []*wire.Message
	if list != nil {
		messages = list.messages
	}
	var last wire.PacketType
	switch {
	case s.state != stateOpen && list == nil:
		// The end has a response of its own: a client would handle the end first,
		// and lose the messages that came in the same response.
		last = s.poll.end
	case noop && list == nil:
		last = wire.PacketNoop
	}
	timeout := s.options.WriteTimeout
	s.poll.answering = true
	s.mu.Unlock()

	payload := wire.AppendPayload(make([]byte, 0, wire.PayloadSize(messages)+1), messages)
	if last != 0 {
		payload = append(payload, byte(last))
	}
	w.Header().Set("Cache-Control", "no-store")
	if len(messages) > 0 && !slices.ContainsFunc(messages, func(m *wire.Message) bool { return !m.Has(wire.NoCompress) }) {
		w.Header().Set("Cache-Control", "no-store, no-transform")
	} else {
		payload = compressPoll(w.Header(), r, payload, s.options.HTTPCompression)
	}
	done := flushed{messages: len(messages), queued: bytes}
	packets, deliveries := 0, 0
	if list != nil {
		packets, deliveries = list.release(&s.server.budget)
	}
	err = writePoll(w, rc, payload, timeout)
	if err != nil {
		s.abort(ReasonTransportError)
		// It is not known how much of it the client has got.
		payload, packets = nil, 0
	}
	done.written(len(payload), deliveries, err)
	s.server.metrics.flushed(Polling, done)
	s.endPoll(last, len(payload), packets)
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
		done := s.state != stateOpen || s.transport != Polling || !s.pending.empty()
		release := s.poll.release
		if upgrading == nil && s.upgrade != nil && s.upgrade.probed {
			upgrading = time.After(upgradePollInterval)
		}
		wake := s.poll.wake
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

// pollPending reports whether a GET waits or is being answered.
func (s *Session) pollPending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.poll.active
}

// endPoll unregisters a GET. last is the packet it was ended with, if any. The
// answer was of so many bytes and packets.
func (s *Session) endPoll(last wire.PacketType, bytes, packets int) {
	s.mu.Lock()
	s.poll.active, s.poll.answering, s.poll.release = false, false, false
	if s.poll.through != nil {
		close(s.poll.through)
		s.poll.through = nil
	}
	closed := s.state == stateClosed && s.inFlight > 0
	s.writtenLocked(bytes, packets)
	over := s.state == stateClosing && s.conn == nil && last != 0
	ready := s.readyLocked()
	s.mu.Unlock()
	if closed {
		s.server.connections.end(s)
	}
	if over {
		s.terminate(s.reason, last)
	}
	if ready {
		s.server.flusher.push(s, s, 1)
	}
}

// writePoll writes the response of a poll.
func writePoll(w http.ResponseWriter, rc *http.ResponseController, payload []byte, timeout time.Duration) error {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("Content-Length", strconv.Itoa(len(payload)))
	_ = rc.SetWriteDeadline(time.Now().Add(timeout))
	defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	if _, err := w.Write(payload); err != nil {
		return err
	}
	if err := rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// servePost handles the messages of a POST.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request, in Inbound) *RequestError {
	rc := http.NewResponseController(w)
	s.mu.Lock()
	switch {
	case s.state == stateClosed:
		s.mu.Unlock()
		return refuse(CodeUnknownSID, "the session is over")
	case s.transport != Polling:
		s.mu.Unlock()
		return refuse(CodeBadRequest, "post on a session that was upgraded")
	case s.poll.posting:
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		return refuse(CodeBadRequest, "a post is pending already")
	}
	s.poll.posting = true
	s.poll.stopBody = func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) }
	s.mu.Unlock()

	s.slowDown()
	body, reason, refusal := s.readBody(w, rc, r)
	s.mu.Lock()
	s.poll.stopBody = nil
	s.mu.Unlock()
	if refusal == nil {
		refusal = s.handlePayload(body)
	} else {
		s.abort(reason)
	}

	in.hold(r.Context())
	s.mu.Lock()
	s.poll.posting = false
	s.mu.Unlock()
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

// readBody reads a POST's body, all of it or none. A refusal comes with the
// reason to end the session.
func (s *Session) readBody(w http.ResponseWriter, rc *http.ResponseController, r *http.Request) ([]byte, Reason, *RequestError) {
	// The HTTP server takes what is left of the body, within bounds, before it
	// closes the connection: otherwise the answer would be lost as well.
	leave := func(reason Reason, refusal *RequestError) ([]byte, Reason, *RequestError) {
		_ = rc.SetReadDeadline(time.Now().Add(closeGrace))
		return nil, reason, refusal
	}
	if r.Header.Get("Content-Type") == "application/octet-stream" {
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if exceeded := (*http.MaxBytesError)(nil); errors.As(err, &exceeded) {
		return leave(ReasonTooLarge, tooLarge())
	}
	if err != nil {
		return nil, ReasonTransportError, refuse(CodeBadRequest, "the body ended early: "+err.Error())
	}
	return body, "", nil
}

// handlePayload handles the packets of a POST in order.
func (s *Session) handlePayload(body []byte) (refusal *RequestError) {
	// This is returned after a panic.
	refusal = refuseStatus(http.StatusInternalServerError, "panic while handling a payload")
	defer s.server.recoverPanic("panic while handling a payload", s)
	s.arrived(len(body), 0)
	for p, ok := range wire.DecodePayload(body) {
		if !ok {
			s.abort(ReasonParseError)
			return refuse(CodeBadRequest, "malformed payload")
		}
		if !s.arrived(0, countOf(p)) && p.Type != wire.PacketClose {
			continue
		}
		switch p.Type {
		case wire.PacketMessage:
			work, err := s.receive(p.Data, p.Binary)
			if work != nil {
				work.Start()
			}
			if err != nil {
				s.Close(ReasonParseError)
				return nil
			}
		case wire.PacketPong:
			s.onPong()
		case wire.PacketPing:
			s.abort(ReasonTransportError)
			return refuse(CodeBadRequest, "ping from the client")
		case wire.PacketClose:
			s.closedByClient()
			return nil
		}
	}
	return nil
}
