package engineio

import (
	"net"
	"net/http"
	"time"

	"github.com/gobwas/ws"
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

var probeAnswer = newStaticPacket(packetPong, probe)

// cancel gives the attempt up; the session stays as it is.
func (u *upgrade) cancel() {
	u.timer.Stop()
	closeAbruptly(u.conn)
}

// upgradeLocked returns the attempt that is to be cancelled when the session
// ends. One that has no connection yet will see the end by itself.
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
func (s *Session) serveUpgrade(w http.ResponseWriter, r *http.Request) *RequestError {
	u := new(upgrade)
	if refusal := s.beginUpgrade(u); refusal != nil {
		s.server.metrics.upgradeFailed(upgradeRefused)
		refuseUpgrade(w, r, refusal)
		return refusal
	}
	deflate := s.options.Deflate != nil && offersDeflate(r.Header)
	conn, before, refusal := acceptWebSocket(w, r, deflate)
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
	reader := newFrameReader(conn, s.options.MaxPayload, before)
	reader.deflate = deflate
	go s.probe(u, reader)
	return nil
}

// refuseUpgrade closes the WebSocket it has accepted: that is how the Node.js
// implementation refuses an upgrade that comes too late.
func refuseUpgrade(w http.ResponseWriter, r *http.Request, refusal *RequestError) {
	conn, _, failure := acceptWebSocket(w, r, false)
	refusal.Status = http.StatusSwitchingProtocols
	if failure != nil {
		return
	}
	closeUnused(conn)
}

// closeUnused closes a WebSocket that has no session, with a close frame.
func closeUnused(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(newCloseFrame(ws.StatusNoStatusRcvd).wire)
	_ = conn.Close()
}

// probe serves the new connection until the client confirms the upgrade, and
// from then on reads from it for the session.
func (s *Session) probe(u *upgrade, f *frameReader) {
	if s.negotiate(u, f) {
		u.timer.Stop()
		s.readWebSocket(f)
		return
	}
	s.server.metrics.upgradeFailed(s.whyNotUpgraded(u.timer.Stop()))
	s.endUpgrade()
	f.giveBack()
	closeUnused(f.conn)
}

// negotiate reports whether the session was moved to the new connection.
func (s *Session) negotiate(u *upgrade, f *frameReader) (moved bool) {
	defer s.server.recoverPanic("panic during an upgrade", s)
	for {
		op, data, err := f.next()
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
		p, ok := decodeText(data)
		switch {
		case ok && p.kind == packetPing && string(p.data) == probe:
			if !s.answerProbe(u, f) {
				return false
			}
		case ok && p.kind == packetUpgrade:
			return s.moveTo(f)
		default:
			return false
		}
	}
}

// answerProbe answers the probe and lets the pending poll end soon.
func (s *Session) answerProbe(u *upgrade, f *frameReader) bool {
	_ = f.conn.SetWriteDeadline(time.Now().Add(s.options.WriteTimeout))
	if _, err := f.conn.Write(probeAnswer.wire); err != nil {
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

// moveTo makes the connection that f reads from the session's. A poll that is still pending is
// ended first, and only then is anything written to it.
func (s *Session) moveTo(f *frameReader) bool {
	s.mu.Lock()
	s.upgrade = nil
	if s.state != stateOpen {
		s.mu.Unlock()
		return false
	}
	s.transport = WebSocket
	s.upgraded = true
	s.server.metrics.upgraded()
	s.conn = f.conn
	if f.deflate {
		s.deflate = s.options.Deflate
	}
	s.writeDeadline = 0
	ready := s.readyLocked()
	s.mu.Unlock()
	if ready {
		s.server.flusher.push(s, s, 1)
	}
	return true
}
