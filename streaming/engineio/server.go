package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
)

// Accept is called for each new session before anything is read from it. It
// returns who listens, and does nothing with the session yet.
type Accept func(*Session) Listener

// Server is an Engine.IO server. Use [New]; end it with Shutdown or Close.
type Server struct {
	options atomic.Pointer[Options]
	accept  Accept
	logger  *slog.Logger
	callers *callers

	started time.Time
	table   *table
	flusher *flusher
	readers *readers
	wheel   wheel
	losses  losses
	// budget counts what waits for clients, received what has come from them.
	budget, received *budget
	// unfinished are the sessions that have sent much that is not complete.
	unfinished unfinishedList
	// connections logs the starts and ends of sessions.
	connections *connectionLog
	metrics     metrics
	// open counts the open sessions, alive also those whose client
	// has still to be told of the end.
	open     atomic.Int64
	alive    atomic.Int64
	stopping atomic.Bool
	pollers  pollerCounts
	// admission bounds how many handshakes are let in a second.
	admission admission
}

// New returns a server. logger may be nil.
func New(options Options, accept Accept, logger *slog.Logger) *Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{accept: accept, logger: logger, started: time.Now(), table: newTable(), callers: newCallers(), budget: newBudget(), received: newBudget()}
	s.connections = newConnectionLog(logger)
	s.SetOptions(options)
	s.flusher = newFlusher(logger)
	s.readers = newReaders()
	s.wheel.clock = s.clock
	s.wheel.tick = func(now int64) {
		s.readers.tick()
		s.flusher.stuck(now, func(session *Session) { s.losses.add(session, ReasonStuckClient) })
	}
	s.wheel.needed = func() bool { return s.alive.Load() > 0 }
	s.wheel.fire = func(session *Session, now int64) {
		defer s.recoverPanic("panic in a heartbeat", session)
		session.onDeadline(now)
	}
	return s
}

// CountWith makes the limits of addresses count the sessions of another server too, which this one
// takes the place of. It must be called before a session is made.
func (s *Server) CountWith(other *Server) { s.callers, s.started = other.callers, other.started }

// SetOptions changes the options for sessions that begin from now on.
func (s *Server) SetOptions(options Options) {
	filled := options.withDefaults()
	s.admission.set(filled.HandshakeRate)
	s.options.Store(filled)
}

// Sessions is the number of open sessions.
func (s *Server) Sessions() int { return int(s.open.Load()) }

// clock is the time since the server was made, in nanoseconds.
func (s *Server) clock() int64 { return int64(time.Since(s.started)) }

// forget removes a session from what requests and the wheel can find.
func (s *Server) forget(session *Session) {
	s.table.remove(session)
	s.wheel.stop(session)
}

// recoverPanic, deferred, keeps a panic from ending the process: it logs it
// and ends the session it came from.
func (s *Server) recoverPanic(message string, session *Session) {
	if r := recover(); r != nil {
		s.logger.Error(message, "panic", r, "stack", string(debug.Stack()))
		session.abort(ReasonTransportError)
	}
}

// ServeHTTP handles a request of the protocol and writes the response. in is
// what the HTTP server in front knows of the request; its zero value is for when
// there is none. The error, if there is one, is for the log: a *[RequestError]
// when the request was refused.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request, in Inbound) error {
	in.fill(r)
	if refusal := s.serve(w, r, in); refusal != nil {
		s.metrics.refused(refusal)
		if r.ContentLength != 0 {
			// The HTTP server takes what is left of a body before it goes on.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(closeGrace))
		}
		if !refusal.Answered {
			refusal.write(w)
		}
		return refusal
	}
	return nil
}

// Handler returns the server as a handler of all requests that it gets, for
// programs that have nothing in front of it. What is refused is logged at debug
// level.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.ServeHTTP(w, r, Inbound{}); err != nil {
			s.logger.Debug("request failed", "error", err, "remote", r.RemoteAddr)
		}
	})
}

