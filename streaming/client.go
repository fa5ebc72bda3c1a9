package streaming

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// client is one connection and the sockets that share it, one for each
// namespace.
type client struct {
	server  *Server
	session *engineio.Session

	// partial is a packet whose attachments have not all come. Only the goroutine that
	// reads sets it, see keepPartial, until the client is over.
	partial atomic.Pointer[packet.Incoming]
	// skip is how many attachments are still to come of a packet that is dropped.
	// Only the goroutine that reads touches it.
	skip int
	talk talk
	// progress changes with each attachment. waiting is the same while a packet
	// is incomplete, and zero otherwise; waitedFor is what it was at the last
	// heartbeat, and belongs to that.
	progress, waitedFor uint32
	waiting             atomic.Uint32

	mu      sync.Mutex
	sockets []*Socket
	// left are the namespaces that the server has put the client out of.
	left leftNamespaces
	// closed is true once the client gets no more sockets, since its connection ends.
	closed bool
	// over is true once the connection has ended.
	over bool
	// partialBytes is what counts for partial.
	partialBytes int
	// endedBy is the limit that has ended the client.
	endedBy endedBy
	// been holds the bits of the namespaces that the client was let into.
	been uint64
	// who is the client's identity where it has connected last.
	who *Identity
	// attempts bounds how often that is found out; nil before the first time.
	attempts *attempts
	// patience ends a client that does not connect to any namespace. spread is true
	// once it is over, see impatient.
	patience *time.Timer
	spread   bool
	// leaves is true once the client is to come back on a new connection.
	leaves bool
}

// Message implements engineio.Listener.
func (c *client) Message(data []byte, binary bool) (engineio.Work, error) {
	s, err := c.receive(data, binary)
	if err != nil {
		c.server.logger.Debug("malformed packet", "error", err, "client_ip", c.session.Handshake().RemoteAddr)
	}
	if s == nil {
		return nil, err
	}
	return s.work(), err
}

// receive decodes text and gathers attachments until a packet is complete. A
// socket is returned when the inbox of that socket must be worked on.
func (c *client) receive(data []byte, binary bool) (*Socket, error) {
	if binary {
		return c.receiveAttachment(data)
	}
	if c.partial.Load() != nil || c.skip > 0 {
		return nil, errExpectedBinary
	}
	var query []byte
	if c.speaks3() {
		data, query = cutQuery(data)
	}
	p, err := packet.Decode(data, c.server.limits.Load().Attachments)
	if err != nil {
		if errors.Is(err, packet.ErrAttachments) {
			c.server.limited.attachments.Add(1)
			c.note(LimitAttachments)
		}
		return nil, err
	}
	if query != nil {
		p.Payload = query
	}
	if !p.Complete() {
		// Nothing is kept for one who may not send it.
		if _, err := c.addressee(p.Namespace); errors.Is(err, errLate) {
			c.skip = p.Missing()
			c.incomplete()
			return nil, c.drop(p)
		} else if err != nil {
			return nil, err
		}
		c.incomplete()
		partial := *p
		c.keepPartial(&partial)
		return nil, nil
	}
	return c.handle(p)
}

func (c *client) receiveAttachment(data []byte) (*Socket, error) {
	if c.skip > 0 {
		if c.skip--; c.skip == 0 {
			c.waiting.Store(0)
		} else {
			c.incomplete()
		}
		return nil, nil
	}
	p := c.partial.Load()
	if p == nil {
		return nil, errUnexpectedBinary
	}
	p.Attach(data)
	if !p.Complete() {
		c.incomplete()
		c.keepPartial(p)
		return nil, nil
	}
	c.keepPartial(nil)
	c.waiting.Store(0)
	return c.handle(p)
}

// keepPartial sets partial, and counts what it takes of memory. After the end of the
// connection nothing is kept.
func (c *client) keepPartial(p *packet.Incoming) {
	c.mu.Lock()
	bytes := 0
	if p != nil && !c.over {
		bytes = p.Memory()
	} else {
		p = nil
	}
	more := bytes - c.partialBytes
	c.partialBytes = bytes
	c.partial.Store(p)
	c.mu.Unlock()
	c.session.KeepUnfinished(more)
}

// incomplete notes that a packet waits for attachments, or has got one.
func (c *client) incomplete() {
	if c.progress++; c.progress == 0 {
		c.progress++
	}
	c.waiting.Store(c.progress)
}

// Beat implements engineio.Beater. A packet of which nothing has come from one
// heartbeat to the next ends the client.
func (c *client) Beat() {
	waiting := c.waiting.Load()
	if waiting != 0 && waiting == c.waitedFor {
		c.session.Close(ReasonIncomplete)
	}
	c.waitedFor = waiting
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left.beat()
	for _, s := range c.sockets {
		if s.kept != nil {
			s.kept.Beat(s.namespace.rooms.atRest(s))
		}
	}
}

