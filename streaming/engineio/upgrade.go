package engineio

import (
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// attempt is an attempt to move a session from long-polling to WebSocket. See
// "Upgrade" in the Engine.IO protocol: the client probes the new transport,
// the server ends the pending poll, the client confirms. How far it is says the
// session's machine.
type attempt struct {
	conn  net.Conn
	timer *time.Timer
}

var probeAnswer = wire.NewStatic(wire.PacketPong, wire.Probe)

// cancel gives the attempt up; the session stays as it is.
func (a *attempt) cancel() {
	a.timer.Stop()
	closeAbruptly(a.conn)
}

// beginUpgrade claims the session for an upgrade, before the connection is
// taken over.
func (s *Session) beginUpgrade() *RequestError {
	if len(s.options.upgrades(Polling)) == 0 {
		return refuse(CodeBadRequest, "upgrades are off")
	}
	s.mu.Lock()
	was := s.machine
	_, ok := s.stepLocked(evUpgrade)
	s.mu.Unlock()
	switch {
	case ok:
		return nil
	case was.life != lifeOpen:
		return refuse(CodeUnknownSID, "the session is over")
	case was.transport() != Polling:
		return refuse(CodeBadRequest, "the session has been upgraded already")
	}
	return refuse(CodeBadRequest, "an upgrade is under way already")
}

// serveUpgrade answers a WebSocket request for an existing session.
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request, in Inbound) *RequestError {
	if refusal := s.beginUpgrade(); refusal != nil {
		s.server.metrics.upgradeFailed(upgradeRefused)
		refuseUpgrade(w, r, in, refusal)
		return refusal
	}
	deflate := s.options.acceptDeflate(r)
	conn, before, refusal := acceptWebSocket(w, r, in, deflate)
	if refusal != nil {
		s.server.metrics.upgradeFailed(upgradeRefused)
		s.step(evUpgradeFailed)
		return refusal
	}
	a := &attempt{conn: conn, timer: time.AfterFunc(s.options.UpgradeTimeout, func() { closeAbruptly(conn) })}
	s.mu.Lock()
	s.attempt = a
	do, _ := s.stepLocked(evAccepted)
	s.mu.Unlock()
	s.carryOut(do)
	reader := wire.NewReader(conn, probeLimit, before)
	reader.Deflate = deflate != ""
	go s.probe(a, reader)
	return nil
}

// refuseUpgrade accepts the WebSocket and closes it, as the Node.js implementation
// refuses an upgrade that comes too late. It notes in the refusal that the request
// is answered.
func refuseUpgrade(w http.ResponseWriter, r *http.Request, in Inbound, refusal *RequestError) {
	conn, _, failure := acceptWebSocket(w, r, in, "")
	refusal.Status, refusal.Answered = http.StatusSwitchingProtocols, true
	if failure != nil {
		return
	}
	closeUnused(conn)
}

// closeUnused closes a WebSocket that has no session, with a close frame.
func closeUnused(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	farewell, _ := wire.NewClose(ws.StatusNoStatusRcvd).Frames(0)
	_, _ = conn.Write(farewell)
	_ = conn.Close()
}

// probeLimit is the largest message, in bytes, that is read from a WebSocket before the
// session has been moved to it: there is nothing long to say.
const probeLimit = 1 << 10

// probe serves the new connection until the client confirms the upgrade, and
// from then on reads from it for the session.
func (s *Session) probe(a *attempt, f *wire.Reader) {
	if s.negotiate(a, f) {
		a.timer.Stop()
		f.Limit = s.options.MaxPayload
		s.awaitBacklog()
		s.readWebSocket(f)
		return
	}
	s.server.metrics.upgradeFailed(s.whyNotUpgraded(a.timer.Stop()))
	s.step(evUpgradeFailed)
	f.Release()
	closeUnused(a.conn)
}

// negotiate reports whether the session was moved to the new connection.
func (s *Session) negotiate(a *attempt, f *wire.Reader) (moved bool) {
	defer s.server.recoverPanic("panic during an upgrade", s)
	for {
		op, data, err := f.Next()
		if err != nil {
			return false
		}
		switch op {
		case ws.OpPong:
			continue
		case ws.OpPing:
			// See section 5.5.2 of RFC 6455.
			if !a.answer(wire.NewControl(ws.OpPong, data), s.options.WriteTimeout) {
				return false
			}
			continue
		case ws.OpText:
		default:
			return false
		}
		p, ok := wire.DecodeText(data)
		switch {
		case ok && p.Type == wire.PacketPing && string(p.Data) == wire.Probe:
			if !a.answer(probeAnswer, s.options.WriteTimeout) {
				return false
			}
			// The pending poll ends soon.
			s.step(evProbed)
		case ok && p.Type == wire.PacketUpgrade:
			return s.moveTo(a.conn, f.Deflate)
		default:
			return false
		}
	}
}

// answer writes to a connection that is not the session's yet. Only the goroutine that
// reads from it does so.
func (a *attempt) answer(m *wire.Message, timeout time.Duration) (ok bool) {
	_ = a.conn.SetWriteDeadline(time.Now().Add(timeout))
	frames, _ := m.Frames(0)
	if _, err := a.conn.Write(frames); err != nil {
		// A part of the frame may have been written, so nothing may follow it.
		closeAbruptly(a.conn)
		return false
	}
	// A deadline that has passed would break a TLS connection whose peer asks for new keys.
	_ = a.conn.SetWriteDeadline(time.Time{})
	return true
}

// moveTo makes the connection the session's, whose client may have agreed to
// deflate. A poll that is still pending is ended first, and only then is
// anything written to the connection. A session that is closing is moved, too: its
// client has left long-polling behind, and learns of the end from the WebSocket.
func (s *Session) moveTo(conn net.Conn, deflate bool) bool {
	s.mu.Lock()
	do, ok := s.stepLocked(evConfirmed)
	if ok {
		s.attempt, s.conn, s.polling.conn, s.polling.takenAt = nil, conn, nil, 0
		if deflate {
			s.deflate = s.options.Deflate.Threshold
		}
		if s.machine.life == lifeOpen {
			s.server.metrics.upgraded(s.Revision())
		}
	}
	s.mu.Unlock()
	s.carryOut(do)
	return ok
}