// serve checks the origin, and then the request in the order of the Node.js
// implementation, so that a request with several faults gets the same answer.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, in Inbound) *RequestError {
	options := s.options.Load()
	if refusal := checkOrigin(r, in, options); refusal != nil {
		return refusal
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(CodeBadRequest, "malformed query: "+err.Error())
	}
	for _, name := range []string{"transport", "sid", "EIO"} {
		if len(query[name]) > 1 {
			// A proxy may have decided by the other one.
			return refuse(CodeBadRequest, "the parameter "+name+" is given twice")
		}
	}
	transport := Transport(query.Get("transport"))
	if !options.allows(transport) {
		return refuse(CodeUnknownTransport, "transport "+boundedQuote(string(transport))+" is unknown or off")
	}
	upgrading := transport == WebSocket && isWebSocketRequest(r)
	if sid := query.Get("sid"); sid != "" {
		return s.serveSession(w, r, in, sid, transport, upgrading)
	}
	revision, known := options.revisionOf(query)
	switch {
	case r.Method != http.MethodGet:
		return refuse(CodeBadHandshakeMethod, "handshake with method "+r.Method)
	case transport == WebSocket && !upgrading:
		return refuse(CodeBadRequest, "transport=websocket without an upgrade: a proxy in front does not pass on the headers Upgrade and Connection, or the client sends none")
	case !known:
		return refuse(CodeUnsupportedVersion, "protocol revision "+boundedQuote(query.Get("EIO"))+remedyOfRevision(query))
	case s.stopping.Load():
		return refuseForLater(causeStopping, "the server is going down")
	}
	if upgrading {
		if refusal := checkWebSocketRequest(r); refusal != nil {
			return refusal
		}
	}
	from := in.clientAddr(r)
	visit, refusal := s.callers.enter(from, &options.Limits, s.clock())
	if refusal != nil {
		return refusal
	}
	defer visit.end()
	if s.exhausted(options.ServerBuffer, refuseAt) {
		return refuseForLater(causeServerBuffer, "too much waits for other clients, or has come from them")
	}
	if open := s.open.Add(1); options.MaxSessions > 0 && open > int64(options.MaxSessions) {
		s.open.Add(-1)
		return refuseForLater(causeMaxSessions, "the limit of connections is reached")
	}
	if !s.admission.allow() {
		s.open.Add(-1)
		return refuseForLater(causeHandshakeRate, "more clients come at a time than handshake_rate lets in")
	}
	in.RemoteAddr = from.Addr
	return s.handshake(w, r, in, options, revision, transport, &visit)
}

// boundedQuote makes a client's text fit for a log line.
func boundedQuote(text string) string {
	const most = 32
	if len(text) > most {
		text = text[:most] + "…"
	}
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// serveSession handles a request that names a session.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, in Inbound, sid string, transport Transport, upgrading bool) *RequestError {
	session := s.table.get(sid)
	if session == nil {
		return refuse(CodeUnknownSID, "no session of that ID")
	}
	if session.isLost(s.clock()) {
		session.abort(ReasonPingTimeout)
		return refuse(CodeUnknownSID, "the session has missed its heartbeat")
	}
	switch {
	case upgrading:
		if refusal := checkWebSocketRequest(r); refusal != nil {
			return refusal
		}
		return session.serveUpgrade(w, r, in)
	case transport != Polling:
		return refuse(CodeBadRequest, "transport=websocket without an upgrade: a proxy in front does not pass on the headers Upgrade and Connection, or the client sends none")
	}
	switch r.Method {
	case http.MethodGet:
		if refusal := session.beginPoll(r.Context()); refusal != nil {
			return refusal
		}
		s.servePoll(session, w, r, in)
		return nil
	case http.MethodPost:
		return session.servePost(w, r, in)
	default:
		return refuse(CodeBadRequest, "method "+r.Method+" on a session")
	}
}

func (s *Server) servePoll(session *Session, w http.ResponseWriter, r *http.Request, in Inbound) {
	if err := session.servePoll(w, r, in); err != nil {
		s.logger.Debug("poll failed", "error", err, "client_ip", session.handshake.RemoteAddr)
	}
}