var (
	errState            = errors.New("packet that makes no sense at this point")
	errUnexpectedBinary = errors.New("binary data without a packet it belongs to")
	errExpectedBinary   = errors.New("text while binary data was expected")
)

// handle handles a complete packet.
func (c *client) handle(p *packet.Incoming) (*Socket, error) {
	if p.Type == packet.TypeConnect {
		return c.connect(p)
	}
	s, err := c.addressee(p.Namespace)
	switch {
	case errors.Is(err, errLate):
		return nil, c.drop(p)
	case err != nil:
		return nil, err
	}
	switch p.Type {
	case packet.TypeEvent, packet.TypeBinaryEvent:
		return c.handleEvent(s, p)
	case packet.TypeAck, packet.TypeBinaryAck:
		s.resolve(p.ID, p.Args(), nil)
	case packet.TypeDisconnect:
		c.remove(s)
		s.close(ReasonClientDisconnect)
	default:
		return nil, errState
	}
	return nil, nil
}

func (c *client) handleEvent(s *Socket, p *packet.Incoming) (*Socket, error) {
	talks := c.mayTalk()
	e, err := newEvent(s, p)
	switch {
	case !talks:
		e.Refuse(CodeRateLimited, textRateLimited)
		c.endFor(LimitEvents)
		return nil, nil
	case errors.Is(err, packet.ErrReservedEvent):
		e.Refuse(CodeReservedEvent, "the event name is reserved")
		return nil, nil
	case err != nil:
		e.Refuse(CodeInvalidPayload, err.Error())
		return nil, err
	}
	s.namespace.counts.eventFrom(s)
	c.server.taps.in(e)
	if !s.deliver(e, p.Memory()) {
		return nil, nil
	}
	return s, nil
}

// newEvent makes an event of a packet. With an error it is what can be read of
// it.
func newEvent(s *Socket, p *packet.Incoming) (e *Event, err error) {
	if p.HasID {
		question := &question{ack: Ack{socket: s, id: p.ID}}
		e = &question.Event
		e.Ack = &question.ack
	} else {
		e = new(Event)
	}
	e.Socket = s
	e.Name, e.Args, err = p.Event()
	return e, err
}

// connect begins to connect the client to a namespace. See "Connection to a
// namespace" in the Socket.IO protocol.
func (c *client) connect(p *packet.Incoming) (*Socket, error) {
	switch {
	case !c.mayTalk():
		c.refuseConnect(p.Namespace, CodeRateLimited, textRateLimited)
		c.endFor(LimitEvents)
		return nil, nil
	case len(p.Payload) > maxAuthPayload:
		c.server.limited.auth.Add(1)
		c.refuseConnect(p.Namespace, codeAuthTooLarge, textAuthTooLarge)
		return nil, nil
	}
	n := c.server.namespace(p.Namespace)
	if n == nil {
		c.logRefused(nil, p.Namespace, errNoNamespace)
		c.sendConnectError(p.Namespace, errInvalidNamespace)
		return nil, nil
	}
	s := &Socket{id: newSocketID(), namespace: n, auth: bytes.Clone(p.Payload)}
	s.conn.Store(c)
	s.keep()
	start, err := c.add(s)
	switch {
	case errors.Is(err, errTooMuchAuth):
		// It passes as soon as others have taken what waits for them.
		c.server.limited.auth.Add(1)
		c.note(LimitAuth)
		c.turnAway(engineio.ReasonForcedClose)
		return nil, nil
	case errors.Is(err, errTooManyNamespaces):
		c.server.limited.namespaces.Add(1)
		c.refuseConnect(n.name, "too_many_namespaces", "too many namespaces")
		return nil, nil
	case errors.Is(err, errClosing):
		c.sendConnectError(n.name, errDisconnected)
		return nil, nil
	case errors.Is(err, errLeaves):
		return nil, nil
	case err != nil || !start:
		return nil, err
	}
	return s, nil
}

var (
	errTooManyNamespaces = errors.New("the client is in as many namespaces as it may be in")
	errTooMuchAuth       = errors.New("the client shows more than there is room for now")
	errClosing           = errors.New("the connection of the client is about to end")
	errLeaves            = errors.New("the client is about to come back on a new connection")
)

