package streaming

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/caddy-socketio/socketio-stream/streaming/engineio"
	"github.com/caddy-socketio/socketio-stream/streaming/packet"
)

// Reply is one socket's answer to a call to many.
type Reply struct {
	// SocketID says who answered. It is empty for a socket of another process
	// of which nothing was heard but that it was asked.
	SocketID string
	// Args is the answer; Err says why there is none.
	Args packet.Args
	Err  error
}

// Call sends an event to all receivers and waits until each has answered or
// has gone, or until ctx ends. Its error is that of ctx, one of [Broadcast.EmitArgs],
// or that of the [Adapter]; the replies that came are returned in any case.
func (b Broadcast) Call(ctx context.Context, event string, a packet.Args) ([]Reply, error) {
	if err := packet.CheckEvent(event); err != nil {
		return nil, err
	}
	n, t := b.namespace, b.target()
	p := &packet.Packet{
		Type: packet.TypeEvent, Namespace: n.name, ID: n.nextAckID(), HasID: true, Event: event, Args: a,
	}
	n.counts.broadcast(b.sender)
	n.server.taps.toMany(n.name, t, p)
	replies := newReplies()
	asked := n.ask(p, t, func(r Reply) { replies.take(&replies.here, r) })
	replies.expect(&replies.here, len(asked))
	if b.remote() == nil {
		replies.expect(&replies.there, 0)
	} else {
		remote, cancel := context.WithCancel(ctx)
		defer cancel()
		go n.callElsewhere(remote, p, t, replies)
	}
	select {
	case <-replies.done:
		return replies.end(nil)
	case <-ctx.Done():
		forgo(asked, p.ID, ctx.Err())
		<-replies.here.done
		return replies.end(ctx.Err())
	}
}

// callElsewhere asks the sockets of other processes.
func (n *Namespace) callElsewhere(ctx context.Context, p *packet.Packet, t Target, replies *replies) {
	expected, err := askElsewhere(ctx, n, "a call", func(a Adapter) (int, error) {
		return a.Call(ctx, p, t, func(r Reply) { replies.take(&replies.there, r) })
	})
	if err != nil {
		replies.fail(fmt.Errorf("asking other processes: %w", err))
		return
	}
	replies.expect(&replies.there, expected)
}

// ask sends an event that is to be answered to the sockets of this process that
// are meant, and has reply called once for each of those it returns: with its
// answer, or with an error. reply must not wait.
func (n *Namespace) ask(p *packet.Packet, t Target, reply func(Reply)) []*Socket {
	q := &inquiry{packet: p, reply: reply}
	q.keepIn(n.rooms.log.Load(), p)
	if !q.find(n.rooms, t) {
		return nil
	}
	if q.keeping == nil {
		broadcast(p.Message(), q)
	} else {
		broadcastKept(p, q, &q.audience)
	}
	for _, s := range q.refused {
		reply(Reply{SocketID: s.id, Err: ErrTooManyAcks})
	}
	for _, s := range q.asked {
		s.client().session.HandOver()
	}
	return append(q.asked, q.refused...)
}

// inquiry is the audience of a packet that is answered.
type inquiry struct {
	audience
	packet *packet.Packet
	reply  func(Reply)

	mu sync.Mutex
	// asked owe an answer; refused owe too many.
	asked, refused []*Socket
}

// Session implements engineio.Audience.
func (q *inquiry) Session(s *Socket) *engineio.Session {
	if s == q.target.Sender || q.target.MayJoin != "" && !s.MayJoin(q.target.MayJoin) || !s.greet() {
		return nil
	}
	err := s.expect(q.packet.ID, func(args packet.Args, err error) {
		q.reply(Reply{SocketID: s.id, Args: args, Err: err})
	})
	switch {
	case errors.Is(err, ErrTooManyAcks):
		q.mu.Lock()
		q.refused = append(q.refused, s)
		q.mu.Unlock()
		return nil
	case err != nil:
		// It has just gone, and is not asked.
		return nil
	}
	q.mu.Lock()
	q.asked = append(q.asked, s)
	q.mu.Unlock()
	return s.client().session
}

// Missed implements engineio.Audience. A socket that may get the packet when its client is back is
// asked all the same: where it does not come to that, the socket's end is the answer.
func (q *inquiry) Missed(s *Socket) {
	if q.keeping == nil || q.keeping.entry == nil || s.kept == nil {
		s.resolve(q.packet.ID, packet.Args{}, ErrDisconnected)
	}
}

// forgo lets sockets off that have not answered yet.
func forgo(asked []*Socket, id uint64, err error) {
	for _, s := range asked {
		s.resolve(id, packet.Args{}, err)
	}
}

// replies are the answers to a call, of the sockets of this process and of
// others.
type replies struct {
	mu          sync.Mutex
	list        []Reply
	here, there half
	// done is closed when both halves are.
	done chan struct{}
	// err is why nothing more comes from there.
	err error
	// over is true once nobody wants any more of them.
	over bool
}

// half is what has come from one side.
type half struct {
	// expected is how many answers there will be, if that is known yet.
	expected int
	known    bool
	got      int
	// done is closed when all have come.
	done   chan struct{}
	closed bool
}

func newReplies() *replies {
	return &replies{here: half{done: make(chan struct{})}, there: half{done: make(chan struct{})}, done: make(chan struct{})}
}

// take takes an answer.
func (r *replies) take(from *half, reply Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.list = append(r.list, reply)
	from.got++
	r.check(from)
}

// expect says how many answers come from one side.
func (r *replies) expect(from *half, expected int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from.expected, from.known = expected, true
	r.check(from)
}

// fail says that nothing more comes from other processes.
func (r *replies) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	r.there.expected, r.there.known = r.there.got, true
	r.check(&r.there)
}

func (r *replies) check(of *half) {
	if of.closed || !of.known || of.got < of.expected {
		return
	}
	of.closed = true
	close(of.done)
	if r.here.closed && r.there.closed {
		close(r.done)
	}
}

// end returns what has come. err is why it ends before the rest has.
func (r *replies) end(err error) ([]Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if err == nil {
		return r.list, r.err
	}
	for range r.there.expected - r.there.got {
		r.list = append(r.list, Reply{Err: err})
	}
	return r.list, err
}