// handshake makes a session, which counts among the open ones already.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, in Inbound, options *Options, revision Revision, transport Transport, visit *visit) *RequestError {
	session := &Session{
		id:       newSessionID(),
		server:   s,
		options:  options,
		account:  s.budget.account(),
		received: s.received.account(),
		// Clients that take no bytes say so in every request, or take scripts.
		form: revision.form(r.URL.Query().Get("b64") != "" || options.callOf(r) != ""),
		handshake: &Handshake{
			Header:     r.Header.Clone(),
			URL:        r.URL.RequestURI(),
			RemoteAddr: in.RemoteAddr,
			Secure:     r.TLS != nil,
			SameOrigin: in.SameOrigin,
			Time:       time.Now(),
		},
	}
	begun := false
	defer func() {
		if !begun {
			s.abandon(session)
		}
	}()
	if in.Attributes != nil {
		session.handshake.Attributes = in.Attributes()
	}
	if options.Cookie != nil {
		http.SetCookie(w, options.Cookie(r, session.id))
	}
	if transport == WebSocket {
		deflate := options.acceptDeflate(r)
		conn, before, refusal := acceptWebSocket(w, r, in, deflate)
		if refusal != nil {
			return refusal
		}
		session.take(visit)
		reader := wire.NewReader(conn, options.MaxPayload, before)
		session.conn, session.machine.writer = conn, writerIdle
		if deflate != "" {
			reader.Deflate = true
			session.deflate = options.Deflate.Threshold
		}
		s.begin(session)
		begun = true
		go session.readWebSocket(reader)
		return nil
	}
	session.take(visit)
	s.begin(session)
	begun = true
	if refusal := session.beginPoll(r.Context()); refusal != nil {
		return refusal
	}
	s.servePoll(session, w, r, in)
	return nil
}

// begin brings a session to life: the open packet is queued first, then
// everything that listens is attached, and only then can anything be read or
// written.
func (s *Server) begin(session *Session) {
	s.alive.Add(1)
	s.connections.begin(session)
	s.metrics.opened(session.Transport(), session.Revision())
	s.attach(session)
	session.Keep(session.handshake.excess())
	session.startHeartbeat(s.clock())
	if opener, ok := session.listener.(Opener); ok && session.Revision() == Revision3 {
		opener.Open()
	}

	session.step(evQueued)
	if s.stopping.Load() {
		session.Close(ReasonShutdown)
	}
}

// attach queues the open packet and attaches the listener. After a panic in Accept
// nothing is left of what begin has done.
func (s *Server) attach(session *Session) {
	session.mu.Lock()
	defer session.mu.Unlock()
	defer func() {
		if session.listener == nil {
			s.alive.Add(-1)
			s.metrics.closed(session.machine.transport(), session.Revision(), ReasonTransportError)
			session.pending.clear(session.account)
		}
	}()
	session.queueLocked(session.openPacket())
	// A timer of the listener's that ends the session waits for the lock.
	session.listener = s.accept(session)
	s.table.put(session)
	s.pollers.move(notPolling, session.machine.poller())
}

// abandon gives back what a session took that has not begun: its handshake was
// refused, or what was called for it has panicked.
func (s *Server) abandon(session *Session) {
	s.open.Add(-1)
	session.leaveCallers()
	if session.conn != nil {
		closeAbruptly(session.conn)
	}
}

// openPacket is the handshake. See "Handshake" in the Engine.IO protocol.
func (s *Session) openPacket() *wire.Message {
	data, _ := json.Marshal(struct {
		SID          string      `json:"sid"`
		Upgrades     []Transport `json:"upgrades"`
		PingInterval int64       `json:"pingInterval"`
		PingTimeout  int64       `json:"pingTimeout"`
		MaxPayload   int64       `json:"maxPayload"`
	}{s.id, s.options.upgrades(s.machine.transport()), s.options.PingInterval.Milliseconds(), s.options.PingTimeout.Milliseconds(), s.options.MaxPayload})
	return wire.NewPacket(wire.PacketOpen, string(data))
}

// sessionIDBytes is the entropy of a session ID: 144 bits.
const sessionIDBytes = 18

func newSessionID() string {
	var b [sessionIDBytes]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
