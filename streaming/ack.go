package streaming

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Ack answers an event whose sender asked for an answer. See "Acknowledgement"
// in the Socket.IO protocol. A nil Ack ignores what it is told.
type Ack struct {
	socket *Socket
	id     uint64
	sent   atomic.Bool
}

// question is an event whose sender asked for an answer.
type question struct {
	Event
	ack Ack
}

// Reply sends the answer. Only the first one counts. It may be called at any
// time, also after the handler has returned.
func (a *Ack) Reply(args packet.Args) {
	if a == nil || a.sent.Swap(true) {
		return
	}
	p := packet.Packet{Type: packet.TypeAck, Namespace: a.socket.namespace.name, ID: a.id, HasID: true, Args: args}
	a.socket.send(&p, true)
}

// ReplyWith is Reply with arguments that are made of values, see
// [packet.NewArgs], whose error it returns. Nothing is sent then. Values that
// nobody waits for are not even encoded.
func (a *Ack) ReplyWith(values ...any) error {
	if !a.Wanted() {
		return nil
	}
	args, err := packet.NewArgs(values...)
	if err == nil {
		a.Reply(args)
	}
	return err
}

// Wanted reports whether the client still waits for an answer.
func (a *Ack) Wanted() bool { return a != nil && !a.sent.Load() }

// ErrDisconnected is the answer of a socket that went away before it answered.
var ErrDisconnected = errors.New("the socket has disconnected")

// pendingAck takes the answer that a socket owes, or the error that there is instead.
// It is called once, and the caller holds no locks. It must not wait.
type pendingAck func(args packet.Args, err error)

const (
	// ackBytes is what an answer that is waited for takes of memory, in bytes, with what
	// waits for it.
	ackBytes = 512
	// modestAcks is how many answers a socket may owe when there is no room for more,
	// see [engineio.Session.Pressed].
	modestAcks = 128
)

// owedAck is a pending ack and when it was asked for.
type owedAck struct {
	take pendingAck
	sent time.Time
}

// expect registers for the answer with the given ID. The error is
// ErrDisconnected or ErrTooManyAcks.
func (s *Socket) expect(id uint64, answer pendingAck) error {
	limit := s.namespace.server.limits.Load().PendingAcks
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != socketConnected {
		return ErrDisconnected
	}
	if limit > 0 && len(s.acks) >= limit || len(s.acks) >= modestAcks && s.client().session.Pressed() {
		s.namespace.server.limited.pendingAcks.Add(1)
		return ErrTooManyAcks
	}
	if s.acks == nil {
		s.acks = make(map[uint64]owedAck)
	}
	s.acks[id] = owedAck{answer, time.Now()}
	s.client().session.Keep(ackBytes)
	return nil
}

// resolve delivers an answer, if it is still waited for.
func (s *Socket) resolve(id uint64, args packet.Args, err error) {
	s.mu.Lock()
	owed, ok := s.acks[id]
	delete(s.acks, id)
	s.mu.Unlock()
	if !ok {
		return
	}
	s.client().session.Keep(-ackBytes)
	if err == nil {
		s.namespace.counts.answered(owed.sent)
	}
	owed.take(args, err)
}

// Call sends an event and waits for the client's answer. An error is that of
// ctx, ErrDisconnected, ErrTooManyAcks, or one of [Socket.EmitArgs]. A handler may call its own
// socket.
func (s *Socket) Call(ctx context.Context, event string, args packet.Args) (packet.Args, error) {
	type result struct {
		args packet.Args
		err  error
	}
	answered := make(chan result, 1)
	id := s.namespace.nextAckID()
	p := packet.Packet{Type: packet.TypeEvent, Namespace: s.namespace.name, ID: id, HasID: true, Event: event, Args: args}
	if err := packet.CheckEvent(event); err != nil {
		return packet.Args{}, err
	}
	if err := s.expect(id, func(args packet.Args, err error) { answered <- result{args, err} }); err != nil {
		return packet.Args{}, err
	}
	if !s.send(&p, false) {
		s.resolve(id, packet.Args{}, ErrDisconnected)
		return packet.Args{}, ErrDisconnected
	}
	s.namespace.counts.eventTo(s)
	s.client().session.HandOver()
	select {
	case r := <-answered:
		return r.args, r.err
	case <-ctx.Done():
		s.resolve(id, packet.Args{}, ctx.Err())
		r := <-answered
		return r.args, r.err
	}
}

// EmitWithAck sends an event and calls answer with the client's answer, or
// with an error: context.DeadlineExceeded after timeout, ErrDisconnected when
// the socket has gone. answer runs like a handler of this socket: in order
// with the others. An error is ErrTooManyAcks or one of [Socket.EmitArgs]; answer is then not
// called.
func (s *Socket) EmitWithAck(event string, args packet.Args, timeout time.Duration, answer func(packet.Args, error)) error {
	if err := packet.CheckEvent(event); err != nil {
		return err
	}
	id := s.namespace.nextAckID()
	// expect needs the timer to stop it. It is set below, when the answer is registered that
	// it ends.
	timer := time.AfterFunc(math.MaxInt64, func() { s.resolve(id, packet.Args{}, context.DeadlineExceeded) })
	err := s.expect(id, func(args packet.Args, err error) {
		timer.Stop()
		s.run(task{answer: func() { answer(args, err) }})
	})
	p := packet.Packet{Type: packet.TypeEvent, Namespace: s.namespace.name, ID: id, HasID: true, Event: event, Args: args}
	if err != nil {
		timer.Stop()
		return err
	}
	timer.Reset(timeout)
	s.namespace.counts.eventTo(s)
	if !s.send(&p, false) {
		s.resolve(id, packet.Args{}, ErrDisconnected)
	}
	return nil
}
