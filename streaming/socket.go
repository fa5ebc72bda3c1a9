package streaming

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/engineio/wire"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
	"github.com/caddy-socketio/socketio-stream/streaming/recovery"
)

// Reason says why a socket has disconnected: one of package engineio, or one
// of these.
type Reason = engineio.Reason

const (
	// ReasonClientDisconnect is a client that left the namespace.
	ReasonClientDisconnect Reason = "client namespace disconnect"
	// ReasonServerDisconnect is a socket that the server disconnected.
	ReasonServerDisconnect Reason = "server namespace disconnect"
	// ReasonNamespaceRemoved is a namespace that is no longer there.
	ReasonNamespaceRemoved Reason = "namespace removed"
)

type socketState uint8

const (
	socketConnecting socketState = iota
	socketConnected
	socketClosed
)

// Socket is a client in a namespace. All methods may be called from any
// goroutine.
type Socket struct {
	id        string
	namespace *Namespace
	// conn is the client that the socket has, or had last.
	conn atomic.Pointer[client]
	// kept is nil where the client cannot be recovered.
	kept *recovery.Session
	// auth is what the client has shown to connect. mu guards it.
	auth json.RawMessage
	// authBytes is what is kept of what the client has shown, in bytes.
	authBytes int32

	// greeted says whether the answer to CONNECT is queued, see greet.
	greeted  atomic.Int32
	greeting sync.Mutex
	// places belongs to the namespace's rooms.
	places places
	// grant is who the client is, see Identity.
	grant atomic.Pointer[grant]

	mu    sync.Mutex
	state socketState
	// cancel ends the context of the authorization under way.
	cancel context.CancelFunc
	acks   map[uint64]owedAck
	// extras are nil until they are needed.
	extras *extras
	// away is nil unless the socket waits for its client.
	away  *absence
	inbox inbox
}

// ID is the socket's public name, different from the session's ID.
func (s *Socket) ID() string { return s.id }

// Namespace is where the socket is connected.
func (s *Socket) Namespace() *Namespace { return s.namespace }

// client is the client that the socket has, or had last.
func (s *Socket) client() *client { return s.conn.Load() }

// Auth is the payload with which the client connected: a JSON object, or nil.
func (s *Socket) Auth() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth
}

// AuthObject is Auth, ready to be looked into.
func (s *Socket) AuthObject() packet.Object {
	object, _ := packet.NewObject(s.Auth())
	return object
}

// Handshake is the first request of the client's connection. It must not be
// changed.
func (s *Socket) Handshake() *engineio.Handshake { return s.client().session.Handshake() }

// Transport is what the client is on now.
func (s *Socket) Transport() engineio.Transport { return s.client().session.Transport() }

// Backlog is how many bytes of memory are taken by what waits to be written to the
// client, and how many may be before it is cut off. All sockets of one client share
// them.
func (s *Socket) Backlog() (waiting, limit int) { return s.client().session.Backlog() }

// Connected reports whether the socket is connected to its namespace. One that waits for its client,
// which can be recovered, still is, see [Handlers.OnRecover].
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == socketConnected
}

// Emit sends an event to this socket, with arguments that are made of values,
// see [packet.NewArgs]. The error is that of NewArgs or of EmitArgs.
func (s *Socket) Emit(event string, values ...any) error {
	args, err := packet.NewArgs(values...)
	if err != nil {
		return err
	}
	return s.EmitArgs(event, args)
}

// EmitArgs sends an event to this socket. It does not wait for the client. For a socket that
// waits for its client the event is kept, unless it is volatile. The error is [ErrDisconnected] or [packet.ErrReservedEvent]. A volatile event that
// does not arrive is no error.
func (s *Socket) EmitArgs(event string, a packet.Args, flags ...packet.Flags) error {
	if err := packet.CheckEvent(event); err != nil {
		return err
	}
	p := packet.Packet{Type: packet.TypeEvent, Namespace: s.namespace.name, Event: event, Args: a, Flags: union(flags)}
	s.namespace.counts.eventTo(s)
	if !s.send(&p, false) && p.Flags&packet.Volatile == 0 {
		return ErrDisconnected
	}
	return nil
}

// send queues a packet if the socket is connected. answer is true for the answer to an
// event. The socket cannot be put out meanwhile, so that what tells its client of that comes
// after the packet.
func (s *Socket) send(p *packet.Packet, answer bool) bool {
	if s.kept != nil && p.Type == packet.TypeEvent {
		return s.sendKept(p)
	}
	m := p.Encode()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != socketConnected {
		return false
	}
	s.namespace.server.taps.toOne(s, p)
	return s.queueLocked(m, answer)
}

// queue is send for a message that is made and that those know of who look on.
func (s *Socket) queue(m *wire.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == socketConnected && s.queueLocked(m, false)
}

// queueLocked queues a message for a socket that is connected.
func (s *Socket) queueLocked(m *wire.Message, answer bool) bool {
	return s.greet() && s.client().session.SendUnderLocks(m, answer)
}

// Broadcast is a broadcast to everyone else in the namespace.
func (s *Socket) Broadcast() Broadcast { return Broadcast{namespace: s.namespace, sender: s} }

