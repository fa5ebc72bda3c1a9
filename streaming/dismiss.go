package streaming

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// CodeDisconnected is the code that a client gets with CONNECT_ERROR when the
// server disconnects its socket, see [Socket.Disconnect], before the socket has
// connected.
const CodeDisconnected = "disconnected"

// CodeKicked is the code of a client that an operator has disconnected, see
// [Socket.Kick].
const CodeKicked = "kicked"

// The refusals of a socket that the server ends while it is connecting.
var (
	errDisconnected     = &ConnectError{Message: "disconnected by the server", Data: json.RawMessage(`{"code":"` + CodeDisconnected + `"}`)}
	errKicked           = &Refusal{Code: CodeKicked, Reason: "disconnected by an operator"}
	errInvalidNamespace = &ConnectError{Message: "Invalid namespace"}
)

// Kick is [Socket.Disconnect] for a decision against this client. Each of its sockets
// that are disconnected gets an "error" event {message, code: "kicked"} before that,
// and one that is still connecting, or that waits for its client until that is back, gets
// CONNECT_ERROR with [CodeKicked], so that a client which comes back by itself after other
// ends knows that it is not to. What the authenticator remembers of it is forgotten, so
// that it is judged anew when it connects again.
func (s *Socket) Kick(closeConnection bool) {
	s.logKick()
	s.namespace.forget(s.identityID())
	if closeConnection {
		s.client().end(engineio.ReasonForcedClose, errKicked)
	}
	s.dismiss(ReasonServerDisconnect, errKicked)
}

// close ends the socket and tells its client nothing. Only the first call of
// close, dismiss or refuse does anything.
func (s *Socket) close(reason Reason) { s.closeIf(reason, func() bool { return true }) }

// closeIf is close for one of whom something holds, which it asks for while it has the lock.
func (s *Socket) closeIf(reason Reason, holds func() bool) {
	if end, ok := s.shutIf(holds); ok {
		end.settle(reason)
	}
}

// dismiss ends the socket because the server has decided so, and tells its
// client. A client that is connected gets DISCONNECT, and before that an "error"
// event if there is a refusal. A client that is still connecting gets
// CONNECT_ERROR.
func (s *Socket) dismiss(reason Reason, why *Refusal) {
	if why == nil && s.namespace.removed.Load() {
		reason = ReasonNamespaceRemoved
	}
	// The client may connect again as soon as it is told.
	s.client().dismissed(s)
	end, ok := s.shut()
	if !ok {
		return
	}
	if why != nil && !end.waits.IsZero() {
		s.namespace.kicked.add(s.pid(), end.waits)
	}
	if end.was == socketConnected {
		s.greet()
		s.namespace.rooms.takeLeave(s)
		if why != nil {
			s.namespace.counts.eventTo(s)
			s.sendLast(&packet.Packet{Type: packet.TypeEvent, Event: "error", Args: errorArgs(why.Code, why.message())})
		}
		s.sendLast(&packet.Packet{Type: packet.TypeDisconnect})
		end.settle(reason)
		return
	}
	var refusal error = errDisconnected
	switch {
	case why != nil:
		refusal = why
	case reason == ReasonNamespaceRemoved:
		refusal = errInvalidNamespace
	}
	end.settle(reason)
	s.answerRefused(refusal)
}

// sendLast sends a packet to the client of a socket that has just been closed.
func (s *Socket) sendLast(p *packet.Packet) {
	p.Namespace = s.namespace.name
	s.namespace.server.taps.toOne(s, p)
	s.client().session.Send(p.Encode())
}

// refuse ends a socket that may not connect, and answers CONNECT_ERROR.
func (s *Socket) refuse(err error) {
	s.client().dismissed(s)
	end, ok := s.shut()
	if !ok {
		// The client is gone, or dismiss has answered it.
		return
	}
	end.settle(ReasonServerDisconnect)
	s.answerRefused(err)
}

// answerRefused logs why a socket may not connect, and answers CONNECT_ERROR.
func (s *Socket) answerRefused(err error) {
	refusal := &ConnectError{Message: notAuthorized}
	if !errors.As(err, &refusal) {
		if r := (*Refusal)(nil); errors.As(err, &r) {
			refusal = r.connectError()
		}
	}
	s.client().logRefused(s.namespace, s.namespace.name, err)
	s.client().sendConnectError(s.namespace.name, refusal)
}

// socketEnd is a socket that has just been closed.
type socketEnd struct {
	socket *Socket
	// was is the state that the socket was in.
	was  socketState
	acks map[uint64]owedAck
	// waits is until when it would have waited for its client, or zero if its client was there.
	waits time.Time
}

// shut puts the socket into its last state. ok is false when it is in that
// already. Otherwise the caller tells the client what it is to know, and calls
// settle.
func (s *Socket) shut() (end socketEnd, ok bool) { return s.shutIf(func() bool { return true }) }

func (s *Socket) shutIf(holds func() bool) (end socketEnd, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == socketClosed || !holds() {
		return socketEnd{}, false
	}
	end = socketEnd{socket: s, was: s.state, acks: s.acks, waits: s.waitsUntilLocked()}
	s.backLocked()
	s.state = socketClosed
	s.acks = nil
	s.judgedLocked()
	s.client().session.Keep(-len(end.acks) * ackBytes)
	s.keepAuthLocked(0)
	if s.cancel != nil {
		s.cancel()
	}
	s.endContextLocked()
	return end, true
}

// settle takes the socket out of its rooms and has its handlers told.
func (end socketEnd) settle(reason Reason) {
	s := end.socket
	s.greeted.Store(takesLeave)
	s.namespace.server.auth.take(s)
	left := s.namespace.rooms.remove(s)
	if c := s.client(); c.drops(s) {
		// Its client has come back to it in the moment in which it was ended: it is to begin anew.
		c.session.Close(engineio.ReasonForcedClose)
	}
	if s.kept != nil {
		s.kept.End()
	}
	if len(left) > 0 {
		s.mu.Lock()
		s.extrasLocked().left = left
		s.mu.Unlock()
	}
	for _, answer := range end.acks {
		answer.take(packet.Args{}, ErrDisconnected)
	}
	if end.was == socketConnected {
		s.namespace.counts.sockets.Add(-1)
		s.finish(task{disconnect: true, reason: reason}, dropsEvents(reason))
	} else {
		s.finish(task{}, true)
	}
}

// dropsEvents reports whether the events that a client has sent are dropped
// when its socket ends for this reason: that is so when the server has ended it.
func dropsEvents(reason Reason) bool {
	return reason == ReasonServerDisconnect || reason == ReasonNamespaceRemoved ||
		reason == ReasonAuthExpired || reason == ReasonAuthRevoked
}