// add gives the client a socket, whose first task is to connect. start is true
// when the inbox must be worked on.
func (c *client) add(s *Socket) (start bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.leaves:
		return false, errLeaves
	case c.closed:
		return false, errClosing
	case slices.ContainsFunc(c.sockets, func(other *Socket) bool { return other.namespace.name == s.namespace.name }):
		// The namespace may be another one than that of the other socket, which was
		// removed a moment ago and has the same name.
		return false, errState
	case len(c.sockets) >= c.server.limits.Load().Namespaces:
		return false, errTooManyNamespaces
	case c.authBytesLocked()+len(s.auth) > modestAuth && c.session.Pressed():
		return false, errTooMuchAuth
	}
	c.left.forget(s.namespace.name)
	c.sockets = append(c.sockets, s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepAuthLocked(len(s.auth))
	return s.addLocked(task{connect: true}), nil
}

// modestAuth is how many bytes are kept of what a client shows in all its namespaces
// when there is no room for more, see [engineio.Session.Pressed].
const modestAuth = 64 << 10

// authBytesLocked is how many bytes are kept of what the client has shown.
func (c *client) authBytesLocked() (bytes int) {
	for _, s := range c.sockets {
		bytes += len(s.Auth())
	}
	return bytes
}

// keepAuthLocked counts what is kept of what the client has shown for the socket.
func (s *Socket) keepAuthLocked(bytes int) {
	s.client().session.Keep(bytes - int(s.authBytes))
	s.authBytes = int32(bytes) //nolint:gosec // bounded by maxAuthPayload
}

// refuseConnect answers CONNECT to a namespace with a code of this server's.
func (c *client) refuseConnect(namespace, code, message string) {
	data, _ := json.Marshal(struct {
		Code string `json:"code"`
	}{code})
	c.sendConnectError(namespace, &ConnectError{Message: message, Data: data})
}

func (c *client) sendConnectError(namespace string, refusal *ConnectError) {
	c.server.countRefused(namespace)
	p := packet.Packet{Type: packet.TypeConnectError, Namespace: namespace, Object: c.refusalOf(refusal)}
	c.session.Answer(p.Encode())
}

// addressee returns the socket that a packet for a namespace is for. The error is
// errLate if the packet is to be dropped, or else errState.
func (c *client) addressee(namespace string) (*Socket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sockets {
		if s.namespace.name != namespace {
			continue
		}
		if s.Connected() {
			return s, nil
		}
		return nil, errState
	}
	if c.left.has(namespace) {
		return nil, errLate
	}
	return nil, errState
}

// wait gives the client time to connect to a namespace, unless it is connected to one.
func (c *client) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waitLocked()
}

func (c *client) waitLocked() {
	if c.closed || c.patience != nil || c.isInLocked() {
		return
	}
	c.spread = false
	c.patience = time.AfterFunc(time.Duration(c.server.connectTimeout.Load()), c.impatient)
}

// isInLocked reports whether the client is connected to any namespace.
func (c *client) isInLocked() bool { return slices.ContainsFunc(c.sockets, (*Socket).Connected) }

// connected says that the client has connected to a namespace, as whom.
func (c *client) connected(n *Namespace, who *Identity) {
	c.session.Settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.been |= n.bit
	if who != nil {
		c.who = who
	}
	// Its socket may have ended meanwhile.
	if !c.leaves && c.isInLocked() {
		c.loseTimer()
	}
}

// loseTimer ends the patience, and what it takes of memory.
func (c *client) loseTimer() {
	if c.patience != nil {
		c.patience.Stop()
		c.patience = nil
	}
}

func (c *client) remove(s *Socket) { c.drops(s) }

// drops takes a socket out of those of the client. It reports false if it is not among them.
func (c *client) drops(s *Socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removeLocked(s)
}

// removeLocked takes a socket out of those of the client. It reports false if it is not among them.
// Who is in no other namespace has time to connect to one.
func (c *client) removeLocked(s *Socket) bool {
	i := slices.Index(c.sockets, s)
	if i < 0 {
		return false
	}
	c.sockets = slices.Delete(c.sockets, i, i+1)
	c.waitLocked()
	return true
}

// take removes all sockets and lets no more in, since the connection ends.
func (c *client) take() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	sockets := c.sockets
	c.sockets = nil
	c.closed = true
	c.loseTimer()
	return sockets
}

// end tells the client that it is disconnected from all namespaces, which keeps
// it from coming back by itself, and closes its connection. why is what the client
// is told before that, or nil.
func (c *client) end(reason Reason, why *Refusal) {
	for _, s := range c.take() {
		s.dismiss(ReasonServerDisconnect, why)
	}
	c.session.Close(reason)
}

// Close implements engineio.Listener.
func (c *client) Close(reason Reason) {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.keepPartial(nil)
	for _, s := range c.take() {
		s.lose(c, reason)
	}
}