// To is a broadcast to the other members of rooms.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// Join puts the socket into rooms that its client has chosen. ErrForbidden
// means that the client may not join one of them, ErrTooManyRooms that it is in
// too many; it joins none then. The ID of each socket is a room as well: a name
// that comes from a client needs a prefix, such as "board:", or the client could
// choose the ID of another socket and get what is sent to that one.
func (s *Socket) Join(rooms ...string) error {
	for _, room := range rooms {
		if !s.MayJoin(room) {
			return ErrForbidden
		}
	}
	if err := s.RoomFor(rooms...); err != nil {
		return err
	}
	s.Admit(rooms...)
	return nil
}

// Admit puts the socket into rooms that the server has chosen, whatever its
// client may join, and however many.
func (s *Socket) Admit(rooms ...string) { s.namespace.rooms.join(s, rooms...) }

// Leave takes the socket out of rooms.
func (s *Socket) Leave(rooms ...string) { s.namespace.rooms.leave(s, rooms...) }

// Rooms lists the rooms the socket is in, or was in when it disconnected, in no
// order. Its own ID, which is a room too, is not in the list.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	if s.state == socketClosed {
		defer s.mu.Unlock()
		if s.extras == nil {
			return nil
		}
		return s.extras.left
	}
	s.mu.Unlock()
	return s.namespace.rooms.of(s)
}

// Disconnect takes the socket out of its namespace. With closeConnection, all
// of the client's sockets are disconnected and its connection is closed after
// it has been told. The server drops the client's events that it has not handled
// yet. A client that is still connecting gets CONNECT_ERROR with
// [CodeDisconnected].
func (s *Socket) Disconnect(closeConnection bool) {
	if closeConnection {
		s.client().end(engineio.ReasonForcedClose, nil)
	}
	// Closed with its connection, it is not there any more, unless it waits for its client.
	s.dismiss(ReasonServerDisconnect, nil)
}

// connect runs the authorization and, if it lets the client in, makes the
// socket a member of its namespace. It is the socket's first task. Where it cannot
// be found out now who the client is, the task is done again later.
func (s *Socket) connect() {
	if wait := s.attempt(); wait > 0 {
		s.connectIn(wait)
		return
	}
	recheck := s.namespace.recheck.Load()
	if err := s.authorize(); err != nil {
		s.notLetIn(err)
		return
	}
	if pid, ok := s.AuthObject().Text(pidField); ok && s.namespace.kicked.take(pid) {
		s.refuse(errKicked)
		return
	}
	if s.recover(recheck) {
		return
	}
	switch {
	case s.namespace.removed.Load():
		s.Disconnect(false)
		return
	case !s.namespace.came():
		// The server is going down, and its clients come back by themselves.
		s.comeAgain(engineio.ReasonShutdown)
		return
	}
	s.mu.Lock()
	if s.state != socketConnecting {
		// Whoever has ended it has answered the client.
		s.mu.Unlock()
		s.namespace.went()
		return
	}
	// From here on the client's events are welcome, but it sends none before
	// it has the answer. It is a member before that, so that it misses nothing
	// of what others send once it knows that it is connected.
	s.state = socketConnected
	s.judgedLocked()
	s.namespace.counts.joined()
	s.mu.Unlock()
	s.client().connected(s.namespace, s.Identity())
	s.keptFor(s.client())
	s.namespace.rooms.add(s)
	s.greet()
	s.recheckSince(recheck)
	if s.namespace.removed.Load() {
		// It may have come too late for Remove to see it.
		s.Disconnect(false)
	}

	for _, handler := range s.namespace.handlers.Load().connect {
		handler(s)
	}
}

// notLetIn deals with a client that the authorization does not let in.
func (s *Socket) notLetIn(err error) {
	var refusal *Refusal
	switch {
	case notNow(err) != nil:
		s.connectLater(notNow(err))
	case errors.As(err, &refusal) && refusal.Code == comeAgain:
		s.comeAgain(ReasonAuthExpired)
	default:
		s.refuse(err)
	}
}

// The values of greeted.
const (
	// notGreeted is a socket whose client has no answer to CONNECT yet.
	notGreeted = iota
	// isGreeted is one whose client has it.
	isGreeted
	// takesLeave is one that nothing more is sent to, but for the news of its end.
	takesLeave
)

// greet queues the answer to CONNECT, unless that has been done. Whoever finds
// the socket in its namespace greets it before sending it anything else: the
// answer is always the first thing that a client gets. A broadcast does so while it
// holds order locks, and who sends to one socket holds its lock. greet reports false for a socket that takes leave.
func (s *Socket) greet() bool {
	greeted := s.greeted.Load()
	if greeted == notGreeted {
		return s.greetFirst()
	}
	return greeted == isGreeted
}

func (s *Socket) greetFirst() bool {
	s.greeting.Lock()
	defer s.greeting.Unlock()
	if greeted := s.greeted.Load(); greeted != notGreeted {
		return greeted == isGreeted
	}
	s.sendConnected(s.client())
	s.greeted.Store(isGreeted)
	return true
}

// authorize asks the handlers.
func (s *Socket) authorize() error {
	handlers := s.namespace.handlers.Load()
	if len(handlers.authorize) == 0 && handlers.authenticator == nil {
		return nil
	}
	ctx, cancel, err := s.whileThere()
	if err != nil {
		return err
	}
	defer cancel()
	if handlers.authenticator != nil {
		if err := s.identify(ctx, handlers.authenticator); err != nil {
			return err
		}
	}
	for _, check := range handlers.authorize {
		if err := check(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
