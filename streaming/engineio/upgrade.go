package engineio

import (
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// upgrade is an attempt to move a session from long-polling to WebSocket. See
// "Upgrade" in the Engine.IO protocol: the client probes the new transport,
// the server ends the pending poll, the client confirms.
type upgrade struct {
	conn  net.Conn
	timer *time.Timer
	// probed is true once the probe was answered: from then on polls are
	// held only briefly. Guarded by the session's mutex.
	probed bool
}

var probeAnswer = wire.NewStatic(wire.PacketPong, wire.Probe)

// cancel gives the attempt up; the session stays as it is.
func (u *upgrade) cancel() {
	u.timer.Stop()
	closeAbruptly(u.conn)
}

// upgradeLocked returns the attempt that is to be cancelled when the session ends.
// There is none while the attempt has no connection yet: serveUpgrade then sees by
// itself that the session has ended.
func (s *Session) upgradeLocked() *upgrade {
	if s.upgrade == nil || s.upgrade.conn == nil {
		return nil
	}
	return s.upgrade
}

// beginUpgrade claims the session for an upgrade, before the connection is
// taken over.
func (s *Session) beginUpgrade(u *upgrade) *RequestError {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != stateOpen:
		return refuse(CodeUnknownSID, "the session is over")
	case s.transport != Polling:
		return refuse(CodeBadRequest, "the session has been upgraded already")
	case s.upgrade != nil:
		return refuse(CodeBadRequest, "an upgrade is under way already")
	case len(s.options.upgrades(Polling)) == 0:
		return refuse(CodeBadRequest, "upgrades are off")
	}
	s.upgrade = u
	return nil
}

// endUpgrade releases the session after an attempt.
func (s *Session) endUpgrade() {
	s.mu.Lock()
	s.upgrade = nil
	s.mu.Unlock()
}

// serveUpgrade answers a WebSocket request for an existing session.
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request, in Inbound) *RequestError {
	u := new(upgrade)
	if refusal := s.beginUpgrade(u); refusal != nil {
		s.server.metrics.upgradeFailed(upgradeRefused)
		refuseUpgrade(w, r, in, refusal)
		return refusal
	}
	deflate := s.options.Deflate != nil && wire.OffersDeflate(r.Header["Sec-Websocket-Extensions"])
	conn, before, refusal := acceptWebSocket(w, r, in, deflate)
	if refusal != nil {
		s.server.metrics.upgradeFailed(upgradeRefused)
		s.endUpgrade()
		return refusal
	}
	s.mu.Lock()
	u.conn = conn
	u.timer = time.AfterFunc(s.options.UpgradeTimeout, func() { closeAbruptly(conn) })
	over := s.state != stateOpen
	s.mu.Unlock()
	if over {
		u.cancel()
	}
	reader := wire.NewReader(conn, s.options.MaxPayload, before)
	reader.Deflate = deflate
	go s.probe(u, reader)
	return nil
}

// refuseUpgrade accepts the WebSocket and closes it, as the Node.js implementation
// refuses an upgrade that comes too late. It notes in the refusal that the request
// is answered.
func refuseUpgrade(w http.ResponseWriter, r *http.Request, in Inbound, refusal *RequestError) {
	conn, _, failure := acceptWebSocket(w, r, in, false)
	refusal.Status, refusal.Answered = http.StatusSwitchingProtocols, true
	if failure != nil {
		return
	}
	closeUnused(conn)
}

// closeUnused closes a WebSocket that has no session, with a close frame.
func closeUnused(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(wire.NewClose(ws.StatusNoStatusRcvd).Frames(0))
	_ = conn.Close()
}

// probe serves the new connection until the client confirms the upgrade, and
// from then on reads from it for the session.
func (s *Session) probe(u *upgrade, f *wire.Reader) {
	if s.negotiate(u, f) {
		u.timer.Stop()
		s.readWebSocket(f)
		return
	}
	s.server.metrics.upgradeFailed(s.whyNotUpgraded(u.timer.Stop()))
	s.endUpgrade()
	f.Release()
	closeUnused(u.conn)
}

// negotiate reports whether the session was moved to the new connection.
func (s *Session) negotiate(u *upgrade, f *wire.Reader) (moved bool) {
	defer s.server.recoverPanic("panic during an upgrade", s)
	for {
		op, data, err := f.Next()
		if err != nil {
			return false
		}
		switch op {
		case ws.OpPing, ws.OpPong:
			continue
		case ws.OpText:
		default:
			return false
		}
		p, ok := wire.DecodeText(data)
		switch {
		case ok && p.Type == wire.PacketPing && string(p.Data) == wire.Probe:
			if !s.answerProbe(u, f) {
				return false
			}
		case ok && p.Type == wire.PacketUpgrade:
			return s.moveTo(u.conn, f.Deflate)
		default:
			return false
		}
	}
}

// answerProbe answers the probe, and makes the pending poll end soon.
func (s *Session) answerProbe(u *upgrade, f *wire.Reader) bool {
	_ = u.conn.SetWriteDeadline(time.Now().Add(s.options.WriteTimeout))
	if _, err := u.conn.Write(probeAnswer.Frames(0)); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u.probed = true
	if s.poll.active {
		s.poll.wakeUp()
	}
	return true
}

// moveTo makes the connection the session's, whose client may have agreed to
// deflate. A poll that is still pending is ended first, and only then is
// anything written to the connection.
func (s *Session) moveTo(conn net.Conn, deflate bool) bool {
	s.mu.Lock()
	s.upgrade = nil
	if s.state != stateOpen {
		s.mu.Unlock()
		return false
	}
	s.transport = WebSocket
	s.upgraded = true
	s.server.metrics.upgraded()
	s.conn = conn
	if deflate {
		s.deflate = s.options.Deflate.Threshold
	}
	s.writeDeadline = 0
	ready := s.readyLocked()
	s.mu.Unlock()
	if ready {
		s.server.flusher.push(s, s, 1)
	}
	return true
}
