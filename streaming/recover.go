package streaming

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/caddy-socketio/socketio-stream/internal/logline"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// A socket whose connection is cut stays as it is, and waits for its client: it keeps its rooms, what
// event sets know of it, and the answers that it owes. What is sent to it meanwhile is in the log of its
// namespace. When its client is back, it gets the new connection in place of the old one, and what it has
// missed. See "Connection state recovery" in the documentation of Socket.IO.

// recoverable are the reasons for which a connection ends that a client may come back from.
var recoverable = []Reason{
	engineio.ReasonTransportClose, engineio.ReasonTransportError, engineio.ReasonPingTimeout, engineio.ReasonForcedClose,
	engineio.ReasonSlowClient, engineio.ReasonStuckClient, engineio.ReasonShutdown,
}

// absence is the time of a socket without its client.
type absence struct {
	// reason is why the connection has ended.
	reason Reason
	// wait is nil until the socket counts among those that wait.
	wait *recovery.Wait
}

// heartbeatsBehind is for how many heartbeats it may not be known what a client has heard, see
// [recovery.Session.Beat].
const heartbeatsBehind = 3

// setRecovery turns recovery on or off. What waits ends when it is turned off.
func (s *Server) setRecovery(options Options) {
	o, engine := options.Recovery, options.Engine
	if s.ending.Load() {
		return
	}
	if o.Window > 0 {
		o.MaxBytes = cmp.Or(o.MaxBytes, recovery.DefaultMaxBytes)
		o.MaxPackets = cmp.Or(o.MaxPackets, recovery.DefaultMaxPackets)
		o.Lag = heartbeatsBehind*cmp.Or(engine.PingInterval, engineio.DefaultPingInterval) +
			cmp.Or(engine.PingTimeout, engineio.DefaultPingTimeout) + cmp.Or(engine.WriteTimeout, engineio.DefaultWriteTimeout)
	}
	if ended := s.recovery.Use(o); ended > 0 {
		s.logger.Info("recovery turned off", "sockets", ended)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.namespaces {
		switch {
		case o.Window <= 0:
			n.rooms.log.Store(nil)
		case n.rooms.log.Load() == nil:
			n.rooms.log.Store(s.recovery.NewLog())
		}
	}
}

// keepNothing forgets what is kept for the clients of a namespace.
func (n *Namespace) keepNothing() {
	if log := n.rooms.log.Swap(nil); log != nil {
		log.Close()
	}
}

// keep has a new socket be one that can be recovered, where that is wanted.
func (s *Socket) keep() {
	if s.client().speaks3() {
		return
	}
	if log := s.namespace.rooms.log.Load(); log != nil {
		s.kept = log.NewSession(s.id)
	}
}

// keptFor says whose client the socket's is.
func (s *Socket) keptFor(c *client) {
	if s.kept == nil {
		return
	}
	s.kept.Of(keptAs(s.Identity()), c.session.Handshake().Address())
	offset, ok := offsetOf(s.AuthObject())
	if !ok {
		offset = noOffset
	}
	s.kept.Brings(offset)
}

// keptAs tells clients apart for whom something is kept. It is nil where nothing is known of one.
func keptAs(identity *Identity) any {
	type known struct{ method, id string }
	if identity == nil {
		return nil
	}
	return known{identity.Method, identity.ID}
}

// pid is what the client shows to be recovered, or "".
func (s *Socket) pid() string {
	if s.kept == nil {
		return ""
	}
	return s.kept.PID()
}

// Fields of the payload of CONNECT by which a client asks to be recovered. See "Connection state recovery" of
// Socket.IO.
const (
	pidField    = "pid"
	offsetField = "offset"
)

// noOffset is in place of what is no offset: no client can name it.
const noOffset = "-"

// offsetOf is the offset that a client names when it connects, or "" if it names none. ok is false if it
// names what is none.
func offsetOf(auth packet.Object) (offset string, ok bool) {
	if auth.Field(offsetField) == nil {
		return "", true
	}
	offset, ok = auth.Text(offsetField)
	return offset, ok && recovery.IsOffset(offset)
}

// lose is called when the socket's connection has ended. The socket waits for its client, or ends. It does
// nothing if it has another client by now.
func (s *Socket) lose(c *client, reason Reason) {
	its := func() bool { return s.client() == c }
	n := s.namespace
	waits := s.kept != nil && s.kept.Log() == n.rooms.log.Load() && !n.removed.Load() &&
		(!n.server.ending.Load() || n.server.keeps.Load() && n.restores()) && slices.Contains(recoverable, reason)
	a := &absence{reason: reason}
	s.mu.Lock()
	bytes := len(s.auth)
	if waits = waits && s.state == socketConnected && its(); waits {
		s.away = a
	}
	s.mu.Unlock()
	if !waits {
		s.closeIf(reason, its)
		return
	}
	wait := n.server.recovery.Wait(s.kept, bytes, func() { s.endAbsence(a) })
	if wait == nil {
		s.endAbsence(a)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away == a {
		a.wait = wait
	} else {
		wait.Stop()
	}
}

// endAbsence ends a socket that still waits.
func (s *Socket) endAbsence(a *absence) {
	s.closeIf(a.reason, func() bool { return s.away == a })
}

// backLocked ends the absence, if there is one.
func (s *Socket) backLocked() {
	if s.away != nil && s.away.wait != nil {
		s.away.wait.Stop()
	}
	s.away = nil
}

// waitsUntilLocked is until when the socket waits for its client, or zero if that is there.
func (s *Socket) waitsUntilLocked() time.Time {
	switch {
	case s.away == nil:
		return time.Time{}
	case s.away.wait == nil:
		return time.Now().Add(s.namespace.server.recovery.Window())
	}
	return s.away.wait.Until()
}

// reachable reports whether the socket is connected and does not wait for its client.
func (s *Socket) reachable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == socketConnected && s.away == nil
}

// recover has the client of a socket that is about to connect go on with the socket that it had before,
// in place of this one, if it asks for that and all can be told that it has missed. It reports false if
// the client goes on with this socket. before is the recheck of the time when its client was asked.
func (s *Socket) recover(before *recheck) bool {
	pid, ok := s.AuthObject().Text(pidField)
	log := s.namespace.rooms.log.Load()
	if !ok || log == nil {
		return false
	}
	reason := s.recoverBy(pid, log, before)
	server := s.namespace.server
	server.recovery.Count(reason)
	if reason != recovery.Recovered && server.unrecovered.Allow(s.namespace.name+codeSeparator+reason.String()) {
		server.logger.Info("client not recovered", "namespace", s.namespace.name, "reason", reason.String(),
			"connection", s.client().session.LogID(), "client_ip", s.Handshake().RemoteAddr)
	}
	return reason == recovery.Recovered
}

// newUnrecovered returns the limit for lines about clients that were not recovered, whose kinds are
// namespaces with a reason.
func newUnrecovered(logger *slog.Logger) *logline.Limiter {
	return logline.NewLimiter(func(kind string, more int64) {
		namespace, reason, _ := strings.Cut(kind, codeSeparator)
		logger.Info("more clients not recovered", "namespace", namespace, "reason", reason, "count", more)
	})
}

func (s *Socket) recoverBy(pid string, log *recovery.Log, before *recheck) recovery.Reason {
	id, secret, ok := recovery.SplitPID(pid, socketIDLength)
	if !ok {
		return recovery.ForgedPID
	}
	old := s.namespace.rooms.find(id)
	if old == nil || old.kept == nil || old.kept.Log() != log {
		return recovery.UnknownPID
	}
	if !old.kept.Knows(secret) {
		return recovery.ForgedPID
	}
	if !isSameClient(old.Identity(), s.Identity()) {
		return recovery.OtherIdentity
	}
	reason := old.resume(s, log, before)
	if reason != recovery.Recovered && reason != recovery.Left {
		// Its client is here, and does not come back to it.
		old.giveUp()
	}
	return reason
}

// isSameClient reports whether two identities, which may be nil, are those of one client.
func isSameClient(one, other *Identity) bool {
	if one == nil || other == nil {
		return one == other
	}
	return one.isSame(other) && one.Method == other.Method
}

// resume gives the socket the client of another one that is about to connect, in place of the client that
// it had.
func (s *Socket) resume(next *Socket, log *recovery.Log, recheck *recheck) (reason recovery.Reason) {
	before, now := s.Identity(), next.Identity()
	if s.losesRoom(before, now) {
		return recovery.LostRight
	}
	var end socketEnd
	var old *client
	s.namespace.rooms.atHome(s, func() {
		old = s.client()
		end, reason = s.resumeAtHome(next, log)
	})
	if reason != recovery.Recovered {
		return reason
	}
	end.settle("")
	old.remove(s)
	// It may be half open: nobody has noticed yet that it is gone.
	old.session.Close(engineio.ReasonForcedClose)
	s.recheckSince(recheck)
	return reason
}

// resumeAtHome is resume while nobody else sends to the socket. end is that of the other one.
func (s *Socket) resumeAtHome(next *Socket, log *recovery.Log) (end socketEnd, reason recovery.Reason) {
	auth := next.AuthObject()
	offset, ok := offsetOf(auth)
	if !ok {
		return end, recovery.BadOffset
	}
	place, reason := s.kept.After(offset)
	if reason != recovery.Recovered {
		return end, reason
	}
	c := next.client()
	address := c.session.Handshake().Address()
	if !s.kept.MayReturn(address) {
		return end, recovery.TooMuch
	}
	before, identity := s.Identity(), next.Identity()
	may := func(room string) bool { return identity == nil || identity.Rooms.Allow(room) }
	missed, ok := log.Missed(s.kept, place, may, s.owes())
	s.kept.Returns(address, place, missed)
	if !ok {
		return end, recovery.NotKept
	}
	waiting, limit := c.session.Backlog()
	for _, m := range missed {
		waiting += m.Cost()
	}
	if waiting > limit/2 {
		return end, recovery.TooMuch
	}
	if identity != nil && !s.namespace.server.auth.give(s, identity, nil) {
		return end, recovery.UnknownPID
	}
	if end, reason = s.attach(c, next); reason != recovery.Recovered {
		return end, reason
	}
	s.keptFor(c)
	s.kept.Resume(offset, place)
	c.connected(s.namespace, identity)
	s.Do(func() {
		for _, handler := range s.namespace.handlers.Load().recover {
			handler(s)
		}
	})
	if identity != nil {
		s.identityChanged(before)
	}
	s.sendConnected(c)
	for _, m := range missed {
		c.session.SendUnderLocks(m, false)
	}
	return end, recovery.Recovered
}

// attach puts the socket in the place that another one, which is about to connect, has with its client,
// and ends that one.
func (s *Socket) attach(c *client, next *Socket) (end socketEnd, reason recovery.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(c.sockets, next)
	if c.closed || c.leaves || at < 0 {
		return end, recovery.Left
	}
	if s.state != socketConnected {
		return end, recovery.UnknownPID
	}
	auth := next.Auth()
	end, ok := next.shut()
	if !ok {
		return end, recovery.Left
	}
	s.backLocked()
	c.sockets[at] = s
	s.conn.Store(c)
	s.auth = auth
	s.keepAuthLocked(len(auth))
	return end, recovery.Recovered
}

// giveUp ends the socket, since its client goes on with another one.
func (s *Socket) giveUp() {
	s.mu.Lock()
	a := s.away
	s.mu.Unlock()
	if a != nil {
		s.endAbsence(a)
		return
	}
	c := s.client()
	c.remove(s)
	s.close(engineio.ReasonTransportClose)
	c.session.Close(engineio.ReasonForcedClose)
}

// owes returns a function that reports whether the socket owes an answer.
func (s *Socket) owes() func(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owed := make(map[uint64]struct{}, len(s.acks))
	for id := range s.acks {
		owed[id] = struct{}{}
	}
	return func(id uint64) bool {
		_, ok := owed[id]
		return ok
	}
}

// sendConnected queues the answer to CONNECT.
func (s *Socket) sendConnected(c *client) {
	p := packet.Packet{Type: packet.TypeConnect, Namespace: s.namespace.name, Object: c.welcome(s)}
	c.session.SendUnderLocks(p.Encode(), true)
}
